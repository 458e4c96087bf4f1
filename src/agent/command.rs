//! What passes between an agent's handle and its driver.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_channel::{Receiver, Sender};

use crate::model::{Observer, Report};
use crate::policy::WatchId;
use crate::runtime::WaitGroup;

use super::events::Event;
use super::job::Job;

/// What the agent's handle asks.
pub(super) enum Command {
    Add(WatchId, Site, Sender<()>),
    /// The answer waits for the work of the watch that is under way; there is none where the watch is not there.
    Remove(WatchId, Sender<Option<WaitGroup>>),
    Snapshot(Sender<Snapshot>),
    Once {
        patience: Duration,
    },
    Drain {
        limit: Option<Duration>,
    },
    Abort,
    /// Whether surplus outputs stay for now, since watches are about to come that they may belong to.
    HoldUpkeep(bool),
}

/// A watched folder as the driver keeps it.
pub(super) struct Site {
    pub(super) path: PathBuf,
    pub(super) settle: Duration,
    pub(super) poll_interval: Duration,
    /// Whether the kernel's events are to be had, as far as is known.
    pub(super) native: bool,
    /// Why not, where they had been asked for.
    pub(super) why_polling: Option<String>,
    pub(super) job: Arc<dyn Job>,
    /// Who is told what happens in it.
    pub(super) observer: Arc<dyn Observer>,
    /// The watched folder and that of the outputs, in which no other watch removes anything.
    pub(super) own: [PathBuf; 2],
    /// Set by the watcher's side when events were lost.
    pub(super) lost: Arc<AtomicBool>,
}

/// The state of an agent at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The counts so far; `left` is 0 until the end.
    pub report: Report,
    /// Files known and not done: waiting, being compressed, or to be tried again. Not those that only a person can help.
    pub pending: usize,
    /// Those of them that are ready and wait for a worker.
    pub queued: usize,
    /// Those of them that a worker has, or whose originals are being removed.
    pub in_flight: usize,
    /// The watches, in the order in which they were added.
    pub watches: Vec<WatchState>,
}

/// How a watch gets on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WatchState {
    /// The folder, as it was given.
    pub path: PathBuf,
    /// Whether a [`Watcher`](crate::Watcher)'s events tell of its files; otherwise it is scanned at its poll interval.
    pub native: bool,
    /// Why it is scanned, where events had been asked for.
    pub why_polling: Option<String>,
    /// It cannot be reached, and is looked for until it is there again.
    pub lost: bool,
    /// Nothing is begun in it for now, since a disk is full or read-only.
    pub paused: bool,
}

/// The driver's ends of the channels to and from the handle.
pub(super) struct Channels {
    pub(super) inbox: Receiver<Event>,
    pub(super) commands: Commands,
    /// Takes the one report.
    pub(super) report: Sender<Report>,
}

/// What the agent's handle asks. A channel keeps what is left in it for as long as somebody could still send, and with it the ways to
/// answer, so that whoever asked at the very end would wait for ever: hence what nobody will read any more is taken out and dropped.
pub(super) struct Commands(pub(super) Receiver<Command>);

impl Drop for Commands {
    fn drop(&mut self) {
        self.0.close();
        while self.0.try_recv().is_ok() {}
    }
}
