//! The agent with fake folders: one suite, run on every runtime of this crate.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use super::command::Site;
use super::job::{Area, Attempt, Batch, Cancel, Job, Retained, Walk};
use super::pool::{Unfinished, Worked};
use super::*;
use crate::codec::Helpers;
use crate::model::{Reason, Step};
use crate::runtime::{Threads, block_on};
use crate::storage::Syncs;

/// Each test on each runtime, as a test of its own.
macro_rules! on_every_runtime {
    ($($test:ident),* $(,)?) => {
        mod threads {
            $(#[test] fn $test() { super::$test(std::sync::Arc::new(super::Threads::new().unwrap())); })*
        }
        #[cfg(feature = "smol")]
        mod smol {
            $(#[test] fn $test() { super::$test(std::sync::Arc::new(crate::runtime::Smol::new().unwrap())); })*
        }
    };
}

on_every_runtime!(
    compresses_what_is_there_and_what_comes,
    works_on_no_more_files_than_it_has_workers,
    drains_what_is_ready_before_it_reports,
    tells_who_has_a_worker_and_who_waits_for_one,
    leaves_at_the_deadline_what_is_not_begun,
    an_aborted_drain_gives_up_what_is_in_flight,
    a_drain_waits_for_no_look_for_surplus_outputs,
    a_full_inbox_loses_nothing,
    a_flood_of_events_holds_up_nothing,
    a_panicking_job_is_a_failed_file,
    a_failing_file_is_tried_again,
    a_removed_watch_gets_no_new_work,
    an_unreachable_folder_is_looked_for_until_it_is_back,
    ends_by_itself_when_told_to_end_when_done,
    dropping_the_handle_ends_it,
    dropping_the_future_of_a_shutdown_ends_it,
);

fn compresses_what_is_there_and_what_comes(runtime: Arc<dyn Runtime>) {
    let folder = FakeFolder::with(["a", "b/c"]);
    let agent = Running::start(runtime, &folder);
    wait_until(|| folder.compressed() == set(["a", "b/c"]));
    folder.put("d");
    agent.events.file(Path::new("d"));
    wait_until(|| folder.compressed() == set(["a", "b/c", "d"]));
    let report = agent.shutdown(LONG);
    assert_eq!((report.compressed, report.failed, report.left), (3, 0, 0));
    assert_eq!((report.bytes_in, report.bytes_out), (300, 30));
}

fn works_on_no_more_files_than_it_has_workers(runtime: Arc<dyn Runtime>) {
    let folder = FakeFolder::with((0..200).map(|n| n.to_string()));
    let agent = Running::start(runtime, &folder);
    wait_until(|| folder.compressed().len() == 200);
    agent.shutdown(LONG);
    let most = folder.most_at_once.load(Ordering::SeqCst);
    assert!((1..=WORKERS).contains(&most), "{most} at once");
}

fn drains_what_is_ready_before_it_reports(runtime: Arc<dyn Runtime>) {
    let folder = FakeFolder::with((0..50).map(|n| n.to_string()));
    folder.close_gate();
    let agent = Running::start(runtime, &folder);
    wait_until(|| agent.snapshot().pending == 50 && folder.entered() == WORKERS);
    let report = agent.shutdown_while(LONG, || folder.open_gate());
    assert_eq!((report.compressed, report.left), (50, 0));
    assert_eq!(folder.compressed().len(), 50);
}

fn leaves_at_the_deadline_what_is_not_begun(runtime: Arc<dyn Runtime>) {
    let folder = FakeFolder::with((0..50).map(|n| n.to_string()));
    folder.close_gate();
    let agent = Running::start(runtime, &folder);
    wait_until(|| agent.snapshot().pending == 50 && folder.entered() == WORKERS);
    let report = agent.shutdown(Duration::from_millis(20));
    assert_eq!((report.compressed, report.left), (0, 50));
    assert_eq!(folder.compressed(), BTreeSet::new());
}

fn an_aborted_drain_gives_up_what_is_in_flight(runtime: Arc<dyn Runtime>) {
    let folder = FakeFolder::with((0..50).map(|n| n.to_string()));
    folder.close_gate();
    let agent = Running::start(runtime, &folder);
    wait_until(|| agent.snapshot().pending == 50 && folder.entered() == WORKERS);
    let report = block_on(async {
        agent.agent.drain(Some(LONG)).await.unwrap();
        agent.agent.abort().await.unwrap();
        agent.agent.report().await.unwrap()
    });
    assert_eq!((report.compressed, report.left), (0, 50));
}

fn tells_who_has_a_worker_and_who_waits_for_one(runtime: Arc<dyn Runtime>) {
    let folder = FakeFolder::with((0..50).map(|n| n.to_string()));
    folder.close_gate();
    let agent = Running::start(runtime, &folder);
    wait_until(|| agent.snapshot().pending == 50 && folder.entered() == WORKERS);
    let snapshot = agent.snapshot();
    assert_eq!((snapshot.in_flight, snapshot.queued), (WORKERS, 50 - WORKERS));
    agent.shutdown_while(LONG, || folder.open_gate());
}

fn a_drain_waits_for_no_look_for_surplus_outputs(runtime: Arc<dyn Runtime>) {
    let folder = FakeFolder::with(["a"]);
    folder.retains.store(true, Ordering::SeqCst);
    let agent = Running::start(runtime, &folder);
    wait_until(|| folder.looks_for_surplus.load(Ordering::SeqCst));
    let begun = Instant::now();
    agent.shutdown(LONG);
    assert!(begun.elapsed() < LONG / 2, "only when the look was over");
}

fn a_full_inbox_loses_nothing(runtime: Arc<dyn Runtime>) {
    let folder = FakeFolder::with([""; 0]);
    let builder = Agent::builder().inbox(1).files(16).workers(WORKERS);
    let agent = Running::start_with(builder, runtime, &folder);
    let names: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
    for name in &names {
        folder.put(name);
        agent.events.file(Path::new(name));
    }
    wait_until(|| folder.compressed().len() == names.len());
    assert_eq!(agent.shutdown(LONG).compressed, 1000);
}

fn a_flood_of_events_holds_up_nothing(runtime: Arc<dyn Runtime>) {
    let folder = FakeFolder::with((0..50).map(|n| n.to_string()));
    let agent = Running::start(runtime, &folder);
    let (events, is_over) = (agent.events.clone(), AtomicBool::new(false));
    let report = std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let deadline = Instant::now() + LONG;
                while !is_over.load(Ordering::SeqCst) && Instant::now() < deadline {
                    events.file(Path::new("noise"));
                }
            });
        }
        wait_until(|| folder.compressed().len() == 50);
        let begun = Instant::now();
        let report = agent.shutdown(LONG);
        is_over.store(true, Ordering::SeqCst);
        assert!(begun.elapsed() < LONG / 2, "only when the flood was over");
        report
    });
    assert_eq!(report.compressed, 50);
}

