//! What the model keeps of a file.

use std::time::Instant;

use super::super::files::Origin;

#[derive(Clone, Copy)]
pub(super) struct Known {
    pub(super) state: State,
    pub(super) origin: Origin,
    pub(super) failed_tries: u32,
    pub(super) unready_since: Option<Instant>,
    pub(super) unready_looks: u32,
    pub(super) linked_looks: u32,
    pub(super) may_be_gone: bool,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum State {
    Waits { until: Instant },
    Ready { since: Instant },
    Begun { again: Option<Origin> },
    Parked { serial: u64 },
}

impl Known {
    pub(super) fn new(origin: Origin, state: State) -> Self {
        Known {
            state,
            origin,
            failed_tries: 0,
            unready_since: None,
            unready_looks: 0,
            linked_looks: 0,
            may_be_gone: false,
        }
    }
}
