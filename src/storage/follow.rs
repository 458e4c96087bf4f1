//! Outputs that go the way of their originals: how one is known again, and how it goes when its original does.
//!
//! An output that was made to follow its original says so in its header, with the original's name (see [`Header`](crate::codec::Header)).
//! What anybody else has made, by gzip or by `dwindle compress`, says no such thing, and is never taken for one: it may be all that is left
//! of its original.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, unlinkat};
use rustix::io::{Errno, retry_on_intr};

use super::conflict::output_name;
use super::dir::{Folder, is_gone};
use super::lease;
use super::lock::{Locked, lock};
use super::status::Status;
use crate::codec;
use crate::model::{Error, FileTime, Format, Step};

/// Where a file was, or is, and where its output would be; without a folder where that is not there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair<'a> {
    pub(crate) parent: Option<&'a Folder>,
    pub(crate) output: &'a Folder,
    /// The file's.
    pub(crate) name: &'a OsStr,
    /// The output's.
    pub(crate) format: Format,
}

impl<'a> Pair<'a> {
    /// One for each format.
    pub(crate) fn all(parent: Option<&'a Folder>, output: &'a Folder, name: &'a OsStr) -> impl Iterator<Item = Self> {
        Format::ALL.iter().map(move |format| Pair {
            parent,
            output,
            name,
            format: *format,
        })
    }

    /// Opens the folder of the outputs of a file in `relative`, where the tree of outputs is apart; nothing where it is not there.
    pub(crate) fn output_below(output: &Folder, relative: &Path) -> Result<Option<Folder>, Error> {
        match output.folder(relative) {
            Err(error) if is_gone(&error) => Ok(None),
            folder => folder.map(Some),
        }
    }

    /// The path of the output that would be removed by [`remove_outdated`](Self::remove_outdated).
    ///
    /// # Errors
    ///
    /// When something of it cannot be looked at.
    #[cfg(any(test, feature = "cli"))]
    pub(crate) fn find_outdated(&self) -> Result<Option<PathBuf>, Error> {
        Ok(self.open_outdated()?.map(|_| self.output.path_of(&self.output_name())))
    }

    /// Removes the output where it follows its original, and that is gone, is no regular file any more, or has changed since and is not being written. To be called
    /// where no new output will take its place. Returns its path if it did. Blocks.
    ///
    /// # Errors
    ///
    /// When something of it cannot be looked at, or the output not be removed.
    pub(crate) fn remove_outdated(&self) -> Result<Option<PathBuf>, Error> {
        let Some((mut file, status)) = self.open_outdated()? else {
            return Ok(None);
        };
        let name = self.output_name();
        // Whoever is at work on it is not done.
        match lock(&mut file) {
            Ok(()) => {}
            Err(Locked::ByAnother) => return Ok(None),
            Err(Locked::Failed(errno)) => return Err(self.failed(Step::Look, errno.into())),
        }
        let is_still = self
            .output
            .status(&name)?
            .is_some_and(|now| now.fingerprint == status.fingerprint);
        if !is_still || !self.is_outdated(&status)? {
            return Ok(None);
        }
        match retry_on_intr(|| unlinkat(self.output, &name, AtFlags::empty())) {
            Ok(()) => Ok(Some(self.output.path_of(&name))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.failed(Step::Remove, errno.into())),
        }
    }

    fn open_outdated(&self) -> Result<Option<(File, Status)>, Error> {
        let name = self.output_name();
        let is_file = |status: &Status| status.kind == FileType::RegularFile && status.fingerprint.links == 1;
        match self.output.status(&name)? {
            Some(status) if is_file(&status) && self.is_outdated(&status)? => {}
            _ => return Ok(None),
        }
        let file = match self.output.open_file(&name) {
            Err(error) if is_gone(&error) => return Ok(None),
            // Somebody else's, since ours could be read: it must not keep the file from an output of another format.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(None),
            file => file?,
        };
        let status = Status::of(&file).map_err(|errno| self.failed(Step::Look, errno.into()))?;
        if !is_file(&status) || lease::may_have_writer(&file, &status.fingerprint) {
            return Ok(None);
        }
        let mark = mark_of(self.format, &file, status.fingerprint.size, self.name)
            .map_err(|error| self.failed(Step::Read, error))?;
        // Somebody else has touched it.
        let is_as_made = mark.is_some_and(|modified| modified == in_header(status.fingerprint.modified));
        Ok((is_as_made && self.is_outdated(&status)?).then_some((file, status)))
    }

    /// Whether an output with this status is not one of the file as it is now.
    fn is_outdated(&self, output: &Status) -> Result<bool, Error> {
        let original = match self.parent {
            Some(parent) => parent.status(self.name)?,
            None => None,
        };
        let Some(original) = original.filter(|status| status.kind == FileType::RegularFile) else {
            return Ok(true);
        };
        Ok(original.fingerprint.modified != output.fingerprint.modified && !self.is_being_written(&original))
    }

    /// Whether somebody has the original open for writing: what it is in the end, he has not said yet.
    fn is_being_written(&self, original: &Status) -> bool {
        let file = self.parent.and_then(|parent| parent.open_file(self.name).ok());
        file.is_some_and(|file| lease::may_have_writer(&file, &original.fingerprint))
    }

    pub(crate) fn output_name(&self) -> OsString {
        output_name(self.name, 0, self.format)
    }

    fn failed(&self, step: Step, cause: io::Error) -> Error {
        Error::new(step, self.output.path_of(&self.output_name()), cause)
    }
}

/// The mtime in an output that follows an original of this name; nothing where it is anything else.
pub(super) fn mark_of(format: Format, output: &File, size: u64, original: &OsStr) -> io::Result<Option<u32>> {
    codec::mark_of(format, original.as_bytes(), size, |buffer, offset| {
        output.read_exact_at(buffer, offset)
    })
}

/// A time as an output says it.
pub(super) fn in_header(modified: FileTime) -> u32 {
    u32::try_from(modified.seconds).unwrap_or(0)
}