fn a_panicking_job_is_a_failed_file(runtime: Arc<dyn Runtime>) {
    let folder = FakeFolder::with(["panic", "a", "b", "c", "d"]);
    let agent = Running::start(runtime, &folder);
    wait_until(|| agent.snapshot().pending == 0 && folder.compressed().len() == 4);
    let report = agent.shutdown(LONG);
    assert_eq!((report.compressed, report.failed), (4, 1));
}

fn a_failing_file_is_tried_again(runtime: Arc<dyn Runtime>) {
    let folder = FakeFolder::with(["fail-once"]);
    let agent = Running::start(runtime, &folder);
    wait_until(|| folder.compressed() == set(["fail-once"]));
    let report = agent.shutdown(LONG);
    assert_eq!((report.compressed, report.failed), (1, 0));
}

fn a_removed_watch_gets_no_new_work(runtime: Arc<dyn Runtime>) {
    let folder = FakeFolder::with(["a"]);
    let agent = Running::start(runtime, &folder);
    wait_until(|| folder.compressed() == set(["a"]));
    block_on(agent.agent.remove_watch(agent.watch)).unwrap();
    folder.put("b");
    agent.events.file(Path::new("b"));
    assert!(agent.snapshot().watches.is_empty());
    assert_eq!(agent.shutdown(LONG).compressed, 1);
    assert_eq!(folder.compressed(), set(["a"]));
}

fn an_unreachable_folder_is_looked_for_until_it_is_back(runtime: Arc<dyn Runtime>) {
    let folder = FakeFolder::with(["a"]);
    folder.unreachable.store(true, Ordering::SeqCst);
    let agent = Running::start(runtime, &folder);
    wait_until(|| folder.scans.load(Ordering::SeqCst) > 0);
    folder.unreachable.store(false, Ordering::SeqCst);
    wait_until(|| folder.compressed() == set(["a"]));
    assert_eq!(agent.shutdown(LONG).compressed, 1);
}

