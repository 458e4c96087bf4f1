//! What is in work, and what failed of late: the part of a status that the agent itself does not keep.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::failures::{Failures, gone};
use super::rate::Rate;
use super::status::{Counters, InWork, Mode, State, Status, WatchCondition, WatchStatus};
use crate::agent::{Snapshot, WatchState};
use crate::model::{Error, Escaped, Failure, Observer, Reason, Success};

/// So many files in work are told.
const MOST_FILES: usize = 64;
/// So many watches are told.
const MOST_WATCHES: usize = 256;

/// Hears what happens, and keeps what a person will ask. Bounded: files in work by the agent's own limits, the rest here.
pub(crate) struct Ledger {
    workers: usize,
    began: Instant,
    started: Timestamp,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    configured_by: String,
    is_running: bool,
    is_stopping: bool,
    rate: Rate,
    /// By their whole paths.
    in_work: HashMap<PathBuf, Progress>,
    failures: Failures,
    /// What was the matter last with a watched folder.
    troubles: HashMap<PathBuf, String>,
}

/// How far a file is. Two watches on one folder may both have it in work.
struct Progress {
    works: usize,
    begun: Instant,
    bytes: u64,
    done: u64,
}

impl Ledger {
    /// Of an agent that begins now, with so many workers.
    pub(crate) fn new(configured_by: &Path, workers: usize) -> Self {
        Ledger {
            workers,
            began: Instant::now(),
            started: now(),
            entries: Mutex::new(Entries {
                configured_by: Escaped(configured_by).to_string(),
                ..Entries::default()
            }),
        }
    }

    /// It is configured otherwise from now on.
    pub(super) fn configured_by(&self, configured_by: &Path) {
        self.entries().configured_by = Escaped(configured_by).to_string();
    }

    /// All folders are open.
    pub(crate) fn running(&self) {
        self.entries().is_running = true;
    }

