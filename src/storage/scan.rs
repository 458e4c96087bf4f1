//! A walk over what is in a folder now, in portions, so that a caller can pause it and memory stays small.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Dir, DirEntry, FileType, OFlags};
use rustix::io::Errno;

use super::dir::{Folder, kind_of, name_of, open_beneath};
use super::recover::is_leftover;
use crate::model::{Error, Reason, Step};
use crate::policy::Select;

/// One descriptor is held open for each level, so depth has a limit.
const DEEPEST: usize = 64;

/// How many entries are looked at for one batch at most: a folder of a million foreign files must not hold the caller up.
const ENTRIES_A_BATCH: usize = 8192;

/// A depth-first walk of a folder below a watched one. Symbolic links are not followed and mounts not crossed.
#[derive(Debug)]
pub(crate) struct Scan {
    select: Arc<Select>,
    /// The watched folder's path, for messages.
    root: PathBuf,
    /// From `start` down to the folder that is being listed.
    open: Vec<Level>,
}

#[derive(Debug)]
struct Level {
    entries: Dir,
    /// Relative to the watched folder.
    relative: PathBuf,
    /// Whether the caller has heard of it.
    announced: bool,
}

/// What one call of [`Scan::next_batch`] found.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Paths relative to the watched folder, selected by name, kind regular when listed. Look at each before use.
    pub(crate) files: Vec<PathBuf>,
    /// What an earlier run may have left, or another may be at.
    pub(crate) leftovers: Vec<PathBuf>,
    /// Whether that was all.
    pub(crate) end: bool,
}

