//! When surplus outputs are looked for: after scans of a whole folder, and a while after files have been compressed.

use std::time::{Duration, Instant};

/// Between a file that was compressed and the look, so that one look is for many.
const GATHER: Duration = Duration::from_secs(1);
/// Looks take a twentieth of the time, and are this far apart at least, and because of that no farther.
const SHARE: u32 = 20;
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// One watch's.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    due: Option<Instant>,
    not_before: Option<Instant>,
    pub(super) is_running: bool,
}

impl Upkeep {
    /// The whole folder was scanned.
    pub(super) fn scanned(&mut self, now: Instant) {
        self.due_at(now);
    }

    /// A file was compressed.
    pub(super) fn compressed(&mut self, now: Instant) {
        self.due_at(now + GATHER);
    }

    /// A look has ended, which took so long; `again` where something was left for another.
    pub(super) fn ended(&mut self, took: Duration, again: bool, now: Instant) {
        self.is_running = false;
        self.not_before = Some(now + (took * SHARE).clamp(SHORTEST, LONGEST));
        if again {
            self.due_at(now);
        }
    }

    /// When it is to be looked next; nothing while a look goes on.
    pub(super) fn next(&self) -> Option<Instant> {
        let due = self.due.filter(|_| !self.is_running)?;
        Some(self.not_before.map_or(due, |not_before| due.max(not_before)))
    }

    /// Whether there is a look to come, whenever.
    pub(super) fn is_due(&self) -> bool {
        self.due.is_some() && !self.is_running
    }

    pub(super) fn begin(&mut self) {
        self.due = None;
        self.is_running = true;
    }

    fn due_at(&mut self, at: Instant) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }
}
