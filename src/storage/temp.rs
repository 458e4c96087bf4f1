//! A new file that has no name until it is whole, and the moment it gets one.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, fsync, linkat, openat, renameat, renameat_with, unlinkat,
};
use rustix::io::{Errno, retry_on_intr};

use super::dir::{Folder, is_gone};
use super::lock::{Locked, lock, lock_own};
use super::random;
use super::status::Status;
use crate::model::{Error, Fingerprint, Step};

/// An unpublished file in its folder, readable and writable by us alone. Dropped unpublished, it is gone.
#[derive(Debug)]
pub(super) struct Temp {
    file: Arc<File>,
    /// Not earlier than it was opened, and before anything was written to it.
    opened: Instant,
    folder: Arc<Folder>,
    /// When it was made, empty. Of that, device, inode and owner stay.
    made: Status,
    /// Where the file system has no unnamed files: its private name.
    private_name: Option<OsString>,
    /// What it is to become, for messages.
    name: OsString,
}

/// Whether a [`Temp`] got the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Publication {
    Published,
    /// Something else has it, and was not touched.
    NameTaken,
    /// What has it is the output of somebody who is not done with it.
    Locked,
}

impl Temp {
    /// Makes an empty one that is to become `name`.
    pub(super) fn create(folder: &Arc<Folder>, name: &OsStr) -> Result<Self, Error> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match retry_on_intr(|| openat(&**folder, c".", flags, Mode::RUSR | Mode::WUSR)) {
            Ok(file) => Self::locked(File::from(file), folder, None, name),
            // Which of them depends on the file system and the kernel's age (open(2), BUGS).
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOSYS) => Self::create_named(folder, name),
            Err(errno) => Err(Error::new(Step::Create, folder.path_of(name), errno)),
        }
    }

    /// For file systems without unnamed files.
    fn create_named(folder: &Arc<Folder>, name: &OsStr) -> Result<Self, Error> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let (private_name, file) =
            with_private_name(|private| retry_on_intr(|| openat(&**folder, private, flags, Mode::RUSR | Mode::WUSR)))
                .map_err(|errno| Error::new(Step::Create, folder.path_of(name), errno))?;
        Self::locked(File::from(file), folder, Some(private_name), name)
    }

    fn locked(file: File, folder: &Arc<Folder>, private_name: Option<OsString>, name: &OsStr) -> Result<Self, Error> {
        let failed = |errno| Error::new(Step::Create, folder.path_of(name), errno);
        let temp = Temp {
            made: Status::of(&file).map_err(failed)?,
            file: Arc::new(file),
            opened: Instant::now(),
            folder: Arc::clone(folder),
            private_name,
            name: name.to_owned(),
        };
        match lock_own(&*temp.file) {
            Ok(()) => Ok(temp),
            Err(Locked::ByAnother) => Err(failed(Errno::WOULDBLOCK)),
            Err(Locked::Failed(errno)) => Err(failed(errno)),
        }
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// The same descriptor, to outlive this.
    pub(super) fn shared_file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    pub(super) fn opened(&self) -> Instant {
        self.opened
    }

    /// Its status when it was made, empty; device, inode and owner are what they were.
    pub(super) fn made(&self) -> &Status {
        &self.made
    }

    /// What it is to become.
    pub(super) fn path(&self) -> PathBuf {
        self.folder.path_of(&self.name)
    }

    /// Makes the content durable. After a failure a second fsync may succeed with the data gone, so the file goes with the error.
    pub(super) fn sync(self) -> Result<Self, Error> {
        match retry_on_intr(|| fsync(&self.file)) {
            Ok(()) => Ok(self),
            Err(errno) => Err(Error::new(Step::Sync, self.path(), errno)),
        }
    }

    /// Gives it its name, unless anything has that, be it a dangling symbolic link.
    pub(super) fn publish(&mut self, name: &OsStr) -> Result<Publication, Error> {
        let result = match self.private_name.take() {
            None => self.link(name),
            Some(private) => {
                let result = move_without_replacing(&self.folder, &private, name);
                if result.is_err() {
                    self.private_name = Some(private);
                }
                result
            }
        };
        match result {
            Ok(()) => Ok(Publication::Published),
            Err(Errno::EXIST) => Ok(Publication::NameTaken),
            Err(errno) => Err(Error::new(Step::Publish, self.folder.path_of(name), errno)),
        }
    }

    /// Gives it the name of the regular file that was `judged`, which is gone then, or a free one. Anything else that has the name by now is
    /// left alone.
    pub(super) fn publish_over(&mut self, name: &OsStr, judged: &Fingerprint) -> Result<Publication, Error> {
        match self.folder.status(name)? {
            None => return self.publish(name),
            Some(status) if status.kind == FileType::RegularFile && status.fingerprint == *judged => {}
            Some(_) => return Ok(Publication::NameTaken),
        }
        let replaced = match self.lock_replaced(name, judged)? {
            Ok(replaced) => replaced,
            Err(publication) => return Ok(publication),
        };
        let failed = |errno| Error::new(Step::Publish, self.folder.path_of(name), errno);
        let private = match self.private_name.take() {
            Some(private) => private,
            None => with_private_name(|private| self.link(private)).map_err(failed)?.0,
        };
        let renamed = retry_on_intr(|| renameat(&*self.folder, &private, &*self.folder, name));
        drop(replaced);
        match renamed {
            Ok(()) => Ok(Publication::Published),
            Err(errno) => {
                self.private_name = Some(private);
                match errno {
                    Errno::ISDIR => Ok(Publication::NameTaken),
                    errno => Err(Error::new(Step::Publish, self.folder.path_of(name), errno)),
                }
            }
        }
    }

    /// Keeps whoever made the file that is to be replaced from relying on it. One that may not be opened is nobody's at work here.
    fn lock_replaced(&self, name: &OsStr, judged: &Fingerprint) -> Result<Result<Option<File>, Publication>, Error> {
        let mut file = match self.folder.open_file(name) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return Ok(Ok(None)),
            Err(error) if is_gone(&error) => return Ok(Err(Publication::NameTaken)),
            Err(error) => return Err(error),
        };
        if let Err(Locked::ByAnother) = lock(&mut file) {
            return Ok(Err(Publication::Locked));
        }
        let is_judged = |status: Status| status.fingerprint == *judged;
        match (Status::of(&file), self.folder.status(name)) {
            (Ok(locked), Ok(Some(named))) if is_judged(locked) && is_judged(named) => Ok(Ok(Some(file))),
            _ => Ok(Err(Publication::NameTaken)),
        }
    }

    /// Takes the name away again where it still is this file's. Succeeds as well where it is not.
    pub(super) fn withdraw(&self, name: &OsStr) -> Result<(), Error> {
        let removed = self.remove_if_same(name);
        removed.map_err(|errno| Error::new(Step::Publish, self.folder.path_of(name), errno))
    }

    /// By its descriptor, for which a process needs `CAP_DAC_READ_SEARCH` before Linux 6.10. The way through /proc needs no privilege, and
    /// takes longer (open(2), `O_TMPFILE`).
    fn link(&self, name: &OsStr) -> rustix::io::Result<()> {
        match retry_on_intr(|| linkat(&self.file, c"", &*self.folder, name, AtFlags::EMPTY_PATH)) {
            Err(Errno::NOENT) => {
                let through_proc = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                let follow = AtFlags::SYMLINK_FOLLOW;
                retry_on_intr(|| linkat(CWD, through_proc.as_str(), &*self.folder, name, follow))
            }
            result => result,
        }
    }

    fn remove_if_same(&self, name: &OsStr) -> rustix::io::Result<()> {
        match Status::of_name(&*self.folder, name) {
            Ok(found) if found.fingerprint.same_inode(&self.made.fingerprint) => {
                retry_on_intr(|| unlinkat(&*self.folder, name, AtFlags::empty()))
            }
            Ok(_) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno),
        }
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if let Some(name) = &self.private_name {
            // Nobody is left to tell; the name says whose it is.
            let _ = self.remove_if_same(name);
        }
    }
}

