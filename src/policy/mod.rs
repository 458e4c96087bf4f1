//! Floor 1: every decision, and nothing else. Whose file is this, is it ready, when to look again, what to try once more.
//! No files, no clock, no async: the caller brings the facts and the time.

mod agenda;
mod backoff;
mod watch;

pub use agenda::WatchId;
pub(crate) use agenda::{Action, Agenda, Cause, FileId, Limits, Outcome, Tally, Timing, Verdict};
pub(crate) use backoff::backoff;
pub use watch::{OnConflict, Preset, Watch, WatcherChoice};
