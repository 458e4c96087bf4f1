//! What to do next, and when: the heart of the agent, without hands.
//!
//! The agenda takes what happened and the time (`handle_*`), and gives back what to do (`poll_action`) and when it next wants to be
//! asked (`poll_timeout`). It reads no clock and no file, so thousands of hours of arrivals, failures and shutdowns can be run through
//! it in a second.
//!
//! The way of a file: an event makes it *waiting*; when it has been quiet for the watch's settle time it is *ready*; when there is room
//! it is *begun*, that is, handed to a worker, who looks at the file itself and says what came of it. Not quiet yet: it waits again.
//! Failed: it waits longer, or, where only a person can help, it is *parked* until something happens to it.
//!
//! Nothing is lost when a watch's share of the table is full: what does not fit makes a scan of its folder due, and its scans pause while
//! the share is half full. Lest they pause for ever, the files that stay unready, or are parked, may not fill that half: more of them are
//! left to the next event or sweep.

mod files;
mod interface;
mod pauses;
mod scans;
mod table;
mod upkeep;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::model::Class;
use files::{Entry, Files, Origin};
pub use interface::WatchId;
pub(crate) use interface::{Action, Cause, FileId, Limits, Outcome, Remains, Tally, Timing, Verdict};
use pauses::Pauses;
use scans::Scans;
use upkeep::Upkeep;

use super::{backoff, is_used_up};

/// How it is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// Not until told.
    Open,
    /// When everything has been scanned and done. A file that stays unready for this long is left.
    Once { patience: Duration },
    /// When what is known has been done, or is not ready when its time comes.
    Drain,
    /// When what is begun has come back.
    Abort,
}

pub(crate) struct Agenda {
    limits: Limits,
    ending: Ending,
    files: Files,
    watches: BTreeMap<WatchId, Scans>,
    /// The watch that a ready file was last taken from: each gets its turn.
    last_served: Option<WatchId>,
    counts: Tally,
    /// Of each watch, how many failed files found no room in the table since it was last scanned.
    forgotten: BTreeMap<WatchId, u64>,
    pauses: Pauses,
    /// Of the watches that do not keep all outputs.
    upkeep: BTreeMap<WatchId, Upkeep>,
    /// Not all watches are known yet, and what is surplus in one may be another's.
    holds_upkeep: bool,
}

impl Agenda {
    pub(crate) fn new(limits: Limits) -> Self {
        Agenda {
            limits,
            ending: Ending::Open,
            files: Files::default(),
            watches: BTreeMap::new(),
            last_served: None,
            counts: Tally::default(),
            forgotten: BTreeMap::new(),
            pauses: Pauses::default(),
            upkeep: BTreeMap::new(),
            holds_upkeep: false,
        }
    }

    /// A watch begins; its first scan is due.
    pub(crate) fn add_watch(&mut self, watch: WatchId, timing: Timing, now: Instant) {
        let mut scans = Scans::new(timing);
        if matches!(self.ending, Ending::Open | Ending::Once { .. }) {
            scans.due(Path::new(""), Cause::Start, now);
        }
        self.watches.insert(watch, scans);
    }

    /// The watch, which was added, does not keep all outputs.
    pub(crate) fn keep_up(&mut self, watch: WatchId) {
        self.upkeep.insert(watch, Upkeep::default());
    }

    /// Whether no surplus output is looked for, for now.
    pub(crate) fn hold_upkeep(&mut self, holds: bool) {
        self.holds_upkeep = holds;
    }

    /// The answer to [`Action::Retain`]: how long it took, and what it left. One pass waits for nobody who is at an output.
    pub(crate) fn handle_retained(&mut self, watch: WatchId, took: Duration, left: Remains, now: Instant) {
        let again = match self.ending {
            Ending::Open => left != Remains::Nothing,
            Ending::Once { .. } => left == Remains::More,
            Ending::Drain | Ending::Abort => false,
        };
        if let Some(upkeep) = self.upkeep.get_mut(&watch) {
            upkeep.ended(took, again, now);
        }
    }

    /// A watch ends; what waits in it is forgotten, what is begun comes back as ever.
    pub(crate) fn remove_watch(&mut self, watch: WatchId) {
        self.watches.remove(&watch);
        self.forgotten.remove(&watch);
        self.upkeep.remove(&watch);
        self.pauses.forget(watch);
        self.files.forget_watch(watch);
    }

    /// From now on this watch is scanned at another interval.
    pub(crate) fn rescan_every(&mut self, watch: WatchId, interval: Duration, now: Instant) {
        if let Some(scans) = self.watches.get_mut(&watch) {
            scans.rescan_every(interval, now);
        }
    }

