//! Outputs that are there already: found, and removed where the watch keeps no more of them.
//!
//! Only what the watch itself would have made is looked at, and only what is certain is removed: a regular file that begins as the format's do,
//! that nobody is at, and whose original is gone.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::fs::FileType;

use super::dir::{Folder, is_gone};
use super::lease::{self, NoLease};
use super::lock::lock;
use super::scan::{Scan, Sight};
use super::status::Status;
use super::temp::remove_if_same;
use crate::codec::begins_as;
use crate::model::{Error, Format, Reason, Step};
use crate::policy::{Kept, Select, WriterCheck, numbered_original_of};

/// The outputs of one watch.
#[derive(Debug)]
pub(crate) struct Outputs<'a> {
    /// The watched folder.
    pub(crate) source: &'a Folder,
    /// Where the outputs are: the watched folder itself, or another with the same tree.
    pub(crate) folder: &'a Folder,
    pub(crate) select: &'a Arc<Select>,
    /// The watch's; what is there in another one is not for it to remove.
    pub(crate) format: Format,
    /// Subfolders of `folder` that are another watch's.
    pub(crate) foreign: &'a [PathBuf],
    pub(crate) settle: Duration,
    pub(crate) writer_check: WriterCheck,
}

/// Outputs that are there.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) outputs: Vec<Kept>,
    /// There are newer ones, too.
    pub(crate) is_part: bool,
}

/// What came of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    Removed,
    /// It is not what it was, or may not be removed, for good.
    Left,
    /// Somebody is at it: another time.
    Busy,
}

impl Outputs<'_> {
    /// All whose originals are gone; of more than `most` the oldest. Blocks, for as long as a walk of the folder takes.
    ///
    /// # Errors
    ///
    /// When the folder cannot be listed. A subfolder that cannot is left out.
    pub(crate) fn find(&self, most: usize, cancel: &dyn Fn() -> bool) -> Result<Found, Error> {
        const BATCH: usize = 1024;
        let mut scan = Scan::new(self.folder, Path::new(""), Arc::clone(self.select))?;
        let mut found = Found::default();
        loop {
            let mut paths = Vec::new();
            let batch = scan.next_batch(BATCH, &mut |sight| {
                if let Sight::PassedOver(path, Reason::CompressedSuffix(suffix)) = sight
                    && self.format.suffix().strip_prefix('.') == Some(suffix)
                {
                    paths.push(path.to_owned());
                }
            });
            found
                .outputs
                .extend(paths.into_iter().filter_map(|path| self.look(path)));
            let is_over = batch.end || cancel();
            if is_over || found.outputs.len() > 2 * most {
                found.keep_oldest(most);
            }
            if is_over {
                return Ok(found);
            }
        }
    }

    /// Removes one that was found, if it is still the same and certain. Blocks, but not for long.
    ///
    /// # Errors
    ///
    /// When it is still there and cannot be removed.
    pub(crate) fn remove(&self, output: &Kept) -> Result<Removal, Error> {
        let (Some(parent), Some(name)) = (self.parent_of(&output.path), output.path.file_name()) else {
            return Ok(Removal::Left);
        };
        let mut file = match parent.open_file(name) {
            Err(error) if is_gone(&error) => return Ok(Removal::Left),
            file => file?,
        };
        let failed = |step, cause: std::io::Error| Error::new(step, parent.path_of(name), cause);
        let status = Status::of(&file).map_err(|errno| failed(Step::Look, errno.into()))?;
        if status.kind != FileType::RegularFile || kept(output.path.clone(), &status) != *output {
            return Ok(Removal::Left);
        }
        if status.fingerprint.quiet_for(SystemTime::now()) < self.settle || lock(&mut file).is_err() {
            return Ok(Removal::Busy);
        }
        match (lease::take(&file), self.writer_check) {
            (Err(NoLease::Writer), _) => return Ok(Removal::Busy),
            (Err(NoLease::Unavailable(_)), WriterCheck::Lease) => return Ok(Removal::Left),
            _ => {}
        }
        let mut head = [0; 8];
        if file.read_exact_at(&mut head, 0).is_err() || !begins_as(self.format, &head) {
            return Ok(Removal::Left);
        }
        if !self.is_alone(&output.path) {
            return Ok(Removal::Left);
        }
        remove_if_same(&parent, name, &file).map_err(|errno| failed(Step::Remove, errno.into()))?;
        Ok(Removal::Removed)
    }

    fn look(&self, path: PathBuf) -> Option<Kept> {
        let is_foreign = self.foreign.iter().any(|folder| path.starts_with(folder));
        if is_foreign || !self.is_ours(&path) || !self.is_alone(&path) {
            return None;
        }
        let (parent, name) = (self.parent_of(&path)?, path.file_name()?);
        let status = parent.status(name).ok()??;
        let counts = status.kind == FileType::RegularFile && self.is_sound(&parent.open_file(name).ok()?);
        counts.then(|| kept(path, &status))
    }

    /// Whether it begins as an output, and nobody writes to it: what is no output, or none yet, must not count in the place of one.
    fn is_sound(&self, file: &File) -> bool {
        let mut head = [0; 8];
        let begins = file.read_exact_at(&mut head, 0).is_ok() && begins_as(self.format, &head);
        begins && Status::of(file).is_ok_and(|status| !lease::may_have_writer(file, &status.fingerprint))
    }

    /// Whether it is for this shard to remove it.
    pub(crate) fn is_of_shard(&self, output: &Kept) -> bool {
        Self::original_path(&output.path).is_some_and(|original| self.select.is_of_shard(&original))
    }

    /// Whether this watch would have made it, or its agent for another shard: from a name that it takes.
    fn is_ours(&self, path: &Path) -> bool {
        Self::original_path(path).is_some_and(|original| self.select.file_of_any_shard(&original).is_ok())
    }

    /// Whether the original is not there: neither kept, nor about to be removed, nor another one of its name that has come.
    fn is_alone(&self, path: &Path) -> bool {
        let Some(original) = Self::original_path(path) else {
            return false;
        };
        let folder = original.parent().unwrap_or(Path::new(""));
        match self.source.folder(folder) {
            Ok(folder) => matches!(folder.status(original.file_name().unwrap_or(OsStr::new(""))), Ok(None)),
            Err(error) => is_gone(&error),
        }
    }

    fn original_path(path: &Path) -> Option<PathBuf> {
        Some(path.with_file_name(numbered_original_of(path.file_name()?)?))
    }

    fn parent_of(&self, path: &Path) -> Option<Folder> {
        self.folder.folder(path.parent()?).ok()
    }
}

fn kept(path: PathBuf, status: &Status) -> Kept {
    Kept {
        path,
        bytes: status.fingerprint.size,
        modified: status.fingerprint.modified,
        made: status.made,
    }
}

impl Found {
    fn keep_oldest(&mut self, most: usize) {
        if self.outputs.len() > most {
            self.outputs.select_nth_unstable_by_key(most, |file| file.modified);
            self.outputs.truncate(most);
            self.is_part = true;
        }
    }
}