/// Tries names like `.dwindle-0123456789abcdef.tmp` until one is free.
fn with_private_name<T>(attempt: impl FnMut(&OsStr) -> rustix::io::Result<T>) -> rustix::io::Result<(OsString, T)> {
    with_random_name(|random| format!(".dwindle-{random:016x}.tmp").into(), attempt)
}

/// Tries names made of a random number until one is free.
pub(super) fn with_random_name<T>(
    make: impl Fn(u64) -> OsString,
    mut attempt: impl FnMut(&OsStr) -> rustix::io::Result<T>,
) -> rustix::io::Result<(OsString, T)> {
    for _ in 0..16 {
        let name = make(random::number()?);
        match attempt(&name) {
            Err(Errno::EXIST) => {}
            result => return result.map(|made| (name, made)),
        }
    }
    Err(Errno::EXIST)
}

/// A rename that fails with EEXIST where the name is taken. Of `from` it must be known that nobody gives it to another file meanwhile.
pub(super) fn move_without_replacing(folder: &Folder, from: &OsStr, to: &OsStr) -> rustix::io::Result<()> {
    move_to_folder((folder, from), (folder, to))
}

/// The same from one folder to another.
pub(super) fn move_to_folder(from: (&Folder, &OsStr), to: (&Folder, &OsStr)) -> rustix::io::Result<()> {
    match retry_on_intr(|| renameat_with(from.0, from.1, to.0, to.1, RenameFlags::NOREPLACE)) {
        // Not every file system knows the flag; they all know links, or there is no safe way.
        Err(Errno::INVAL | Errno::NOSYS) => {
            retry_on_intr(|| linkat(from.0, from.1, to.0, to.1, AtFlags::empty()))?;
            retry_on_intr(|| unlinkat(from.0, from.1, AtFlags::empty()))
        }
        result => result,
    }
}

