//! The marker beside a file: seen before the file is taken, removed when the work is done.

use std::ffi::OsString;

use rustix::fs::{AtFlags, FileType, unlinkat};
use rustix::io::{Errno, retry_on_intr};

use super::dir::Folder;
use super::recover::is_leftover;
use crate::model::{Error, Fingerprint, Step};

/// A marker as it was when it was seen.
#[derive(Debug)]
pub(crate) struct Marker {
    name: OsString,
    fingerprint: Fingerprint,
}

impl Marker {
    /// Looks for a marker of this name in the folder: a regular file; a symbolic link is none, wherever it leads. Nor is what has a name
    /// of ours, whoever named a file so that its marker would have that: it may be an original in quarantine.
    pub(crate) fn find(parent: &Folder, name: OsString) -> Result<Option<Self>, Error> {
        if is_leftover(&name) {
            return Ok(None);
        }
        match parent.status(&name) {
            Ok(found) => Ok(found
                .filter(|status| status.kind == FileType::RegularFile)
                .map(|status| Marker {
                    name,
                    fingerprint: status.fingerprint,
                })),
            // A file's name may be so long that no marker can be named after it.
            Err(error) if error.errno() == Some(Errno::NAMETOOLONG.raw_os_error()) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes it from the folder in which it was found. One that was replaced, written to or removed since stays as it is: it speaks of
    /// another file. An inode's number alone would not tell, since file systems give a free one to the next file; nor does its ctime,
    /// which changes when one of many markers that are links to one file goes.
    ///
    /// # Errors
    ///
    /// When it is still there and cannot be removed.
    pub(crate) fn remove(&self, parent: &Folder) -> Result<(), Error> {
        match parent.status(&self.name)? {
            Some(now) if self.is_still(&now.fingerprint) => {}
            _ => return Ok(()),
        }
        match retry_on_intr(|| unlinkat(parent, &self.name, AtFlags::empty())) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(Error::new(Step::Remove, parent.path_of(&self.name), errno)),
        }
    }

    fn is_still(&self, now: &Fingerprint) -> bool {
        let seen = &self.fingerprint;
        seen.same_inode(now) && seen.size == now.size && seen.modified == now.modified
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    fn find(base: &Path, name: &str) -> Option<Marker> {
        Marker::find(&Folder::open(base).unwrap(), name.into()).unwrap()
    }

    #[test]
    fn only_a_regular_file_is_a_marker() {
        let base = tempfile::tempdir().unwrap();
        let path = |name: &str| base.path().join(name);
        fs::write(path("empty"), "").unwrap();
        fs::write(path("filled"), "a checksum").unwrap();
        fs::write(path(".x.dwindle-1a2b3c4d.q"), "an original").unwrap();
        symlink("empty", path("link")).unwrap();
        fs::create_dir(path("folder")).unwrap();
        for (name, expected) in [
            ("empty", true),
            ("filled", true),
            ("link", false),
            ("folder", false),
            (".x.dwindle-1a2b3c4d.q", false),
            ("missing", false),
            (&"x".repeat(256), false),
        ] {
            assert_eq!(find(base.path(), name).is_some(), expected, "{name}");
        }
    }

    #[test]
    fn it_is_removed_only_as_it_was_seen() {
        let base = tempfile::tempdir().unwrap();
        let folder = Folder::open(base.path()).unwrap();
        let path = base.path().join("a.done");
        let names = || fs::read_dir(base.path()).unwrap().count();
        let seen = || find(base.path(), "a.done").unwrap();
        let write = |text: &str| fs::write(&path, text).unwrap();

        write("");
        seen().remove(&folder).unwrap();
        assert_eq!(names(), 0);

        write("");
        let written_to = seen();
        write("again");
        written_to.remove(&folder).unwrap();
        assert_eq!(names(), 1);

        let replaced = seen();
        fs::write(base.path().join("new"), "again").unwrap();
        fs::rename(base.path().join("new"), &path).unwrap();
        replaced.remove(&folder).unwrap();
        assert_eq!(names(), 1);

        fs::hard_link(&path, base.path().join("b.done")).unwrap();
        let linked = seen();
        fs::remove_file(base.path().join("b.done")).unwrap();
        linked.remove(&folder).unwrap();
        assert_eq!(names(), 0);

        write("");
        let gone = seen();
        fs::remove_file(&path).unwrap();
        gone.remove(&folder).unwrap();
        fs::create_dir(&path).unwrap();
        gone.remove(&folder).unwrap();
        assert!(folder.status(OsStr::new("a.done")).unwrap().is_some());
    }
}
