//! One file that a person or a program names: no waiting, no watching, the same commit.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustix::io::Errno;

use crate::codec::{Alone, Helpers};
use crate::model::{Error, Format, Level, Observer, Reason, Step};
use crate::policy::{OnConflict, Select, WriterCheck, compressed_suffix};
use crate::storage::{
    Candidate, Folder, Look, Place, Places, Plan, Recovered, Renew, Rules, Syncs, is_leftover, look, quarantine_of,
    recover,
};

use super::job::{Attempt, Cancel, Work};
use super::pool::Worked;

/// How long a writer that comes late is waited for: a person waits, too.
const HOLD: Duration = Duration::from_millis(20);

/// How [`compress_file`] compresses. By default with gzip at level 6, beside the original, which is removed.
#[derive(Clone, Debug, Default)]
pub struct FileOptions {
    level: Level,
    keep_original: bool,
    replace: bool,
    output_dir: Option<PathBuf>,
}

impl FileOptions {
    /// What files become, at the format's default level; gzip unless given.
    #[must_use]
    pub fn with_format(self, format: Format) -> Self {
        self.with_level(format.default_level())
    }

    /// The level, and with it the format; gzip's 6 unless given.
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

    /// Whether an output with other content is replaced; otherwise that is a failure.
    #[must_use]
    pub fn with_replace(mut self, replace: bool) -> Self {
        self.replace = replace;
        self
    }

    /// The folder for the output, made where it is missing; otherwise the output is made beside the original.
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
    #[non_exhaustive]
    Compressed {
        /// The path of the output: relative where that of the file, or of the output folder, was.
        output: PathBuf,
        /// Bytes of the original.
        bytes_in: u64,
        /// Bytes of the output.
        bytes_out: u64,
    },
    /// It was left as it is.
    Skipped(Reason),
}

/// Compresses one file to `FILE.gz`, or `FILE.zst`, with the same promise as a watch's, but without waiting for it to settle. The metadata, too, is the
/// original's.
///
/// Needs no runtime. Blocks for as long as it takes to read the file, write the output, read that back, fsync(2) all of it, and wait 30 ms for
/// late writers; in an async program, call it where blocking is allowed. It may be called from several threads at once.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("app.log");
/// # std::fs::write(&path, "hello\n".repeat(1000))?;
/// use dwindle::{FileOptions, FileOutcome, compress_file};
///
/// match compress_file(&path, &FileOptions::default())? {
///     FileOutcome::Compressed { output, bytes_out, .. } => println!("{}: {bytes_out} bytes", output.display()),
///     FileOutcome::Skipped(reason) => println!("{}: {reason}", path.display()),
///     _ => {}
/// }
/// assert!(!path.exists());
/// assert!(path.with_extension("log.gz").exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// When a step fails, when somebody has the file open for writing or changes it meanwhile, and when an output with other content has the name. The original is
/// still there then, and no other file is.
pub fn compress_file(path: impl AsRef<Path>, options: &FileOptions) -> Result<FileOutcome, Error> {
    let path = path.as_ref();
    let desk = Desk::open(options, Arc::new(()), Cancel::default())?;
    let mut worked = desk.compress(&Named::alone(path), &Alone);
    let attempt = loop {
        match worked {
            Worked::Ended(attempt) => break desk.conclude(path, attempt),
            Worked::Later(rest, wait) => {
                std::thread::sleep(wait);
                worked = rest.advance(&mut Syncs::default(), &desk.abort);
            }
        }
    };
    match attempt {
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
        _ => Err(changing(path)),
    }
}

/// One file to compress.
#[derive(Clone)]
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

    /// The same with another name in its folder.
    fn with_name(&self, name: &OsStr) -> Self {
        let within = self.within.as_ref();
        Named {
            path: self.path.with_file_name(name),
            within: within.map(|(root, relative)| (Arc::clone(root), relative.with_file_name(name))),
        }
    }
}

/// Where named files are worked on: what is the same for all of them.
pub(super) struct Desk {
    options: FileOptions,
    output: Option<Arc<Folder>>,
    rules: Rules,
    observer: Arc<dyn Observer>,
    abort: Cancel,
    /// The folder of the last file that was named by itself. The next one is most often in it.
    last_parent: Mutex<Option<Arc<Folder>>>,
    /// The outputs in a folder of their own that were begun: no second original's may take the place of one, nor be taken for it.
    begun: Mutex<HashSet<PathBuf>>,
}

impl Desk {
    pub(super) fn open(options: &FileOptions, observer: Arc<dyn Observer>, abort: Cancel) -> Result<Self, Error> {
        let output = match &options.output_dir {
            None => None,
            Some(path) => {
                std::fs::create_dir_all(path).map_err(|cause| Error::new(Step::Create, path, cause))?;
                Some(Arc::new(Folder::open(path)?))
            }
        };
        Ok(Desk {
            options: options.clone(),
            output,
            rules: Rules {
                select: Arc::new(Select::everything(None)),
                settle: Duration::ZERO,
                writer_check: WriterCheck::Lease,
                siblings: Arc::default(),
            },
            observer,
            abort,
            last_parent: Mutex::default(),
            begun: Mutex::default(),
        })
    }

    /// Compresses it, passes it over, or fails; [`conclude`](Self::conclude) has the last word.
    pub(super) fn compress(&self, named: &Named, helpers: &dyn Helpers) -> Worked<Attempt> {
        self.try_compress(named, helpers)
            .unwrap_or_else(|error| Worked::Ended(Attempt::Failed(error)))
    }