fn ends_by_itself_when_told_to_end_when_done(runtime: Arc<dyn Runtime>) {
    let folder = FakeFolder::with(["a", "b", "not-yet"]);
    let agent = Running::start(runtime, &folder);
    let report = block_on(async {
        agent.agent.end_when_done(Duration::from_millis(50)).await.unwrap();
        agent.agent.report().await.unwrap()
    });
    assert_eq!((report.compressed, report.left), (2, 1));
}

fn dropping_the_handle_ends_it(runtime: Arc<dyn Runtime>) {
    let folder = FakeFolder::with(["a"]);
    let agent = Running::start(runtime, &folder);
    wait_until(|| folder.compressed() == set(["a"]));
    let finished = Arc::clone(&agent.finished);
    drop(agent);
    wait_until(|| finished.load(Ordering::SeqCst));
}

fn dropping_the_future_of_a_shutdown_ends_it(runtime: Arc<dyn Runtime>) {
    let folder = FakeFolder::with(["a"]);
    folder.close_gate();
    let agent = Running::start(runtime, &folder);
    wait_until(|| folder.entered() == 1);
    let finished = Arc::clone(&agent.finished);
    let mut shutdown = Box::pin(agent.agent.shutdown(LONG));
    let mut context = Context::from_waker(Waker::noop());
    assert!(shutdown.as_mut().poll(&mut context).is_pending());
    drop(shutdown);
    wait_until(|| finished.load(Ordering::SeqCst));
    assert_eq!(folder.compressed(), set([]));
}

const WORKERS: usize = 3;
/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(120);

/// An agent with one fake folder.
struct Running {
    agent: Agent,
    watch: WatchId,
    events: Events,
    finished: Arc<AtomicBool>,
}

struct Finished(Arc<AtomicBool>);

impl Observer for Finished {
    fn finished(&self, _: &Report) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Running {
    fn start(runtime: Arc<dyn Runtime>, folder: &Arc<FakeFolder>) -> Self {
        Self::start_with(Agent::builder().workers(WORKERS), runtime, folder)
    }

    fn start_with(builder: AgentBuilder, runtime: Arc<dyn Runtime>, folder: &Arc<FakeFolder>) -> Self {
        let finished = Arc::new(AtomicBool::new(false));
        let observer = Arc::new(Finished(Arc::clone(&finished)));
        let agent = block_on(builder.runtime(runtime).observer(observer).start()).unwrap();
        let watch = WatchId(7);
        let lost = Arc::new(AtomicBool::new(false));
        let select = Arc::new(Select::everything(None));
        let events = Events::new(watch, select, agent.inbox.clone(), Arc::clone(&lost));
        let site = Site {
            own: [PathBuf::new(), PathBuf::new()],
            path: "fake".into(),
            settle: Duration::ZERO,
            poll_interval: LONG,
            native: true,
            why_polling: None,
            job: folder.clone(),
            observer: Arc::new(()),
            lost,
        };
        block_on(agent.add_site(watch, site)).unwrap();
        Running {
            agent,
            watch,
            events,
            finished,
        }
    }

    fn snapshot(&self) -> Snapshot {
        block_on(self.agent.snapshot()).unwrap()
    }

    fn shutdown(self, limit: Duration) -> Report {
        block_on(self.agent.shutdown(limit)).unwrap()
    }

    /// Begins the drain, then runs `then`, then waits for the report.
    fn shutdown_while(self, limit: Duration, then: impl FnOnce()) -> Report {
        block_on(self.agent.drain(Some(limit))).unwrap();
        then();
        block_on(self.agent.report()).unwrap()
    }
}

/// A folder in memory. Some names have a meaning: `panic`, `fail-once`, `not-yet`.
#[derive(Default)]
struct FakeFolder {
    files: Mutex<BTreeMap<String, State>>,
    scans: AtomicUsize,
    unreachable: AtomicBool,
    /// Whether surplus outputs are looked for, which then lasts until it is cancelled.
    retains: AtomicBool,
    looks_for_surplus: AtomicBool,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
    gate: Mutex<Gate>,
    gate_moved: Condvar,
}

#[derive(Clone, Copy, Default, PartialEq)]
struct State {
    tries: u32,
    compressed: bool,
}

#[derive(Default)]
struct Gate {
    closed: bool,
    entered: usize,
}

impl FakeFolder {
    fn with<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Arc<Self> {
        let folder = FakeFolder::default();
        for name in names {
            folder.put(&name.into());
        }
        Arc::new(folder)
    }

    fn put(&self, name: &str) {
        self.files.lock().unwrap().insert(name.to_owned(), State::default());
    }

    fn compressed(&self) -> BTreeSet<String> {
        let files = self.files.lock().unwrap();
        let compressed = files.iter().filter(|(_, state)| state.compressed);
        compressed.map(|(name, _)| name.clone()).collect()
    }

