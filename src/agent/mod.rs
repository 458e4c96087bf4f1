//! Floor 3: the agent. Events come in through a bounded channel, the agenda decides, a fixed pool of workers compresses, and a drain
//! waits for what is in flight before the report is made.

mod alone;
mod batch;
mod burst;
mod command;
mod driver;
#[cfg(feature = "cli")]
mod dry_run;
mod events;
#[cfg(feature = "cli")]
mod explain;
mod file;
mod folder;
mod giving_up;
mod job;
mod lend;
mod marked;
mod native;
#[cfg(feature = "cli")]
mod oneshot;
#[cfg(feature = "cli")]
mod outlook;
mod pace;
mod pool;
mod portions;
mod retention;
mod retire;
mod root;
mod stage;
mod walk;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_channel::{Receiver, Sender};

use crate::model::{Error, Level, Observer, Report};
use crate::policy::{Select, Watch, WatchId};
use crate::runtime::{Runtime, WaitGroup, unblock};

use command::{Channels, Command, Commands, Site};
use driver::Driver;
use events::Event;
use folder::WatchedFolder;

pub use command::{Snapshot, WatchState};
pub use events::{Events, FolderWatcher, Watcher};
pub use file::{FileOptions, FileOutcome, compress_file};

#[cfg(feature = "cli")]
pub(crate) use dry_run::dry_run;
#[cfg(feature = "cli")]
pub(crate) use explain::{Explanation, Subject, explain};
#[cfg(feature = "cli")]
pub(crate) use job::{Area, Cancel};
#[cfg(feature = "cli")]
pub(crate) use oneshot::OneShot;
#[cfg(feature = "cli")]
pub(crate) use outlook::Prospect;

