//! Everything that statx(2) tells of a file and anyone here asks for.

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType, Gid, Statx, StatxAttributes, StatxFlags, StatxTimestamp, Uid, statx};
use rustix::io::retry_on_intr;

use crate::model::{FileTime, Fingerprint};

/// A file's metadata at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) kind: FileType,
    pub(crate) fingerprint: Fingerprint,
    /// Marked immutable or append-only, as far as the file system tells.
    pub(crate) protected: bool,
    /// The permission bits: read, write and execute for owner, group and others; nothing beyond.
    pub(crate) permissions: u32,
    pub(crate) user: Uid,
    pub(crate) group: Gid,
    pub(crate) accessed: FileTime,
    /// When it was made; where the file system does not know, when it was last changed.
    pub(crate) made: FileTime,
}

impl Status {
    /// Whether it is a regular file's.
    pub(crate) fn is_file(&self) -> bool {
        self.kind == FileType::RegularFile
    }

    #[cfg(feature = "cli")]
    pub(crate) fn is_folder(&self) -> bool {
        self.kind == FileType::Directory
    }

    /// Of an open file or folder.
    pub(crate) fn of(file: impl AsFd) -> rustix::io::Result<Self> {
        Self::ask(file, c"", AtFlags::EMPTY_PATH)
    }

    /// Of one name in a folder; of a symbolic link itself.
    pub(crate) fn of_name(folder: impl AsFd, name: impl rustix::path::Arg + Copy) -> rustix::io::Result<Self> {
        Self::ask(folder, name, AtFlags::SYMLINK_NOFOLLOW)
    }

    fn ask(at: impl AsFd, name: impl rustix::path::Arg + Copy, flags: AtFlags) -> rustix::io::Result<Self> {
        let flags = flags | AtFlags::NO_AUTOMOUNT;
        retry_on_intr(|| statx(at.as_fd(), name, flags, StatxFlags::BASIC_STATS | StatxFlags::BTIME))
            .map(|found| Self::from(&found))
    }
}

impl From<&Statx> for Status {
    fn from(found: &Statx) -> Self {
        let marks = found.stx_attributes & found.stx_attributes_mask;
        let knows_made = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::BTIME);
        Status {
            kind: FileType::from_raw_mode(found.stx_mode.into()),
            fingerprint: Fingerprint {
                device: (found.stx_dev_major, found.stx_dev_minor),
                inode: found.stx_ino,
                size: found.stx_size,
                modified: file_time(found.stx_mtime),
                changed: file_time(found.stx_ctime),
                links: found.stx_nlink,
            },
            protected: marks.intersects(StatxAttributes::IMMUTABLE | StatxAttributes::APPEND),
            permissions: u32::from(found.stx_mode) & 0o777,
            user: Uid::from_raw(found.stx_uid),
            group: Gid::from_raw(found.stx_gid),
            accessed: file_time(found.stx_atime),
            made: file_time(if knows_made { found.stx_btime } else { found.stx_ctime }),
        }
    }
}

fn file_time(time: StatxTimestamp) -> FileTime {
    FileTime {
        seconds: time.tv_sec,
        nanoseconds: time.tv_nsec,
    }
}