    /// From now on a job waits inside until the gate opens or it is cancelled.
    fn close_gate(&self) {
        self.gate.lock().unwrap().closed = true;
    }

    fn open_gate(&self) {
        self.gate.lock().unwrap().closed = false;
        self.gate_moved.notify_all();
    }

    /// Jobs that have come to the gate.
    fn entered(&self) -> usize {
        self.gate.lock().unwrap().entered
    }

    /// Whether the job may go on.
    fn pass_gate(&self, cancel: &Cancel) -> bool {
        let mut gate = self.gate.lock().unwrap();
        gate.entered += 1;
        while gate.closed && !cancel.is_cancelled() {
            gate = self.gate_moved.wait_timeout(gate, Duration::from_millis(5)).unwrap().0;
        }
        !cancel.is_cancelled()
    }

    fn attempt_counted(&self, name: &str, cancel: &Cancel) -> Attempt {
        if !self.pass_gate(cancel) {
            return Attempt::Cancelled;
        }
        if name == "panic" {
            self.at_once.fetch_sub(1, Ordering::SeqCst);
            // Past the panic hook, which would print.
            std::panic::resume_unwind(Box::new("on purpose"));
        }
        let mut files = self.files.lock().unwrap();
        let Some(state) = files.get_mut(name) else {
            return Attempt::Gone;
        };
        state.tries += 1;
        match name {
            "not-yet" => Attempt::NotYet(Duration::from_millis(10)),
            "fail-once" if state.tries == 1 => Attempt::Failed(Error::transient(Step::Read, name, "on purpose")),
            _ if state.compressed => Attempt::Skipped(Reason::UpToDate),
            _ => {
                state.compressed = true;
                Attempt::Compressed {
                    output: format!("{name}.gz").into(),
                    bytes_in: 100,
                    bytes_out: 10,
                    took: Duration::ZERO,
                    since_published: Duration::ZERO,
                }
            }
        }
    }
}

impl Job for FakeFolder {
    fn attempt(&self, file: &Path, _: u32, _: &dyn Helpers, cancel: &Cancel) -> Worked<Attempt> {
        let at_once = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(at_once, Ordering::SeqCst);
        let attempt = self.attempt_counted(file.to_str().unwrap(), cancel);
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        match attempt {
            Attempt::Compressed { .. } => Worked::Later(Box::new(Rest { attempt, turns: 2 }), REST),
            attempt => Worked::Ended(attempt),
        }
    }

    fn retains(&self) -> bool {
        self.retains.load(Ordering::SeqCst)
    }

    fn retain(&self, _: &[Area], cancel: &Cancel) -> Retained {
        self.looks_for_surplus.store(true, Ordering::SeqCst);
        let deadline = Instant::now() + LONG;
        while !cancel.is_cancelled() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        Retained::default()
    }

    fn scan(&self, _: &Path) -> Result<Box<dyn Walk>, Error> {
        self.scans.fetch_add(1, Ordering::SeqCst);
        if self.unreachable.load(Ordering::SeqCst) {
            return Err(Error::new(Step::Open, "fake", std::io::ErrorKind::NotFound));
        }
        let files = self.files.lock().unwrap();
        let open = files.iter().filter(|(_, state)| !state.compressed);
        Ok(Box::new(FakeWalk(open.map(|(name, _)| name.into()).collect())))
    }
}

/// What a file that is compressed has still to wait for.
struct Rest {
    attempt: Attempt,
    turns: u32,
}

const REST: Duration = Duration::from_millis(2);

impl Unfinished<Attempt> for Rest {
    fn enlist(&self, _: &mut Syncs) {}

    fn waits_for_disk(&self) -> bool {
        false
    }

    fn advance(mut self: Box<Self>, _: &mut Syncs, _: &Cancel) -> Worked<Attempt> {
        self.turns -= 1;
        match self.turns {
            0 => Worked::Ended(self.attempt),
            _ => Worked::Later(self, REST),
        }
    }
}

struct FakeWalk(Vec<PathBuf>);

impl Walk for FakeWalk {
    fn next(&mut self, most: usize) -> Result<Batch, Error> {
        let rest = self.0.split_off(most.min(self.0.len()));
        let files = std::mem::replace(&mut self.0, rest);
        Ok(Batch {
            files,
            end: self.0.is_empty(),
            ..Batch::default()
        })
    }
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.into_iter().map(String::from).collect()
}

/// Waits for a condition that other threads bring about.
fn wait_until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < deadline, "it did not come about within {LONG:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
