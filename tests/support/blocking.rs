//! Finds polls that block: by what the fakes of blocking things say, and by what the kernel says of the thread.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

/// A poll that slept this long has blocked. A page fault is shorter, even where it waits for the lock of the process's memory while the
/// thread that holds it waits for a processor: 0.1 s was seen on a machine with three times as much to do as it could.
const LONG_SLEEP: Duration = Duration::from_secs(1);

thread_local! {
    /// The task that is being polled on this thread.
    static POLLED: Cell<Option<u64>> = const { Cell::new(None) };
    /// What this poll did that blocks.
    static BLOCKED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// To be called by whatever stands in for something that blocks. Inside a task it makes the executor panic after that poll.
pub(crate) fn assert_may_block(what: &str) {
    if POLLED.get().is_some() {
        BLOCKED.set(Some(what.to_owned()));
    }
}

/// Watches the polls of an executor.
#[derive(Default)]
pub(crate) struct Polls {
    detects_system_calls: bool,
}

impl Polls {
    /// From now on the kernel is asked, too, whether a poll read, wrote or slept.
    pub(crate) fn detect_system_calls(&mut self) {
        self.detects_system_calls = true;
    }

    /// Polls a task on an executor that is not ours to watch; with what is returned comes whether that blocked.
    #[allow(dead_code)] // one of the two binaries that this is part of has no such executor
    pub(crate) fn listen<T>(poll: impl FnOnce() -> T) -> (T, Option<String>) {
        let outer = POLLED.replace(Some(POLLED.get().unwrap_or(0)));
        let value = poll();
        POLLED.set(outer);
        (value, BLOCKED.take())
    }

    /// Polls a task.
    ///
    /// # Panics
    ///
    /// When that blocked.
    pub(crate) fn watch<T>(&self, task: u64, poll: impl FnOnce() -> T) -> T {
        let before = self.detects_system_calls.then(Facts::read);
        POLLED.set(Some(task));
        let value = poll();
        POLLED.set(None);
        let blocked = BLOCKED.take().or_else(|| before?.told_by(&Facts::read()));
        if let Some(what) = blocked {
            panic!("task {task} blocked its thread: {what}");
        }
        value
    }
}

/// What the kernel says of this thread. That it slept while it could have run is what is left of the time when running and waiting
/// for a processor are taken from it (`proc_pid_io(5)`; "schedstat" in the kernel's sched-stats.rst), if it gave its processor up by itself
/// at all (`proc_pid_status(5)`): a virtual machine's may be taken away without a word.
#[derive(Clone, Copy)]
struct Facts {
    at: Instant,
    calls: u64,
    busy: Duration,
    given_up: u64,
}

impl Facts {
    fn read() -> Self {
        thread_local! {
            static FILES: [File; 3] = ["io", "schedstat", "status"]
                .map(|name| File::open(format!("/proc/thread-self/{name}")).expect("/proc is mounted"));
        }
        let [io, times, status] = FILES.with(|files| files.each_ref().map(read));
        let (io, times) = (numbers(&io), numbers(&times));
        let given_up = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        Facts {
            at: Instant::now(),
            // Calls of read and write.
            calls: io[2] + io[3],
            busy: Duration::from_nanos(times[0] + times[1]),
            given_up: numbers(given_up.expect("a line of status"))[0],
        }
    }

    /// What happened up to `after` that blocks. Reading the facts took three calls itself.
    fn told_by(&self, after: &Facts) -> Option<String> {
        let calls = after.calls.saturating_sub(self.calls + 3);
        let slept = (after.at - self.at).saturating_sub(after.busy.saturating_sub(self.busy));
        let has_slept = slept >= LONG_SLEEP && after.given_up > self.given_up;
        (calls > 0 || has_slept).then(|| format!("{calls} calls of read or write, slept {slept:?}"))
    }
}

fn numbers(text: &str) -> Vec<u64> {
    text.split_ascii_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect()
}

fn read(file: &File) -> String {
    let mut text = [0; 4096];
    let length = file.read_at(&mut text, 0).expect("a file of /proc");
    String::from_utf8_lossy(&text[..length]).into_owned()
}