/// The same where anybody may give `from` to another file at any moment, and `to` has a random number that nobody knows. It is one rename,
/// whatever the file system: what has the name is moved, and never removed.
pub(super) fn move_aside(folder: &Folder, from: &OsStr, to: &OsStr) -> rustix::io::Result<()> {
    match retry_on_intr(|| renameat_with(folder, from, folder, to, RenameFlags::NOREPLACE)) {
        Err(Errno::INVAL | Errno::NOSYS) => match Status::of_name(folder, to) {
            Ok(_) => Err(Errno::EXIST),
            Err(Errno::NOENT) => retry_on_intr(|| renameat(folder, from, folder, to)),
            Err(errno) => Err(errno),
        },
        result => result,
    }
}

/// Takes the name away where it is this file's, whoever made it.
pub(super) fn remove_if_same(folder: &Folder, name: &OsStr, file: &File) -> rustix::io::Result<()> {
    let ours = Status::of(file)?.fingerprint;
    match Status::of_name(folder, name) {
        Ok(found) if found.fingerprint.same_inode(&ours) => retry_on_intr(|| unlinkat(folder, name, AtFlags::empty())),
        Ok(_) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::{MetadataExt, symlink};
    use std::path::Path;

    /// A temp of each kind, holding `new`, is handed to `body` in a folder of its own.
    fn for_each_kind(body: impl Fn(Temp, &Path)) {
        for named in [false, true] {
            let base = tempfile::tempdir().unwrap();
            let folder = Arc::new(Folder::open(base.path()).unwrap());
            let temp = if named {
                Temp::create_named(&folder, OsStr::new("F.gz")).unwrap()
            } else {
                Temp::create(&folder, OsStr::new("F.gz")).unwrap()
            };
            temp.file().write_all(b"new").unwrap();
            assert_eq!(temp.file().metadata().unwrap().mode() & 0o7777, 0o600);
            body(temp, base.path());
            let left = names(base.path());
            assert!(
                !left.iter().any(|name| name.contains("dwindle")),
                "left behind: {left:?}"
            );
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn it_appears_whole_under_its_name() {
        for_each_kind(|temp, folder| {
            let mut temp = temp.sync().unwrap();
            assert_eq!(temp.publish(OsStr::new("F.gz")).unwrap(), Publication::Published);
            drop(temp);
            assert_eq!(names(folder), ["F.gz"]);
            assert_eq!(fs::read(folder.join("F.gz")).unwrap(), b"new");
        });
    }

    #[test]
    fn dropped_it_is_gone() {
        for_each_kind(|temp, folder| {
            drop(temp);
            assert_eq!(names(folder), [""; 0]);
        });
    }

    #[test]
    fn nothing_is_ever_overwritten() {
        for_each_kind(|mut temp, folder| {
            fs::write(folder.join("file"), "old").unwrap();
            fs::create_dir(folder.join("folder")).unwrap();
            symlink("nowhere", folder.join("dangling")).unwrap();
            for name in ["file", "folder", "dangling"] {
                assert_eq!(temp.publish(OsStr::new(name)).unwrap(), Publication::NameTaken);
            }
            drop(temp);
            assert_eq!(fs::read(folder.join("file")).unwrap(), b"old");
            assert_eq!(names(folder), ["dangling", "file", "folder"]);
        });
    }

    #[test]
    fn only_a_regular_file_can_be_replaced() {
        for_each_kind(|mut temp, folder| {
            fs::create_dir(folder.join("folder")).unwrap();
            symlink("file", folder.join("link")).unwrap();
            fs::write(folder.join("file"), "old").unwrap();
            for name in ["folder", "link"] {
                let judged = judged(&temp, name);
                assert_eq!(
                    temp.publish_over(OsStr::new(name), &judged).unwrap(),
                    Publication::NameTaken
                );
            }
            let judged = judged(&temp, "file");
            assert_eq!(
                temp.publish_over(OsStr::new("file"), &judged).unwrap(),
                Publication::Published
            );
            drop(temp);
            assert_eq!(fs::read(folder.join("file")).unwrap(), b"new");
            assert!(folder.join("link").is_symlink());
        });
    }

    #[test]
    fn a_free_name_needs_no_replacing() {
        for_each_kind(|mut temp, folder| {
            fs::write(folder.join("F.gz"), "old").unwrap();
            let judged = judged(&temp, "F.gz");
            fs::remove_file(folder.join("F.gz")).unwrap();
            assert_eq!(
                temp.publish_over(OsStr::new("F.gz"), &judged).unwrap(),
                Publication::Published
            );
            assert_eq!(names(folder), ["F.gz"]);
        });
    }

    /// Somebody else's may have come since the one that is to be replaced was looked at, or that have been written to.
    #[test]
    fn only_the_file_that_was_judged_is_replaced() {
        let swapped = |folder: &Path| {
            fs::write(folder.join("other"), "theirs").unwrap();
            fs::rename(folder.join("other"), folder.join("F.gz")).unwrap();
        };
        let written = |folder: &Path| fs::write(folder.join("F.gz"), "theirs").unwrap();
        for change in [&swapped as &dyn Fn(&Path), &written] {
            for_each_kind(|mut temp, folder| {
                fs::write(folder.join("F.gz"), "old").unwrap();
                let judged = judged(&temp, "F.gz");
                change(folder);
                assert_eq!(
                    temp.publish_over(OsStr::new("F.gz"), &judged).unwrap(),
                    Publication::NameTaken
                );
                drop(temp);
                assert_eq!(fs::read(folder.join("F.gz")).unwrap(), b"theirs");
                assert_eq!(names(folder), ["F.gz"]);
            });
        }
    }

    fn judged(temp: &Temp, name: &str) -> Fingerprint {
        temp.folder.status(OsStr::new(name)).unwrap().unwrap().fingerprint
    }

    #[test]
    fn only_our_own_is_withdrawn() {
        for_each_kind(|mut temp, folder| {
            let name = OsStr::new("F.gz");
            temp.publish(name).unwrap();
            temp.withdraw(name).unwrap();
            assert_eq!(names(folder), [""; 0]);
            fs::write(folder.join("F.gz"), "somebody's").unwrap();
            temp.withdraw(name).unwrap();
            assert_eq!(names(folder), ["F.gz"]);
        });
    }
}
