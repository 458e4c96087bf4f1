//! What the stage after the workers holds, and until when.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit};

use super::pool::{Progress, Unfinished, Worked};
use super::retire::Retiree;

/// Times are put off to the next one of these, so that many files go on in one piece of work.
const TICK: Duration = Duration::from_millis(5);

/// So many descriptors a file has open here at most.
const DESCRIPTORS_EACH: u64 = 5;

/// How many are held at once, those on the way here included: all that the process may have open, but for a share that others need.
fn most() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let files = limit.saturating_sub(256) / DESCRIPTORS_EACH;
    usize::try_from(files).unwrap_or(usize::MAX).clamp(16, 4096)
}

/// How many of them may be on the way, while the stage is at others.
pub(super) fn room_for_retirees() -> usize {
    most() / 4
}

pub(super) type Held<K, R> = (K, Box<dyn Unfinished<R>>);

/// A key and what came of its work; nothing where that panicked.
pub(super) type Answer<K, R> = (K, Option<Worked<R>>);

pub(super) struct Stage<K, R> {
    begun: Instant,
    most: usize,
    /// What need not wait.
    pub(super) fresh: Vec<Held<K, R>>,
    /// What waits for its time, and then for the disk.
    pub(super) for_disk: Timed<K, R>,
    /// What waits for its time alone.
    pub(super) for_time: Timed<K, R>,
    /// Whose time has come, and that nothing else waits for. Counted among those that are going on.
    pub(super) long: Vec<Held<K, R>>,
    serial: u64,
    /// How many are going on now.
    at_work: usize,
    pub(super) is_closed: bool,
}

impl<K: Send + 'static, R: Send + 'static> Stage<K, R> {
    pub(super) fn new(begun: Instant) -> Self {
        Stage {
            begun,
            most: most() - room_for_retirees(),
            fresh: Vec::new(),
            for_disk: Timed::default(),
            for_time: Timed::default(),
            long: Vec::new(),
            serial: 0,
            at_work: 0,
            is_closed: false,
        }
    }

    pub(super) fn hold(&mut self, Retiree { key, rest, wait }: Retiree<K, R>, now: Instant) {
        if wait.is_zero() {
            return self.fresh.push((key, rest));
        }
        self.serial += 1;
        let at = (self.tick_after(now + wait), self.serial);
        let timed = if rest.waits_for_disk() {
            &mut self.for_disk
        } else {
            &mut self.for_time
        };
        timed.0.insert(at, (key, rest));
    }

    fn tick_after(&self, due: Instant) -> Instant {
        let wait = (due - self.begun).as_micros().next_multiple_of(TICK.as_micros());
        self.begun + Duration::from_micros(u64::try_from(wait).unwrap_or(u64::MAX))
    }

    /// Whether it takes more.
    pub(super) fn has_room(&self) -> bool {
        let timed = self.for_disk.0.len() + self.for_time.0.len();
        !self.is_closed && self.fresh.len() + timed + self.at_work < self.most
    }

    pub(super) fn take_fresh(&mut self) -> Vec<Held<K, R>> {
        self.at_work += self.fresh.len();
        std::mem::take(&mut self.fresh)
    }

    /// All that is to wait for the disk now. What waited for its time comes first: it has changed names, and the others are about to.
    pub(super) fn take_fresh_and_due(&mut self, now: Instant) -> Vec<Held<K, R>> {
        let mut batch = self.for_disk.take_due(now);
        self.at_work += batch.len();
        batch.append(&mut self.take_fresh());
        batch
    }

    /// Those whose time has come, but for what takes long, which is put beside.
    pub(super) fn take_due(&mut self, now: Instant, with_disk: bool) -> Vec<Held<K, R>> {
        let mut due = self.for_time.take_due(now);
        if with_disk {
            due.append(&mut self.for_disk.take_due(now));
        }
        self.at_work += due.len();
        let (long, due) = due.into_iter().partition(|(_, rest)| rest.takes_long());
        self.long.extend::<Vec<_>>(long);
        due
    }

    /// Holds what is not done; returns what to tell of the others.
    pub(super) fn sort(&mut self, worked: Vec<Answer<K, R>>, now: Instant) -> Vec<Progress<K, R>> {
        self.at_work -= worked.len();
        let mut ended = Vec::new();
        for (key, worked) in worked {
            match worked {
                Some(Worked::Later(rest, wait)) => self.hold(Retiree { key, rest, wait }, now),
                Some(Worked::Ended(result)) => ended.push(Progress::Ended(key, Some(result))),
                None => ended.push(Progress::Ended(key, None)),
            }
        }
        ended
    }
}

/// By their time; the number keeps equal times apart.
pub(super) struct Timed<K, R>(BTreeMap<(Instant, u64), Held<K, R>>);

impl<K, R> Default for Timed<K, R> {
    fn default() -> Self {
        Timed(BTreeMap::new())
    }
}

impl<K, R> Timed<K, R> {
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.0.first_key_value().map(|((due, _), _)| *due)
    }

    fn take_due(&mut self, now: Instant) -> Vec<Held<K, R>> {
        let later = self.0.split_off(&(now, u64::MAX));
        std::mem::replace(&mut self.0, later).into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::storage::Syncs;

    use super::super::job::Cancel;

    struct Rest;

    impl Unfinished<()> for Rest {
        fn enlist(&self, _: &mut Syncs) {}

        fn waits_for_disk(&self) -> bool {
            false
        }

        fn advance(self: Box<Self>, _: &mut Syncs, _: &Cancel) -> Worked<()> {
            Worked::Ended(())
        }
    }

    #[test]
    fn nothing_goes_on_before_its_time_however_long_the_agent_runs() {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        for days in [0, 1, 248, 249, 10_000] {
            let begun = Instant::now();
            let mut stage = Stage::new(begun);
            let (now, wait) = (begun + DAY * days, Duration::from_millis(11));
            let rest = Box::new(Rest);
            stage.hold(Retiree { key: (), rest, wait }, now);
            let due = now + wait;
            let next = stage.for_time.next_due().expect("it is held");
            assert!((due..due + TICK).contains(&next), "after {days} days");
            assert_eq!(stage.take_due(due.checked_sub(TICK).unwrap(), true).len(), 0);
            assert_eq!(stage.take_due(next, true).len(), 1);
        }
    }
}
