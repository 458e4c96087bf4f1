//! What the agenda is told, and what it says.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::model::Class;

/// One watch of a running agent, for [`Agent::remove_watch`](crate::Agent::remove_watch). Means nothing to another agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchId(pub(crate) u64);

/// One file of one watch: its path relative to the watched folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FileId {
    pub(crate) watch: WatchId,
    pub(crate) path: Arc<Path>,
}

/// What the agenda bounds itself to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Files known at once of each watch, at least 4. Half of them are kept for what events tell; a scan's last batch may go over by its size.
    pub(crate) files: usize,
    /// Files handed out at once: those with a worker and those in the channel to the workers.
    pub(crate) begun: usize,
}

/// What a watch means to the agenda.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// How long a file must have been quiet.
    pub(crate) settle: Duration,
    /// From the end of one scan of the whole folder to the next one.
    pub(crate) rescan_every: Duration,
}

/// Why a folder is scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cause {
    /// It is watched from now on.
    Start,
    /// A subfolder appeared, and what was in it before it was watched raised no event.
    NewFolder,
    /// The kernel's queue of events overflowed, or the watcher lost sight of something.
    EventsLost,
    /// More happened than the agent had room for.
    NoRoom,
    /// The regular look, in case an event never came; where a folder is polled, the only way to learn anything.
    Sweep,
}

impl Cause {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Cause::Start => "start",
            Cause::NewFolder => "new folder",
            Cause::EventsLost => "events lost",
            Cause::NoRoom => "no room",
            Cause::Sweep => "sweep",
        }
    }
}

/// What the driver is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Scan this subfolder (empty: the whole folder) from its beginning, and answer with the first `most` files.
    Scan {
        watch: WatchId,
        folder: PathBuf,
        cause: Cause,
        most: usize,
    },
    /// Answer with the next `most` files of the scan under way.
    ScanOn { watch: WatchId, most: usize },
    /// Remove the watch's surplus outputs.
    Retain(WatchId),
    /// Hand the file to a worker.
    Begin(FileId),
    /// Nothing is left to do, ever: everything has been told to end and has ended.
    Finish,
}

/// What came of a file that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Compressed {
        bytes_in: u64,
        bytes_out: u64,
    },
    /// Looked at, and passed over.
    Skipped,
    /// It has another name, too. Where that is how it came (link, then unlink), the other name is about to go, and nothing tells of that.
    HardLinked,
    /// Not finished by its writer: to be looked at again after this long.
    NotYet(Duration),
    /// Somebody has it open for writing: to be looked at again when that ends, or now and then.
    InUse,
    /// It is not there any more.
    Gone,
    /// It is a folder.
    Folder,
    Failed(Class),
    /// Failed, and was moved to where such files go.
    GivenUp,
    /// Failed for a reason that is the same for every file of the watch and may pass: its disk is full, or read-only.
    NoRoom,
    /// Told to stop before it was done; nothing was left behind.
    Cancelled,
}

/// What a look for surplus outputs left for another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Remains {
    #[default]
    Nothing,
    /// Outputs that somebody is at.
    Busy,
    /// Outputs that there was no room to look at. Fewer with each look.
    More,
}

/// What to tell about an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Whether it is news: a file that is passed over at each sweep is told once.
    pub(crate) news: bool,
    /// When the file is tried again, where that is known.
    pub(crate) retry_in: Option<Duration>,
    /// Its tries are used up, which is said once.
    pub(crate) given_up: bool,
    /// Nothing more is begun in the whole watch for so long.
    pub(crate) pause: Option<Duration>,
}

/// The counts that become the report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) compressed: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) skipped: u64,
    pub(crate) failed: u64,
    pub(crate) left: u64,
}

impl Verdict {
    pub(crate) fn news() -> Self {
        Verdict {
            news: true,
            retry_in: None,
            given_up: false,
            pause: None,
        }
    }

    pub(super) fn quiet() -> Self {
        Verdict {
            news: false,
            ..Verdict::news()
        }
    }
}