    /// From now on so many files are handed out at once; what is handed out already stays so.
    pub(crate) fn begin_at_most(&mut self, files: usize) {
        self.limits.begun = files;
    }

    /// Something happened to a file: it was created, renamed to this name, or closed by a writer.
    pub(crate) fn handle_event(&mut self, file: &FileId, now: Instant) {
        let Some(scans) = self.watches.get_mut(&file.watch) else {
            return;
        };
        if matches!(self.ending, Ending::Drain | Ending::Abort) {
            return;
        }
        let due = after(now, scans.timing.settle);
        // Who is told of again and again must not put off the end for ever.
        let patience = match self.ending {
            Ending::Once { patience } => Some(patience_with(patience, scans.timing)),
            _ => None,
        };
        if self.files.touch(file, now, due, patience) {
            return;
        }
        if self.files.len_of(file.watch) >= self.limits.files {
            scans.due(Path::new(""), Cause::NoRoom, now);
        } else {
            self.files.wait(file.clone(), Entry::new(Origin::Arrival, now), due);
        }
    }

    /// A file that was passed over may be ready now, since another one came. It is no news where it is not.
    pub(crate) fn handle_successor(&mut self, file: FileId, now: Instant) {
        let is_open = matches!(self.ending, Ending::Open | Ending::Once { .. });
        if is_open && self.watches.contains_key(&file.watch) {
            self.files.found(file, Origin::Sweep, now);
        }
    }

    /// A subfolder appeared.
    pub(crate) fn handle_folder(&mut self, watch: WatchId, folder: &Path, now: Instant) {
        self.scan_due(watch, folder, Cause::NewFolder, now);
    }

    /// Events were lost, so what they would have told must be found by a scan.
    pub(crate) fn handle_lost_events(&mut self, watch: WatchId, cause: Cause, now: Instant) {
        self.scan_due(watch, Path::new(""), cause, now);
    }

    /// The answer to [`Action::Scan`] and [`Action::ScanOn`]; `end` where the scan has no more.
    pub(crate) fn handle_scanned(&mut self, watch: WatchId, found: Vec<PathBuf>, end: bool, now: Instant) {
        let Some(scans) = self.watches.get_mut(&watch) else {
            return;
        };
        let Some(cause) = scans.answered(end, now) else {
            return;
        };
        if let Some(upkeep) = self.upkeep.get_mut(&watch).filter(|_| end && cause != Cause::NewFolder) {
            upkeep.scanned(now);
        }
        let origin = Origin::of(cause);
        for path in found {
            let file = FileId {
                watch,
                path: path.into(),
            };
            self.files.found(file, origin, now);
        }
    }

    /// The scan under way had to leave out a subfolder. What may pass is a reason to scan again soon; in one pass it is a failure.
    pub(crate) fn handle_scan_trouble(&mut self, watch: WatchId, class: Class) {
        match (self.ending, self.watches.get_mut(&watch)) {
            (Ending::Once { .. }, Some(_)) => self.counts.failed += 1,
            (Ending::Open, Some(scans)) if class == Class::Transient => scans.trouble(),
            (Ending::Open, Some(scans)) => scans.leave_out(),
            _ => {}
        }
    }

    /// The scan could not be begun or went wrong: the folder cannot be reached. Returns when it will be tried again, at the latest.
    pub(crate) fn handle_scan_failed(&mut self, watch: WatchId, now: Instant) -> Duration {
        let Some(scans) = self.watches.get_mut(&watch) else {
            return Duration::ZERO;
        };
        if self.ending == Ending::Open {
            return scans.failed(now);
        }
        scans.stop();
        if matches!(self.ending, Ending::Once { .. }) {
            self.counts.failed += 1;
        }
        Duration::ZERO
    }

    /// The file's worker is free again: what is left to do with the file needs time only.
    pub(crate) fn handle_retiring(&mut self, file: &FileId) {
        self.files.free_worker_of(file);
    }

    /// How often a file has failed in a row, for other reasons than want of room.
    pub(crate) fn failures_of(&self, file: &FileId) -> u32 {
        self.files.own_failures_of(file)
    }

    /// Since when a file that is begun was ready.
    pub(crate) fn ready_since(&self, file: &FileId) -> Option<Instant> {
        self.files.ready_since(file)
    }

