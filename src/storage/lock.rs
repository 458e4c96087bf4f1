//! Who may take an output back, replace it, or remove an original on the strength of it.
//!
//! An output is locked (flock(2)) by whoever makes it, from before it is published until its original is removed or it is taken back. Two
//! workers on one file, be they of one process or of two, would otherwise each rely on the other: one removes the original since the
//! output is there, the other takes the output back since the original changed.

use std::os::fd::AsFd;

use rustix::fs::{FlockOperation, flock};
use rustix::io::{Errno, retry_on_intr};

/// Why there is no lock.
#[derive(Debug)]
pub(super) enum Locked {
    /// Somebody else has it.
    ByAnother,
    Failed(Errno),
}

/// Locks the file for us alone, until it is closed. Does not wait.
pub(super) fn lock(file: impl AsFd) -> Result<(), Locked> {
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