    /// What an attempt means for a file that was named, and is not looked at again.
    pub(super) fn conclude(&self, path: &Path, attempt: Attempt) -> Attempt {
        match attempt {
            Attempt::Skipped(Reason::NameTaken) => {
                let suffix = self.options.level.format().suffix();
                let message = if self.options.replace {
                    format!("what has the name of its {suffix} is no regular file, and only those are replaced")
                } else {
                    format!("a {suffix} of that name is there already, with other content")
                };
                let cause = io::Error::new(io::ErrorKind::AlreadyExists, message);
                Attempt::Failed(Error::new(Step::Publish, path, cause))
            }
            Attempt::NotYet(_) => Attempt::Failed(changing(path)),
            Attempt::InUse => {
                let message = "somebody has it open for writing";
                Attempt::Failed(Error::transient(Step::Open, path, message))
            }
            attempt => attempt,
        }
    }

    fn try_compress(&self, named: &Named, helpers: &dyn Helpers) -> Result<Worked<Attempt>, Error> {
        let path = named.path.as_path();
        let passed_over = |reason| Ok(Worked::Ended(Attempt::Skipped(reason)));
        let Some(name) = path.file_name() else {
            return passed_over(Reason::Folder);
        };
        if is_leftover(name) {
            let recovered = self.recover(named, &self.parent_of(named)?, name)?;
            return recovered.map_or(Ok(Worked::Ended(Attempt::Gone)), |named| {
                self.try_compress(&named, helpers)
            });
        }
        if let Some(suffix) = compressed_suffix(name) {
            return passed_over(Reason::CompressedSuffix(suffix));
        }
        let parent = self.parent_of(named)?;
        match self.look(&parent, name)? {
            Look::Ready(candidate) => self.commit(named, &parent, candidate, helpers),
            Look::Pass(reason) => passed_over(reason),
            Look::IsFolder => passed_over(Reason::Folder),
            // Found in a walk, and gone since: nobody named it.
            Look::Gone if named.within.is_some() => Ok(Worked::Ended(Attempt::Gone)),
            // A run that was killed may have left it in quarantine.
            Look::Gone => match quarantine_of(&parent, name)? {
                Some(quarantined) if self.recover(named, &parent, &quarantined)?.is_some() => {
                    self.try_compress(named, helpers)
                }
                _ => Err(Error::new(Step::Open, path, Errno::NOENT)),
            },
            Look::NotYet(_) => Err(changing(path)),
            Look::InUse => Ok(Worked::Ended(Attempt::InUse)),
        }
    }

    fn parent_of(&self, named: &Named) -> Result<Arc<Folder>, Error> {
        if let Some((root, relative)) = &named.within {
            return root.folder_or_self(relative.parent().unwrap_or(Path::new("")));
        }
        let parent = named.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        let mut last = self.last_parent.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some(folder) if folder.path() == parent => Ok(Arc::clone(folder)),
            _ => Ok(Arc::clone(last.insert(Arc::new(Folder::open(parent)?)))),
        }
    }

    /// Puts right what a run left that was killed; returns the original that has a name again.
    fn recover(&self, named: &Named, parent: &Arc<Folder>, name: &OsStr) -> Result<Option<Named>, Error> {
        let places = self.places_of(named, parent);
        let recovered = recover(parent, name, &places, true, &mut |message| {
            self.observer.warning(&message);
        })?;
        Ok(match recovered {
            Recovered::Original(original) => Some(named.with_name(&original)),
            Recovered::Removed | Recovered::Left => None,
        })
    }

    /// Where no lease can be had, the person who named the file is trusted to know that it is finished.
    fn look(&self, parent: &Folder, name: &OsStr) -> Result<Look, Error> {
        match look(parent, name, &self.rules, SystemTime::now())? {
            Look::Pass(Reason::NoLease(_)) => {
                let rules = Rules {
                    writer_check: WriterCheck::Quiet,
                    ..self.rules.clone()
                };
                look(parent, name, &rules, SystemTime::now())
            }
            looked => Ok(looked),
        }
    }

    fn commit(
        &self,
        named: &Named,
        parent: &Arc<Folder>,
        candidate: Candidate,
        helpers: &dyn Helpers,
    ) -> Result<Worked<Attempt>, Error> {
        let path = named.path.as_path();
        if !self.claim_output(named) {
            let suffix = self.options.level.format().suffix();
            let message = format!("another of these files has the same name, and its {suffix} goes to the same folder");
            return Err(Error::permanent(Step::Publish, path, message));
        }
        let work = Work {
            parent,
            places: self.places_of(named, parent),
            plan: self.plan(),
            path,
            observer: &self.observer,
            helpers,
            cancel: &self.abort,
            look_again: Duration::ZERO,
            gone: |path| {
                let message = "it was removed or renamed while it was being compressed";
                Attempt::Failed(Error::permanent(Step::Read, path, message))
            },
        };
        Ok(work.commit(candidate))
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

    fn places_of<'a>(&'a self, named: &'a Named, parent: &'a Folder) -> Places<'a> {
        let output = match (&self.output, &named.within) {
            (None, _) => Place::Beside,
            (Some(output), None) => Place::Tree {
                output,
                source: parent,
                relative: Path::new(""),
            },
            (Some(output), Some((root, relative))) => Place::Tree {
                output,
                source: root,
                relative: relative.parent().unwrap_or(Path::new("")),
            },
        };
        Places { output, done: None }
    }

    fn plan(&self) -> Plan {
        Plan {
            level: self.options.level,
            keep_original: self.options.keep_original,
            renew: if self.options.replace { Renew::All } else { Renew::None },
            on_conflict: if self.options.replace {
                OnConflict::Replace
            } else {
                OnConflict::Skip
            },
            durable: true,
            hold: HOLD,
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
