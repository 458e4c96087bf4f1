//! Calls of the C library that rustix does not have, each as a function that cannot be called wrongly.
//!
//! The only module with unsafe code.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// Sets the signal that tells of events on a descriptor (fcntl(2)); from the kernel's `asm-generic/fcntl.h`, since libc does not have it.
const F_SETSIG: libc::c_int = 10;

/// Which signal tells of events on this descriptor (fcntl(2), `F_SETSIG`).
pub(super) fn set_signal(file: &File, signal: libc::c_int) -> io::Result<()> {
    control(file, F_SETSIG, signal).map(drop)
}

/// Takes a lease of this kind, or gives it up (fcntl(2), `F_SETLEASE`).
pub(super) fn set_lease(file: &File, kind: libc::c_int) -> io::Result<()> {
    control(file, libc::F_SETLEASE, kind).map(drop)
}

/// Which kind of lease there is (fcntl(2), `F_GETLEASE`).
pub(super) fn get_lease(file: &File) -> io::Result<libc::c_int> {
    control(file, libc::F_GETLEASE, 0)
}

fn control(file: &File, command: libc::c_int, argument: libc::c_int) -> io::Result<libc::c_int> {
    // SAFETY: the descriptor is that of a `File` which the caller borrows, so it is open; the commands used here take an integer and
    // touch no memory of ours.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), command, argument) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Has the disk begin to write these bytes of a file, as far as they are not there, and does not wait for it (`sync_file_range(2)`). Nothing is
/// durable by that: it is advice, and where it can't be taken nothing is lost.
pub(super) fn begin_writing(file: &File, offset: u64, length: u64) {
    let (Ok(offset), Ok(length)) = (offset.try_into(), length.try_into()) else {
        return;
    };
    // SAFETY: the descriptor is open as above; the other arguments are numbers, of which the kernel refuses those that make no sense.
    unsafe { libc::sync_file_range(file.as_raw_fd(), offset, length, libc::SYNC_FILE_RANGE_WRITE) };
}

/// Gives the system back what the allocator holds of memory that was freed (`malloc_trim(3)`), which it otherwise keeps: pieces between others
/// for good. Takes milliseconds.
#[cfg(feature = "cli")]
pub(crate) fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it may be called at any time from any thread, and moves nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}
