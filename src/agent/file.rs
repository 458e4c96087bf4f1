//! One file that a person or a program names: no waiting, no watching, the same commit.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustix::io::Errno;

use crate::model::{Error, Level, Observer, Reason, Step};
use crate::policy::{OnConflict, Select, compressed_suffix};
use crate::storage::{Candidate, Folder, Look, OutputPlace, Plan, Rules, look};

use super::job::{Attempt, Cancel, Work};

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
    let desk = Desk::open(options, Arc::new(()), Cancel::default())?;
    match desk.compress(&Named::alone(path)) {
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
        Attempt::NotYet(_) | Attempt::Gone | Attempt::Folder | Attempt::Cancelled => Err(changing(path)),
    }
}

/// One file to compress.
pub(super) struct Named {
    /// By which a person knows it.
    pub(super) path: PathBuf,
    /// Where it was found in a walk: the folder walked, and its path relative to that.
    pub(super) within: Option<(Arc<Folder>, PathBuf)>,
}

impl Named {
    pub(super) fn alone(path: &Path) -> Self {
        Named {
            path: path.to_owned(),
            within: None,
        }
    }
}

/// Where named files are worked on: what is the same for all of them.
pub(super) struct Desk {
    options: FileOptions,
    output: Option<Folder>,
    rules: Rules,
    observer: Arc<dyn Observer>,
    abort: Cancel,
    /// The outputs in a folder of their own that were begun: no second original's may take the place of one, nor be taken for it.
    begun: Mutex<HashSet<PathBuf>>,
}

impl Desk {
    pub(super) fn open(options: &FileOptions, observer: Arc<dyn Observer>, abort: Cancel) -> Result<Self, Error> {
        let output = match &options.output_dir {
            None => None,
            Some(path) => {
                std::fs::create_dir_all(path).map_err(|cause| Error::new(Step::Create, path, cause))?;
                Some(Folder::open(path)?)
            }
        };
        Ok(Desk {
            options: options.clone(),
            output,
            rules: Rules {
                select: Arc::new(Select::everything()),
                settle: Duration::ZERO,
            },
            observer,
            abort,
            begun: Mutex::default(),
        })
    }

    /// Compresses it, passes it over, or fails.
    pub(super) fn compress(&self, named: &Named) -> Attempt {
        self.try_compress(named).unwrap_or_else(Attempt::Failed)
    }

    fn try_compress(&self, named: &Named) -> Result<Attempt, Error> {
        let path = named.path.as_path();
        let missing = || Error::new(Step::Open, path, Errno::NOENT);
        let Some(name) = path.file_name() else {
            return Ok(Attempt::Skipped(Reason::Folder));
        };
        if let Some(suffix) = compressed_suffix(name) {
            return Ok(Attempt::Skipped(Reason::CompressedSuffix(suffix)));
        }
        let parent = match &named.within {
            Some((root, relative)) => root.folder(relative.parent().unwrap_or(Path::new("")))?,
            None => match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => Folder::open(parent)?,
                _ => Folder::open(Path::new("."))?,
            },
        };
        match look(&parent, name, &self.rules, SystemTime::now())? {
            Look::Ready(candidate) => self.commit(named, &parent, &candidate),
            Look::Pass(reason) => Ok(Attempt::Skipped(reason)),
            Look::IsFolder => Ok(Attempt::Skipped(Reason::Folder)),
            // Found in a walk, and gone since: nobody named it.
            Look::Gone if named.within.is_some() => Ok(Attempt::Gone),
            Look::Gone => Err(missing()),
            Look::NotYet(_) => Err(changing(path)),
        }
    }

    fn commit(&self, named: &Named, parent: &Folder, candidate: &Candidate) -> Result<Attempt, Error> {
        let path = named.path.as_path();
        if !self.claim_output(named) {
            let message = "another of these files has the same name, and its .gz goes to the same folder";
            return Err(Error::permanent(Step::Publish, path, message));
        }
        let work = Work {
            candidate,
            parent,
            plan: &self.plan(named, parent),
            path,
            observer: &*self.observer,
            cancel: &self.abort,
        };
        match work.commit() {
            Attempt::Skipped(Reason::NameTaken) => {
                let message = if self.options.replace {
                    "what has the name of its .gz is no regular file, and only those are replaced"
                } else {
                    "a .gz of that name is there already, with other content"
                };
                let cause = io::Error::new(io::ErrorKind::AlreadyExists, message);
                Err(Error::new(Step::Publish, path, cause))
            }
            Attempt::NotYet(_) => Err(changing(path)),
            Attempt::Gone => {
                let message = "it was removed or renamed while it was being compressed";
                Err(Error::permanent(Step::Read, path, message))
            }
            attempt => Ok(attempt),
        }
    }

    /// False where the output has the name of another file's of this run.
    fn claim_output(&self, named: &Named) -> bool {
        if self.output.is_none() {
            return true;
        }
        let output = match &named.within {
            Some((_, relative)) => relative.clone(),
            None => named.path.file_name().map(PathBuf::from).unwrap_or_default(),
        };
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.insert(output)
    }

    fn plan<'a>(&'a self, named: &'a Named, parent: &'a Folder) -> Plan<'a> {
        let output = match (&self.output, &named.within) {
            (None, _) => OutputPlace::Beside,
            (Some(output), None) => OutputPlace::Tree {
                output,
                source: parent,
                relative: Path::new(""),
            },
            (Some(output), Some((root, relative))) => OutputPlace::Tree {
                output,
                source: root,
                relative: relative.parent().unwrap_or(Path::new("")),
            },
        };
        Plan {
            output,
            level: self.options.level,
            keep_original: self.options.keep_original,
            renew: self.options.replace,
            on_conflict: if self.options.replace {
                OnConflict::Replace
            } else {
                OnConflict::Skip
            },
            durable: true,
        }
    }
}

/// It was written to while it was being compressed.
fn changing(path: &Path) -> Error {
    Error::transient(
        Step::Read,
        path,
        "it was changed while it was being compressed; its writer is not done",
    )
}
