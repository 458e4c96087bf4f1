//! A private folder for each test, removed with it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::programs::while_none_is_started;

/// A temporary folder. The program under test runs in it and keeps its runtime files in it.
pub(crate) struct Sandbox {
    root: TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let root = tempfile::Builder::new().prefix("dwindle-test-").tempdir();
        Sandbox {
            root: root.expect("a temporary folder"),
        }
    }

    /// One in memory where there is room for so many bytes, so that tens of thousands of files do not wait for a disk that others use.
    pub(crate) fn with_room_for(bytes: u64) -> Self {
        const MEMORY: &str = "/dev/shm";
        let free = rustix::fs::statvfs(MEMORY).map_or(0, |status| status.f_bavail.saturating_mul(status.f_frsize));
        if free < bytes {
            return Self::new();
        }
        let root = tempfile::Builder::new().prefix("dwindle-test-").tempdir_in(MEMORY);
        Sandbox {
            root: root.expect("a temporary folder"),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// The path of `name`, whether or not it is there.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.path().join(name)
    }

    /// Makes a folder, with those on the way to it.
    pub(crate) fn folder(&self, name: impl AsRef<Path>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).expect("a new folder");
        path
    }

    /// Makes a folder that only its owner may enter, whatever the umask.
    pub(crate) fn private_folder(&self, name: impl AsRef<Path>) -> PathBuf {
        let path = self.folder(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("our own folder");
        path
    }

    /// Writes a file, in a folder that is made when needed.
    pub(crate) fn file(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("below the root")).expect("a new folder");
        while_none_is_started(|| fs::write(&path, content)).expect("a new file");
        path
    }
}

#[test]
fn is_removed_with_all_that_is_in_it() {
    let sandbox = Sandbox::new();
    sandbox.folder("empty");
    let file = sandbox.file("a/b/c", "content");
    assert_eq!(fs::read(&file).unwrap(), b"content");
    let root = sandbox.root().to_path_buf();
    drop(sandbox);
    assert!(!root.exists());
}
