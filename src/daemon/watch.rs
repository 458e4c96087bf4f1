//! The kernel's file events, by way of notify (feature `watch`).
//!
//! Folders are watched one by one, each by the scan that is about to list it: notify's own recursion delivers a new folder's event
//! before its watch stands, so what is put into the folder in between would be seen by nobody.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use notify::Watcher as _;
use notify::event::{AccessKind, AccessMode, CreateKind, EventKindMask, ModifyKind, RenameMode};
use notify::{Config, EventKind, INotifyWatcher, RecursiveMode, WatchPathConfig};

use crate::agent::{Events, FolderWatcher, Watcher};
use crate::policy::quarantined_original;

/// Watches folders by inotify(7): one instance a watched tree, and one watch a folder of it. Where the limits of the system are reached,
/// the tree is polled, and [`Observer::watching`](crate::Observer::watching) says why. Feature `watch`.
#[derive(Clone, Copy, Debug, Default)]
pub struct NotifyWatcher;

struct Tree {
    /// Absolute, so that the folder it stands in has a path too.
    root: PathBuf,
    events: Events,
    instance: Instance,
}

/// One inotify instance.
struct Instance {
    watcher: INotifyWatcher,
    /// The kernel dropped events, and with them perhaps word of watches that ended: what notify believes to watch may be watched no more.
    overflowed: Arc<AtomicBool>,
}

impl Watcher for NotifyWatcher {
    fn watch(&self, root: &Path, events: Events) -> io::Result<Box<dyn FolderWatcher>> {
        let root = std::path::absolute(root)?;
        let instance = Instance::start(&root, &events)?;
        Ok(Box::new(Tree { root, events, instance }))
    }
}

impl FolderWatcher for Tree {
    fn add(&mut self, folder: &Path) -> io::Result<()> {
        let is_root = folder.as_os_str().is_empty();
        if !is_root {
            return self.instance.add(&self.root.join(folder), false);
        }
        if self.instance.overflowed.load(Ordering::Acquire) {
            // The scan that now begins adds every folder again.
            self.instance = Instance::start(&self.root, &self.events)?;
        }
        self.watch_parent();
        // A person may name the root by a symbolic link; below it none is followed.
        self.instance.add(&self.root, true)
    }
}

impl Tree {
    /// Only its parent tells that the root was removed: its own event comes when nobody has it open any more, and the agent does.
    /// Where the parent cannot be watched, the next sweep finds out.
    fn watch_parent(&mut self) {
        if let Some(parent) = self.root.parent() {
            let _ = self.instance.add(parent, true);
        }
    }
}

impl Instance {
    fn start(root: &Path, events: &Events) -> io::Result<Self> {
        // Nothing of what is written or read: a busy log in the folder must not wake us at every line. Removals are asked for, since
        // only they tell that the root itself went, and let notify forget folders that were moved away.
        let mut kinds =
            EventKindMask::CREATE | EventKindMask::MODIFY_NAME | EventKindMask::ACCESS_CLOSE | EventKindMask::REMOVE;
        if events.wants_metadata() {
            kinds |= EventKindMask::MODIFY_META;
        }
        let config = Config::default().with_follow_symlinks(false).with_event_kinds(kinds);
        let overflowed = Arc::new(AtomicBool::new(false));
        let teller = {
            let (root, events, overflowed) = (root.to_owned(), events.clone(), Arc::clone(&overflowed));
            move |event: notify::Result<notify::Event>| match event {
                Ok(event) if !event.need_rescan() => tell(&root, &events, &event),
                _ => {
                    overflowed.store(true, Ordering::Release);
                    events.lost();
                }
            }
        };
        let watcher = INotifyWatcher::new(teller, config).map_err(explain)?;
        Ok(Instance { watcher, overflowed })
    }

    fn add(&mut self, path: &Path, follow: bool) -> io::Result<()> {
        let config = WatchPathConfig::new(RecursiveMode::NonRecursive).with_dereference_symlinks(follow);
        self.watcher.watch_with(path, config).map_err(explain)
    }
}

/// Runs on the thread that also answers `watch_with`, so it must not wait for anything that waits for that.
fn tell(root: &Path, events: &Events, event: &notify::Event) {
    for path in &event.paths {
        if root.starts_with(path) {
            // The root, or the folder that it stands in, came or went.
            let moved = matches!(
                event.kind,
                EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))
            );
            if moved {
                events.lost();
            }
            continue;
        }
        let Ok(relative) = path.strip_prefix(root) else {
            continue;
        };
        match event.kind {
            EventKind::Create(CreateKind::Folder) => events.folder(relative),
            EventKind::Create(_) => events.file(relative),
            EventKind::Access(AccessKind::Close(AccessMode::Write)) | EventKind::Modify(ModifyKind::Metadata(_))
                if !is_unnamed(path) =>
            {
                events.file(relative);
            }
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)) => events.gone(relative),
            EventKind::Modify(ModifyKind::Name(RenameMode::To)) => {
                // The kernel says whether it is a folder; notify does not pass that on. An original in quarantine, of which there is one for
                // each file that we compress, is none.
                let is_own = path
                    .file_name()
                    .is_some_and(|name| quarantined_original(name).is_some());
                if !is_own && path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
                    events.folder(relative);
                } else {
                    events.file(relative);
                }
            }
            _ => {}
        }
    }
}

/// The kernel calls a file that was opened with `O_TMPFILE` by its inode number, `#123`, when its writer closes it or changes its mode. Every output of ours
/// is such a file, and there is nothing of that name to look at.
fn is_unnamed(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let is_number = |rest: &[u8]| rest.iter().all(u8::is_ascii_digit);
    name.strip_prefix(b"#").is_some_and(is_number) && path.symlink_metadata().is_err()
}

/// notify's error in the words of an admin who has to do something about it.
fn explain(error: notify::Error) -> io::Error {
    match error.kind {
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
    }
}
