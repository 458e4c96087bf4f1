//! The kernel's file events, by way of notify (feature `watch`).
//!
//! Folders are watched one by one, each by the scan that is about to list it: notify's own recursion delivers a new folder's event
//! before its watch stands, so what is put into the folder in between would be seen by nobody.

use std::io;
use std::path::{Path, PathBuf};

use notify::Watcher as _;
use notify::event::{AccessKind, AccessMode, CreateKind, EventKindMask, ModifyKind, RenameMode};
use notify::{Config, EventKind, INotifyWatcher, RecursiveMode, WatchPathConfig};

use crate::agent::{Events, FolderWatcher, Watcher};
use crate::model::{Error, Step};

/// Watches folders by inotify(7): one instance a watched tree.
#[derive(Clone, Copy, Debug, Default)]
pub struct NotifyWatcher;

struct Tree {
    root: PathBuf,
    watcher: INotifyWatcher,
}

impl Watcher for NotifyWatcher {
    fn watch(&self, root: &Path, events: Events) -> Result<Box<dyn FolderWatcher>, Error> {
        // Nothing of what is written or read: a busy log in the folder must not wake us at every line. Removals are asked for, since
        // only they tell that the root itself went, and let notify forget folders that were moved away.
        let kinds =
            EventKindMask::CREATE | EventKindMask::MODIFY_NAME | EventKindMask::ACCESS_CLOSE | EventKindMask::REMOVE;
        let config = Config::default().with_follow_symlinks(false).with_event_kinds(kinds);
        let teller = {
            let root = root.to_owned();
            move |event| tell(&root, &events, event)
        };
        let watcher = INotifyWatcher::new(teller, config).map_err(|error| explain(error, root))?;
        Ok(Box::new(Tree {
            root: root.to_owned(),
            watcher,
        }))
    }
}

impl FolderWatcher for Tree {
    fn add(&mut self, folder: &Path) -> Result<(), Error> {
        let is_root = folder.as_os_str().is_empty();
        let path = if is_root {
            self.root.clone()
        } else {
            self.root.join(folder)
        };
        // A person may name the root by a symbolic link; below it none is followed.
        let config = WatchPathConfig::new(RecursiveMode::NonRecursive).with_dereference_symlinks(is_root);
        self.watcher
            .watch_with(&path, config)
            .map_err(|error| explain(error, &path))
    }
}

/// Runs on the thread that also answers `watch_with`, so it must not wait for anything that waits for that.
fn tell(root: &Path, events: &Events, event: notify::Result<notify::Event>) {
    let Ok(event) = event else { return events.lost() };
    if event.need_rescan() {
        return events.lost();
    }
    for path in &event.paths {
        let Ok(relative) = path.strip_prefix(root) else {
            continue;
        };
        let is_root = relative.as_os_str().is_empty();
        match event.kind {
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)) if is_root => events.lost(),
            EventKind::Create(CreateKind::Folder) => events.folder(relative),
            EventKind::Create(_) => events.file(relative),
            EventKind::Access(AccessKind::Close(AccessMode::Write)) if !is_unnamed(path) => events.file(relative),
            EventKind::Modify(ModifyKind::Name(RenameMode::To)) => {
                // The kernel says whether it is a folder; notify does not pass that on.
                if path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
                    events.folder(relative);
                } else {
                    events.file(relative);
                }
            }
            _ => {}
        }
    }
}

/// The kernel calls a file that was opened with `O_TMPFILE` by its inode number, `#123`, when its writer closes it. Every output of ours
/// is such a file, and there is nothing of that name to look at.
fn is_unnamed(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let is_number = |rest: &[u8]| rest.iter().all(u8::is_ascii_digit);
    name.strip_prefix(b"#").is_some_and(is_number) && path.symlink_metadata().is_err()
}

/// notify's error in the words of an admin who has to do something about it.
fn explain(error: notify::Error, path: &Path) -> Error {
    let cause = match error.kind {
        notify::ErrorKind::Io(cause) if cause.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error()) => {
            let message = "too many inotify instances or open files (see fs.inotify.max_user_instances)";
            io::Error::new(cause.kind(), message)
        }
        notify::ErrorKind::Io(cause) => cause,
        notify::ErrorKind::PathNotFound => io::ErrorKind::NotFound.into(),
        notify::ErrorKind::MaxFilesWatch => {
            io::Error::other("the limit of watched folders is reached (see fs.inotify.max_user_watches)")
        }
        other => io::Error::other(notify::Error::new(other).to_string()),
    };
    Error::new(Step::Watch, path, cause)
}
