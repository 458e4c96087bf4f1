//! The library as a program with its own event loop uses it: through the public API alone, and the same on five runtimes. Two come with
//! it (smol, plain threads); tokio on one thread and on several, and a simulator with a clock of its own, are adapters that an outsider wrote.

/// Nothing blocks a task.
mod blocking;
/// How an agent ends: by itself, in good order, at a deadline, dropped, or with its runtime.
mod ends;
/// What becomes of the files, however they become known.
mod files;
/// What fails: when it is tried again, and what a panic does.
mod trouble;
/// Watches that come and go.
mod watches;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dwindle::{Agent, AgentBuilder, Error, Events, Observer, Preset, Reason, Report, Runtime, Watch, WatchId};

use crate::support::gz::read_with_flate2;
use crate::support::host::Host;
use crate::support::inbox::names_with_gz_of;
use crate::support::{Arrival, Data, Inbox, names_below};

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(120);

/// Longer than any test: where nothing is told, nothing is found.
const NEVER: Duration = Duration::from_secs(100 * 60 * 60);

fn start(host: &Host, builder: AgentBuilder) -> Agent {
    host.block_on(builder.runtime(host.runtime()).start()).unwrap()
}

fn add(host: &Host, agent: &Agent, watch: Watch) -> (WatchId, Events) {
    host.block_on(agent.add_watch(watch)).unwrap()
}

/// A watch whose files need not be quiet for long.
fn quick(folder: &Path) -> Watch {
    Watch::new(folder, Preset::Inbox).with_settle(Duration::from_millis(100))
}

/// A watch that learns only what it is told, and takes it at once.
fn told_by_hand(folder: &Path) -> Watch {
    Watch::new(folder, Preset::Inbox)
        .with_settle(Duration::ZERO)
        .with_durable(false)
        .with_poll_interval(NEVER)
}

fn arrivals(seed: u64, paths: &[&str]) -> Vec<Arrival> {
    let data = &mut Data::from_seed(seed);
    paths.iter().map(|path| Arrival::new(data, path)).collect()
}

