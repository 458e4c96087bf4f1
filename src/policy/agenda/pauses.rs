//! Watches in which nothing is begun for a while: what failed for one file, a full disk, would fail for each.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{WatchId, after, backoff};

#[derive(Default)]
pub(super) struct Pauses(BTreeMap<WatchId, Pause>);

struct Pause {
    /// Pauses in a row.
    count: u32,
    /// Nothing while files are tried again.
    until: Option<Instant>,
}

impl Pauses {
    /// A file failed as all would; returns how long the pause is that begins with it.
    pub(super) fn begin(&mut self, watch: WatchId, now: Instant) -> Option<Duration> {
        let pause = self.0.entry(watch).or_insert(Pause { count: 0, until: None });
        if pause.until.is_some_and(|until| until > now) {
            return None;
        }
        pause.count = pause.count.saturating_add(1);
        let wait = backoff(pause.count);
        pause.until = Some(after(now, wait));
        Some(wait)
    }

    /// A file did not fail that way.
    pub(super) fn forget(&mut self, watch: WatchId) {
        self.0.remove(&watch);
    }

    /// Files of those whose time is over may be tried again.
    pub(super) fn expire(&mut self, now: Instant) {
        for pause in self.0.values_mut() {
            pause.until = pause.until.filter(|until| *until > now);
        }
    }

    pub(super) fn end_of(&self, watch: WatchId) -> Option<Instant> {
        self.0.get(&watch).and_then(|pause| pause.until)
    }

    pub(super) fn holds(&self, watch: WatchId) -> bool {
        self.end_of(watch).is_some()
    }

    /// The watches that are paused.
    pub(super) fn watches(&self) -> impl Iterator<Item = WatchId> {
        let paused = self.0.iter().filter(|(_, pause)| pause.until.is_some());
        paused.map(|(watch, _)| *watch)
    }
}