    /// The answer to [`Action::Begin`].
    pub(crate) fn handle_outcome(&mut self, file: &FileId, outcome: Outcome, now: Instant) -> Verdict {
        let Some((mut entry, again)) = self.files.take_begun(file) else {
            return Verdict::quiet();
        };
        // What else a look tells than that it is gone, it tells of a file.
        entry.may_be_gone = false;
        if again.is_some() {
            entry.unready_looks = 0;
        }
        let touched = again == Some(Origin::Arrival);
        let came_as = entry.origin;
        if touched {
            entry.origin = Origin::Arrival;
        }
        let told = Verdict::news();
        let verdict = match outcome {
            Outcome::Compressed { bytes_in, bytes_out } => {
                self.counts.compressed += 1;
                self.counts.bytes_in += bytes_in;
                self.counts.bytes_out += bytes_out;
                self.pauses.forget(file.watch);
                if let Some(upkeep) = self.upkeep.get_mut(&file.watch) {
                    upkeep.compressed(now);
                }
                told
            }
            Outcome::Skipped if came_as == Origin::Arrival => {
                self.counts.skipped += 1;
                told
            }
            Outcome::Skipped | Outcome::Gone => Verdict::quiet(),
            Outcome::Folder => {
                self.scan_due(file.watch, &file.path, Cause::NewFolder, now);
                Verdict::quiet()
            }
            Outcome::HardLinked => return self.skip_or_look_again(file, entry, came_as, again, now),
            Outcome::NotYet(wait) => {
                entry.forget_failures();
                self.wait_or_leave(file, entry, wait, now);
                return Verdict::quiet();
            }
            Outcome::InUse => {
                entry.forget_failures();
                let wait = backoff(entry.unready_looks.saturating_add(1));
                // What was told meanwhile may be that the writer is done: then that counts, as if it had been told afterwards.
                let settle = self.watches.get(&file.watch).map(|scans| scans.timing.settle);
                let settle = settle.filter(|_| touched).unwrap_or(wait);
                self.wait_or_leave(file, entry, wait.min(settle), now);
                return Verdict::quiet();
            }
            Outcome::Failed(class) => {
                entry.own_failures = entry.own_failures.saturating_add(1);
                let is_permanent = class == Class::Permanent && again.is_none();
                let is_over = is_permanent || is_used_up(entry.own_failures);
                let given_up = is_over && !std::mem::replace(&mut entry.given_up, is_over);
                let verdict = self.fail(file, entry, class, again.is_some(), now);
                return Verdict { given_up, ..verdict };
            }
            Outcome::GivenUp => {
                self.counts.failed += 1;
                Verdict { given_up: true, ..told }
            }
            Outcome::NoRoom => {
                let verdict = self.fail(file, entry, Class::Transient, again.is_some(), now);
                let pauses = self.ending == Ending::Open && self.watches.contains_key(&file.watch);
                let pause = pauses.then(|| self.pauses.begin(file.watch, now)).flatten();
                return Verdict { pause, ..verdict };
            }
            Outcome::Cancelled => {
                self.counts.left += 1;
                return Verdict::quiet();
            }
        };
        if let Some(origin) = again {
            self.come_again(file, origin, now);
        }
        verdict
    }

    /// From now on nothing new is taken. What is known is done if it is ready by its time and before the deadline.
    pub(crate) fn handle_drain(&mut self, deadline: Option<Instant>) {
        if self.ending == Ending::Abort {
            return;
        }
        self.ending = Ending::Drain;
        self.watches.values_mut().for_each(Scans::stop);
        self.files.park_failing();
        self.counts.left += self.files.forget_waiting_after(deadline);
    }

    /// From now on nothing is begun.
    pub(crate) fn handle_abort(&mut self) {
        self.ending = Ending::Abort;
        self.watches.values_mut().for_each(Scans::stop);
        self.files.park_failing();
        self.counts.left += self.files.forget_not_begun();
    }

    /// Finish when everything that is there now has been done; what stays unready for longer than `patience` is left. Does nothing
    /// where a drain has begun.
    pub(crate) fn handle_once(&mut self, patience: Duration) {
        if self.ending == Ending::Open {
            self.ending = Ending::Once { patience };
            // The first scan may have been quicker than whoever asks for one pass.
            let left_out = self.watches.values_mut().map(Scans::take_left_out);
            self.counts.failed += left_out.sum::<u64>();
        }
    }

