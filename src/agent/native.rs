//! Where the events of a watched folder come from, and why there may be none.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::{Error, Step};
use crate::policy::{Watch, WatcherChoice};
use crate::storage::{Folder, remote_file_system};

use super::events::{Events, FolderWatcher, Watcher};

/// Where the kernel's events would come from, and where they would go.
pub(super) struct EventSource {
    pub(super) watcher: Option<Arc<dyn Watcher>>,
    pub(super) events: Events,
}

/// The kernel's events, or why there are none.
pub(super) enum Native {
    On(Box<dyn FolderWatcher>),
    /// Without a reason where polling is what was asked for.
    Off(Option<String>),
}

impl EventSource {
    /// Gets ready for the events of a folder that was opened.
    pub(super) fn begin(&self, watch: &Watch, root: &Folder) -> Native {
        let Some(watcher) = self.watcher.as_ref().filter(|_| watch.watcher != WatcherChoice::Poll) else {
            return Native::Off(None);
        };
        if watch.watcher == WatcherChoice::Auto
            && let Some(name) = remote_file_system(root)
        {
            let why = format!("changes on {name} may happen where this kernel does not see them");
            return Native::Off(Some(why));
        }
        match watcher.watch(&watch.path, self.events.clone()) {
            Ok(watcher) => Native::On(watcher),
            Err(cause) => Native::Off(Some(Error::new(Step::Watch, &watch.path, cause).to_string())),
        }
    }
}

impl Native {
    /// Watches a folder that is about to be listed. Returns the cause where from now on there are no events at all; an error where
    /// there are none of this folder alone.
    pub(super) fn enter(&mut self, root: &Path, folder: &Path) -> Result<Option<String>, Error> {
        let Native::On(watcher) = self else { return Ok(None) };
        let Err(cause) = watcher.add(folder) else {
            return Ok(None);
        };
        let path: PathBuf = root.components().chain(folder.components()).collect();
        let error = Error::new(Step::Watch, path, cause);
        match error.kind() {
            // It was removed or replaced in this very moment, which raised an event in its parent.
            ErrorKind::NotFound | ErrorKind::NotADirectory => Ok(None),
            // Whoever may write to a folder can make such a subfolder, which must not spoil the others.
            ErrorKind::PermissionDenied | ErrorKind::InvalidFilename if !folder.as_os_str().is_empty() => Err(error),
            _ => {
                let why = error.to_string();
                *self = Native::Off(Some(why.clone()));
                Ok(Some(why))
            }
        }
    }
}