    /// The whole status; what the agent keeps is in the snapshot. Blocks on the file system, to see whether files that failed are there
    /// still.
    pub(super) fn status(&self, snapshot: &Snapshot) -> Status {
        let moment = Instant::now();
        let looked_for = self.entries().failures.to_be_looked_for(snapshot, moment);
        // Without the lock, which the agent waits for.
        let gone = gone(looked_for);
        let uptime = moment.saturating_duration_since(self.began);
        let mut entries = self.entries();
        entries
            .troubles
            .retain(|path, _| snapshot.watches.iter().any(|watch| watch.path == *path));
        let report = &snapshot.report;
        let watches = snapshot.watches.iter().take(MOST_WATCHES);
        let (files, files_left_out) = entries.files(moment);
        let bytes_per_second = entries.rate.per_second(uptime);
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: process::id(),
            state: entries.state(),
            started: self.started.to_string(),
            uptime_seconds: seconds(uptime),
            configured_by: entries.configured_by.clone(),
            workers: self.workers,
            counters: Counters {
                compressed: report.compressed,
                bytes_in: report.bytes_in,
                bytes_out: report.bytes_out,
                skipped: report.skipped,
                failed: report.failed,
                removed: report.removed,
            },
            pending: snapshot.pending,
            queued: snapshot.queued,
            in_flight: snapshot.in_flight,
            bytes_per_second,
            watches: watches.map(|watch| entries.watch(watch)).collect(),
            watches_left_out: snapshot.watches.len().saturating_sub(MOST_WATCHES),
            files,
            files_left_out,
            failures: entries.failures.told(snapshot, &gone, moment),
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Ledger {
    fn folder_lost(&self, folder: &Path, error: &Error, _: Duration) {
        self.entries().troubles.insert(folder.to_owned(), error.to_string());
    }

    fn folder_found(&self, folder: &Path) {
        self.entries().troubles.remove(folder);
    }

    fn started(&self, source: &Path, bytes: u64) {
        let mut entries = self.entries();
        let progress = entries.in_work.entry(source.to_owned()).or_insert(Progress {
            works: 0,
            begun: Instant::now(),
            bytes: 0,
            done: 0,
        });
        progress.works += 1;
        progress.bytes = progress.bytes.saturating_add(bytes);
    }

    fn progress(&self, source: &Path, bytes: u64) {
        let now = self.began.elapsed();
        let mut entries = self.entries();
        entries.rate.add(now, bytes);
        if let Some(progress) = entries.in_work.get_mut(source) {
            progress.done = progress.done.saturating_add(bytes);
        }
    }

    fn ended(&self, source: &Path) {
        let mut entries = self.entries();
        if let Some(progress) = entries.in_work.get_mut(source) {
            progress.works -= 1;
            if progress.works == 0 {
                entries.in_work.remove(source);
            }
        }
    }

    fn compressed(&self, folder: &Path, source: &Path, _: &Success<'_>) {
        self.entries().failures.forget(folder, source);
    }

    fn skipped(&self, folder: &Path, source: &Path, _: &Reason) {
        self.entries().failures.forget(folder, source);
    }

    fn failed(&self, folder: &Path, source: &Path, failure: &Failure<'_>) {
        self.entries().failures.note(folder, source, failure);
    }

    fn paused(&self, folder: &Path, error: &Error, _: Duration) {
        self.entries().troubles.insert(folder.to_owned(), error.to_string());
    }

    fn draining(&self, _: usize) {
        self.entries().is_stopping = true;
    }
}

impl Entries {
    fn state(&self) -> State {
        match (self.is_running, self.is_stopping) {
            (_, true) => State::Stopping,
            (true, false) => State::Running,
            (false, false) => State::Starting,
        }
    }

    /// Those that have still something to compress first, of them those that have been at it longest; and how many there are beyond.
    fn files(&self, now: Instant) -> (Vec<InWork>, usize) {
        let mut files: Vec<_> = self.in_work.iter().collect();
        files.sort_by_key(|(path, progress)| (progress.done >= progress.bytes, progress.begun, *path));
        let left_out = files.len().saturating_sub(MOST_FILES);
        files.truncate(MOST_FILES);
        let told = files.into_iter().map(|(path, progress)| progress.told(path, now));
        (told.collect(), left_out)
    }

    fn watch(&self, watch: &WatchState) -> WatchStatus {
        let state = match watch {
            WatchState { lost: true, .. } => WatchCondition::Lost,
            WatchState { paused: true, .. } => WatchCondition::Paused,
            _ => WatchCondition::Watching,
        };
        let trouble = self.troubles.get(&watch.path);
        WatchStatus {
            path: Escaped(&watch.path).to_string(),
            mode: if watch.native { Mode::Native } else { Mode::Poll },
            why_polling: watch.why_polling.clone(),
            state,
            trouble: trouble.filter(|_| state != WatchCondition::Watching).cloned(),
        }
    }
}

impl Progress {
    fn told(&self, path: &Path, now: Instant) -> InWork {
        let spent = now.saturating_duration_since(self.begun);
        // A file may have grown since it was begun.
        let done = self.done.min(self.bytes);
        let milliseconds = u64::try_from(spent.as_millis()).unwrap_or(u64::MAX).max(1);
        InWork {
            path: Escaped(path).to_string(),
            bytes: self.bytes,
            bytes_done: done,
            seconds: seconds(spent),
            bytes_per_second: done.saturating_mul(1000) / milliseconds,
        }
    }
}

/// To the second: more says nothing to a person.
pub(super) fn now() -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default()
}

/// With milliseconds.
pub(super) fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::daemon::control::failures::MOST_FAILURES;
    use crate::model::Step;

    const FOLDER: &str = "/srv/inbox";

    fn ledger() -> Ledger {
        Ledger::new(Path::new("/etc/a\nb.toml"), 2)
    }

    fn status(ledger: &Ledger) -> Status {
        ledger.status(&watching(Path::new(FOLDER), false))
    }

    /// What an agent says that watches this folder, and no more.
    pub(in crate::daemon::control) fn watching(folder: &Path, native: bool) -> Snapshot {
        let watch = WatchState {
            path: folder.to_owned(),
            native,
            ..WatchState::default()
        };
        Snapshot {
            watches: vec![watch],
            ..Snapshot::default()
        }
    }

    fn fail(ledger: &Ledger, name: &str, retry_in: Option<Duration>) {
        let folder = Path::new(FOLDER);
        let error = Error::new(Step::Open, folder.join(name), std::io::Error::from_raw_os_error(13));
        let failure = Failure {
            retry_in,
            ..Failure::of(&error)
        };
        ledger.failed(folder, Path::new(name), &failure);
    }

