//! The table of known files: who waits until when, who is ready, who is with a worker.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};
use std::time::{Duration, Instant};

use super::table::Table;
use super::{Cause, FileId, WatchId, after};

/// What is remembered of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) origin: Origin,
    /// Tries in a row that failed.
    pub(super) failed_tries: u32,
    /// Those of them that did not fail for want of room.
    pub(super) own_failures: u32,
    /// That they are used up was said.
    pub(super) given_up: bool,
    /// When it was first found not ready or failing.
    pub(super) unready_since: Option<Instant>,
    /// Looks at it that found it not ready or failing, since an event or a scan last told of it.
    pub(super) unready_looks: u32,
    /// Looks at it that found a second name.
    pub(super) linked_looks: u32,
    /// What told of the name came while its last file was at work, and that one is done: most likely nothing has the name now.
    pub(super) may_be_gone: bool,
    /// Since when it waits for nothing but a worker, the last time that it did.
    ready_since: Instant,
    state: State,
}

impl Entry {
    pub(super) fn new(origin: Origin, now: Instant) -> Self {
        Entry {
            origin,
            failed_tries: 0,
            own_failures: 0,
            given_up: false,
            unready_since: None,
            unready_looks: 0,
            linked_looks: 0,
            may_be_gone: false,
            ready_since: now,
            state: State::Ready,
        }
    }

    /// It is not failing any more, whatever else.
    pub(super) fn forget_failures(&mut self) {
        self.failed_tries = 0;
        self.own_failures = 0;
        self.given_up = false;
    }

    /// Whether it waits after it was found not ready or failing.
    pub(super) fn waits_unready(&self) -> bool {
        self.unready_since.is_some() && matches!(self.state, State::Waiting(_))
    }
}

/// How a file became known: what is found again and again by sweeps is not told again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Arrival,
    Sweep,
}

