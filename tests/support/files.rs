//! What is on disk: the names in a folder, and all that a `.gz` must keep of its original.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Every name below a folder, relative to it and sorted; folders end with a slash. What vanishes during the look is left out, so
/// it can be used while the program works. Bytes that are not UTF-8 are shown as `U+FFFD`.
pub(crate) fn names_below(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    collect_names(folder, "", &mut names);
    names.sort();
    names
}

fn collect_names(folder: &Path, prefix: &str, names: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let below = format!("{name}/");
            collect_names(&entry.path(), &below, names);
            names.push(below);
        } else {
            names.push(name);
        }
    }
}

/// A file as it was before the program got it.
pub(crate) struct Original {
    pub(crate) name: OsString,
    pub(crate) content: Vec<u8>,
    pub(crate) kept: Kept,
}

impl Original {
    /// Remembers the file at `path`: to be called when it is complete and before the program can take it.
    pub(crate) fn of(path: &Path) -> Self {
        Original {
            name: path.file_name().expect("a file's path").to_owned(),
            content: fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
            kept: Kept::of(path),
        }
    }

    /// Where its `.gz` is by default: in the given folder.
    pub(crate) fn gz_in(&self, folder: &Path) -> PathBuf {
        let mut name = self.name.clone();
        name.push(".gz");
        folder.join(name)
    }
}

/// The metadata that a `.gz` takes over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    /// Seconds and nanoseconds.
    pub(crate) modified: (i64, i64),
    /// ACLs are among them, as `system.posix_acl_access`.
    pub(crate) extended: BTreeMap<OsString, Vec<u8>>,
}

impl Kept {
    pub(crate) fn of(path: &Path) -> Self {
        let read = || -> io::Result<Kept> {
            let metadata: Metadata = fs::symlink_metadata(path)?;
            Ok(Kept {
                mode: metadata.mode() & 0o7777,
                owner: (metadata.uid(), metadata.gid()),
                modified: (metadata.mtime(), metadata.mtime_nsec()),
                extended: extended_attributes(path)?,
            })
        };
        read().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}

/// xattr(7); both lists are at most 64 KiB on Linux.
fn extended_attributes(path: &Path) -> io::Result<BTreeMap<OsString, Vec<u8>>> {
    let mut names = vec![0; 65536];
    let mut value = vec![0; 65536];
    let length = rustix::fs::llistxattr(path, &mut names[..])?;
    let names = names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names
        .map(|name| {
            let name = std::ffi::OsStr::from_bytes(name);
            let length = rustix::fs::lgetxattr(path, name, &mut value[..])?;
            Ok((name.to_owned(), value[..length].to_vec()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::Sandbox;
    use std::os::unix::fs::PermissionsExt;
    use std::time::{Duration, SystemTime};

    #[test]
    fn names_come_sorted_and_with_those_of_folders_below() {
        let sandbox = Sandbox::new();
        for name in ["b", "a/c/d", "a/.hidden"] {
            sandbox.file(name, "");
        }
        assert_eq!(names_below(sandbox.root()), ["a/", "a/.hidden", "a/c/", "a/c/d", "b"]);
        assert_eq!(names_below(&sandbox.path("missing")), [""; 0]);
    }

    #[test]
    fn an_original_remembers_what_its_gz_must_keep() {
        let sandbox = Sandbox::new();
        let path = sandbox.file("app.log", "content");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        rustix::fs::setxattr(&path, "user.origin", b"test", rustix::fs::XattrFlags::empty()).unwrap();
        let moment = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
        fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(moment)
            .unwrap();

        let original = Original::of(&path);
        assert_eq!(original.content, b"content");
        assert_eq!(original.gz_in(Path::new("out")), Path::new("out/app.log.gz"));
        assert_eq!(original.kept.mode, 0o640);
        assert_eq!(original.kept.modified, (1_000_000_000, 123_456_789));
        assert_eq!(
            original.kept.extended.get(std::ffi::OsStr::new("user.origin")).unwrap(),
            b"test"
        );
    }
}
