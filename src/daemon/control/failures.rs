//! The last failures, of which a file that works again, or is gone, is none any more.

use std::collections::{HashSet, VecDeque};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::ledger::{now, seconds};
use super::status::Failed;
use crate::agent::Snapshot;
use crate::model::{Escaped, Failure};

/// So many are kept, each of another file.
pub(super) const MOST_FAILURES: usize = 10;

/// A retry that is due for longer is under way, or does not come, since its file is not there any more.
const LONGEST_OVERDUE: Duration = Duration::from_secs(60);

/// The oldest first.
#[derive(Default)]
pub(super) struct Failures(VecDeque<Entry>);

struct Entry {
    folder: PathBuf,
    /// The whole path.
    path: PathBuf,
    step: &'static str,
    reason: String,
    errno: Option<i32>,
    class: &'static str,
    failed: Instant,
    at: Timestamp,
    tries: u64,
    retry: Option<Instant>,
    given_up: bool,
    moved_to: Option<PathBuf>,
}

impl Failures {
    /// A file failed, for the first time or again. The oldest one goes where there is no room.
    pub(super) fn note(&mut self, folder: &Path, source: &Path, failure: &Failure<'_>) {
        let error = failure.error;
        let moment = Instant::now();
        let earlier = self.take(folder, source);
        if self.0.len() == MOST_FAILURES {
            self.0.pop_front();
        }
        self.0.push_back(Entry {
            folder: folder.to_owned(),
            path: folder.join(source),
            step: error.step().verb(),
            reason: error.to_string(),
            errno: error.errno(),
            class: error.class().as_str(),
            failed: moment,
            at: now(),
            tries: earlier.map_or(0, |entry| entry.tries) + 1,
            retry: failure.retry_in.and_then(|wait| moment.checked_add(wait)),
            given_up: failure.given_up,
            moved_to: failure.moved_to.map(Path::to_owned),
        });
    }

    /// The file fails no more.
    pub(super) fn forget(&mut self, folder: &Path, source: &Path) {
        self.take(folder, source);
    }

    /// Where to look whether the files that failed are there still, with [`gone`]. Not where a folder is polled: its file system may be one
    /// that does not answer. Nor where a retry will tell.
    pub(super) fn to_be_looked_for(&self, snapshot: &Snapshot, now: Instant) -> Vec<PathBuf> {
        let is_native = |folder: &Path| {
            let mut watches = snapshot.watches.iter();
            watches.any(|watch| watch.native && watch.path == folder)
        };
        let entries = self.0.iter();
        let entries = entries.filter(|entry| entry.retry.is_none_or(|retry| retry < now) && is_native(&entry.folder));
        entries.map(|entry| entry.place().to_owned()).collect()
    }

    /// The newest first, without those that are `gone`.
    pub(super) fn told(&self, snapshot: &Snapshot, gone: &HashSet<PathBuf>, now: Instant) -> Vec<Failed> {
        let entries = self.0.iter().rev();
        let entries = entries.filter(|entry| entry.is_of_now(snapshot, now) && !gone.contains(entry.place()));
        entries.map(|entry| entry.told(now)).collect()
    }

    fn take(&mut self, folder: &Path, source: &Path) -> Option<Entry> {
        if self.0.is_empty() {
            return None;
        }
        let path = folder.join(source);
        let is_of_file = |entry: &Entry| entry.folder == folder && entry.path == path;
        let at = self.0.iter().position(is_of_file)?;
        self.0.remove(at)
    }
}

impl Entry {
    /// Where the file is now.
    fn place(&self) -> &Path {
        self.moved_to.as_deref().unwrap_or(&self.path)
    }

    /// Its folder is watched still, and a retry that is announced comes still. Whatever is not, is kept: it may fail anew.
    fn is_of_now(&self, snapshot: &Snapshot, now: Instant) -> bool {
        let overdue = self
            .retry
            .map_or(Duration::ZERO, |retry| now.saturating_duration_since(retry));
        overdue <= LONGEST_OVERDUE && snapshot.watches.iter().any(|watch| watch.path == self.folder)
    }

    fn told(&self, now: Instant) -> Failed {
        Failed {
            path: Escaped(&self.path).to_string(),
            watch: Escaped(&self.folder).to_string(),
            step: self.step.to_owned(),
            reason: self.reason.clone(),
            errno: self.errno,
            class: self.class.to_owned(),
            at: self.at.to_string(),
            seconds_ago: seconds(now.saturating_duration_since(self.failed)),
            tries: self.tries,
            retry_in_seconds: self.retry.map(|retry| seconds(retry.saturating_duration_since(now))),
            given_up: self.given_up,
            moved_to: self.moved_to.as_deref().map(|path| Escaped(path).to_string()),
        }
    }
}

/// Those of the paths at which there is nothing. Blocks on the file system.
pub(super) fn gone(paths: Vec<PathBuf>) -> HashSet<PathBuf> {
    let is_gone = |path: &PathBuf| {
        fs::symlink_metadata(path)
            .is_err_and(|error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory))
    };
    paths.into_iter().filter(is_gone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::control::ledger::tests::watching;
    use crate::model::{Error, Step};

    fn names(failures: &Failures, snapshot: &Snapshot) -> Vec<String> {
        let now = Instant::now();
        let gone = gone(failures.to_be_looked_for(snapshot, now));
        let name = |failure: Failed| failure.path.rsplit('/').next().unwrap().to_owned();
        failures.told(snapshot, &gone, now).into_iter().map(name).collect()
    }

    #[test]
    fn one_is_told_while_its_watch_its_file_and_its_retry_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut failures = Failures::default();
        let fail = |failures: &mut Failures, name: &str, retry_in, moved_to| {
            let error = Error::new(Step::Open, folder.join(name), std::io::Error::from_raw_os_error(5));
            let failure = Failure {
                retry_in,
                moved_to,
                ..Failure::of(&error)
            };
            failures.note(folder, Path::new(name), &failure);
        };
        let is_due = Some(Duration::ZERO);
        fs::write(folder.join("stays"), "").unwrap();
        fail(&mut failures, "gone", None, None);
        fail(&mut failures, "gone-before-its-retry", is_due, None);
        fail(&mut failures, "stays", is_due, None);
        fail(&mut failures, "waits", Some(Duration::from_secs(3600)), None);
        let (native, polled) = (watching(folder, true), watching(folder, false));
        assert_eq!(names(&failures, &native), ["waits", "stays"]);
        assert_eq!(
            names(&failures, &polled),
            ["waits", "stays", "gone-before-its-retry", "gone"]
        );
        let elsewhere = watching(Path::new("/other"), true);
        assert_eq!(names(&failures, &elsewhere), [""; 0], "it is taken out");
        for entry in &mut failures.0 {
            entry.retry = entry.retry.and_then(|retry| retry.checked_sub(LONGEST_OVERDUE));
        }
        assert_eq!(names(&failures, &polled), ["waits", "gone"]);
        // Moved aside, it is looked for there.
        let moved_to = folder.join("failed");
        fail(&mut failures, "bad", None, Some(moved_to.as_path()));
        assert_eq!(names(&failures, &native), ["waits"]);
        fs::write(&moved_to, "").unwrap();
        assert_eq!(names(&failures, &native), ["bad", "waits"]);
    }
}
