//! An original out of the way: under a name that nobody opens, until it is removed or put back.
//!
//! A rename is the one step by which a name is taken from a file without deciding about it: whoever has the file open, or opened it by
//! its name a moment before, still has the same file, and what was renamed can be looked at in peace.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::sync::Arc;

use rustix::fs::{AtFlags, unlinkat};
use rustix::io::{Errno, retry_on_intr};

use super::dir::Folder;
use super::lease;
use super::lock::{Locked, lock_shared};
use super::ready::Candidate;
use super::status::Status;
use super::stopped::Stopped;
use super::temp::{move_aside, move_to_folder, move_without_replacing, with_random_name};
use crate::model::{Error, Escaped, Fingerprint, Step};
use crate::policy::quarantine_name;

/// The highest N of `FILE.dwindle-conflict-N`, `FILE.dwindle-rescued-N` and `FILE.~N~`.
pub(super) const HIGHEST_NUMBER: u32 = 9999;

/// An original under its name in quarantine. Whoever drops it has to have removed it or put it back; recovery puts it back where that was
/// not possible.
#[derive(Debug)]
pub(super) struct Quarantine {
    pub(super) file: File,
    pub(super) leased: bool,
    pub(super) parent: Arc<Folder>,
    /// Its own name.
    pub(super) original: OsString,
    /// The one that it has now.
    name: OsString,
    /// Taken after the rename, which changes the ctime.
    pub(super) fingerprint: Fingerprint,
}

impl Quarantine {
    /// Renames the file, which must be leased again where leases are to be had. While this lives the file is locked (flock(2), shared),
    /// which tells recovery that somebody is at it.
    ///
    /// # Errors
    ///
    /// With the file: when it was replaced, changed or removed in this very moment; what was renamed has its name again then.
    pub(super) fn of(
        candidate: Candidate,
        parent: &Arc<Folder>,
        warn: &mut dyn FnMut(String),
    ) -> Result<Self, (File, Stopped)> {
        let Candidate {
            file,
            name: original,
            status,
            leased,
            marker: _,
        } = candidate;
        if let Err(Locked::ByAnother) = lock_shared(&file) {
            return Err((file, Stopped::Changed));
        }
        let failed = |errno| match errno {
            Errno::NOENT => Stopped::Gone,
            errno => Error::new(Step::Remove, parent.path_of(&original), errno).into(),
        };
        let renamed = with_random_name(
            |random| quarantine_name(&original, (random >> 32) as u32),
            |name| move_aside(parent, &original, name),
        );
        let name = match renamed {
            Ok((name, ())) => name,
            Err(errno) => return Err((file, failed(errno))),
        };
        let quarantine = Quarantine {
            fingerprint: status.fingerprint,
            file,
            leased,
            parent: Arc::clone(parent),
            original,
            name,
        };
        quarantine.checked(warn)
    }

    /// Somebody may have given the name to another file just before it was renamed. No other has this one's inode while it is open.
    fn checked(mut self, warn: &mut dyn FnMut(String)) -> Result<Self, (File, Stopped)> {
        let stopped = match self.parent.status(&self.name) {
            Ok(Some(named)) if named.fingerprint.same_content(&self.fingerprint) => {
                self.fingerprint = named.fingerprint;
                return Ok(self);
            }
            Ok(_) => Stopped::Changed,
            Err(error) => error.into(),
        };
        match self.put_back(warn) {
            Ok(()) => Err((self.file, stopped)),
            Err(error) => Err((self.file, error.into())),
        }
    }

    /// Whether it still is what was renamed, and nobody wants to write to it.
    pub(super) fn is_untouched(&self) -> Result<bool, Error> {
        if self.leased && !lease::is_held(&self.file) {
            return Ok(false);
        }
        let named = self.parent.status(&self.name)?;
        Ok(named.is_some_and(|named| named.fingerprint == self.fingerprint))
    }

    /// Whether it has a name at all. The folder's owner may have removed it.
    pub(super) fn has_a_name(&self) -> bool {
        Status::of(&self.file).is_ok_and(|status| status.fingerprint.links > 0)
    }

