//! What the agent asks of a watched folder: try one file, scan for more.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::model::{Error, Escaped, Observer, Reason, Step};
use crate::policy::Outcome;
use crate::storage::{Candidate, Done, Folder, Plan, commit};

/// One watched folder as the driver sees it: everything that blocks. Tests put a fake in its place.
pub(crate) trait Job: Send + Sync + 'static {
    /// Looks at the file and, if it is finished, compresses it. The path is relative to the folder.
    fn attempt(&self, file: &Path, cancel: &Cancel) -> Attempt;

    /// Begins a scan of a subfolder (empty: of the whole folder, which is opened anew for it).
    ///
    /// # Errors
    ///
    /// When the watched folder itself cannot be reached.
    fn scan(&self, folder: &Path) -> Result<Box<dyn Walk>, Error>;
}

/// A scan under way.
pub(crate) trait Walk: Send {
    /// The next files, `most` at most.
    ///
    /// # Errors
    ///
    /// When the scan cannot go on.
    fn next(&mut self, most: usize) -> Result<Batch, Error>;
}

/// Some files that a scan found.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Relative to the watched folder, and taken by their names.
    pub(crate) files: Vec<PathBuf>,
    /// There are no more.
    pub(crate) end: bool,
    /// Subfolders that could not be gone through, or not to their end.
    pub(crate) failed: Vec<Error>,
    /// The kernel's events cannot be had any more, so the folder must be polled from now on; the cause.
    pub(crate) polling: Option<String>,
}

/// What came of a file.
#[derive(Debug)]
pub(crate) enum Attempt {
    Compressed {
        output: PathBuf,
        bytes_in: u64,
        bytes_out: u64,
        took: Duration,
    },
    Skipped(Reason),
    NotYet(Duration),
    Gone,
    Folder,
    Failed(Error),
    Cancelled,
}

impl Attempt {
    /// Of work that ended without an answer, since it panicked or could not be run.
    pub(super) fn unanswered(path: &Path) -> Self {
        let cause = "the job ended without an answer (a fault in dwindle)";
        Attempt::Failed(Error::permanent(Step::Write, path, cause))
    }

    /// Tells the observer what is worth telling.
    pub(super) fn tell(&self, observer: &dyn Observer, folder: &Path, source: &Path, retry_in: Option<Duration>) {
        match self {
            Attempt::Compressed {
                output,
                bytes_in,
                bytes_out,
                took,
            } => observer.compressed(folder, source, output, *bytes_in, *bytes_out, *took),
            Attempt::Skipped(reason) => observer.skipped(folder, source, reason),
            Attempt::Failed(error) => observer.failed(folder, source, error, retry_in),
            Attempt::NotYet(_) | Attempt::Gone | Attempt::Folder | Attempt::Cancelled => {}
        }
    }

    /// What the agenda needs to know of it.
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Attempt::Compressed {
                bytes_in, bytes_out, ..
            } => Outcome::Compressed {
                bytes_in: *bytes_in,
                bytes_out: *bytes_out,
            },
            Attempt::Skipped(Reason::HardLinks) => Outcome::HardLinked,
            Attempt::Skipped(_) => Outcome::Skipped,
            Attempt::NotYet(wait) => Outcome::NotYet(*wait),
            Attempt::Gone => Outcome::Gone,
            Attempt::Folder => Outcome::Folder,
            Attempt::Failed(error) => Outcome::Failed(error.class()),
            Attempt::Cancelled => Outcome::Cancelled,
        }
    }
}

/// A commit to be made, and who is told of it as it goes on.
pub(super) struct Work<'a> {
    pub(super) candidate: &'a Candidate,
    pub(super) parent: &'a Folder,
    pub(super) plan: &'a Plan<'a>,
    /// By which a person knows the file.
    pub(super) path: &'a Path,
    pub(super) observer: &'a dyn Observer,
    pub(super) cancel: &'a Cancel,
}

impl Work<'_> {
    /// Makes it. A file that was touched meanwhile is not yet finished; when to look again is the caller's to say.
    pub(super) fn commit(&self) -> Attempt {
        let begun = Instant::now();
        self.observer.started(self.path, self.candidate.status.fingerprint.size);
        let mut told = 0;
        let done = commit(
            self.candidate,
            self.parent,
            self.plan,
            &|| self.cancel.is_cancelled(),
            &mut |bytes| {
                self.observer.progress(self.path, bytes.saturating_sub(told));
                told = bytes;
            },
            &mut |message| self.observer.warning(&format!("{}: {message}", Escaped(self.path))),
        );
        match done {
            Err(error) => Attempt::Failed(error),
            Ok(
                Done::Compressed {
                    output,
                    bytes_in,
                    bytes_out,
                }
                | Done::Finished {
                    output,
                    bytes_in,
                    bytes_out,
                },
            ) => Attempt::Compressed {
                output,
                bytes_in,
                bytes_out,
                took: begun.elapsed(),
            },
            Ok(Done::Pass(reason)) => Attempt::Skipped(reason),
            Ok(Done::Changed) => Attempt::NotYet(Duration::ZERO),
            Ok(Done::Gone) => Attempt::Gone,
            Ok(Done::Cancelled) => Attempt::Cancelled,
        }
    }
}

/// Tells work in flight to stop at the next block.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cancel(Arc<AtomicBool>);

impl Cancel {
    pub(crate) fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
