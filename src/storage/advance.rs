//! How far a commit came, and the way on.

use std::time::Duration;

use super::commit::Done;
use super::keep::Keeping;
use super::publish::Publishing;
use super::retire::Retiring;
use super::stopped::Stopped;
use super::syncs::Syncs;
use crate::model::Error;

/// How far a file came.
#[derive(Debug)]
pub(crate) enum Advanced {
    Done(Done),
    /// To be advanced again, not before so long.
    Later(Rest, Duration),
}

/// What is left to do for a file. None of it needs a worker. Dropped before the original is removed, it gives that its
/// name again; an output whose original stays may stay, too, which the next look finds to be up to date.
#[derive(Debug)]
pub(crate) enum Rest {
    /// Steps 6 to 8.
    Publishing(Box<Publishing>),
    /// Step 9 of an original that stays.
    Keeping(Box<Keeping>),
    /// Steps 9 to 11.
    Retiring(Box<Retiring>),
}

impl Rest {
    /// Whether the output has its name.
    pub(crate) fn is_published(&self) -> bool {
        !matches!(self, Rest::Publishing(_))
    }

    /// Says what it will have to make durable, so that all whose time has come do it in one go.
    pub(crate) fn enlist(&self, syncs: &mut Syncs) {
        match self {
            Rest::Publishing(publishing) => publishing.enlist(syncs),
            Rest::Keeping(keeping) => keeping.enlist(syncs),
            Rest::Retiring(retiring) => retiring.enlist(syncs),
        }
    }

    /// Whether what is due has to wait for the disk.
    pub(crate) fn waits_for_disk(&self) -> bool {
        match self {
            Rest::Publishing(publishing) => !publishing.is_contested(),
            Rest::Keeping(_) => true,
            Rest::Retiring(retiring) => retiring.waits_for_disk(),
        }
    }

    /// Whether what is due may take as long as reading the file and its output.
    pub(crate) fn takes_long(&self) -> bool {
        match self {
            Rest::Publishing(publishing) => publishing.is_contested(),
            Rest::Keeping(_) => false,
            Rest::Retiring(retiring) => retiring.takes_long(),
        }
    }

    /// Does what is due. Blocks. `syncs` is that of all files whose time has come, each of which has [enlisted](Self::enlist); where `cancel`
    /// says so, what is not published will not be, and a late writer is waited for no longer than once.
    ///
    /// # Errors
    ///
    /// When a step failed; the original has its name still, or again, and the output is gone, unless it was the removal that failed.
    pub(crate) fn advance(
        self,
        syncs: &mut Syncs,
        cancel: &dyn Fn() -> bool,
        warn: &mut dyn FnMut(String),
    ) -> Result<Advanced, Error> {
        let stopped = match self {
            Rest::Retiring(retiring) => return retiring.advance(syncs, cancel(), warn),
            Rest::Publishing(publishing) => publishing.run(syncs, cancel, warn),
            Rest::Keeping(keeping) => keeping.run(syncs),
        };
        stopped.or_else(Stopped::into_advanced)
    }
}
