//! The library as a program with its own event loop uses it: the same on each runtime that comes with it, and on tokio.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dwindle::runtime::{Smol, Threads};
use dwindle::{
    Agent, AgentBuilder, AgentError, Level, NotifyWatcher, Observer, OnConflict, Preset, Report, Runtime, Watch,
};
use smol::block_on;

use crate::support::gz::read_with_flate2;
use crate::support::tokio;
use crate::support::wait::{DEADLINE, poll};
use crate::support::{Arrival, Data, Inbox, names_below};

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn with_the_kernels_events_it_takes_what_is_there_and_what_comes() {
    on_each_runtime(|runtime| {
        let inbox = Inbox::new();
        let files = arrivals(500, &["before.csv", "sub/before.csv", "after.csv", "new/sub/after.csv"]);
        put(&inbox, &files[..2]);
        let agent = start(Agent::builder().runtime(runtime).watcher(Arc::new(NotifyWatcher)));
        block_on(agent.add_watch(quick(&inbox.path))).unwrap();
        wait_for_gz(&inbox, &files[..2]);
        put(&inbox, &files[2..]);
        wait_for_gz(&inbox, &files);
        expect(block_on(agent.shutdown(LIMIT)).unwrap(), 4);
    });
}

#[test]
fn without_a_watcher_it_looks_at_intervals() {
    on_each_runtime(|runtime| {
        let inbox = Inbox::new();
        let files = arrivals(501, &["before.csv", "after.csv", "new/sub/after.csv"]);
        put(&inbox, &files[..1]);
        let agent = start(Agent::builder().runtime(runtime));
        let watch = quick(&inbox.path).with_poll_interval(Duration::from_millis(100));
        block_on(agent.add_watch(watch)).unwrap();
        wait_for_gz(&inbox, &files[..1]);
        put(&inbox, &files[1..]);
        wait_for_gz(&inbox, &files);
        expect(block_on(agent.shutdown(LIMIT)).unwrap(), 3);
    });
}

#[test]
fn events_may_be_told_by_hand() {
    on_each_runtime(|runtime| {
        let inbox = Inbox::new();
        let files = arrivals(502, &["first.csv", "sub/file.csv", "found.csv"]);
        fs::write(inbox.outside.join("secret"), "not below the folder").unwrap();
        let (agent, events) = told_by_hand(runtime, &inbox);

        put(&inbox, &files[..1]);
        // What lies elsewhere, or is nothing, is not looked at.
        for path in ["../outside/secret", "/etc/hostname", "", ".", "missing", "missing/too"] {
            events.file(Path::new(path));
            events.folder(Path::new(path));
        }
        events.file(Path::new("first.csv"));
        wait_for_gz(&inbox, &files[..1]);
        put(&inbox, &files[1..2]);
        events.folder(Path::new("sub"));
        wait_for_gz(&inbox, &files[..2]);
        put(&inbox, &files[2..]);
        events.lost();
        wait_for_gz(&inbox, &files);

        // With that of the first scan.
        expect(block_on(agent.shutdown(LIMIT)).unwrap(), 4);
        assert!(inbox.outside.join("secret").exists());
        // Nobody listens any more, and that is no error.
        events.file(Path::new("first.csv"));
        events.lost();
    });
}

#[test]
fn a_tiny_inbox_and_a_tiny_table_lose_nothing() {
    on_each_runtime(|runtime| {
        let inbox = Inbox::new();
        let data = &mut Data::from_seed(503);
        let files = Arrival::several(data, 300);
        let builder = Agent::builder().runtime(runtime).inbox(1).files(16).workers(2);
        let agent = start(builder.watcher(Arc::new(NotifyWatcher)));
        let watch = quick(&inbox.path)
            .with_durable(false)
            .with_level(Level::new(1).unwrap());
        block_on(agent.add_watch(watch)).unwrap();
        put(&inbox, &files);
        wait_for_gz(&inbox, &files);
        expect(block_on(agent.shutdown(LIMIT)).unwrap(), 300);
    });
}