/// Something the caller of a scan is told as it happens. Paths are relative to the watched folder.
#[derive(Debug)]
pub(crate) enum Sight<'a> {
    /// This folder is open and about to be listed. What is put in it from now on may be missed: watch it first.
    Entered(&'a Path),
    /// This is left alone.
    // Only the dry run asks what and why, and that is the program's.
    #[cfg_attr(not(feature = "cli"), allow(dead_code))]
    PassedOver(&'a Path, Reason),
    /// A folder could not be opened or not be listed to its end. The walk goes on.
    Failed(Error),
}

impl Scan {
    /// Prepares the walk of `start`, relative to the watched folder `root` and empty for that itself. Fails where it cannot be opened.
    pub(crate) fn new(root: &Folder, start: &Path, select: Arc<Select>) -> Result<Self, Error> {
        let mut scan = Scan {
            select,
            root: root.path().to_owned(),
            open: Vec::new(),
        };
        match open_beneath(root, start.as_os_str(), OFlags::DIRECTORY).and_then(Dir::new) {
            Ok(entries) => scan.push(entries, start.to_owned()),
            Err(errno) => return Err(Error::new(Step::Open, root.path().join(start), errno)),
        }
        Ok(scan)
    }

    /// Walks on until `most` files are found, a few thousand entries were seen, or all is done.
    pub(crate) fn next_batch(&mut self, most: usize, tell: &mut dyn FnMut(Sight<'_>)) -> Batch {
        let mut batch = Batch::default();
        for _ in 0..ENTRIES_A_BATCH {
            if batch.files.len() + batch.leftovers.len() >= most {
                return batch;
            }
            let Some(level) = self.open.last_mut() else {
                batch.end = true;
                return batch;
            };
            if !level.announced {
                level.announced = true;
                tell(Sight::Entered(&level.relative));
            }
            match level.entries.read() {
                Some(Ok(entry)) => self.take(&entry, &mut batch, tell),
                Some(Err(errno)) => {
                    let path = self.root.join(&level.relative);
                    tell(Sight::Failed(Error::new(Step::List, path, errno)));
                    self.open.pop();
                }
                None => {
                    self.open.pop();
                }
            }
        }
        batch.end = self.open.is_empty();
        batch
    }

    fn take(&mut self, entry: &DirEntry, batch: &mut Batch, tell: &mut dyn FnMut(Sight<'_>)) {
        let name = name_of(entry);
        let Some(level) = self.open.last().filter(|_| name != "." && name != "..") else {
            return;
        };
        let relative = level.relative.join(&name);
        let Some(kind) = kind_of(&level.entries, entry) else {
            return;
        };
        let verdict = match kind {
            FileType::RegularFile => self.select.file(&relative),
            FileType::Directory => self.select.folder(&relative),
            FileType::Symlink => Err(Reason::SymbolicLink),
            _ => Err(Reason::NotRegular),
        };
        match verdict {
            Err(Reason::OwnTemporary) if kind == FileType::RegularFile && is_leftover(&name) => {
                if self.select.is_leftover_of_shard(&relative) {
                    batch.leftovers.push(relative);
                }
            }
            Err(reason) => tell(Sight::PassedOver(&relative, reason)),
            Ok(()) if kind == FileType::Directory => self.descend(&name, relative, tell),
            Ok(()) => batch.files.push(relative),
        }
    }

    fn descend(&mut self, name: &OsStr, relative: PathBuf, tell: &mut dyn FnMut(Sight<'_>)) {
        let path = self.root.join(&relative);
        if relative.components().count() > DEEPEST {
            let message = format!("it lies more than {DEEPEST} folders deep");
            return tell(Sight::Failed(Error::permanent(Step::List, path, message)));
        }
        let Some(level) = self.open.last() else { return };
        let opened = level
            .entries
            .fd()
            .and_then(|fd| open_beneath(fd, name, OFlags::DIRECTORY));
        match opened.and_then(Dir::new) {
            Ok(entries) => self.push(entries, relative),
            // Gone, or something else by now, a symbolic link perhaps.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
            Err(Errno::XDEV) => tell(Sight::PassedOver(&relative, Reason::OtherMount)),
            Err(errno) => tell(Sight::Failed(Error::new(Step::Open, path, errno))),
        }
    }

    fn push(&mut self, entries: Dir, relative: PathBuf) {
        self.open.push(Level {
            entries,
            relative,
            announced: false,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::select_everything;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

    /// A whole scan in batches of `most`: files, and what was told.
    fn walk(root: &Path, most: usize, mut between: impl FnMut(usize)) -> (Vec<PathBuf>, Vec<String>) {
        let folder = Folder::open(root).unwrap();
        let mut scan = Scan::new(&folder, Path::new(""), select_everything()).unwrap();
        let (mut files, mut told) = (Vec::new(), Vec::new());
        for turn in 0.. {
            let batch = scan.next_batch(most, &mut |sight| {
                told.push(match sight {
                    Sight::Entered(path) => format!("entered {}", path.display()),
                    Sight::PassedOver(path, reason) => format!("{} {}", reason.label(), path.display()),
                    Sight::Failed(error) => error.to_string(),
                });
            });
            assert!(batch.files.len() <= most);
            files.extend(batch.files);
            if batch.end {
                break;
            }
            between(turn);
        }
        files.sort();
        told.sort();
        (files, told)
    }

    #[test]
    fn finds_selected_files_at_every_depth_and_tells_the_rest() {
        let base = tempfile::tempdir().unwrap();
        let path = |name: &str| base.path().join(name);
        fs::create_dir_all(path("a/b/c")).unwrap();
        fs::create_dir_all(path(".hidden")).unwrap();
        for name in ["1", "a/2", "a/b/c/3", "a/x.gz", ".hidden/4"] {
            fs::write(path(name), "text").unwrap();
        }
        fs::write(base.path().join(OsStr::from_bytes(b"\xff\n")), "text").unwrap();
        symlink("a", path("link")).unwrap();
        for most in [1, 2, 100] {
            let (files, told) = walk(base.path(), most, |_| ());
            let expected: [&[u8]; 4] = [b"1", b"a/2", b"a/b/c/3", b"\xff\n"];
            assert_eq!(files, expected.map(|name| PathBuf::from(OsStr::from_bytes(name))));
            assert_eq!(
                told,
                [
                    "compressed-suffix a/x.gz",
                    "dot-file .hidden",
                    "entered ",
                    "entered a",
                    "entered a/b",
                    "entered a/b/c",
                    "symbolic-link link",
                ]
            );
        }
    }

    #[test]
    fn a_folder_is_announced_before_it_is_listed() {
        let base = tempfile::tempdir().unwrap();
        fs::create_dir(base.path().join("new")).unwrap();
        let folder = Folder::open(base.path()).unwrap();
        let mut scan = Scan::new(&folder, Path::new("new"), select_everything()).unwrap();
        let batch = scan.next_batch(10, &mut |sight| {
            if let Sight::Entered(relative) = sight {
                fs::write(base.path().join(relative).join("late"), "text").unwrap();
            }
        });
        assert_eq!(batch.files, [PathBuf::from("new/late")]);
    }

    #[test]
    fn removals_between_batches_do_no_harm() {
        let base = tempfile::tempdir().unwrap();
        let path = |name: &str| base.path().join(name);
        for number in 0..50 {
            fs::create_dir(path(&format!("d{number}"))).unwrap();
            fs::write(path(&format!("d{number}/f")), "text").unwrap();
        }
        let mut seen = 0;
        let (files, told) = walk(base.path(), 5, |turn| {
            seen = turn;
            if turn == 1 {
                for number in 0..50 {
                    fs::remove_dir_all(path(&format!("d{number}"))).unwrap();
                }
            }
        });
        assert!((10..50).contains(&files.len()), "{} files", files.len());
        assert!(told.iter().all(|line| line.starts_with("entered")), "{told:?}");
    }

    #[test]
    fn a_folder_swapped_for_a_symbolic_link_is_not_entered() {
        let base = tempfile::tempdir().unwrap();
        let path = |name: &str| base.path().join(name);
        fs::create_dir_all(path("watched")).unwrap();
        fs::create_dir(path("secret")).unwrap();
        fs::write(path("secret/theirs"), "text").unwrap();
        symlink("../secret", path("watched/sub")).unwrap();
        let folder = Folder::open(&path("watched")).unwrap();
        assert!(Scan::new(&folder, Path::new("sub"), select_everything()).is_err());
        let mut scan = Scan::new(&folder, Path::new(""), select_everything()).unwrap();
        // As when it was a folder while its entry was read.
        scan.descend(OsStr::new("sub"), PathBuf::from("sub"), &mut |sight| {
            panic!("{sight:?}")
        });
        assert_eq!(scan.open.len(), 1);
    }

    #[test]
    fn mounts_are_not_crossed() {
        let base = tempfile::tempdir().unwrap();
        let place = base.path().join("mounted");
        fs::create_dir(&place).unwrap();
        if mount("tmpfs", &place, "tmpfs", MountFlags::empty(), None).is_err() {
            return eprintln!("skipped: a tmpfs cannot be mounted here");
        }
        fs::write(place.join("theirs"), "text").unwrap();
        let (files, told) = walk(base.path(), 10, |_| ());
        unmount(&place, UnmountFlags::DETACH).unwrap();
        assert!(files.is_empty(), "{files:?}");
        assert_eq!(told, ["entered ", "other-mount mounted"]);
    }

    #[test]
    fn too_deep_is_told() {
        let base = tempfile::tempdir().unwrap();
        let deep = "d/".repeat(DEEPEST + 1);
        fs::create_dir_all(base.path().join(&deep)).unwrap();
        fs::write(base.path().join("d/".repeat(DEEPEST)).join("f"), "text").unwrap();
        let (files, told) = walk(base.path(), 10, |_| ());
        assert_eq!(files.len(), 1);
        let deep: Vec<_> = told.iter().filter(|line| line.contains("folders deep")).collect();
        assert_eq!(deep.len(), 1, "{told:?}");
    }
}