    /// Removes it for good.
    pub(super) fn remove(&self) -> Result<(), Error> {
        match retry_on_intr(|| unlinkat(&*self.parent, &self.name, AtFlags::empty())) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(self.failed(Step::Remove, errno)),
        }
    }

    /// Moves it to another folder of the same file system, under its own name or a numbered one, which is returned. Nothing is replaced.
    ///
    /// # Errors
    ///
    /// With the path it would have had there: the trouble is that folder's, and not the file's.
    pub(super) fn move_to(&self, folder: &Folder) -> Result<OsString, Error> {
        move_numbered(&self.parent, &self.name, folder, &self.original)
            .map_err(|errno| cannot_move(folder, &self.original, errno))
    }

    /// Gives it its own name again, or, where that was taken meanwhile, one in sight. What is not ours any more stays where it is.
    pub(super) fn put_back(&self, warn: &mut dyn FnMut(String)) -> Result<(), Error> {
        match self.parent.status(&self.name)? {
            Some(_) => put_back(&self.parent, &self.name, &self.original, warn),
            None => Ok(()),
        }
    }

    fn failed(&self, step: Step, errno: Errno) -> Error {
        Error::new(step, self.parent.path_of(&self.original), errno)
    }
}

/// Moves what is in quarantine to another folder: under the original's name, `NAME.~1~` and so on, whichever is free; returns it.
pub(super) fn move_numbered(
    parent: &Folder,
    name: &OsStr,
    folder: &Folder,
    original: &OsStr,
) -> rustix::io::Result<OsString> {
    for number in 0..=HIGHEST_NUMBER {
        let numbered = numbered_name(original, number);
        match move_to_folder((parent, name), (folder, &numbered)) {
            Ok(()) => return Ok(numbered),
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::EXIST)
}

/// The failure of [`move_numbered`]. A folder that was removed is made anew by the next try.
pub(super) fn cannot_move(folder: &Folder, original: &OsStr, errno: Errno) -> Error {
    let path = folder.path_of(original);
    match errno {
        Errno::NOENT => Error::transient(Step::Move, path, "that folder, or the original, was removed meanwhile"),
        errno => Error::new(Step::Move, path, errno),
    }
}

/// `NAME` for number 0, else `NAME.~N~`, as backups are numbered.
pub(super) fn numbered_name(name: &OsStr, number: u32) -> OsString {
    let mut numbered = name.to_owned();
    if number > 0 {
        numbered.push(format!(".~{number}~"));
    }
    numbered
}

/// Renames what is in quarantine back. Nothing is ever replaced.
pub(super) fn put_back(
    parent: &Folder,
    name: &OsStr,
    original: &OsStr,
    warn: &mut dyn FnMut(String),
) -> Result<(), Error> {
    match move_without_replacing(parent, name, original) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::EXIST) => {}
        Err(errno) => return Err(Error::new(Step::Publish, parent.path_of(original), errno)),
    }
    put_back_beside(parent, name, original, warn).map(drop)
}

/// Gives what is in quarantine a name in sight, since another file has its own; returns it.
pub(super) fn put_back_beside(
    parent: &Folder,
    name: &OsStr,
    original: &OsStr,
    warn: &mut dyn FnMut(String),
) -> Result<OsString, Error> {
    let taken = number_from_one(original, "conflict", |conflict| {
        move_without_replacing(parent, name, conflict)
    });
    let conflict = taken.map_err(|errno| Error::new(Step::Publish, parent.path_of(original), errno))?;
    warn(format!(
        "somebody took the name {} while its file was being removed; that file is now {}",
        Escaped(&parent.path_of(original)),
        Escaped(&parent.path_of(&conflict))
    ));
    Ok(conflict)
}

/// Tries `FILE.dwindle-WORD-1` and so on until one is free.
pub(super) fn number_from_one(
    original: &OsStr,
    word: &str,
    mut attempt: impl FnMut(&OsStr) -> rustix::io::Result<()>,
) -> rustix::io::Result<OsString> {
    for number in 1..=HIGHEST_NUMBER {
        let mut name = original.to_owned();
        name.push(format!(".dwindle-{word}-{number}"));
        match attempt(&name) {
            Ok(()) => return Ok(name),
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::EXIST)
}