    /// What is to be done now; to be asked until there is nothing.
    pub(crate) fn poll_action(&mut self, now: Instant) -> Option<Action> {
        self.files.ripen(now);
        self.pauses.expire(now);
        let (is_open, pauses) = (self.ending == Ending::Open, &self.pauses);
        let may_begin = |watch| !(is_open && pauses.holds(watch));
        if self.files.begun() < self.limits.begun
            && let Some(file) = self.files.begin_next(self.last_served, may_begin)
        {
            self.last_served = Some(file.watch);
            return Some(Action::Begin(file));
        }
        let sweeps = self.ending == Ending::Open;
        for (watch, scans) in &mut self.watches {
            if has_room_for_scan(&self.files, *watch, self.limits)
                && let Some(action) = scans.poll(*watch, BATCH, sweeps, now)
            {
                if let Action::Scan { folder, .. } = &action
                    && folder.as_os_str().is_empty()
                {
                    // It finds them all again.
                    self.forgotten.remove(watch);
                }
                return Some(action);
            }
        }
        let ends = self.ending != Ending::Open;
        let idle = self.files.is_idle() && self.watches.values().all(Scans::is_idle);
        if let Some(watch) = self.begin_upkeep(idle, now) {
            return Some(Action::Retain(watch));
        }
        let idle = idle && self.upkeep.values().all(|upkeep| !upkeep.is_running);
        (ends && idle).then_some(Action::Finish)
    }

    /// One whose time has come; in one pass, when all else is done. None in a drain: what is surplus then is so at the next start.
    fn begin_upkeep(&mut self, idle: bool, now: Instant) -> Option<WatchId> {
        let ending = self.ending;
        let is_ready = |upkeep: &Upkeep| match ending {
            Ending::Open => upkeep.next().is_some_and(|at| at <= now),
            Ending::Once { .. } => idle && upkeep.is_due(),
            Ending::Drain | Ending::Abort => false,
        };
        let mut known = self.upkeep.iter_mut().filter(|_| !self.holds_upkeep);
        let (watch, upkeep) = known.find(|(_, upkeep)| is_ready(upkeep))?;
        upkeep.begin();
        Some(*watch)
    }