/// Small files, so many that names and order matter more than content.
fn small_arrivals(seed: u64, count: usize) -> Vec<Arrival> {
    let data = &mut Data::from_seed(seed);
    let mut files = Arrival::several(data, count);
    for file in &mut files {
        file.original.content.truncate(500);
    }
    files
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

fn tell(events: &Events, files: &[Arrival]) {
    for file in files {
        events.file(file.path_in(Path::new("")));
    }
}

fn wait_for_gz(host: &Host, inbox: &Inbox, files: &[Arrival]) {
    wait_for_gz_beside(host, inbox, files, &[]);
}

fn wait_for_gz_beside(host: &Host, inbox: &Inbox, files: &[Arrival], others: &[&str]) {
    let expected: Vec<_> = names_with_gz_of(files, others).into_iter().collect();
    host.wait_until(&format!("there are {expected:?}"), || {
        names_below(&inbox.path) == expected
    });
    for file in files {
        assert!(is_whole_gz(inbox, file));
    }
}

fn is_whole_gz(inbox: &Inbox, file: &Arrival) -> bool {
    let path = file.original.gz_in(&inbox.path.join(&file.folder));
    path.exists() && read_with_flate2(&path).content == file.original.content
}

fn is_whole_original(inbox: &Inbox, file: &Arrival) -> bool {
    fs::read(file.path_in(&inbox.path)).is_ok_and(|content| content == file.original.content)
}

/// Checks that each file is there, whole, under exactly one of its two names, and nothing else; returns how many are a `.gz`.
fn count_gz_among(inbox: &Inbox, files: &[Arrival]) -> u64 {
    let compressed = files.iter().filter(|file| is_whole_gz(inbox, file)).count();
    let originals = files.iter().filter(|file| is_whole_original(inbox, file)).count();
    let names = names_below(&inbox.path);
    assert_eq!(
        (compressed + originals, names.len()),
        (files.len(), files.len()),
        "{names:?}"
    );
    compressed as u64
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

type OnStart = Box<dyn Fn(&Path) + Send + Sync>;

/// An observer that remembers what it was told.
#[derive(Default)]
struct Witness {
    /// Called inside a job, with the whole path of its file.
    on_start: Option<OnStart>,
    clock: Option<Arc<dyn Runtime>>,
    /// What was begun and is not over. Two watches may have the same file.
    in_flight: Mutex<Vec<PathBuf>>,
    progress: AtomicU64,
    compressed: Mutex<Vec<PathBuf>>,
    skipped: Mutex<Vec<PathBuf>>,
    failed: Mutex<Vec<Failure>>,
    lost: Mutex<Vec<Failure>>,
    found: AtomicU64,
    finished: Mutex<Option<Report>>,
}

/// One failed try, of a file or of a folder.
#[derive(Clone, Debug)]
struct Failure {
    path: PathBuf,
    at: Instant,
    retry_in: Option<Duration>,
}

impl Witness {
    fn new() -> Arc<Self> {
        Arc::default()
    }

    /// With the time of each failure by the runtime's clock.
    fn with_clock_of(host: &Host) -> Self {
        Witness {
            clock: Some(host.runtime()),
            ..Witness::default()
        }
    }

    fn on_start(mut self, act: impl Fn(&Path) + Send + Sync + 'static) -> Arc<Self> {
        self.on_start = Some(Box::new(act));
        Arc::new(self)
    }

    fn compressed(&self) -> Vec<PathBuf> {
        let mut compressed = self.compressed.lock().unwrap().clone();
        compressed.sort();
        compressed
    }

    fn failed(&self) -> Vec<Failure> {
        self.failed.lock().unwrap().clone()
    }

    fn report(&self) -> Option<Report> {
        *self.finished.lock().unwrap()
    }

    fn failure(&self, path: &Path, retry_in: Option<Duration>) -> Failure {
        Failure {
            path: path.to_owned(),
            at: self.clock.as_ref().map_or_else(Instant::now, |clock| clock.now()),
            retry_in,
        }
    }
}

impl Observer for Witness {
    fn folder_lost(&self, folder: &Path, _: &Error, retry_in: Duration) {
        let failure = self.failure(folder, Some(retry_in));
        self.lost.lock().unwrap().push(failure);
    }

    fn folder_found(&self, _: &Path) {
        self.found.fetch_add(1, Ordering::Relaxed);
    }

    fn started(&self, source: &Path, _: u64) {
        self.in_flight.lock().unwrap().push(source.to_owned());
        if let Some(act) = &self.on_start {
            act(source);
        }
    }

    fn progress(&self, _: &Path, bytes: u64) {
        self.progress.fetch_add(bytes, Ordering::Relaxed);
    }

    fn ended(&self, source: &Path) {
        let mut in_flight = self.in_flight.lock().unwrap();
        let index = in_flight.iter().position(|path| path == source);
        in_flight.swap_remove(index.expect("what is over was begun"));
    }

    fn compressed(&self, folder: &Path, source: &Path, success: &dwindle::Success<'_>) {
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(name(success.output), format!("{}.gz", name(source)));
        assert!(folder.is_absolute());
        self.compressed.lock().unwrap().push(source.to_owned());
    }

    fn skipped(&self, _: &Path, source: &Path, _: &Reason) {
        self.skipped.lock().unwrap().push(source.to_owned());
    }

    fn failed(&self, _: &Path, source: &Path, failure: &dwindle::Failure<'_>) {
        let failure = self.failure(source, failure.retry_in);
        self.failed.lock().unwrap().push(failure);
    }

    fn finished(&self, report: &Report) {
        assert!(self.in_flight.lock().unwrap().is_empty(), "begun, and never over");
        *self.finished.lock().unwrap() = Some(*report);
    }
}
