//! Floor 2: every system call on a watched file, relative to a folder that is held open; and the locks that keep two agents apart. All of it
//! blocks.
//!
//! A watched folder may belong to somebody who wants our privileges: no symbolic link is followed, no mount is crossed, nothing waits
//! on a FIFO, and what is decided about a file is decided on its descriptor.

mod advance;
mod c_calls;
mod cache;
mod commit;
mod conflict;
mod dir;
mod follow;
#[cfg(feature = "cli")]
mod foresee;
mod give_up;
#[cfg(feature = "cli")]
mod inspect;
mod keep;
#[cfg(feature = "config")]
mod leasable;
mod lease;
mod lock;
#[cfg(feature = "cli")]
mod lock_file;
mod marker;
mod metadata;
mod original;
mod place;
mod positioned;
mod publish;
mod quarantine;
mod random;
mod ready;
mod real;
mod recover;
mod remote;
mod retire;
mod scan;
mod siblings;
mod status;
mod stopped;
mod surplus;
mod syncs;
mod temp;
mod tree;
mod write_behind;

pub(crate) use advance::{Advanced, Rest};
#[cfg(feature = "cli")]
pub(crate) use c_calls::give_back_memory;
pub(crate) use commit::{Caller, Done, Plan, Renew, commit};
pub(crate) use dir::{Folder, is_gone};
pub(crate) use follow::Pair;
#[cfg(feature = "cli")]
pub(crate) use foresee::{Foreseen, foresee};
pub(crate) use give_up::GiveUp;
#[cfg(feature = "cli")]
pub(crate) use inspect::inspect;
#[cfg(feature = "config")]
pub(crate) use leasable::lease_obstacle;
#[cfg(feature = "cli")]
pub(crate) use lock_file::{LockFile, Sharing, Unlocked};
pub(crate) use marker::Marker;
pub(crate) use place::{Place, Places};
pub(crate) use ready::{Candidate, Look, Rules, look};
pub(crate) use real::real_path;
pub(crate) use recover::{Recovered, is_leftover, quarantine_of, recover};
pub(crate) use remote::remote_file_system;
pub(crate) use scan::{Scan, Sight};
#[cfg(feature = "cli")]
pub(crate) use status::Status;
pub(crate) use surplus::{Outputs, Removal};
pub(crate) use syncs::Syncs;

/// The rules that the tests below use: every file, in every subfolder.
#[cfg(test)]
fn select_everything() -> std::sync::Arc<crate::policy::Select> {
    std::sync::Arc::new(crate::policy::Select::everything(None))
}