#[test]
fn a_removed_watch_takes_nothing_more_and_can_come_again() {
    on_each_runtime(|runtime| {
        let (inbox, other) = (Inbox::new(), Inbox::new());
        let files = arrivals(504, &["first.csv", "second.csv"]);
        let agent = start(Agent::builder().runtime(runtime).watcher(Arc::new(NotifyWatcher)));
        let (watch, events) = block_on(agent.add_watch(quick(&inbox.path))).unwrap();
        block_on(agent.add_watch(quick(&other.path))).unwrap();
        put(&inbox, &files[..1]);
        wait_for_gz(&inbox, &files[..1]);

        block_on(agent.remove_watch(watch)).unwrap();
        assert_eq!(
            block_on(agent.snapshot()).unwrap().watches,
            std::slice::from_ref(&other.path)
        );
        put(&inbox, &files[1..]);
        events.file(Path::new("second.csv"));
        put(&other, &files[..1]);
        wait_for_gz(&other, &files[..1]);
        assert_eq!(names_below(&inbox.path), ["first.csv.gz", "second.csv"]);

        block_on(agent.add_watch(quick(&inbox.path))).unwrap();
        wait_for_gz(&inbox, &files);
        // A watch that is not there any more is removed as well as one can be.
        block_on(agent.remove_watch(watch)).unwrap();
        expect(block_on(agent.shutdown(LIMIT)).unwrap(), 3);
    });
}

#[test]
fn a_snapshot_tells_what_is_done_and_what_is_to_be_done() {
    on_each_runtime(|runtime| {
        let inbox = Inbox::new();
        let slow = inbox.sandbox.folder("slow");
        let files = arrivals(505, &["first.csv", "second.csv"]);
        let agent = start(Agent::builder().runtime(runtime).watcher(Arc::new(NotifyWatcher)));
        let before = block_on(agent.snapshot()).unwrap();
        assert_eq!(
            (before.pending, before.watches, before.report.compressed),
            (0, Vec::<PathBuf>::new(), 0)
        );
        block_on(agent.add_watch(quick(&inbox.path))).unwrap();
        let patient = Watch::new(&slow, Preset::Inbox).with_settle(Duration::from_secs(3600));
        block_on(agent.add_watch(patient)).unwrap();
        put(&inbox, &files);
        fs::write(slow.join("waits"), "for an hour").unwrap();
        let is_so = poll(DEADLINE, || {
            let now = block_on(agent.snapshot()).unwrap();
            (now.pending == 1 && now.report.compressed == 2).then_some(now)
        });
        let now = is_so.expect("two are done and one waits");
        assert_eq!(now.watches, [inbox.path.clone(), slow.clone()]);
        assert_eq!(now.report.bytes_in, bytes_of(&files));

        // It will not be quiet before the limit, so there is nothing to wait for.
        let report = block_on(agent.shutdown(Duration::from_secs(5))).unwrap();
        assert_eq!((report.compressed, report.left), (2, 1));
        assert!(report.elapsed < LIMIT);
        assert_eq!(names_below(&slow), ["waits"]);
    });
}

#[test]
fn it_ends_by_itself_when_all_is_done() {
    on_each_runtime(|runtime| {
        let inbox = Inbox::new();
        let files = arrivals(506, &["first.csv", "sub/second.csv"]);
        put(&inbox, &files);
        let agent = start(Agent::builder().runtime(runtime));
        block_on(async {
            agent.add_watch(quick(&inbox.path)).await.unwrap();
            agent.end_when_done(LIMIT).await.unwrap();
            expect(agent.report().await.unwrap(), 2);
            assert!(matches!(agent.report().await, Err(AgentError::Ended)));
            assert!(matches!(agent.snapshot().await, Err(AgentError::Ended)));
            let again = agent.add_watch(quick(&inbox.path)).await;
            assert!(matches!(again, Err(AgentError::Ended)));
        });
        wait_for_gz(&inbox, &files);
    });
}

