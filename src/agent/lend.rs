//! Workers that have nothing to do, lent to one that has a large file: as many threads compress as there are workers, and never more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_channel::{Receiver, Sender};

use crate::codec::{Help, Helpers};

/// Lends the workers that are idle. The clones of all workers gone, the channel of helps is closed.
#[derive(Clone)]
pub(super) struct Lender {
    idle: IdleWorkers,
    helps: Sender<Help>,
}

/// How many workers wait for something to do.
#[derive(Clone, Default)]
pub(super) struct IdleWorkers(Arc<AtomicUsize>);

/// Counts a worker as idle until it is dropped.
pub(super) struct Idle(IdleWorkers);

impl Lender {
    /// With it: where idle workers learn whom to help.
    pub(super) fn new(workers: usize) -> (Self, Receiver<Help>) {
        let (helps, waiting) = async_channel::bounded(workers.max(1));
        let idle = IdleWorkers::default();
        (Lender { idle, helps }, waiting)
    }

    pub(super) fn workers(&self) -> IdleWorkers {
        self.idle.clone()
    }
}

impl Helpers for Lender {
    /// One that waits in the channel has an idle worker already, or the next one to become idle.
    fn try_borrow(&self, help: Help) -> bool {
        self.helps.len() < self.idle.0.load(Ordering::Relaxed) && self.helps.try_send(help).is_ok()
    }
}

impl IdleWorkers {
    pub(super) fn count_in(&self) -> Idle {
        self.0.fetch_add(1, Ordering::Relaxed);
        Idle(self.clone())
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Helps for as long as there is something to help with and nothing of one's own to do. Blocks.
pub(super) fn help_until(mut help: Help, has_own: impl Fn() -> bool) {
    while help() && !has_own() {}
}
