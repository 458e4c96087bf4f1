//! Floor 1: every decision, and nothing else. Whose file is this, is it ready, when to look again, what to try once more.
//! No files, no clock, no async: the caller brings the facts and the time.

mod agenda;
mod backoff;
#[cfg(feature = "config")]
mod hooks;
mod magic;
mod marker;
mod names;
mod patterns;
mod retention;
mod rule;
#[cfg(test)]
pub(crate) mod seeds;
mod select;
mod series;
mod shard;
mod stamp;
mod standing;
mod waiting;
mod watch;

pub use agenda::WatchId;
pub(crate) use agenda::{Action, Agenda, Cause, FileId, Limits, Outcome, Remains, Tally, Timing, Verdict};
pub(crate) use backoff::{backoff, is_used_up};
#[cfg(feature = "cli")]
pub(crate) use hooks::fill;
#[cfg(feature = "config")]
pub(crate) use hooks::{Hooks, OF_FAILURE, OF_SUCCESS, unknown_word};
pub(crate) use magic::{HEAD_BYTES, compressed_format};
#[cfg(feature = "config")]
pub(crate) use marker::Marker;
pub(crate) use names::{
    QUARANTINE_ADDS, compressed_suffix, is_unpublished, original_of, quarantine_name, quarantined_original,
};
pub use patterns::PatternError;
pub(crate) use retention::{Kept, numbered_original_of};
#[cfg(feature = "cli")]
pub(crate) use rule::{Answer, Rule};
pub(crate) use select::Select;
pub(crate) use series::live_name;
pub use shard::{Shard, ShardError};
pub(crate) use standing::{Newest, Standing};
pub(crate) use waiting::Waiting;
pub use watch::{OnConflict, Preset, Watch, WatcherChoice, WriterCheck};