#[test]
fn dropped_it_gives_up_without_a_trace() {
    on_each_runtime(|runtime| {
        let (inbox, files) = large_file(507);
        let observer = Arc::new(Witness::default());
        let agent = watched_by(&observer, runtime, &inbox);
        wait_until("it is at work", || observer.progress.load(Ordering::Relaxed) > 0);
        drop(agent);
        wait_until("its tasks have ended", || Arc::strong_count(&observer) == 1);
        assert_eq!(names_below(&inbox.path), ["large.csv"]);
        assert!(fs::read(inbox.path.join("large.csv")).unwrap() == files.original.content);
        let report = observer
            .finished
            .lock()
            .unwrap()
            .take()
            .expect("the observer has the report");
        assert_eq!((report.compressed, report.left), (0, 1));
    });
}

#[test]
fn aborted_it_reports_what_is_left() {
    on_each_runtime(|runtime| {
        let (inbox, _) = large_file(508);
        let observer = Arc::new(Witness::default());
        let agent = watched_by(&observer, runtime, &inbox);
        wait_until("it is at work", || observer.progress.load(Ordering::Relaxed) > 0);
        let report = block_on(async {
            agent.abort().await.unwrap();
            agent.report().await.unwrap()
        });
        assert_eq!((report.compressed, report.failed, report.left), (0, 0, 1));
        assert_eq!(names_below(&inbox.path), ["large.csv"]);
    });
}

#[test]
fn an_observer_hears_of_every_byte_and_every_file() {
    on_each_runtime(|runtime| {
        let inbox = Inbox::new();
        let files = arrivals(509, &["first.csv", "sub/second.csv"]);
        put(&inbox, &files);
        fs::write(inbox.path.join("empty"), "").unwrap();
        let observer = Arc::new(Witness::default());
        let agent = watched_by(&observer, runtime, &inbox);
        wait_for_gz_beside(&inbox, &files, &["empty"]);
        let report = block_on(agent.shutdown(LIMIT)).unwrap();
        assert_eq!((report.compressed, report.skipped), (2, 1));
        assert_eq!(report.bytes_in, bytes_of(&files));
        assert_eq!(observer.progress.load(Ordering::Relaxed), report.bytes_in);
        let mut compressed = observer.compressed.lock().unwrap().clone();
        compressed.sort();
        assert_eq!(compressed, [PathBuf::from("first.csv"), "sub/second.csv".into()]);
        assert_eq!(*observer.finished.lock().unwrap(), Some(report));
    });
}

#[test]
fn a_runtime_that_ends_ends_the_agent() {
    let each: [fn() -> Arc<dyn Runtime>; 4] = [smol, threads, tokio::current_thread, tokio::multi_thread];
    for runtime in each {
        let inbox = Inbox::new();
        let runtime = Arc::new(Dying(Mutex::new(Some(runtime()))));
        let agent = start(Agent::builder().runtime(Arc::clone(&runtime) as Arc<dyn Runtime>));
        block_on(agent.add_watch(quick(&inbox.path))).unwrap();
        runtime.end();
        assert!(matches!(block_on(agent.shutdown(LIMIT)), Err(AgentError::Ended)));
    }
}

#[test]
fn what_cannot_be_begun_is_said_at_once() {
    assert!(matches!(block_on(Agent::builder().start()), Err(AgentError::NoRuntime)));
    on_each_runtime(|runtime| {
        let inbox = Inbox::new();
        let agent = start(Agent::builder().runtime(runtime));
        let add = |watch: Watch| block_on(agent.add_watch(watch)).map(|_| ());
        let missing = add(Watch::new(inbox.sandbox.path("missing"), Preset::Inbox)).unwrap_err();
        assert!(matches!(missing, AgentError::Folder(_)));
        assert!(missing.to_string().contains("missing"), "{missing}");
        let pattern = add(quick(&inbox.path).with_include(["["])).unwrap_err();
        assert!(matches!(pattern, AgentError::Pattern(_)), "{pattern}");
        assert_eq!(block_on(agent.snapshot()).unwrap().watches, Vec::<PathBuf>::new());
        expect(block_on(agent.shutdown(LIMIT)).unwrap(), 0);
    });
}

