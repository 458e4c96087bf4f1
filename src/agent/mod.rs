//! Floor 3: the agent. Events come in through a bounded channel, the agenda decides, a fixed pool of workers compresses, and a drain
//! waits for what is in flight before the report is made.

mod driver;
#[cfg(feature = "cli")]
mod dry_run;
mod events;
mod file;
mod folder;
mod job;
#[cfg(feature = "cli")]
mod oneshot;
mod pool;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_channel::{Receiver, Sender};

use crate::model::{Error, Level, Observer, Report};
use crate::policy::{Select, Watch, WatchId};
use crate::runtime::{Runtime, unblock};

use driver::{Channels, Command, Commands, Driver, Site};
use events::Event;
use folder::WatchedFolder;

pub use driver::Snapshot;
pub use events::{Events, FolderWatcher, Watcher};
pub use file::{FileOptions, FileOutcome, compress_file};

#[cfg(feature = "cli")]
pub(crate) use dry_run::{Prospect, dry_run};
#[cfg(feature = "cli")]
pub(crate) use job::Cancel;
#[cfg(feature = "cli")]
pub(crate) use oneshot::OneShot;

/// Why the agent did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// A builder was not given a runtime.
    #[error("an agent needs a runtime: AgentBuilder::runtime")]
    NoRuntime,
    /// An `include` or `exclude` pattern is not a glob.
    #[error(transparent)]
    Pattern(#[from] crate::policy::PatternError),
    /// A folder cannot be watched.
    #[error(transparent)]
    Folder(#[from] Error),
    /// The agent has ended: it was shut down, or its runtime was dropped. Originals that were not compressed are still there.
    #[error("the agent has ended")]
    Ended,
}

/// What an agent is made of. Made by [`Agent::builder`].
pub struct AgentBuilder {
    workers: usize,
    level: Level,
    inbox: usize,
    files: usize,
    observer: Arc<dyn Observer>,
    watcher: Option<Arc<dyn Watcher>>,
    runtime: Option<Arc<dyn Runtime>>,
    watches: Vec<Watch>,
}

impl AgentBuilder {
    /// How many files are compressed at once, 1 to 1,024. Default: the CPUs this process may use (affinity and cgroup quota count).
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers.clamp(1, 1024);
        self
    }

    /// The level for watches that have none of their own. Default: 6.
    #[must_use]
    pub fn level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// How many events may wait for the agent; at least 1. What does not fit is found by a scan instead. Default: 4,096.
    #[must_use]
    pub fn inbox(mut self, events: usize) -> Self {
        self.inbox = events.max(1);
        self
    }

    /// How many files the agent knows at once; at least 16. What does not fit is found by a scan later. Default: 16,384.
    #[must_use]
    pub fn files(mut self, files: usize) -> Self {
        self.files = files.max(16);
        self
    }

    /// Who is told what happens. Default: nobody.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// Where events come from. Default: nowhere; folders are scanned at their poll interval, and events may be fed by hand.
    #[must_use]
    pub fn watcher(mut self, watcher: Arc<dyn Watcher>) -> Self {
        self.watcher = Some(watcher);
        self
    }

    /// What runs the agent. Required.
    #[must_use]
    pub fn runtime(mut self, runtime: Arc<dyn Runtime>) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// A folder to watch from the start; may be called several times. [`Agent::add_watch`] adds more later.
    #[must_use]
    pub fn watch(mut self, watch: Watch) -> Self {
        self.watches.push(watch);
        self
    }

    /// Starts the agent's tasks on the runtime, and watches the folders given.
    ///
    /// # Errors
    ///
    /// [`AgentError::NoRuntime`], and those of [`Agent::add_watch`] for each folder given; the agent has ended then.
    pub async fn start(mut self) -> Result<Agent, AgentError> {
        let watches = std::mem::take(&mut self.watches);
        let agent = self.start_without_watches()?;
        for watch in watches {
            agent.add_watch(watch).await?;
        }
        Ok(agent)
    }

    fn start_without_watches(self) -> Result<Agent, AgentError> {
        let runtime = self.runtime.ok_or(AgentError::NoRuntime)?;
        let (inbox, events) = async_channel::bounded(self.inbox);
        let (commands, command_queue) = async_channel::bounded(16);
        let (report_to, report) = async_channel::bounded(1);
        let channels = Channels {
            inbox: events,
            commands: Commands(command_queue),
            report: report_to,
        };
        let driver = Driver::new(
            Arc::clone(&runtime),
            Arc::clone(&self.observer),
            self.workers,
            self.files,
            channels,
        );
        runtime.spawn(Box::pin(driver.run()));
        Ok(Agent {
            runtime,
            observer: self.observer,
            watcher: self.watcher,
            level: self.level,
            next_watch: AtomicU64::new(0),
            inbox,
            commands,
            report,
        })
    }
}

