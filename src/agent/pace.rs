//! How many tasks to have at hand. Of long ones few, since what is handed out takes its turn from whatever comes later; of short ones so many
//! that the workers need not wait for the next.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// So much work should lie ready for each worker.
const AHEAD: Duration = Duration::from_millis(5);

/// As many tasks for each worker at most, beside the one that it is at; and for all together, where there are many workers.
const MOST_AHEAD: usize = 32;
const MOST_OF_ALL: usize = 1024;

/// Of how many tasks, about, the mean is taken.
const MEMORY: u64 = 8;

/// The mean time that a task takes, as the last ones show it.
pub(super) struct Pace {
    workers: usize,
    mean_nanos: AtomicU64,
}

impl Pace {
    /// At first tasks are taken to be long.
    pub(super) fn of(workers: usize) -> Self {
        Pace {
            workers,
            mean_nanos: AtomicU64::new(nanos(AHEAD)),
        }
    }

    /// Workers that note at the same moment may lose a note: it is an estimate.
    pub(super) fn note(&self, took: Duration) {
        let mean = self.mean_nanos.load(Ordering::Relaxed);
        let mean = mean - mean / MEMORY + nanos(took) / MEMORY;
        self.mean_nanos.store(mean, Ordering::Relaxed);
    }

    /// How many tasks should be handed out and not done.
    pub(super) fn appetite(&self) -> usize {
        let mean = self.mean_nanos.load(Ordering::Relaxed).max(1);
        let ahead = usize::try_from(nanos(AHEAD) / mean).unwrap_or(MOST_AHEAD);
        self.workers * (1 + ahead.clamp(1, self.most_ahead()))
    }

    /// The most that [`appetite`](Self::appetite) ever is.
    pub(super) fn most(&self) -> usize {
        self.workers * (1 + self.most_ahead())
    }

    fn most_ahead(&self) -> usize {
        (MOST_OF_ALL / self.workers.max(1)).clamp(1, MOST_AHEAD)
    }
}

/// An hour is as long as any task for this purpose.
fn nanos(time: Duration) -> u64 {
    const HOUR: Duration = Duration::from_secs(60 * 60);
    u64::try_from(time.min(HOUR).as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_long_tasks_and_many_short_ones_are_at_hand() {
        let pace = Pace::of(4);
        assert_eq!(pace.appetite(), 8);
        for _ in 0..200 {
            pace.note(Duration::from_micros(50));
        }
        assert_eq!(pace.appetite(), pace.most());
        for _ in 0..3 {
            pace.note(Duration::from_secs(1));
        }
        assert_eq!(pace.appetite(), 8);
        pace.note(Duration::MAX);
        assert_eq!(pace.appetite(), 8);
        for _ in 0..1000 {
            pace.note(Duration::ZERO);
        }
        assert_eq!(pace.appetite(), pace.most());
    }
}