#[test]
fn the_rules_of_a_watch_hold() {
    on_each_runtime(|runtime| {
        let inbox = Inbox::new();
        let files = arrivals(510, &["file.csv"]);
        put(&inbox, &files);
        put(&inbox, &arrivals(511, &["file.txt", "sub/file.csv"]));
        fs::create_dir(inbox.outside.join("gz")).unwrap();
        fs::write(inbox.outside.join("gz/file.csv.gz"), "in the way").unwrap();
        let agent = start(Agent::builder().runtime(runtime));
        let watch = quick(&inbox.path)
            .with_recursive(false)
            .with_include(["*.csv"])
            .with_keep_original(true)
            .with_output_dir(inbox.outside.join("gz"))
            .with_on_conflict(OnConflict::Replace);
        block_on(async {
            agent.add_watch(watch).await.unwrap();
            agent.end_when_done(LIMIT).await.unwrap();
            expect(agent.report().await.unwrap(), 1);
        });
        assert_eq!(
            names_below(&inbox.path),
            ["file.csv", "file.txt", "sub/", "sub/file.csv"]
        );
        assert_eq!(names_below(&inbox.outside.join("gz")), ["file.csv.gz"]);
        let member = read_with_flate2(&inbox.outside.join("gz/file.csv.gz"));
        assert_eq!(member.content, files[0].original.content);
    });
}

fn start(builder: AgentBuilder) -> Agent {
    block_on(builder.start()).unwrap()
}

/// The suite's point: nothing that a test sees may depend on what runs the agent.
fn on_each_runtime(test: impl Fn(Arc<dyn Runtime>)) {
    let each = [
        ("smol", smol()),
        ("threads", threads()),
        ("tokio on one thread", tokio::current_thread()),
        ("tokio on several threads", tokio::multi_thread()),
    ];
    for (name, runtime) in each {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(runtime)));
        if let Err(panic) = result {
            eprintln!("on the runtime {name}");
            std::panic::resume_unwind(panic);
        }
    }
}

fn smol() -> Arc<dyn Runtime> {
    Arc::new(Smol::new().unwrap())
}

fn threads() -> Arc<dyn Runtime> {
    Arc::new(Threads::new().unwrap())
}

/// A runtime that can be ended while others hold it.
struct Dying(Mutex<Option<Arc<dyn Runtime>>>);

impl Dying {
    fn end(&self) {
        let runtime = self.0.lock().unwrap().take();
        drop(runtime);
    }

    fn inner(&self) -> Option<Arc<dyn Runtime>> {
        self.0.lock().unwrap().clone()
    }
}

impl Runtime for Dying {
    fn spawn(&self, task: dwindle::runtime::BoxFuture<'static, ()>) {
        if let Some(inner) = self.inner() {
            inner.spawn(task);
        }
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> dwindle::runtime::BoxFuture<'static, ()> {
        match self.inner() {
            Some(inner) => inner.sleep_until(deadline),
            None => Box::pin(std::future::pending()),
        }
    }

    fn unblock(&self, work: Box<dyn FnOnce() + Send + 'static>) {
        if let Some(inner) = self.inner() {
            inner.unblock(work);
        }
    }

    fn now(&self) -> std::time::Instant {
        std::time::Instant::now()
    }
}

/// Remembers what it was told.
#[derive(Default)]
struct Witness {
    progress: AtomicU64,
    compressed: Mutex<Vec<PathBuf>>,
    finished: Mutex<Option<Report>>,
}

impl Observer for Witness {
    fn progress(&self, _: &Path, bytes: u64) {
        self.progress.fetch_add(bytes, Ordering::Relaxed);
    }

