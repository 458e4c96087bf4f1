//! Other programs at the same files: the agent caught at a moment of its work, and what is there at the end.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

pub(super) use crate::support::gz::contents_below;
use crate::support::run::Running;
use crate::support::wait::{DEADLINE, poll};
use crate::support::{Data, Inbox, names_below};

/// The keys of a watch that takes a file as soon as it may.
pub(super) const AT_ONCE: &str = "settle = \"0s\"";

/// Whether a file below the folder has been renamed out of the way, and is not decided upon yet.
pub(super) fn quarantined_below(folder: &Path) -> Option<PathBuf> {
    let mut names = names_below(folder).into_iter();
    let name =
        names.find(|name| name.contains(".dwindle-") && Path::new(name).extension().is_some_and(|end| end == "q"))?;
    Some(folder.join(name))
}

/// Whether each file below the folder is a `.gz`.
pub(super) fn only_outputs_in(folder: &Path) -> bool {
    let names = names_below(folder);
    names
        .iter()
        .all(|name| name.ends_with('/') || Path::new(name).extension().is_some_and(|end| end == "gz"))
}

/// The first of the paths that are numbered by `name` which nothing has.
pub(super) fn free_name(name: impl Fn(u32) -> PathBuf) -> PathBuf {
    (0..10_000)
        .map(name)
        .find(|path| !path.exists())
        .expect("a free number")
}

/// A file that one worker needs a second or two for.
pub(super) fn large_content(seed: u64) -> Vec<u8> {
    Data::from_seed(seed).tedious_text(2_500_000)
}

/// The agent with one worker that takes its time, stopped (SIGSTOP) while it compresses the one file of the inbox.
pub(super) fn caught_at_work(inbox: &Inbox, keys: &str) -> Running {
    let mut running = inbox.dwindle_with("workers = 1\nlevel = 9", keys).start();
    running.wait_for_output_in(&inbox.path);
    running.signal(Signal::STOP);
    running
}

/// How long a writer may wait for its turn: far less than the kernel would have it wait (`/proc/sys/fs/lease-break-time`, 45 s).
pub(super) const TURN: Duration = Duration::from_secs(20);

/// Lets others change the file at `path` and then the stopped agent go on; a change that has to wait for the agent does so, and not for long.
pub(super) fn go_on_after(running: &Running, path: &Path, change: impl FnOnce() + Send) {
    let inode = fs::metadata(path).expect("the file that is at work").ino();
    thread::scope(|scope| {
        let change = scope.spawn(change);
        let begun = poll(DEADLINE, || {
            (change.is_finished() || is_waited_for(inode)).then_some(())
        });
        assert!(begun.is_some(), "the change neither ends nor waits for a lease");
        running.signal(Signal::CONT);
        let goes_on = Instant::now();
        change.join().expect("the change");
        assert!(goes_on.elapsed() < TURN, "{:?}", goes_on.elapsed());
    });
}

/// Whether somebody waits for the end of a lease on this file; `proc_locks(5)`.
pub(super) fn is_waited_for(inode: u64) -> bool {
    let locks = fs::read_to_string("/proc/locks").expect("procfs");
    let file = format!(":{inode} ");
    locks
        .lines()
        .any(|line| line.contains("BREAKING") && line.contains(&file))
}

/// The agent under strace(1), which holds up each of these system calls for two seconds before it is made.
pub(super) struct Delayed {
    pub(super) running: Running,
    log: PathBuf,
}

impl Delayed {
    pub(super) fn start(inbox: &Inbox, keys: &str, calls: &str) -> Self {
        let log = inbox.sandbox.path("strace.log");
        let trace = format!("trace={calls}");
        let inject = format!("inject={calls}:delay_enter=2000000");
        let log_name = log.to_str().expect("a path of ASCII").to_owned();
        // -D: strace is the grandchild, so that the child is the agent.
        let strace = [
            "strace", "-D", "-f", "-qq", "-o", &log_name, "-e", &trace, "-e", &inject, "--",
        ];
        let mut running = inbox.dwindle(keys).started_by(strace).start();
        running.wait_for_text("watching");
        Delayed { running, log }
    }

    /// Waits until this call of the agent's, as strace prints it, is about to be made.
    pub(super) fn wait_for_call(&mut self, beginning: &str) {
        let log = &self.log;
        self.running.wait_for(beginning, || {
            fs::read_to_string(log).is_ok_and(|log| log.contains(beginning))
        });
    }

    /// Waits until an original is in quarantine; its name there.
    pub(super) fn wait_for_quarantine(&mut self, inbox: &Inbox) -> PathBuf {
        let mut found = None;
        self.running.wait_for("an original in quarantine", || {
            found = quarantined_below(&inbox.path);
            found.is_some()
        });
        found.expect("just found")
    }
}
