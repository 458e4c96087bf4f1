//! Files named by a person: no waiting, no watching, the same commit.

use std::ffi::OsStr;
use std::iter;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use async_channel::Sender;

use crate::model::{Error, Level, Observer, Reason, Report, Step};
use crate::policy::{OnConflict, Select, compressed_suffix};
use crate::runtime::{Runtime, unblock};
use crate::storage::{Done, Folder, Look, OutputPlace, Plan, Rules, Scan, commit, look};

use super::job::{Attempt, Cancel};
use super::pool::{Pool, Task};

/// How [`compress_file`] compresses.
#[derive(Clone, Debug, Default)]
pub struct FileOptions {
    level: Level,
    keep_original: bool,
    replace: bool,
    output_dir: Option<PathBuf>,
}

impl FileOptions {
    /// The level; 6 unless given.
    #[must_use]
    pub fn with_level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// Whether the original stays.
    #[must_use]
    pub fn with_keep_original(mut self, keep: bool) -> Self {
        self.keep_original = keep;
        self
    }

    /// Whether a `.gz` with other content is replaced; otherwise that is a failure.
    #[must_use]
    pub fn with_replace(mut self, replace: bool) -> Self {
        self.replace = replace;
        self
    }

    /// The folder for the `.gz`; otherwise it is made beside the original.
    #[must_use]
    pub fn with_output_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.output_dir = Some(folder.into());
        self
    }
}

/// What became of a file that was named.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileOutcome {
    /// It is compressed, verified and durable, and the original removed unless it was to be kept.
    Compressed {
        /// The path of the `.gz`.
        output: PathBuf,
        /// Bytes of the original.
        bytes_in: u64,
        /// Bytes of the `.gz`.
        bytes_out: u64,
    },
    /// It was left as it is.
    Skipped(Reason),
}

/// Compresses one file to `FILE.gz`, as a watch does, but without waiting for it to settle. Blocks.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("app.log");
/// # std::fs::write(&path, "hello\n".repeat(1000))?;
/// use dwindle::{FileOptions, compress_file};
///
/// compress_file(&path, &FileOptions::default())?;
/// assert!(!path.exists());
/// assert!(path.with_extension("log.gz").exists());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// When a step fails, when the file is changed by somebody meanwhile, and when a `.gz` with other content has the name. The original is
/// still there then, and nothing else is.
pub fn compress_file(path: &Path, options: &FileOptions) -> Result<FileOutcome, Error> {
    let place = match &options.output_dir {
        Some(folder) => OutputFolder::Given(Arc::new(Folder::open(folder)?)),
        None => OutputFolder::Beside,
    };
    let named = Named::File(path.to_owned());
    match named.compress(options, &place, &Cancel::default(), &()) {
        Attempt::Compressed {
            output,
            bytes_in,
            bytes_out,
            ..
        } => Ok(FileOutcome::Compressed {
            output,
            bytes_in,
            bytes_out,
        }),
        Attempt::Skipped(reason) => Ok(FileOutcome::Skipped(reason)),
        Attempt::Failed(error) => Err(error),
        Attempt::Folder => Ok(FileOutcome::Skipped(Reason::NotRegular)),
        Attempt::NotYet(_) => Err(changing(path)),
        Attempt::Gone | Attempt::Cancelled => Err(Error::new(Step::Open, path, std::io::ErrorKind::NotFound)),
    }
}
