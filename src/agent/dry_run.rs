//! What a watch would do with what is in its folder now; nothing is touched.

use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::model::{Error, Reason};
use crate::policy::{Select, Watch};
use crate::storage::{Folder, Look, Rules, Scan, Sight, is_gone, look};

use super::AgentError;

/// What would become of one file or folder.
#[derive(Debug)]
pub(crate) enum Prospect {
    /// It would be compressed, to this path unless that is taken.
    Compress {
        bytes: u64,
        output: PathBuf,
    },
    /// It is not quiet yet, and would be looked at again after this long.
    Wait(Duration),
    /// Somebody has it open for writing.
    InUse,
    /// It has not come in full yet, and an event would tell when it has.
    Await(Reason),
    Skip(Reason),
    Fail(Error),
}

/// Looks at everything once and tells what would be done, in the order in which it is found. Paths are relative to the watched folder.
/// Blocks.
///
/// # Errors
///
/// When a pattern is wrong or the folder cannot be opened.
pub(crate) fn dry_run(watch: &Watch, tell: &mut dyn FnMut(&Path, Prospect)) -> Result<(), AgentError> {
    const BATCH: usize = 4096;
    let select = Arc::new(Select::new(watch)?);
    let root = Folder::open(&watch.path)?;
    let mut scan = Scan::new(&root, Path::new(""), Arc::clone(&select))?;
    let rules = Rules {
        select,
        settle: watch.settle,
        writer_check: watch.writer_check,
        siblings: Arc::default(),
    };
    loop {
        let batch = scan.next_batch(BATCH, &mut |sight| match sight {
            Sight::PassedOver(path, reason) => tell(path, Prospect::Skip(reason)),
            Sight::Failed(error) => {
                let path = error.path().to_owned();
                tell(path.strip_prefix(&watch.path).unwrap_or(&path), Prospect::Fail(error));
            }
            Sight::Entered(_) => {}
        });
        for path in &batch.leftovers {
            tell(path, Prospect::Skip(Reason::OwnTemporary));
        }
        let prospects = ask_all(watch, &root, &batch.files, &rules);
        for (file, prospect) in batch.files.iter().zip(prospects) {
            if let Some(prospect) = prospect {
                tell(file, prospect);
            }
        }
        if batch.end {
            return Ok(());
        }
    }
}

/// Asks about all of them, several at once: a disk answers many questions in little more time than one.
fn ask_all(watch: &Watch, root: &Folder, files: &[PathBuf], rules: &Rules) -> Vec<Option<Prospect>> {
    const AT_ONCE: usize = 8;
    let portion = files.len().div_ceil(AT_ONCE).max(64);
    std::thread::scope(|scope| {
        let mut portions = files.chunks(portion);
        let first = portions.next().unwrap_or_default();
        let ask_portion = |files: &[PathBuf]| {
            let mut parents = Parents::new(root);
            let ask = |file: &PathBuf| ask(watch, &mut parents, file, rules);
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

/// The folders that files are in. Most files are in that of the one before.
struct Parents<'a> {
    root: &'a Folder,
    last: Option<(PathBuf, Folder)>,
}

impl<'a> Parents<'a> {
    fn new(root: &'a Folder) -> Self {
        Parents { root, last: None }
    }

    fn open(&mut self, folder: &Path) -> Result<&Folder, Error> {
        let last = match self.last.take() {
            Some(last) if last.0 == folder => last,
            _ => (folder.to_owned(), self.root.folder(folder)?),
        };
        Ok(&self.last.insert(last).1)
    }
}

/// Nothing where there is nothing any more.
fn ask(watch: &Watch, parents: &mut Parents<'_>, file: &Path, rules: &Rules) -> Option<Prospect> {
    let (folder, name) = (file.parent()?, file.file_name()?);
    let looked = parents
        .open(folder)
        .and_then(|parent| look(parent, name, rules, SystemTime::now()));
    Some(match looked {
        Ok(Look::Ready(candidate)) => Prospect::Compress {
            bytes: candidate.status.fingerprint.size,
            output: watch.output_of(file),
        },
        Ok(Look::NotYet(wait)) => Prospect::Wait(wait),
        Ok(Look::InUse) => Prospect::InUse,
        Ok(Look::Pass(reason @ Reason::NoMarker(_))) => Prospect::Await(reason),
        Ok(Look::Pass(reason)) => Prospect::Skip(reason),
        Ok(Look::IsFolder | Look::Gone) => return None,
        Err(error) if is_gone(&error) => return None,
        Err(error) => Prospect::Fail(error),
    })
}