/// Why the agent did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// [`AgentBuilder::start`] was called without [`AgentBuilder::runtime`].
    #[error("an agent needs a runtime: AgentBuilder::runtime")]
    NoRuntime,
    /// An `include` or `exclude` pattern is not a glob.
    #[error(transparent)]
    Pattern(#[from] crate::policy::PatternError),
    /// A watched folder, or its output folder, cannot be opened or made.
    #[error(transparent)]
    Folder(#[from] Error),
    /// The agent has ended: it was told to, its runtime ended, or an [`Observer`] panicked in its task. Originals that were not
    /// compressed are still there.
    #[error("the agent has ended")]
    Ended,
}

/// What an agent is made of. Made by [`Agent::builder`]; only [`runtime`](Self::runtime) has no default.
///
/// ```
/// use std::sync::Arc;
/// use dwindle::runtime::{Threads, block_on};
/// use dwindle::{Agent, AgentError, Level};
///
/// let builder = Agent::builder().workers(2).level(Level::new(9).expect("1 to 9"));
/// let agent = block_on(builder.runtime(Arc::new(Threads::new()?)).start())?;
/// # drop(agent);
///
/// let without_runtime = block_on(Agent::builder().start());
/// assert!(matches!(without_runtime, Err(AgentError::NoRuntime)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "an agent begins with `start`"]
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
    /// How many files are compressed at once; what is not in 1 to 1,024 is taken as the nearer of the two. Default: the CPUs this
    /// process may use (affinity and cgroup quota count). Each needs a thread for [`Runtime::unblock`] while it is busy.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers.clamp(1, 1024);
        self
    }

    /// The level for watches of its format that have none of their own ([`Watch::with_level`]). Default: gzip's 6.
    pub fn level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// How many events may wait for the agent's task; what is not in 1 to 65,536 is taken as the nearer of the two. Room for all of them
    /// is allocated at the start. What does not fit is found by a scan instead. Default: 4,096.
    pub fn inbox(mut self, events: usize) -> Self {
        self.inbox = events.clamp(1, 65_536);
        self
    }

    /// How many files of each watch the agent knows at once; less than 16 is taken as 16. What does not fit is found by a scan later.
    /// Default: 16,384.
    pub fn files(mut self, files: usize) -> Self {
        self.files = files.max(16);
        self
    }

    /// Who is told what happens. Default: nobody.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// Where events come from. Default: nowhere; folders are scanned at their poll interval, and events may be fed by hand.
    pub fn watcher(mut self, watcher: Arc<dyn Watcher>) -> Self {
        self.watcher = Some(watcher);
        self
    }

    /// What runs the agent. Required.
    pub fn runtime(mut self, runtime: Arc<dyn Runtime>) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// A folder to watch from the start; may be called several times. [`Agent::add_watch`] adds more later.
    pub fn watch(mut self, watch: Watch) -> Self {
        self.watches.push(watch);
        self
    }

    /// Starts the agent's tasks on the runtime, and watches the folders given. Does not block; the folders are opened by
    /// [`Runtime::unblock`].
    ///
    /// Cancel safe: dropping the future ends the agent as dropping the [`Agent`] does.
    ///
    /// # Errors
    ///
    /// [`AgentError::NoRuntime`], and those of [`Agent::add_watch`] for the first folder that has one; the agent ends then.
    pub async fn start(mut self) -> Result<Agent, AgentError> {
        let watches = std::mem::take(&mut self.watches);
        let agent = self.start_without_watches()?;
        for watch in watches {
            agent.add_watch(watch).await?;
        }
        agent.hold_upkeep(false).await?;
        Ok(agent)
    }

    /// As [`start`](Self::start), for who adds watches that are to be there from the start: no surplus output is removed, since it may
    /// be one of theirs, until [`Agent::hold_upkeep`] says otherwise.
    pub(crate) fn start_without_watches(self) -> Result<Agent, AgentError> {
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
/// let agent = Agent::builder().runtime(Arc::new(Threads::new()?)).start().await?;
///
/// let (id, _events) = agent.add_watch(Watch::new(inbox, Preset::Inbox)).await?;
/// assert_eq!(agent.snapshot().await?.watches[0].path, inbox);
///
/// agent.remove_watch(id).await?;
/// assert!(agent.snapshot().await?.watches.is_empty());
///
/// let report = agent.shutdown(Duration::from_secs(10)).await?;
/// assert_eq!(report.failed, 0);
/// # Ok(())
/// # })
/// # }
/// ```
///
/// **Threads.** No method blocks. The futures are [`Send`] and may be polled by any executor, not only by the agent's runtime; the handle
/// may be shared by an [`Arc`].
///
/// **Cancellation.** Dropping the future of a method that borrows the agent does no harm, but takes back no command that was sent by
/// then. Dropping that of [`shutdown`](Self::shutdown) drops the agent, which the future owns.
///
/// **Dropping** it ends it without waiting: what is in flight is given up without a trace, and every original that has no `.gz` yet stays.
/// [`shutdown`](Self::shutdown) ends it in good order. When the runtime ends first, its tasks are dropped, to the same effect; each
/// method then fails with [`AgentError::Ended`].
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

    /// Whether no further look for surplus outputs is begun for now: while watches are about to come that they may belong to.
    pub(crate) async fn hold_upkeep(&self, holds: bool) -> Result<(), AgentError> {
        self.send(Command::HoldUpkeep(holds)).await
    }

    /// Begins to watch a folder: what is there now is compressed too. The second value is where to tell of events by hand, which an
    /// agent with a [`Watcher`] does not need. The output folder is made where it is missing.
    ///
    /// Cancel safe, but who drops the future may have added the watch without learning its [`WatchId`].
    ///
    /// # Errors
    ///
    /// [`AgentError::Pattern`] when a pattern is wrong, [`AgentError::Folder`] when the folder or its output folder cannot be opened or
    /// made, and [`AgentError::Ended`]. A folder that becomes unreachable later is no error: [`Observer::folder_lost`] is told, and it is
    /// looked for until it is back.
    pub async fn add_watch(&self, watch: Watch) -> Result<(WatchId, Events), AgentError> {
        self.add_observed_watch(watch, Arc::clone(&self.observer)).await
    }

    /// As [`add_watch`](Self::add_watch), with an observer of its own: it, and not the agent's, is told what happens in this watch.
    pub(crate) async fn add_observed_watch(
        &self,
        watch: Watch,
        observer: Arc<dyn Observer>,
    ) -> Result<(WatchId, Events), AgentError> {
        let id = WatchId(self.next_watch.fetch_add(1, Ordering::Relaxed));
        let select = Arc::new(Select::new(&watch)?);
        let lost = Arc::new(AtomicBool::new(false));
        let events = Events::new(id, Arc::clone(&select), self.inbox.clone(), Arc::clone(&lost));
        let path = watch.path().to_owned();
        let (settle, poll_interval) = (watch.settle, watch.poll_interval);
        let own = [path.clone(), watch.output_folder()];
        let folder = {
            let (level, observer, watcher) = (self.level, Arc::clone(&observer), self.watcher.clone());
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
            own,
            job: Arc::new(folder),
            observer,
            lost,
        };
        self.add_site(id, site).await?;
        Ok((id, events))
    }

    /// What is told of the watch once this has returned is not told too early.
    async fn add_site(&self, watch: WatchId, site: Site) -> Result<(), AgentError> {
        let (done, is_done) = async_channel::bounded(1);
        self.send(Command::Add(watch, site, done)).await?;
        is_done.recv().await.map_err(|_| AgentError::Ended)
    }

    /// Ends a watch. What is not begun when this returns stays as it is; what is in flight is finished afterwards. A watch that is not
    /// there (any more) is no error. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`AgentError::Ended`].
    pub async fn remove_watch(&self, watch: WatchId) -> Result<(), AgentError> {
        self.take_out(watch).await.map(drop)
    }

    /// As [`remove_watch`](Self::remove_watch). The answer waits for what is in flight; there is none where the watch was not there.
    pub(crate) async fn take_out(&self, watch: WatchId) -> Result<Option<WaitGroup>, AgentError> {
        let (done, is_done) = async_channel::bounded(1);
        self.send(Command::Remove(watch, done)).await?;
        is_done.recv().await.map_err(|_| AgentError::Ended)
    }

    /// What the agent has done and has still to do. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`AgentError::Ended`].
    pub async fn snapshot(&self) -> Result<Snapshot, AgentError> {
        let (answer, answered) = async_channel::bounded(1);
        self.send(Command::Snapshot(answer)).await?;
        answered.recv().await.map_err(|_| AgentError::Ended)
    }

    /// Ends the agent in good order: nothing new is taken; what is known and ready, or becomes so, is compressed until `limit` is over
    /// by the runtime's clock; then work in flight is given up without a trace, at its next block. Returns when all of it has ended, so
    /// a little later than `limit` where a system call takes long.
    ///
    /// Dropping the future drops the agent: what is in flight is given up at once, and only [`Observer::finished`] has the report. To
    /// wait with a limit of your own and still get the report, use [`drain`](Self::drain) and [`report`](Self::report).
    ///
    /// # Errors
    ///
    /// [`AgentError::Ended`] when it had ended otherwise before, as when its runtime is dropped.
    pub async fn shutdown(self, limit: Duration) -> Result<Report, AgentError> {
        self.drain(Some(limit)).await?;
        self.report().await
    }

    /// Begins the drain that [`shutdown`](Self::shutdown) is, and does not wait for its end: [`report`](Self::report) does. Without a
    /// limit it lasts until everything that is ready is done. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`AgentError::Ended`].
    pub async fn drain(&self, limit: Option<Duration>) -> Result<(), AgentError> {
        self.send(Command::Drain { limit }).await
    }

    /// The agent is to end by itself when everything that is in its folders now has been compressed. A file that stays unfinished, or
    /// goes on failing, for longer than `patience` is left. [`report`](Self::report) waits for the end. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`AgentError::Ended`].
    pub async fn end_when_done(&self, patience: Duration) -> Result<(), AgentError> {
        self.send(Command::Once { patience }).await
    }

    /// Gives up what is in flight, without a trace, and ends; also cuts a drain short. [`report`](Self::report) waits for the end. Cancel
    /// safe.
    ///
    /// # Errors
    ///
    /// [`AgentError::Ended`].
    pub async fn abort(&self) -> Result<(), AgentError> {
        self.send(Command::Abort).await
    }

    /// Waits for the agent's end, without bringing it about. Only one caller gets the report. Cancel safe: a future that is dropped has
    /// not taken it.
    ///
    /// # Errors
    ///
    /// [`AgentError::Ended`] when the agent's tasks were dropped with their runtime, or another caller got the report.
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

impl Debug for AgentBuilder {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentBuilder")
            .field("workers", &self.workers)
            .field("level", &self.level)
            .field("inbox", &self.inbox)
            .field("files", &self.files)
            .field("watches", &self.watches)
            .finish_non_exhaustive()
    }
}

impl Debug for Agent {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent")
            .field("level", &self.level)
            .finish_non_exhaustive()
    }
}
