//! Folders that are held open, and the only ways from there to what is in them.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustix::fs::{AtFlags, CWD, Dir, DirEntry, FileType, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::fs::{fsync, mkdirat, openat, openat2, statx};
use rustix::io::{Errno, fcntl_dupfd_cloexec, retry_on_intr};

use super::remote::kind_of_file_system;
use super::status::Status;
use crate::model::{Error, Step};

/// An open folder, and the path by which a person knows it. The path is for messages only: a rename does not change what is open.
#[derive(Debug)]
pub(crate) struct Folder {
    handle: OwnedFd,
    path: PathBuf,
    /// What can't change while it is open is asked once.
    identity: OnceLock<Identity>,
    file_system: OnceLock<Option<u32>>,
}

/// Device and inode.
type Identity = ((u32, u32), u64);

impl Folder {
    fn new(handle: OwnedFd, path: PathBuf) -> Self {
        Folder {
            handle,
            path,
            identity: OnceLock::new(),
            file_system: OnceLock::new(),
        }
    }

    /// Opens a folder by a path that a person gave: symbolic links on the way are followed.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = retry_on_intr(|| openat(CWD, path, flags, Mode::empty()))
            .map_err(|errno| Error::new(Step::Open, path, errno))?;
        Ok(Folder::new(handle, path.to_owned()))
    }

    /// Opens a folder below this one: no symbolic link followed, no mount crossed. An empty path is this folder.
    ///
    /// See [`is_gone`] for a folder that is not there, or no folder, or reached through a symbolic link.
    pub(crate) fn folder(&self, relative: &Path) -> Result<Self, Error> {
        let path = self.path.join(relative);
        match open_beneath(&self.handle, relative.as_os_str(), OFlags::DIRECTORY) {
            Ok(handle) => Ok(Folder::new(handle, path)),
            Err(Errno::NOSYS) => Err(Error::permanent(Step::Open, path, NO_OPENAT2)),
            Err(errno) => Err(Error::new(Step::Open, path, errno)),
        }
    }

    /// The same, where an empty path needs no second handle.
    pub(crate) fn folder_or_self(self: &Arc<Self>, relative: &Path) -> Result<Arc<Self>, Error> {
        if relative.as_os_str().is_empty() {
            Ok(Arc::clone(self))
        } else {
            self.folder(relative).map(Arc::new)
        }
    }

    /// Opens the folder for outputs, and makes what is missing of its path. A path that stays below this folder is held to the rules of
    /// [`folder`](Self::folder); any other is a person's, like that of [`open`](Self::open).
    pub(crate) fn open_or_make_output(&self, path: &Path) -> Result<Self, Error> {
        let stays_below = path
            .components()
            .all(|component| matches!(component, Component::Normal(_) | Component::CurDir));
        if !stays_below {
            let path = self.path.join(path);
            std::fs::create_dir_all(&path).map_err(|cause| Error::new(Step::Create, &path, cause))?;
            return Folder::open(&path);
        }
        let mut folder = self.duplicate()?;
        for component in path.components() {
            let name = component.as_os_str();
            match retry_on_intr(|| mkdirat(&folder, name, Mode::RWXU | Mode::RWXG | Mode::RWXO)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(Error::new(Step::Create, folder.path_of(name), errno)),
            }
            folder = folder.folder(Path::new(name))?;
        }
        Ok(folder)
    }

    /// Opens what has this name in this very folder, for reading; never a symbolic link, and never waiting. What it is must be asked
    /// of the descriptor. Where we may ask for that, reading it leaves its access time as it is, which saves a write to its inode.
    pub(crate) fn open_file(&self, name: &OsStr) -> Result<File, Error> {
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let opened = match open_beneath(&self.handle, name, flags | OFlags::NOATIME) {
            // It is somebody else's (open(2), `O_NOATIME`).
            Err(Errno::PERM) => open_beneath(&self.handle, name, flags),
            opened => opened,
        };
        opened
            .map(File::from)
            .map_err(|errno| Error::new(Step::Open, self.path_of(name), errno))
    }

    /// What has this name in this very folder, a symbolic link being just that; nothing where nothing has it.
    pub(crate) fn status(&self, name: &OsStr) -> Result<Option<Status>, Error> {
        match Status::of_name(&self.handle, name) {
            Ok(status) => Ok(Some(status)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(Error::new(Step::Look, self.path_of(name), errno)),
        }
    }

    /// The folder's own metadata.
    pub(super) fn own_status(&self) -> Result<Status, Error> {
        Status::of(&self.handle).map_err(|errno| Error::new(Step::Look, &self.path, errno))
    }

    /// Device and inode: two folders with the same are the same folder, whatever their paths.
    pub(crate) fn identity(&self) -> Result<Identity, Error> {
        if let Some(&known) = self.identity.get() {
            return Ok(known);
        }
        let fingerprint = self.own_status()?.fingerprint;
        Ok(*self.identity.get_or_init(|| (fingerprint.device, fingerprint.inode)))
    }

    /// The magic number of its file system (statfs(2)), which is that of every file opened in it, too, since no mount is crossed.
    pub(super) fn file_system(&self) -> Option<u32> {
        *self.file_system.get_or_init(|| kind_of_file_system(&self.handle))
    }

    /// Whether a file can be renamed from the other folder into this one: the same file system, and no mount in between.
    pub(crate) fn can_take_from(&self, other: &Folder) -> Result<bool, Error> {
        Ok(
            self.own_status()?.fingerprint.device == other.own_status()?.fingerprint.device
                && self.mount()? == other.mount()?,
        )
    }

    /// The mount that it was opened through; none where the kernel is too old to say (before 5.8).
    fn mount(&self) -> Result<Option<u64>, Error> {
        let asked = StatxFlags::MNT_ID;
        let found = retry_on_intr(|| statx(&self.handle, c"", AtFlags::EMPTY_PATH, asked))
            .map_err(|errno| Error::new(Step::Look, &self.path, errno))?;
        let is_told = StatxFlags::from_bits_retain(found.stx_mask).contains(asked);
        Ok(is_told.then_some(found.stx_mnt_id))
    }

    /// Whether its path still leads to this folder. For paths that a person gave: symbolic links are followed.
    pub(crate) fn has_its_path(&self) -> bool {
        let found = Folder::open(&self.path).and_then(|found| found.identity());
        match (found, self.identity()) {
            (Ok(found), Ok(known)) => found == known,
            _ => false,
        }
    }

    /// Makes the names in this folder durable.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        retry_on_intr(|| fsync(&self.handle)).map_err(|errno| Error::new(Step::Sync, &self.path, errno))
    }

    /// Another handle on the same folder.
    pub(crate) fn duplicate(&self) -> Result<Self, Error> {
        match fcntl_dupfd_cloexec(&self.handle, 0) {
            Ok(handle) => Ok(Folder::new(handle, self.path.clone())),
            Err(errno) => Err(Error::new(Step::Open, &self.path, errno)),
        }
    }

    /// The path it was opened by, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The path of what has this name in it, for messages.
    pub(crate) fn path_of(&self, name: &OsStr) -> PathBuf {
        // Whoever named FILE is not told of ./FILE.
        if self.path == Path::new(".") {
            return PathBuf::from(name);
        }
        self.path.join(name)
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

/// Whether the error is that a component of the path is not there (any more), is no folder, or is a symbolic link.
pub(crate) fn is_gone(error: &Error) -> bool {
    [Errno::NOENT, Errno::NOTDIR, Errno::LOOP]
        .iter()
        .any(|errno| error.errno() == Some(errno.raw_os_error()))
}

/// Without it no path could be followed safely in a folder that belongs to somebody else.
const NO_OPENAT2: &str =
    "openat2 is missing: Linux before 5.6, or forbidden by a sandbox (systemd's RestrictSUIDSGID= does that)";

/// Opens for reading below a folder, by openat2(2). ELOOP: a symbolic link; EXDEV: a mount, or a path that leads out.
pub(super) fn open_beneath(at: impl AsFd, relative: &OsStr, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let relative = if relative.is_empty() { OsStr::new(".") } else { relative };
    let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    retry_on_intr(|| openat2(at.as_fd(), relative, flags, Mode::empty(), resolve))
}

/// A listed name as the bytes it has.
pub(super) fn name_of(entry: &DirEntry) -> OsString {
    OsStr::from_bytes(entry.file_name().to_bytes()).to_owned()
}

/// What a listed name is; some file systems leave that to statx(2). Nothing where it is gone by then.
pub(super) fn kind_of(listing: &Dir, entry: &DirEntry) -> Option<FileType> {
    match entry.file_type() {
        FileType::Unknown => {
            let status = Status::of_name(listing.fd().ok()?, entry.file_name()).ok()?;
            Some(status.kind)
        }
        kind => Some(kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn gone<T>(result: Result<T, Error>) -> bool {
        result.is_err_and(|error| is_gone(&error))
    }

    #[test]
    fn a_person_may_name_a_folder_through_a_symbolic_link_and_nobody_else() {
        let base = tempfile::tempdir().unwrap();
        fs::create_dir_all(base.path().join("real/sub")).unwrap();
        symlink("real", base.path().join("link")).unwrap();
        let folder = Folder::open(&base.path().join("link")).unwrap();
        assert!(folder.folder(Path::new("sub")).is_ok());

        let base = Folder::open(base.path()).unwrap();
        assert!(base.folder(Path::new("real/sub")).is_ok());
        assert!(gone(base.folder(Path::new("link"))));
        assert!(gone(base.folder(Path::new("link/sub"))));
        assert!(base.folder(Path::new("../")).is_err());
        assert!(base.folder(Path::new("/tmp")).is_err());
    }

    #[test]
    fn a_folder_swapped_for_a_symbolic_link_is_gone_and_its_handle_stays() {
        let base = tempfile::tempdir().unwrap();
        let path = |name: &str| base.path().join(name);
        fs::create_dir(path("sub")).unwrap();
        fs::create_dir(path("secret")).unwrap();
        fs::write(path("sub/mine"), "1").unwrap();
        fs::write(path("secret/theirs"), "2").unwrap();
        let root = Folder::open(base.path()).unwrap();
        let sub = root.folder(Path::new("sub")).unwrap();
        fs::rename(path("sub"), path("away")).unwrap();
        symlink("secret", path("sub")).unwrap();
        assert!(gone(root.folder(Path::new("sub"))));
        assert!(sub.status(OsStr::new("mine")).unwrap().is_some());
        assert!(sub.status(OsStr::new("theirs")).unwrap().is_none());
    }

    #[test]
    fn a_replaced_folder_has_another_identity() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("watched");
        fs::create_dir(&path).unwrap();
        let before = Folder::open(&path).unwrap();
        fs::rename(&path, base.path().join("old")).unwrap();
        fs::create_dir(&path).unwrap();
        let after = Folder::open(&path).unwrap();
        assert_ne!(before.identity().unwrap(), after.identity().unwrap());
        assert_eq!(
            before.identity().unwrap(),
            before.duplicate().unwrap().identity().unwrap()
        );
    }

    #[test]
    fn what_is_no_folder_or_missing_is_told_apart_from_a_failure() {
        let base = tempfile::tempdir().unwrap();
        fs::write(base.path().join("file"), "").unwrap();
        let root = Folder::open(base.path()).unwrap();
        assert!(gone(root.folder(Path::new("file"))));
        assert!(gone(root.folder(Path::new("missing"))));
        assert!(gone(Folder::open(&base.path().join("missing"))));
        assert!(gone(root.open_file(OsStr::new("missing"))));
        let too_long = root.folder(Path::new(&"x".repeat(300))).unwrap_err();
        assert!(!is_gone(&too_long));
    }
}