    /// When [`poll_action`](Self::poll_action) may next have something without anything being handled before; to be asked after it.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let ripe = self.files.next_due();
        let sweeps = self.ending == Ending::Open;
        let with_room = self
            .watches
            .iter()
            .filter(|(watch, _)| has_room_for_scan(&self.files, **watch, self.limits));
        let scans = with_room.filter_map(|(_, scans)| scans.timeout(sweeps));
        let with_ready = self.files.watches_with_ready().filter(|watch| self.is_paused(*watch));
        let pauses = with_ready.filter_map(|watch| self.pauses.end_of(watch));
        let upkeep = self.upkeep.values().filter_map(Upkeep::next);
        let upkeep = upkeep.filter(|_| sweeps && !self.holds_upkeep);
        scans.chain(ripe).chain(pauses).chain(upkeep).min()
    }

    /// The watches in which nothing is begun now, since their disks are full.
    pub(crate) fn paused(&self) -> impl Iterator<Item = WatchId> {
        self.pauses.watches().filter(|watch| self.is_paused(*watch))
    }

    /// Who is told to end tries each file once more.
    fn is_paused(&self, watch: WatchId) -> bool {
        self.ending == Ending::Open && self.pauses.holds(watch)
    }

    /// The counts so far. Failed are the files whose last try failed.
    pub(crate) fn tally(&self) -> Tally {
        Tally {
            failed: self.counts.failed + self.files.failing() + self.forgotten.values().sum::<u64>(),
            left: self.counts.left + self.files.left(),
            ..self.counts
        }
    }

    /// Files known and not done, without those that only a person can help.
    pub(crate) fn pending(&self) -> usize {
        self.files.pending()
    }

    /// Those of them that wait for nothing but a worker.
    pub(crate) fn ready(&self) -> usize {
        self.files.ready()
    }

    /// Those of them that are begun and not done, with a worker or, being retired, without one.
    pub(crate) fn under_way(&self) -> usize {
        self.files.under_way()
    }

    fn scan_due(&mut self, watch: WatchId, folder: &Path, cause: Cause, now: Instant) {
        if let Some(scans) = self.watches.get_mut(&watch)
            && matches!(self.ending, Ending::Open | Ending::Once { .. })
        {
            scans.due(folder, cause, now);
        }
    }

    fn wait_or_leave(&mut self, file: &FileId, mut entry: Entry, wait: Duration, now: Instant) {
        let due = after(now, wait);
        let unready_since = *entry.unready_since.get_or_insert(now);
        entry.unready_looks = entry.unready_looks.saturating_add(1);
        let has_watch = self.watches.contains_key(&file.watch);
        if self.is_tried_again(file, due, unready_since, entry.unready_looks) {
            self.files.wait(file.clone(), entry, due);
        } else if matches!(self.ending, Ending::Once { .. }) && has_watch {
            // It may be told of again, and must count but once.
            self.park(file, entry);
        } else if self.ending != Ending::Open && has_watch {
            self.counts.left += 1;
        }
    }

    /// A file that has just come may be about to lose its other name; one that sweeps find again and again is not.
    fn skip_or_look_again(
        &mut self,
        file: &FileId,
        mut entry: Entry,
        came_as: Origin,
        again: Option<Origin>,
        now: Instant,
    ) -> Verdict {
        const LOOKS: u32 = 8;
        entry.linked_looks += 1;
        entry.forget_failures();
        let has_just_come = entry.origin == Origin::Arrival && entry.linked_looks <= LOOKS;
        if has_just_come && self.ending == Ending::Open && self.watches.contains_key(&file.watch) {
            let due = after(now, backoff(entry.linked_looks));
            self.files.wait(file.clone(), entry, due);
            return Verdict::quiet();
        }
        let news = came_as == Origin::Arrival;
        self.counts.skipped += u64::from(news);
        if let Some(origin) = again {
            self.come_again(file, origin, now);
        }
        Verdict {
            news,
            ..Verdict::news()
        }
    }

    fn fail(&mut self, file: &FileId, mut entry: Entry, class: Class, told_of: bool, now: Instant) -> Verdict {
        entry.failed_tries = entry.failed_tries.saturating_add(1);
        let unready_since = *entry.unready_since.get_or_insert(now);
        entry.unready_looks = entry.unready_looks.saturating_add(1);
        let wait = match class {
            Class::Transient => backoff(entry.failed_tries),
            // Something happened to the name meanwhile: perhaps what it needed.
            Class::Permanent if told_of => backoff(1),
            Class::Permanent => Duration::MAX,
        };
        let due = now.checked_add(wait);
        let retried = due.filter(|due| self.is_tried_again(file, *due, unready_since, entry.unready_looks));
        match retried {
            Some(due) => self.files.wait(file.clone(), entry, due),
            None => self.park(file, entry),
        }
        Verdict {
            retry_in: retried.map(|_| wait),
            ..Verdict::news()
        }
    }

    /// Nothing is done with the file until something happens to it. Of too many such files the oldest are only counted.
    fn park(&mut self, file: &FileId, entry: Entry) {
        match self.files.park(file.clone(), entry, most_stuck(self.limits)) {
            Some((watch, true)) => *self.forgotten.entry(watch).or_default() += 1,
            Some((_, false)) => self.counts.left += 1,
            None => {}
        }
    }

    /// Whether a file that is not ready, or failed, gets another try when `due` comes.
    fn is_tried_again(&self, file: &FileId, due: Instant, unready_since: Instant, unready_looks: u32) -> bool {
        // A file that has only just been written is ready at the second look.
        const LOOKS: u32 = 2;
        let Some(scans) = self.watches.get(&file.watch) else {
            return false;
        };
        match self.ending {
            Ending::Open => unready_looks <= LOOKS || self.files.unready_of(file.watch) + 1 < most_stuck(self.limits),
            Ending::Once { patience } => due <= after(unready_since, patience_with(patience, scans.timing)),
            Ending::Drain | Ending::Abort => false,
        }
    }

    /// The name was told of while the file was begun: whatever has it now is looked at anew. In a drain at once, and what only a scan saw
    /// is the file that was just done.
    fn come_again(&mut self, file: &FileId, origin: Origin, now: Instant) {
        let Some(scans) = self.watches.get(&file.watch) else {
            return;
        };
        let due = match self.ending {
            Ending::Open | Ending::Once { .. } => after(now, scans.timing.settle),
            Ending::Drain if origin == Origin::Arrival => now,
            Ending::Drain | Ending::Abort => return,
        };
        let mut entry = Entry::new(origin, now);
        entry.may_be_gone = true;
        self.files.wait(file.clone(), entry, due);
    }
}

/// How many files a scan brings at a time.
const BATCH: usize = 256;

/// A watch is scanned while half its share of the table is free; the other half is for what events tell.
fn has_room_for_scan(files: &Files, watch: WatchId, limits: Limits) -> bool {
    files.len_of(watch) < (limits.files / 2).max(1)
}

/// Fewer files of a watch than this may stay unready, look after look, and no more may be parked: together less than half its share.
fn most_stuck(limits: Limits) -> usize {
    limits.files / 4
}

/// No pass ends before a file could have settled.
fn patience_with(patience: Duration, timing: Timing) -> Duration {
    patience.max(timing.settle.saturating_mul(2))
}

/// The moment after a wait. A wait may be as long as [`Duration::MAX`], which no moment is after; a century does as well.
fn after(now: Instant, wait: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    now + wait.min(CENTURY)
}

#[cfg(test)]
mod cases;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
