//! What the agent asks of a watched folder: try one file, scan for more.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::model::{Error, Reason};
use crate::policy::Outcome;

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
    /// What the agenda needs to know of it.
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Attempt::Compressed {
                bytes_in, bytes_out, ..
            } => Outcome::Compressed {
                bytes_in: *bytes_in,
                bytes_out: *bytes_out,
            },
            Attempt::Skipped(_) => Outcome::Skipped,
            Attempt::NotYet(wait) => Outcome::NotYet(*wait),
            Attempt::Gone => Outcome::Gone,
            Attempt::Folder => Outcome::Folder,
            Attempt::Failed(error) => Outcome::Failed(error.class()),
            Attempt::Cancelled => Outcome::Cancelled,
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