    #[test]
    fn a_file_in_work_is_told_with_its_progress_until_its_last_work_ends() {
        let ledger = ledger();
        let file = Path::new("/srv/inbox/a\x1b[31m");
        ledger.started(file, 100);
        ledger.progress(file, 30);
        ledger.progress(file, 20);
        let told = status(&ledger);
        let [file_told] = &told.files[..] else {
            panic!("{told:?}")
        };
        assert_eq!((file_told.bytes, file_told.bytes_done), (100, 50));
        assert_eq!(file_told.path, "/srv/inbox/a\\u{1b}[31m");
        assert_eq!(told.bytes_per_second, 50);
        ledger.started(file, 100);
        ledger.ended(file);
        assert_eq!(status(&ledger).files.len(), 1, "another watch has it still");
        ledger.ended(file);
        ledger.progress(file, 1);
        assert_eq!(status(&ledger).files, []);
    }

    #[test]
    fn those_that_are_not_done_come_first_and_no_more_are_told_than_fit() {
        let ledger = ledger();
        for number in 0..MOST_FILES + 5 {
            ledger.started(Path::new(&format!("/f/{number}")), 10);
        }
        ledger.progress(Path::new("/f/0"), 10);
        let told = status(&ledger);
        assert_eq!((told.files.len(), told.files_left_out), (MOST_FILES, 5));
        assert_eq!(told.files[0].path, "/f/1");
        assert!(told.files.iter().all(|file| file.path != "/f/0"));
    }

    #[test]
    fn the_last_failures_stay_until_the_file_is_compressed_and_each_file_is_there_once() {
        let ledger = ledger();
        for number in 0..MOST_FAILURES + 3 {
            fail(&ledger, &number.to_string(), None);
        }
        fail(&ledger, "5", Some(Duration::from_secs(3600)));
        let told = status(&ledger);
        let names: Vec<&str> = told
            .failures
            .iter()
            .map(|failure| &failure.path[FOLDER.len() + 1..])
            .collect();
        assert_eq!(names, ["5", "12", "11", "10", "9", "8", "7", "6", "4", "3"]);
        let newest = &told.failures[0];
        assert_eq!((newest.tries, newest.errno, &*newest.class), (2, Some(13), "permanent"));
        assert_eq!((&*newest.step, &*newest.watch), ("open", FOLDER));
        assert!(newest.retry_in_seconds.is_some_and(|seconds| seconds > 3500.0));
        assert_eq!(
            newest.reason,
            "cannot open /srv/inbox/5: Permission denied (os error 13)"
        );
        ledger.compressed(Path::new(FOLDER), Path::new("5"), &Success::to(Path::new("5.gz")));
        ledger.skipped(Path::new("/other"), Path::new("12"), &Reason::Empty);
        let told = status(&ledger);
        assert_eq!((told.failures.len(), &*told.failures[0].path), (9, "/srv/inbox/12"));
    }

    #[test]
    fn what_is_the_matter_with_a_watch_is_told_while_it_is() {
        let ledger = ledger();
        let error = Error::new(Step::Write, "/srv/inbox/a", std::io::Error::from_raw_os_error(28));
        ledger.paused(Path::new(FOLDER), &error, Duration::ZERO);
        let mut snapshot = watching(Path::new(FOLDER), false);
        snapshot.watches[0].paused = true;
        let told = ledger.status(&snapshot);
        let [watch] = &told.watches[..] else { panic!("{told:?}") };
        assert_eq!((watch.state, watch.mode), (WatchCondition::Paused, Mode::Poll));
        assert!(watch.trouble.as_deref().is_some_and(|text| text.contains("No space")));
        snapshot.watches[0].paused = false;
        let watch = &ledger.status(&snapshot).watches[0];
        assert_eq!((watch.state, &watch.trouble), (WatchCondition::Watching, &None));
        assert!(ledger.entries().troubles.len() == 1);
        ledger.status(&Snapshot::default());
        assert!(
            ledger.entries().troubles.is_empty(),
            "a watch that is gone leaves nothing"
        );
    }

    #[test]
    fn it_starts_runs_and_stops() {
        let ledger = ledger();
        assert_eq!(status(&ledger).state, State::Starting);
        assert_eq!(status(&ledger).configured_by, "/etc/a\\nb.toml");
        ledger.running();
        ledger.configured_by(Path::new("/etc/c\n.toml"));
        let told = status(&ledger);
        assert_eq!(
            (told.state, &*told.configured_by, told.workers),
            (State::Running, "/etc/c\\n.toml", 2)
        );
        ledger.draining(3);
        assert_eq!(status(&ledger).state, State::Stopping);
    }
}