    fn compressed(&self, folder: &Path, source: &Path, output: &Path, _: u64, _: u64, _: Duration) {
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(name(output), format!("{}.gz", name(source)));
        assert!(folder.is_absolute());
        self.compressed.lock().unwrap().push(source.to_owned());
    }

    fn finished(&self, report: &Report) {
        *self.finished.lock().unwrap() = Some(*report);
    }
}

/// An agent of one worker on the inbox.
fn watched_by(observer: &Arc<Witness>, runtime: Arc<dyn Runtime>, inbox: &Inbox) -> Agent {
    let observer: Arc<dyn Observer> = Arc::clone(observer) as _;
    let builder = Agent::builder().runtime(runtime).workers(1).observer(observer);
    let agent = start(builder.level(Level::new(9).unwrap()));
    block_on(agent.add_watch(quick(&inbox.path))).unwrap();
    agent
}

/// An agent that learns nothing by itself once its first scan is over.
fn told_by_hand(runtime: Arc<dyn Runtime>, inbox: &Inbox) -> (Agent, dwindle::Events) {
    let data = &mut Data::from_seed(512);
    let agent = start(Agent::builder().runtime(runtime));
    let first = Arrival::new(data, "first-scan");
    put(inbox, std::slice::from_ref(&first));
    let (_, events) = block_on(agent.add_watch(quick(&inbox.path).with_poll_interval(LIMIT * 100))).unwrap();
    wait_for_gz(inbox, std::slice::from_ref(&first));
    fs::remove_file(inbox.path.join("first-scan.gz")).unwrap();
    (agent, events)
}

/// One file that a worker needs seconds for.
fn large_file(seed: u64) -> (Inbox, Arrival) {
    let data = &mut Data::from_seed(seed);
    let inbox = Inbox::new();
    let mut file = Arrival::new(data, "large.csv");
    file.original.content = data.log_text(2_000_000).repeat(8);
    put(&inbox, std::slice::from_ref(&file));
    (inbox, file)
}

fn quick(folder: &Path) -> Watch {
    Watch::new(folder, Preset::Inbox).with_settle(Duration::from_millis(100))
}

fn arrivals(seed: u64, paths: &[&str]) -> Vec<Arrival> {
    let data = &mut Data::from_seed(seed);
    paths.iter().map(|path| Arrival::new(data, path)).collect()
}

/// Each by a rename.
fn put(inbox: &Inbox, files: &[Arrival]) {
    for file in files {
        let staged = inbox.outside.join(&file.original.name);
        file.write_to(&staged);
        fs::create_dir_all(inbox.path.join(&file.folder)).unwrap();
        fs::rename(staged, file.path_in(&inbox.path)).unwrap();
    }
}

fn wait_for_gz(inbox: &Inbox, files: &[Arrival]) {
    wait_for_gz_beside(inbox, files, &[]);
}

fn wait_for_gz_beside(inbox: &Inbox, files: &[Arrival], others: &[&str]) {
    let expected: Vec<_> = crate::support::inbox::names_with_gz_of(files, others)
        .into_iter()
        .collect();
    let found = poll(DEADLINE, || (names_below(&inbox.path) == expected).then_some(()));
    assert!(found.is_some(), "{expected:?} and not {:?}", names_below(&inbox.path));
    for file in files {
        let path = file.original.gz_in(&inbox.path.join(&file.folder));
        assert_eq!(
            read_with_flate2(&path).content,
            file.original.content,
            "{}",
            path.display()
        );
    }
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let met = poll(DEADLINE, || condition().then_some(()));
    assert!(met.is_some(), "waiting until {what}");
}

fn bytes_of(files: &[Arrival]) -> u64 {
    files.iter().map(|file| file.original.content.len() as u64).sum()
}

fn expect(report: Report, compressed: u64) {
    assert_eq!(
        (report.compressed, report.failed, report.left),
        (compressed, 0, 0),
        "{report}"
    );
}
