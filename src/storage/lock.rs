//! Who may take an output back, replace it, or remove an original on the strength of it.
//!
//! An output is locked (flock(2)) by whoever makes it, from before it is published until its original is removed or it is taken back. Two
//! workers on one file, be they of one process or of two, would otherwise each rely on the other: one removes the original since the
//! output is there, the other takes the output back since the original changed.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::{FlockOperation, flock};
use rustix::io::{Errno, retry_on_intr};

/// Why there is no lock.
#[derive(Debug)]
pub(super) enum Locked {
    /// Somebody else has it.
    ByAnother,
    Failed(Errno),
}

/// Locks the file, which was opened for reading, for us alone, until it is closed. Does not wait.
///
/// On a network file system such a lock wants a descriptor for writing (flock(2), "NFS details"), and `file` becomes one: it is by this lock
/// that agents on two hosts find each other.
pub(super) fn lock(file: &mut File) -> Result<(), Locked> {
    match lock_own(&*file) {
        Err(Locked::Failed(Errno::BADF)) => {
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            let reopened = OpenOptions::new().read(true).write(true).open(path);
            *file = reopened.map_err(|_| Locked::Failed(Errno::BADF))?;
            lock_own(&*file)
        }
        locked => locked,
    }
}

/// The same of a file that was opened for writing.
pub(super) fn lock_own(file: impl AsFd) -> Result<(), Locked> {
    lock_as(file, FlockOperation::NonBlockingLockExclusive)
}

/// Locks the file against [`lock`], until it is closed. Does not wait.
pub(super) fn lock_shared(file: impl AsFd) -> Result<(), Locked> {
    lock_as(file, FlockOperation::NonBlockingLockShared)
}

fn lock_as(file: impl AsFd, operation: FlockOperation) -> Result<(), Locked> {
    match retry_on_intr(|| flock(&file, operation)) {
        Ok(()) => Ok(()),
        Err(Errno::WOULDBLOCK) => Err(Locked::ByAnother),
        Err(errno) => Err(Locked::Failed(errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Mode, OFlags, open};
    use std::io::Read;

    /// `O_PATH` descriptors are refused with the same error as those for reading are on NFS.
    #[test]
    fn a_descriptor_that_cannot_be_locked_is_opened_anew_and_is_the_same_file() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("a");
        std::fs::write(&path, "text").unwrap();
        let mut file = File::from(open(&path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap());
        lock(&mut file).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "text");
        let mut other = File::open(&path).unwrap();
        assert!(matches!(lock(&mut other), Err(Locked::ByAnother)));
        drop(file);
        lock(&mut other).unwrap();
    }
}
