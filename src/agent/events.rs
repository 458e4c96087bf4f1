//! How the agent learns that something happened in a folder.

use std::borrow::Cow;
use std::fmt::{self, Debug, Formatter};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_channel::Sender;

use crate::policy::{FileId, Select, Waiting, WatchId, original_of};

/// The source of a folder's events, such as the kernel. An agent without one scans its folders at their poll interval. Both traits' methods
/// are called in work for [`Runtime::unblock`](crate::Runtime::unblock); a panic in one fails the scan that called it, or ends
/// [`Agent::add_watch`](crate::Agent::add_watch) with [`AgentError::Ended`](crate::AgentError::Ended).
pub trait Watcher: Send + Sync + 'static {
    /// Prepares to tell `events` what happens below `root`, the path as the [`Watch`](crate::Watch) has it. Nothing is told before a folder
    /// has been [added](FolderWatcher::add). May block for a short time.
    ///
    /// # Errors
    ///
    /// When nothing can be told of this folder; it is polled then.
    fn watch(&self, root: &Path, events: Events) -> io::Result<Box<dyn FolderWatcher>>;
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
    fn add(&mut self, folder: &Path) -> io::Result<()>;
}

/// Where to tell what happened below one watched folder.
///
/// Every event is only a hint that makes the agent look: telling too much, or of what the watch does not take, is harmless, and after its
/// watch or agent has ended it is ignored. Never blocks, and may be called from any thread; clones tell the same watch. A file counts as
/// finished when nothing has been told of it, and nothing has changed it, for the watch's settle time.
///
/// An agent that is told everything by hand needs no polling; a long interval is then the safety net:
///
/// ```
/// # use std::sync::Arc;
/// # use std::time::Duration;
/// # use dwindle::runtime::{Threads, block_on};
/// use dwindle::{Agent, Preset, Watch};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let inbox = tempfile::tempdir()?;
/// # let inbox = inbox.path();
/// # block_on(async {
/// let watch = Watch::new(inbox, Preset::Inbox)
///     .with_settle(Duration::ZERO) // whoever tells of a file has finished it
///     .with_poll_interval(Duration::from_secs(3600));
/// let agent = Agent::builder().runtime(Arc::new(Threads::new()?)).start().await?;
/// let (_, events) = agent.add_watch(watch).await?;
///
/// std::fs::write(inbox.join("orders.csv"), "1,2,3\n".repeat(100))?;
/// events.file("orders.csv");
///
/// let report = agent.shutdown(Duration::from_secs(10)).await?;
/// assert_eq!(report.compressed, 1);
/// assert!(inbox.join("orders.csv.gz").exists());
/// # Ok(())
/// # })
/// # }
/// ```
#[derive(Clone)]
pub struct Events {
    watch: WatchId,
    select: Arc<Select>,
    inbox: Sender<Event>,
    lost: Arc<AtomicBool>,
    /// What was passed over until another file comes beside it.
    waiting: Arc<Mutex<Waiting>>,
}

/// What travels to the driver.
pub(super) enum Event {
    File(FileId),
    /// One that this file may have waited for has come.
    Successor(FileId),
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
            waiting: Arc::default(),
        }
    }

    /// A file was created, renamed to this name, or closed by a writer; a marker too. Where outputs go the way of their originals
    /// ([`Preset::StaticAssets`](crate::Preset::StaticAssets)), also: its owner, mode or times were changed. `path` is relative to the
    /// watched folder; one that is absolute or has `..` in it is ignored.
    pub fn file(&self, path: impl AsRef<Path>) {
        let path = path.as_ref();
        if !is_below(path) {
            return;
        }
        for waiting in self.waiting().take_for(path) {
            self.send(Event::Successor(self.id_of(&waiting)));
        }
        self.tell(path);
    }

    /// A file was removed, or renamed to another name. Of interest only where outputs go the way of their originals
    /// ([`Preset::StaticAssets`](crate::Preset::StaticAssets)). `path` is relative to the watched folder; one that is absolute or has
    /// `..` in it is ignored.
    pub fn gone(&self, path: impl AsRef<Path>) {
        let path = path.as_ref();
        if !self.select.outputs_follow() || !is_below(path) {
            return;
        }
        // An output that goes is made anew where its original is still there.
        let original = path.file_name().and_then(original_of);
        match original {
            Some(name) => self.tell(&path.with_file_name(name)),
            None => self.tell(path),
        }
    }

    /// Whether changes of owner, mode and times are of interest.
    #[cfg_attr(not(feature = "watch"), allow(dead_code))]
    pub(crate) fn wants_metadata(&self) -> bool {
        self.select.outputs_follow()
    }

    /// A file is about to be looked at, and may turn out to have to wait for another one to come. Said before the look, so that none is
    /// missed that comes meanwhile.
    pub(super) fn may_wait(&self, file: &Path) {
        self.waiting().add(file);
    }

    /// It need not wait.
    pub(super) fn need_not_wait(&self, file: &Path) {
        self.waiting().remove(file);
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn id_of(&self, path: &Path) -> FileId {
        FileId {
            watch: self.watch,
            path: path.into(),
        }
    }

    fn tell(&self, path: &Path) {
        // What happens to a marker happens to its file.
        let marked = path.file_name().and_then(|name| self.select.marked_by(name));
        let path = marked.map_or(Cow::Borrowed(path), |name| Cow::Owned(path.with_file_name(name)));
        if self.select.file(&path).is_ok() {
            self.send(Event::File(self.id_of(&path)));
        }
    }

    /// A folder was created, or renamed to this name, and is to be scanned. `path` is relative to the watched folder; one that is
    /// absolute or has `..` in it is ignored.
    pub fn folder(&self, path: impl AsRef<Path>) {
        let path = path.as_ref();
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

impl Debug for Events {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("watch", &self.watch)
            .finish_non_exhaustive()
    }
}

/// Whether the path leads to something below the folder that it is relative to.
fn is_below(path: &Path) -> bool {
    let mut components = path.components();
    components.clone().next().is_some() && components.all(|component| matches!(component, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Preset, Watch};

    #[test]
    fn a_busy_file_that_is_not_ours_sends_nothing() {
        let watch = Watch::new("/var/log", Preset::RotatedLogs);
        let (inbox, sent) = async_channel::bounded(1);
        let lost = Arc::new(AtomicBool::new(false));
        let events = Events::new(
            WatchId(0),
            Arc::new(Select::new(&watch).unwrap()),
            inbox,
            Arc::clone(&lost),
        );
        for _ in 0..100 {
            events.file("app.log");
        }
        assert!(sent.is_empty() && !lost.load(Ordering::Acquire));
        events.file("app.log.1");
        assert_eq!(sent.len(), 1);
    }
}