impl Origin {
    pub(super) fn of(cause: Cause) -> Self {
        match cause {
            Cause::Start | Cause::NewFolder => Origin::Arrival,
            Cause::EventsLost | Cause::NoRoom | Cause::Sweep => Origin::Sweep,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Until the timer with this key.
    Waiting(TimerKey),
    Ready,
    /// With a worker, or done but for what needs no worker; what was learned of the name since, where anything was.
    Begun {
        again: Option<Origin>,
        has_worker: bool,
    },
    /// Failed, or left as it was not ready, with nothing to wait for. The number is its key among the parked.
    Parked(u64),
}

/// The number keeps equal moments apart, first come first served.
type TimerKey = (Instant, u64);

#[derive(Default)]
pub(super) struct Files {
    table: Table,
    timers: BTreeMap<TimerKey, FileId>,
    ready: BTreeMap<WatchId, VecDeque<FileId>>,
    /// Oldest first, so that the oldest are forgotten when there are too many.
    parked: BTreeMap<u64, FileId>,
    begun: usize,
    /// Files that are done but for what needs no worker.
    retiring: usize,
    serial: u64,
}

impl Files {
    /// Files known of all watches, the parked ones included.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Files known of a watch, the parked ones included.
    pub(super) fn len_of(&self, watch: WatchId) -> usize {
        self.table.len_of(watch)
    }

    /// Files of a watch that wait after they were found not ready or failing.
    pub(super) fn unready_of(&self, watch: WatchId) -> usize {
        self.table.unready_of(watch)
    }

    /// Files with a worker or on the way to one.
    pub(super) fn begun(&self) -> usize {
        self.begun
    }

    /// Files that are begun and not done.
    pub(super) fn under_way(&self) -> usize {
        self.begun + self.retiring
    }

    /// Files that something will be done with.
    pub(super) fn pending(&self) -> usize {
        self.table.len() - self.parked.len()
    }

    /// Files whose last try failed.
    pub(super) fn failing(&self) -> u64 {
        self.table.values().filter(|entry| entry.failed_tries > 0).count() as u64
    }

    /// How often a file has failed in a row, for other reasons than want of room.
    pub(super) fn own_failures_of(&self, file: &FileId) -> u32 {
        self.table.get(file).map_or(0, |entry| entry.own_failures)
    }

    /// Since when a file waits, or waited, for nothing but a worker.
    pub(super) fn ready_since(&self, file: &FileId) -> Option<Instant> {
        self.table.get(file).map(|entry| entry.ready_since)
    }

    /// Files that wait for nothing but a worker.
    pub(super) fn ready(&self) -> usize {
        self.ready.values().map(VecDeque::len).sum()
    }

    /// Files that were not ready when their time was up.
    pub(super) fn left(&self) -> u64 {
        let is_left = |entry: &&Entry| entry.failed_tries == 0 && matches!(entry.state, State::Parked(_));
        self.table.values().filter(is_left).count() as u64
    }

    /// Whether nothing waits, is ready or is begun.
    pub(super) fn is_idle(&self) -> bool {
        self.pending() == 0
    }

    /// Something happened to a file: it waits until `due`, with `patience` no longer than that since it was first found unready. False
    /// where the file is not known.
    pub(super) fn touch(&mut self, file: &FileId, now: Instant, due: Instant, patience: Option<Duration>) -> bool {
        let Some(entry) = self.table.get_mut(file) else {
            return false;
        };
        match &mut entry.state {
            State::Begun { again, .. } => *again = Some(Origin::Arrival),
            // The worker will see whether it is quiet.
            State::Ready => {
                entry.origin = Origin::Arrival;
                entry.unready_looks = 0;
                entry.may_be_gone = false;
            }
            State::Waiting(_) | State::Parked(_) => {
                let mut entry = Entry {
                    origin: Origin::Arrival,
                    unready_looks: 0,
                    may_be_gone: false,
                    ..*entry
                };
                let latest = patience.map(|patience| after(*entry.unready_since.get_or_insert(now), patience));
                self.wait(file.clone(), entry, latest.map_or(due, |latest| latest.min(due)));
            }
        }
        true
    }

    /// A scan found the file: it is ready, unless it is known and has a time of its own.
    pub(super) fn found(&mut self, file: FileId, origin: Origin, now: Instant) {
        let Some(entry) = self.table.get_mut(&file) else {
            return self.make_ready(file, Entry::new(origin, now), now);
        };
        // Whatever was known of it may have been another file with the same name.
        entry.unready_looks = 0;
        match &mut entry.state {
            // It may be another file than the worker has, with the same name; the event that told so may be among the lost ones.
            State::Begun { again, .. } => *again = again.or(Some(Origin::Sweep)),
            State::Parked(_) => {
                let entry = *entry;
                self.make_ready(file, entry, now);
            }
            State::Waiting(_) | State::Ready => {}
        }
    }

    /// The file is to be begun when `due` comes.
    pub(super) fn wait(&mut self, file: FileId, mut entry: Entry, due: Instant) {
        self.leave_state(&file);
        let key = (due, self.next_serial());
        entry.state = State::Waiting(key);
        self.timers.insert(key, file.clone());
        self.table.insert(file, entry);
    }

    /// The file stays as it is until something happens to it. Of more than `most` such files the oldest is forgotten; returns its watch, and
    /// whether it had failed.
    pub(super) fn park(&mut self, file: FileId, mut entry: Entry, most: usize) -> Option<(WatchId, bool)> {
        self.leave_state(&file);
        let key = self.next_serial();
        entry.state = State::Parked(key);
        self.parked.insert(key, file.clone());
        self.table.insert(file, entry);
        if self.parked.len() <= most.max(1) {
            return None;
        }
        let (_, oldest) = self.parked.pop_first()?;
        let has_failed = self.table.get(&oldest).is_some_and(|entry| entry.failed_tries > 0);
        self.table.remove(&oldest);
        Some((oldest.watch, has_failed))
    }

    /// Whoever's time has come is ready.
    pub(super) fn ripen(&mut self, now: Instant) {
        while let Some(timer) = self.timers.first_entry()
            && timer.key().0 <= now
        {
            let (due, file) = (timer.key().0, timer.get().clone());
            if let Some(entry) = self.table.get(&file).copied() {
                self.make_ready(file, entry, due);
            }
        }
    }

    /// When the next file ripens.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.timers.first_key_value().map(|(key, _)| key.0)
    }

    /// Takes the longest ready file of the watch whose turn it is after `last`, of those that may.
    pub(super) fn begin_next(&mut self, last: Option<WatchId>, may: impl Fn(WatchId) -> bool) -> Option<FileId> {
        let after = last.map_or(Unbounded, Excluded);
        let in_turn = self.ready.range((after, Unbounded)).chain(&self.ready);
        let watch = in_turn.map(|(watch, _)| *watch).find(|watch| may(*watch))?;
        let queue = self.ready.get_mut(&watch)?;
        let file = queue.pop_front()?;
        if queue.is_empty() {
            self.ready.remove(&watch);
        }
        let entry = self.table.get_mut(&file)?;
        entry.state = State::Begun {
            again: None,
            has_worker: true,
        };
        self.begun += 1;
        Some(file)
    }

    /// The watches that have files which wait for nothing but their turn.
    pub(super) fn watches_with_ready(&self) -> impl Iterator<Item = WatchId> {
        self.ready.keys().copied()
    }

    /// A begun file does not need its worker any more.
    pub(super) fn free_worker_of(&mut self, file: &FileId) {
        if let Some(entry) = self.table.get_mut(file)
            && let State::Begun { has_worker, .. } = &mut entry.state
            && std::mem::replace(has_worker, false)
        {
            self.begun -= 1;
            self.retiring += 1;
        }
    }

    /// A begun file comes back and is no longer known. With it: whether an event or a scan told of the name meanwhile.
    pub(super) fn take_begun(&mut self, file: &FileId) -> Option<(Entry, Option<Origin>)> {
        let entry = *self.table.get(file)?;
        let State::Begun { again, has_worker } = entry.state else {
            return None;
        };
        self.table.remove(file);
        let counted = if has_worker {
            &mut self.begun
        } else {
            &mut self.retiring
        };
        *counted -= 1;
        Some((entry, again))
    }

    /// Who waits for another try will not get one.
    pub(super) fn park_failing(&mut self) {
        let is_failing = |file: &&FileId| self.table.get(file).is_some_and(|entry| entry.failed_tries > 0);
        let failing: Vec<FileId> = self.timers.values().filter(is_failing).cloned().collect();
        for file in failing {
            if let Some(entry) = self.table.get(&file).copied() {
                self.park(file, entry, usize::MAX);
            }
        }
    }

    /// Forgets who waits beyond the deadline; returns how many files those are.
    pub(super) fn forget_waiting_after(&mut self, deadline: Option<Instant>) -> u64 {
        let Some(deadline) = deadline else { return 0 };
        let late = self.timers.split_off(&(deadline, u64::MAX));
        let mut files = 0;
        for file in late.values() {
            files += u64::from(self.table.get(file).is_some_and(|entry| !entry.may_be_gone));
            self.table.remove(file);
        }
        files
    }

    /// Forgets who waits or is ready; returns how many files those are.
    pub(super) fn forget_not_begun(&mut self) -> u64 {
        let mut files = 0;
        self.timers.clear();
        self.ready.clear();
        self.table.retain(|_, entry| {
            let stays = matches!(entry.state, State::Begun { .. } | State::Parked(_));
            files += u64::from(!stays && !entry.may_be_gone);
            stays
        });
        files
    }

    /// Forgets a watch's files, but for those that are begun.
    pub(super) fn forget_watch(&mut self, watch: WatchId) {
        self.timers.retain(|_, file| file.watch != watch);
        self.parked.retain(|_, file| file.watch != watch);
        self.ready.remove(&watch);
        self.table
            .retain(|file, entry| file.watch != watch || matches!(entry.state, State::Begun { .. }));
    }

    fn make_ready(&mut self, file: FileId, mut entry: Entry, since: Instant) {
        self.leave_state(&file);
        entry.state = State::Ready;
        entry.ready_since = since;
        self.ready.entry(file.watch).or_default().push_back(file.clone());
        self.table.insert(file, entry);
    }

    /// Takes a waiting or parked file off its list. A ready one is never moved; a begun one comes back by `take_begun`.
    fn leave_state(&mut self, file: &FileId) {
        match self.table.get(file).map(|entry| entry.state) {
            Some(State::Waiting(key)) => {
                self.timers.remove(&key);
            }
            Some(State::Parked(key)) => {
                self.parked.remove(&key);
            }
            Some(State::Ready | State::Begun { .. }) | None => {}
        }
    }

    fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }
}
