//! How the agent learns that something happened in a folder.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_channel::Sender;

use crate::model::Error;
use crate::policy::{FileId, Select, WatchId};

/// The source of a folder's events, such as the kernel. An agent without one scans its folders at their poll interval.
pub trait Watcher: Send + Sync + 'static {
    /// Prepares to tell `events` what happens below `root`. Nothing is told before a folder has been [added](FolderWatcher::add). May
    /// block for a short time.
    ///
    /// # Errors
    ///
    /// When nothing can be told of this folder; it is polled then.
    fn watch(&self, root: &Path, events: Events) -> Result<Box<dyn FolderWatcher>, Error>;
}

/// A watched tree. Dropping it ends the watch.
pub trait FolderWatcher: Send {
    /// From the return of this call on, everything that is created in, renamed into or written in the folder is told; `folder` is
    /// relative to the root, and empty for the root itself. What is below its subfolders is not: the agent adds each when it scans it.
    /// Adding one again does nothing. May block for a short time.
    ///
    /// # Errors
    ///
    /// When the folder cannot be watched. One that is not there any more (`NotFound`, `NotADirectory`) is no matter; after any other
    /// error the whole tree is polled.
    fn add(&mut self, folder: &Path) -> Result<(), Error>;
}

/// Where to tell what happened below one watched folder. Never blocks, may be called from any thread, and may be told too much: every
/// event is only a hint that makes the agent look.
#[derive(Clone)]
pub struct Events {
    watch: WatchId,
    select: Arc<Select>,
    inbox: Sender<Event>,
    lost: Arc<AtomicBool>,
}

/// What travels to the driver.
pub(super) enum Event {
    File(FileId),
    Folder(WatchId, PathBuf),
    /// Look at the flags.
    Wake,
}

impl Events {
    pub(super) fn new(watch: WatchId, select: Arc<Select>, inbox: Sender<Event>, lost: Arc<AtomicBool>) -> Self {
        Events {
            watch,
            select,
            inbox,
            lost,
        }
    }

    /// A file was created, renamed to this name, or closed by a writer. `path` is relative to the watched folder.
    pub fn file(&self, path: &Path) {
        if is_below(path) && self.select.file(path).is_ok() {
            self.send(Event::File(FileId {
                watch: self.watch,
                path: path.into(),
            }));
        }
    }

    /// A folder was created, or renamed to this name. `path` is relative to the watched folder.
    pub fn folder(&self, path: &Path) {
        if is_below(path) && self.select.folder(path).is_ok() {
            self.send(Event::Folder(self.watch, path.to_owned()));
        }
    }

    /// Events were lost, or the watched folder itself was moved or removed: everything must be looked at anew.
    pub fn lost(&self) {
        self.lost.store(true, Ordering::Release);
        // When there is no room for this, the driver has something to read and will look at the flag after it.
        let _ = self.inbox.try_send(Event::Wake);
    }

    /// A full inbox loses nothing: the scan that is due then finds what the event would have told.
    fn send(&self, event: Event) {
        if self.inbox.try_send(event).is_err() {
            self.lost();
        }
    }
}

/// Whether the path leads to something below the folder that it is relative to.
fn is_below(path: &Path) -> bool {
    let mut components = path.components();
    components.clone().next().is_some() && components.all(|component| matches!(component, Component::Normal(_)))
}
