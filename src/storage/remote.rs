//! File systems on which a change leaves less of a trace than elsewhere.

use std::os::fd::AsFd;

use super::dir::Folder;

/// Magic numbers of statfs(2) and what they stand for. inotify accepts watches on these and may never report.
const REMOTE: &[(u32, &str)] = &[
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB"),
    (0x6573_5546, "FUSE"),
    (0x0102_1997, "9p"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0x0bd0_0bd0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x7461_636f, "OCFS2"),
    (0x0116_1970, "GFS2"),
    (0x786f_4256, "VirtualBox shared folder"),
];

/// Magic numbers of tmpfs and ramfs.
const IN_MEMORY: &[u32] = &[0x0102_1994, 0x8584_58f6];

/// The name of the file system, where it is one whose changes may happen on another machine or in another process unseen by this
/// kernel. Where statfs(2) fails it counts as local.
pub(crate) fn remote_file_system(folder: &Folder) -> Option<&'static str> {
    let kind = folder.file_system()?;
    REMOTE.iter().find(|(magic, _)| *magic == kind).map(|(_, name)| *name)
}

/// Whether what is in it is on a file system that is nothing but the page cache. There a page that has been read through a writable mapping can be
/// written to without any fault, and so without a change of the file's times.
pub(super) fn is_in_memory(folder: &Folder) -> bool {
    folder.file_system().is_some_and(|kind| IN_MEMORY.contains(&kind))
}

/// The magic number of statfs(2).
pub(super) fn kind_of_file_system(file: impl AsFd) -> Option<u32> {
    let kind = rustix::fs::fstatfs(file).ok()?.f_type;
    // The field is signed and wider on some machines; the numbers have 32 bits.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Some(kind as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_folder_is_local() {
        let base = tempfile::tempdir().unwrap();
        let folder = Folder::open(base.path()).unwrap();
        assert_eq!(remote_file_system(&folder), None);
    }
}
