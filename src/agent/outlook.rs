//! What a watch would do with a file as it is now; nothing is touched.

use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::model::{Error, Reason, Surplus};
use crate::policy::{Select, Watch};
use crate::storage::{Candidate, Folder, Foreseen, Look, Pair, Rules, foresee, is_gone, look};

use super::AgentError;
use super::folder::plan_of;
use super::root::original_of;

/// What would become of one file or folder.
#[derive(Debug)]
pub(crate) enum Prospect {
    /// It would become this output.
    Compress {
        bytes: u64,
        output: PathBuf,
    },
    /// It would become this output, in the place of the one that is there.
    Remake {
        bytes: u64,
        output: PathBuf,
    },
    /// This output is there and holds its bytes: the original would go.
    Finish {
        bytes: u64,
        output: PathBuf,
    },
    /// It is an output that would go the way of its original.
    Withdraw,
    /// It is not quiet yet, and would be looked at again after this long.
    Wait(Duration),
    /// Somebody has it, or its output, open for writing.
    InUse,
    /// It has not come in full yet, and an event would tell when it has.
    Await(Reason),
    Skip(Reason),
    Fail(Error),
    /// It is an output that would be removed, since the watch keeps no more.
    Remove(Surplus),
}

/// A watched folder, open, and its rules.
#[derive(Debug)]
pub(super) struct Outlook<'a> {
    pub(super) watch: &'a Watch,
    pub(super) root: Folder,
    /// The folder for outputs, where that is apart and there is one already.
    pub(super) output: Option<Folder>,
    pub(super) rules: Rules,
}

impl<'a> Outlook<'a> {
    /// # Errors
    ///
    /// When a pattern is wrong or a folder cannot be opened.
    pub(super) fn open(watch: &'a Watch) -> Result<Self, AgentError> {
        let select = Arc::new(Select::new(watch)?);
        let root = Folder::open(&watch.path)?;
        let output = match &watch.output_dir {
            None => None,
            Some(path) => match Folder::open(&watch.path.join(path)) {
                Err(error) if is_gone(&error) => None,
                output => Some(output?),
            },
        };
        Ok(Outlook {
            watch,
            root,
            output,
            rules: Rules::of(watch, select),
        })
    }

    /// Of a file, by its path from the watched folder on; nothing where there is nothing any more, or a folder.
    pub(super) fn of(&self, file: &Path) -> Option<Prospect> {
        self.of_one(file, &mut Parents::default())
    }

    /// Of many files, several at once: a disk answers many questions in little more time than one.
    pub(super) fn of_all(&self, files: &[PathBuf]) -> Vec<Option<Prospect>> {
        const AT_ONCE: usize = 8;
        let portion = files.len().div_ceil(AT_ONCE).max(64);
        std::thread::scope(|scope| {
            let mut portions = files.chunks(portion);
            let first = portions.next().unwrap_or_default();
            let ask_portion = |files: &[PathBuf]| {
                let mut parents = Parents::default();
                let ask = |file: &PathBuf| self.of_one(file, &mut parents);
                files.iter().map(ask).collect::<Vec<_>>()
            };
            let others: Vec<_> = portions.map(|files| scope.spawn(move || ask_portion(files))).collect();
            let mut prospects = ask_portion(first);
            for other in others {
                prospects.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
            }
            prospects
        })
    }

    fn of_one(&self, file: &Path, parents: &mut Parents) -> Option<Prospect> {
        match self.ask(file, parents) {
            Ok(prospect) => prospect,
            Err(error) if is_gone(&error) => None,
            Err(error) => Some(Prospect::Fail(error)),
        }
    }

    fn ask(&self, file: &Path, parents: &mut Parents) -> Result<Option<Prospect>, Error> {
        let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else {
            return Ok(None);
        };
        let parent = parents.open(&self.root, folder)?;
        Ok(Some(match look(parent, name, &self.rules, SystemTime::now())? {
            Look::Ready(candidate) => self.foresee(file, parent, &candidate)?,
            Look::NotYet(wait) => Prospect::Wait(wait),
            Look::InUse => Prospect::InUse,
            Look::Pass(reason @ Reason::NoMarker(_)) => Prospect::Await(reason),
            Look::Pass(reason) => Prospect::Skip(reason),
            Look::IsFolder | Look::Gone => return Ok(None),
        }))
    }

    fn foresee(&self, file: &Path, parent: &Folder, candidate: &Candidate) -> Result<Prospect, Error> {
        let bytes = candidate.status.fingerprint.size;
        let plan = plan_of(self.watch, self.watch.format.default_level());
        let apart = self.output_below(file.parent().unwrap_or(Path::new("")))?;
        let foreseen = match apart.as_ref().or((self.watch.output_dir.is_none()).then_some(parent)) {
            Some(output) => foresee(candidate, parent, output, plan)?,
            // Where it is still to be made, every name is free.
            None => Foreseen::New(self.watch.output_of(file)),
        };
        Ok(match foreseen {
            Foreseen::New(output) => Prospect::Compress { bytes, output },
            Foreseen::InPlace(output) => Prospect::Remake { bytes, output },
            Foreseen::Finished(output) => Prospect::Finish { bytes, output },
            Foreseen::Pass(reason) => Prospect::Skip(reason),
            Foreseen::Busy => Prospect::InUse,
        })
    }

    /// Whether this output would go: its original has changed into what is not compressed, or is gone, or gets one in another format.
    pub(super) fn withdraws(&self, output_path: &Path) -> Result<bool, Error> {
        let Some(original) = original_of(output_path).filter(|_| self.watch.outputs_follow()) else {
            return Ok(false);
        };
        let (Some(folder), Some(name)) = (original.parent(), original.file_name()) else {
            return Ok(false);
        };
        if self.rules.select.file(&original).is_err() {
            return Ok(false);
        }
        let coming = match self.of(&original) {
            None | Some(Prospect::Skip(_)) => None,
            Some(Prospect::Compress { .. } | Prospect::Remake { .. } | Prospect::Finish { .. }) => {
                Some(self.watch.format)
            }
            Some(_) => return Ok(false),
        };
        let parent = match self.root.folder(folder) {
            Err(error) if is_gone(&error) => None,
            parent => Some(parent?),
        };
        let apart = self.output_below(folder)?;
        let beside = parent.as_ref().filter(|_| self.watch.output_dir.is_none());
        let Some(output) = apart.as_ref().or(beside) else {
            return Ok(false);
        };
        let mut pairs = Pair::all(parent.as_ref(), output, name);
        let pair = pairs.find(|pair| Some(pair.output_name().as_os_str()) == output_path.file_name());
        match pair.filter(|pair| coming != Some(pair.format)) {
            Some(pair) => Ok(pair.find_outdated()?.is_some()),
            None => Ok(false),
        }
    }

    fn output_below(&self, relative: &Path) -> Result<Option<Folder>, Error> {
        match &self.output {
            Some(output) => Pair::output_below(output, relative),
            None => Ok(None),
        }
    }
}

/// The folders that files are in. Most files are in that of the one before.
#[derive(Debug, Default)]
struct Parents(Option<(PathBuf, Folder)>);

impl Parents {
    fn open(&mut self, root: &Folder, folder: &Path) -> Result<&Folder, Error> {
        let last = match self.0.take() {
            Some(last) if last.0 == folder => last,
            _ => (folder.to_owned(), root.folder(folder)?),
        };
        Ok(&self.0.insert(last).1)
    }
}