/// A running agent: watches folders and turns every finished file into a `.gz`.
///
/// Dropping it ends it: what is in flight is given up without a trace, and every original that has no `.gz` yet stays.
/// [`shutdown`](Self::shutdown) ends it in good order. All methods are safe to cancel by dropping their futures; a command that had been
/// sent by then is carried out all the same.
pub struct Agent {
    runtime: Arc<dyn Runtime>,
    observer: Arc<dyn Observer>,
    watcher: Option<Arc<dyn Watcher>>,
    level: Level,
    next_watch: AtomicU64,
    inbox: Sender<Event>,
    commands: Sender<Command>,
    report: Receiver<Report>,
}

impl Agent {
    /// An agent with default settings, to be given a runtime.
    pub fn builder() -> AgentBuilder {
        AgentBuilder {
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            level: Level::default(),
            inbox: 4096,
            files: 16_384,
            observer: Arc::new(()),
            watcher: None,
            runtime: None,
            watches: Vec::new(),
        }
    }

    /// Begins to watch a folder: what is there now is compressed too. The second value is where to tell of events by hand, which an
    /// agent with a [`Watcher`] does not need.
    ///
    /// # Errors
    ///
    /// When a pattern is wrong, when the folder or its output folder cannot be opened, and when the agent has ended. A folder that
    /// becomes unreachable later is no error: it is looked for until it is back.
    pub async fn add_watch(&self, watch: Watch) -> Result<(WatchId, Events), AgentError> {
        let id = WatchId(self.next_watch.fetch_add(1, Ordering::Relaxed));
        let select = Arc::new(Select::new(&watch)?);
        let lost = Arc::new(AtomicBool::new(false));
        let events = Events::new(id, Arc::clone(&select), self.inbox.clone(), Arc::clone(&lost));
        let path = watch.path().to_owned();
        let (settle, poll_interval) = (watch.settle, watch.poll_interval);
        let folder = {
            let (level, observer, watcher) = (self.level, Arc::clone(&self.observer), self.watcher.clone());
            let events = events.clone();
            unblock(&*self.runtime, move || {
                WatchedFolder::open(watch, select, level, observer, watcher, events)
            })
            .await
            .ok_or(AgentError::Ended)??
        };
        let site = Site {
            path,
            settle,
            poll_interval,
            native: folder.is_native(),
            why_polling: folder.why_polling(),
            job: Arc::new(folder),
            lost,
        };
        self.add_site(id, site).await?;
        Ok((id, events))
    }

    async fn add_site(&self, watch: WatchId, site: Site) -> Result<(), AgentError> {
        self.send(Command::Add(watch, site)).await
    }

    /// Ends a watch. What is in flight of it is finished; what is not begun stays as it is.
    ///
    /// # Errors
    ///
    /// When the agent has ended.
    pub async fn remove_watch(&self, watch: WatchId) -> Result<(), AgentError> {
        let (done, is_done) = async_channel::bounded(1);
        self.send(Command::Remove(watch, done)).await?;
        is_done.recv().await.map_err(|_| AgentError::Ended)
    }

    /// What it has done and has still to do.
    ///
    /// # Errors
    ///
    /// When the agent has ended.
    pub async fn snapshot(&self) -> Result<Snapshot, AgentError> {
        let (answer, answered) = async_channel::bounded(1);
        self.send(Command::Snapshot(answer)).await?;
        answered.recv().await.map_err(|_| AgentError::Ended)
    }

    /// Ends the agent in good order: nothing new is taken; what is known and ready, or becomes so, is compressed until `limit` is over;
    /// then work in flight is given up without a trace. Returns when all of it has ended.
    ///
    /// # Errors
    ///
    /// When the agent has ended otherwise before, as when its runtime is dropped.
    pub async fn shutdown(self, limit: Duration) -> Result<Report, AgentError> {
        self.drain(Some(limit)).await?;
        self.report().await
    }

    /// Begins the drain and returns at once; [`report`](Self::report) waits for its end.
    ///
    /// # Errors
    ///
    /// When the agent has ended.
    pub async fn drain(&self, limit: Option<Duration>) -> Result<(), AgentError> {
        self.send(Command::Drain { limit }).await
    }

    /// The agent is to end by itself when everything that is in its folders now has been compressed. A file that stays unfinished, or
    /// goes on failing, for longer than `patience` is left. [`report`](Self::report) waits for the end.
    ///
    /// # Errors
    ///
    /// When the agent has ended.
    pub async fn end_when_done(&self, patience: Duration) -> Result<(), AgentError> {
        self.send(Command::Once { patience }).await
    }

    /// Gives up what is in flight, without a trace, and ends. [`report`](Self::report) waits for that.
    ///
    /// # Errors
    ///
    /// When the agent has ended.
    pub async fn abort(&self) -> Result<(), AgentError> {
        self.send(Command::Abort).await
    }

    /// Waits for the agent's end. Only one caller gets the report.
    ///
    /// # Errors
    ///
    /// When the agent's tasks were dropped with their runtime, or another caller got the report.
    pub async fn report(&self) -> Result<Report, AgentError> {
        self.report.recv().await.map_err(|_| AgentError::Ended)
    }

    async fn send(&self, command: Command) -> Result<(), AgentError> {
        let sent = self.commands.send(command).await;
        sent.map_err(|unsent| {
            // It may hold a folder, and closing that may block.
            self.runtime.unblock(Box::new(move || drop(unsent)));
            AgentError::Ended
        })
    }
}
