//! What an agent tells of itself. The names and their meaning are relied on by scripts: `docs/control-socket.md`.

use serde::{Deserialize, Serialize};

/// How an agent gets on, at one moment. Paths and sentences are escaped, as in the log: plain text, whatever a file is called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// The program's.
    pub(crate) version: String,
    pub(crate) pid: u32,
    pub(crate) state: State,
    /// In UTC, as RFC 3339 has it, to the second.
    pub(crate) started: String,
    pub(crate) uptime_seconds: f64,
    /// Its configuration files, or "the command line".
    pub(crate) configured_by: String,
    pub(crate) workers: usize,
    pub(crate) counters: Counters,
    /// Files known and not done.
    pub(crate) pending: usize,
    /// Of those, the ones that are ready and wait for a worker.
    pub(crate) queued: usize,
    /// Of those, the ones that are in work.
    pub(crate) in_flight: usize,
    /// Of originals, read and compressed in the last ten seconds.
    pub(crate) bytes_per_second: u64,
    pub(crate) watches: Vec<WatchStatus>,
    /// How many more there are.
    pub(crate) watches_left_out: usize,
    pub(crate) files: Vec<InWork>,
    pub(crate) files_left_out: usize,
    /// The newest first.
    pub(crate) failures: Vec<Failed>,
}

/// Where the agent is between its start and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Its folders are being opened.
    Starting,
    Running,
    /// It takes nothing new.
    Stopping,
}

/// As in the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counters {
    pub(crate) compressed: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) skipped: u64,
    pub(crate) failed: u64,
    pub(crate) removed: u64,
}

/// A watched folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WatchStatus {
    pub(crate) path: String,
    pub(crate) mode: Mode,
    /// Why it is polled, where events had been asked for.
    pub(crate) why_polling: Option<String>,
    pub(crate) state: WatchCondition,
    /// What is the matter, where it is lost or paused.
    pub(crate) trouble: Option<String>,
}

/// How it is learned what happens in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// The kernel tells.
    Native,
    /// By looking.
    Poll,
}

/// Whether files in a folder are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WatchCondition {
    Watching,
    /// The folder cannot be reached.
    Lost,
    /// Its disk is full, or read-only.
    Paused,
}

/// A file that is being compressed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct InWork {
    pub(crate) path: String,
    pub(crate) bytes: u64,
    /// When these are all, its output is being published, or its original removed.
    pub(crate) bytes_done: u64,
    /// Since it was begun.
    pub(crate) seconds: f64,
    /// The mean since it was begun.
    pub(crate) bytes_per_second: u64,
}

/// A file, or a subfolder that is to be listed, whose last try failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Failed {
    pub(crate) path: String,
    /// The watched folder.
    pub(crate) watch: String,
    /// As in the log.
    pub(crate) step: String,
    /// A sentence.
    pub(crate) reason: String,
    /// The system's number for the cause, where it has one.
    pub(crate) errno: Option<i32>,
    /// `transient` or `permanent`.
    pub(crate) class: String,
    /// When it failed last: in UTC, as RFC 3339 has it.
    pub(crate) at: String,
    pub(crate) seconds_ago: f64,
    /// So many have failed in a row.
    pub(crate) tries: u64,
    /// When it is tried again; 0 when that is due. Without, when something happens to it, or at the next sweep.
    pub(crate) retry_in_seconds: Option<f64>,
    pub(crate) given_up: bool,
    /// Where it went, where the watch has a folder for what fails.
    pub(crate) moved_to: Option<String>,
}
