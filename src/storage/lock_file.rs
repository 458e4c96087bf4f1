//! A file that stands for something which one process has for itself, or several share: whoever has it holds an flock(2) on it, which
//! the kernel gives up when the holder dies, whatever the way. The file goes with its last holder, and one that a dead one left is taken over.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, flock, openat, unlinkat};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Uid, geteuid};

use super::status::Status;

/// So much of a lock's content is read, in bytes; what is longer is cut off.
const MOST_CONTENT: u64 = 4096;

/// A lock file, locked. Dropped, the lock is given up, and the file is gone unless others share it.
#[derive(Debug)]
pub(crate) struct LockFile {
    directory: Arc<File>,
    name: OsString,
    file: File,
}

/// Who else may have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    Alone,
    WithOthers,
}

/// Why it could not be had.
#[derive(Debug)]
pub(crate) enum Unlocked {
    /// Somebody else has it; with the file's content.
    Held(OsString),
    /// What has the name was not made by who may keep locks in this directory.
    NotOurs(&'static str),
    Call(Errno),
}

impl LockFile {
    /// Opens or makes the file in the directory, for this user alone, and locks it. Does not wait for who has it. The file of a dead process of
    /// the directory's owner, or of root, gives way to one of this user.
    ///
    /// # Errors
    ///
    /// Each of [`Unlocked`].
    pub(crate) fn take(directory: &Arc<File>, name: &OsStr, sharing: Sharing) -> Result<Self, Unlocked> {
        let owner = Status::of(directory).map_err(Unlocked::Call)?.user;
        let user = geteuid();
        // Each further round follows the end of another holder, which has removed its file after we had opened it.
        loop {
            let file = open(directory, name)?;
            let status = Status::of(&file).map_err(Unlocked::Call)?;
            if !status.is_file() {
                return Err(Unlocked::NotOurs("it is no regular file"));
            }
            // Root starts agents by hand in the directory of the service, which has a user of its own.
            if ![user, owner, Uid::ROOT].contains(&status.user) {
                return Err(Unlocked::NotOurs("it belongs to another user"));
            }
            match retry_on_intr(|| flock(&file, sharing.operation())) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => return Err(Unlocked::Held(content_of(&file))),
                Err(errno) => return Err(Unlocked::Call(errno)),
            }
            match Status::of_name(directory, name) {
                Ok(named) if named.fingerprint.same_inode(&status.fingerprint) && status.user == user => {
                    return Ok(LockFile {
                        directory: Arc::clone(directory),
                        name: name.to_owned(),
                        file,
                    });
                }
                Ok(named) if named.fingerprint.same_inode(&status.fingerprint) => {
                    retry_on_intr(|| unlinkat(directory, name, AtFlags::empty())).map_err(Unlocked::Call)?;
                }
                Ok(_) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(Unlocked::Call(errno)),
            }
        }
    }

    /// In its directory.
    pub(crate) fn name(&self) -> &OsStr {
        &self.name
    }

    /// Makes this its content, for who is refused.
    pub(crate) fn tell(&self, content: &[u8]) {
        // It is locked, with or without words: on a full file system the next one is told less.
        let _ = self.file.set_len(0).and_then(|()| (&self.file).write_all(content));
    }

    #[cfg(test)]
    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        // While it is locked for us alone, so that it is ours that is removed. One that stays is taken over by the next holder.
        if retry_on_intr(|| flock(&self.file, Sharing::Alone.operation())).is_ok() {
            let _ = retry_on_intr(|| unlinkat(&self.directory, &self.name, AtFlags::empty()));
        }
        let _ = retry_on_intr(|| flock(&self.file, FlockOperation::Unlock));
    }
}

impl Sharing {
    fn operation(self) -> FlockOperation {
        match self {
            Sharing::Alone => FlockOperation::NonBlockingLockExclusive,
            Sharing::WithOthers => FlockOperation::NonBlockingLockShared,
        }
    }
}

fn open(directory: &File, name: &OsStr) -> Result<File, Unlocked> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    match retry_on_intr(|| openat(directory, name, flags, Mode::RUSR | Mode::WUSR)) {
        Ok(file) => Ok(File::from(file)),
        Err(Errno::LOOP) => Err(Unlocked::NotOurs("it is a symbolic link")),
        Err(Errno::ISDIR) => Err(Unlocked::NotOurs("it is a folder")),
        Err(errno) => Err(Unlocked::Call(errno)),
    }
}

fn content_of(file: &File) -> OsString {
    let mut content = Vec::new();
    // What cannot be read is missing in the message, no more.
    let _ = file.take(MOST_CONTENT).read_to_end(&mut content);
    OsString::from_vec(content)
}
