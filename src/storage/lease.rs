//! File leases: how the kernel says that nobody writes to a file, and that somebody is about to (fcntl(2), "Leases").
//!
//! A read lease is granted only while nobody, anywhere on this machine, has the file open for writing or mapped writable. While it is held,
//! whoever opens the file for writing waits in open(2) until it is released, for `/proc/sys/fs/lease-break-time` at most. Renaming, linking and
//! removing the file go ahead.

use std::fs::File;
use std::io;
use std::time::{Duration, SystemTime};

use super::c_calls::{get_lease, set_lease, set_signal};
use crate::model::Fingerprint;

/// Why there is no lease.
#[derive(Debug)]
pub(super) enum NoLease {
    /// Somebody has the file open for writing, or mapped writable.
    Writer,
    /// None can be had on this file by this process, whoever has it open: it belongs to somebody else and `CAP_LEASE` is missing, or
    /// its file system has no leases.
    Unavailable(io::Error),
}

/// Takes a lease on a file that is open for reading only. It lasts until it is [released](release) or the file is closed. Does not wait.
pub(super) fn take(file: &File) -> Result<(), NoLease> {
    // The kernel tells of a writer by SIGIO, which ends a process that did not ask for it; SIGURG is ignored by one that did not. What
    // counts is asked for, see `is_held`. Each time: with a lease the kernel forgets the signal, too.
    let taken = set_signal(file, libc::SIGURG).and_then(|()| set_lease(file, libc::F_RDLCK));
    match taken {
        Ok(()) => Ok(()),
        Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => Err(NoLease::Writer),
        Err(error) => Err(NoLease::Unavailable(error)),
    }
}

/// Whether somebody has the file open for writing now. Where nobody can say, whoever wrote to it a moment ago may.
pub(super) fn may_have_writer(file: &File, fingerprint: &Fingerprint) -> bool {
    const MOMENT: Duration = Duration::from_secs(2);
    let taken = take(file);
    release(file);
    match taken {
        Ok(()) => false,
        Err(NoLease::Writer) => true,
        Err(NoLease::Unavailable(_)) => fingerprint.quiet_for(SystemTime::now()) < MOMENT,
    }
}

/// Whether the lease that was taken is unbroken: nobody has opened the file for writing since, nor waits to. Takes a third of a microsecond.
pub(super) fn is_held(file: &File) -> bool {
    get_lease(file).is_ok_and(|kind| kind == libc::F_RDLCK)
}

/// Gives the lease up, and lets a writer that waits go on.
pub(super) fn release(file: &File) {
    // It fails where there is none any more, and then there is nothing to release.
    let _ = set_lease(file, libc::F_UNLCK);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;
    use std::io::{Read, Write};
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::PathBuf;
    use std::thread;

    fn file() -> (tempfile::TempDir, PathBuf, File) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("F");
        std::fs::write(&path, "text").unwrap();
        let file = File::open(&path).unwrap();
        (folder, path, file)
    }

    #[test]
    fn it_is_granted_beside_readers_and_refused_beside_a_writer() {
        let (_folder, path, file) = file();
        let _reader = File::open(&path).unwrap();
        take(&file).unwrap();
        assert!(is_held(&file));
        release(&file);
        assert!(!is_held(&file));
        let writer = OpenOptions::new().append(true).open(&path).unwrap();
        assert!(matches!(take(&file), Err(NoLease::Writer)));
        drop(writer);
        assert!(take(&file).is_ok());
    }

    #[test]
    fn a_writer_is_noticed_and_waits_until_it_is_released() {
        let (_folder, path, file) = file();
        take(&file).unwrap();
        // One that does not want to wait is noticed, too, and is told so.
        let refused = OpenOptions::new()
            .append(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&path)
            .unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        assert!(!is_held(&file));
        let writer = thread::spawn(move || {
            let mut writer = OpenOptions::new().append(true).open(&path).unwrap();
            writer.write_all(b" and more").unwrap();
        });
        release(&file);
        writer.join().unwrap();
        let mut content = String::new();
        (&file).read_to_string(&mut content).unwrap();
        assert_eq!(content, "text and more");
    }

    #[test]
    fn a_renamed_or_removed_file_stays_leased() {
        let (folder, path, file) = file();
        take(&file).unwrap();
        let other = folder.path().join("other");
        std::fs::rename(&path, &other).unwrap();
        std::fs::remove_file(&other).unwrap();
        assert!(is_held(&file));
    }
}
