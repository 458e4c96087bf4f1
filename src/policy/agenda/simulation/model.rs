//! What must be true of an agenda, kept in the plainest way: one table, searched from end to end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::super::files::Origin;
use super::super::{Action, Agenda, Cause, Ending, FileId, Limits, Outcome, Tally, Timing, WatchId, after, backoff};
use super::known::{Known, State};
use super::scans::{PAUSE, Running, Scans};
use crate::model::Class;

const LARGEST_BATCH: usize = 256;

pub(super) struct Model {
    limits: Limits,
    pub(super) ending: Ending,
    files: BTreeMap<FileId, Known>,
    watches: BTreeMap<WatchId, Scans>,
    last_served: Option<WatchId>,
    counts: Tally,
    forgotten: BTreeMap<WatchId, u64>,
    /// How many in a row, and until when.
    pauses: BTreeMap<WatchId, (u32, Option<Instant>)>,
    /// Files that wait for nothing but the next event or scan, since too many were unready for long.
    left_to_scans: BTreeSet<FileId>,
    serial: u64,
}

impl Model {
    pub(super) fn new(limits: Limits) -> Self {
        Model {
            limits,
            ending: Ending::Open,
            files: BTreeMap::new(),
            watches: BTreeMap::new(),
            last_served: None,
            counts: Tally::default(),
            forgotten: BTreeMap::new(),
            pauses: BTreeMap::new(),
            left_to_scans: BTreeSet::new(),
            serial: 0,
        }
    }

    pub(super) fn add_watch(&mut self, watch: WatchId, timing: Timing) {
        let mut scans = Scans::new(timing);
        scans.owes_whole = self.takes_new().then_some(Cause::Start);
        self.watches.insert(watch, scans);
    }

    pub(super) fn remove_watch(&mut self, watch: WatchId) {
        self.watches.remove(&watch);
        self.forgotten.remove(&watch);
        self.pauses.remove(&watch);
        self.files
            .retain(|file, known| file.watch != watch || matches!(known.state, State::Begun { .. }));
    }

    pub(super) fn event(&mut self, file: &FileId, now: Instant) {
        let takes_new = self.takes_new();
        let is_full = self.known_of(file.watch) >= self.limits.files;
        let Some(scans) = self.watches.get_mut(&file.watch).filter(|_| takes_new) else {
            return;
        };
        let mut until = now + scans.timing.settle;
        self.left_to_scans.remove(file);
        let Some(known) = self.files.get_mut(file) else {
            if is_full {
                scans.owe(Path::new(""), Cause::NoRoom, now);
            } else {
                let known = Known::new(Origin::Arrival, State::Waits { until });
                self.files.insert(file.clone(), known);
            }
            return;
        };
        known.unready_looks = 0;
        match &mut known.state {
            State::Begun { again } => *again = Some(Origin::Arrival),
            State::Ready { .. } => {
                known.origin = Origin::Arrival;
                known.may_be_gone = false;
            }
            State::Waits { .. } | State::Parked { .. } => {
                if let Ending::Once { patience } = self.ending {
                    let patience = patience.max(scans.timing.settle * 2);
                    until = until.min(*known.unready_since.get_or_insert(now) + patience);
                }
                known.origin = Origin::Arrival;
                known.may_be_gone = false;
                known.state = State::Waits { until };
            }
        }
    }

    pub(super) fn owe_scan(&mut self, watch: WatchId, folder: &Path, cause: Cause, now: Instant) {
        let takes_new = self.takes_new();
        if let Some(scans) = self.watches.get_mut(&watch).filter(|_| takes_new) {
            scans.owe(folder, cause, now);
        }
    }

    pub(super) fn scanned(&mut self, watch: WatchId, found: &[PathBuf], end: bool, now: Instant) {
        let Some(scans) = self.watches.get_mut(&watch) else {
            return;
        };
        let Some(running) = &mut scans.running else { return };
        running.asked = false;
        let origin = Origin::of(running.cause);
        if end && running.whole {
            scans.failures = 0;
            scans.whole_not_before = Some(now + PAUSE);
            scans.pause_until = Some(now + PAUSE);
            scans.sweep_at = Some(now + scans.timing.rescan_every);
        }
        if end {
            scans.running = None;
        }
        for path in found {
            let file = FileId {
                watch,
                path: path.as_path().into(),
            };
            self.left_to_scans.remove(&file);
            let known = self.files.entry(file);
            let known = known.or_insert(Known::new(origin, State::Ready { since: now }));
            known.unready_looks = 0;
            match &mut known.state {
                State::Begun { again } => *again = again.or(Some(Origin::Sweep)),
                State::Parked { .. } => known.state = State::Ready { since: now },
                State::Waits { .. } | State::Ready { .. } => {}
            }
        }
    }

    /// Returns when the agenda must say that it tries again.
    pub(super) fn scan_failed(&mut self, watch: WatchId, now: Instant) -> Duration {
        let goes_on = self.ending == Ending::Open;
        let Some(scans) = self.watches.get_mut(&watch) else {
            return Duration::ZERO;
        };
        let failures = scans.failures + 1;
        *scans = Scans::new(scans.timing);
        if !goes_on {
            self.counts.failed += u64::from(matches!(self.ending, Ending::Once { .. }));
            return Duration::ZERO;
        }
        scans.failures = failures;
        scans.owes_whole = Some(Cause::Start);
        scans.whole_not_before = Some(now + backoff(failures));
        scans.pause_until = Some(now + PAUSE);
        backoff(failures)
    }

    pub(super) fn outcome(&mut self, file: &FileId, outcome: Outcome, now: Instant) -> Result<(), String> {
        let mut known = self.files.remove(file).ok_or("an outcome of an unknown file")?;
        let State::Begun { again } = known.state else {
            return Err("an outcome of a file that was not begun".to_owned());
        };
        known.may_be_gone = false;
        if again.is_some() {
            known.unready_looks = 0;
        }
        let came_as = known.origin;
        let touched = again == Some(Origin::Arrival);
        if touched {
            known.origin = Origin::Arrival;
        }
        match outcome {
            Outcome::Compressed { bytes_in, bytes_out } => {
                self.pauses.remove(&file.watch);
                self.counts.compressed += 1;
                self.counts.bytes_in += bytes_in;
                self.counts.bytes_out += bytes_out;
            }
            Outcome::Skipped => self.counts.skipped += u64::from(came_as == Origin::Arrival),
            Outcome::HardLinked => {
                known.linked_looks += 1;
                known.failed_tries = 0;
                let again = known.origin == Origin::Arrival && known.linked_looks <= 8;
                if again && self.ending == Ending::Open && self.watches.contains_key(&file.watch) {
                    let until = now + backoff(known.linked_looks);
                    known.state = State::Waits { until };
                    self.files.insert(file.clone(), known);
                } else {
                    self.counts.skipped += u64::from(came_as == Origin::Arrival);
                }
                return Ok(());
            }
            Outcome::Gone => {}
            Outcome::GivenUp => self.counts.failed += 1,
            Outcome::Folder => self.owe_scan(file.watch, &file.path, Cause::NewFolder, now),
            Outcome::NotYet(_) | Outcome::InUse => {
                known.failed_tries = 0;
                known.unready_looks += 1;
                let wait = match outcome {
                    Outcome::NotYet(wait) => wait,
                    _ if touched => backoff(known.unready_looks).min(self.settle_of(file.watch)),
                    _ => backoff(known.unready_looks),
                };
                if self.waits_again(file, known, wait, now) || !self.watches.contains_key(&file.watch) {
                    return Ok(());
                }
                match self.ending {
                    Ending::Open => {}
                    Ending::Once { .. } => {
                        known.unready_since.get_or_insert(now);
                        self.park(file, known);
                        self.forget_oldest_parked();
                    }
                    Ending::Drain | Ending::Abort => self.counts.left += 1,
                }
                return Ok(());
            }
            Outcome::Failed(_) | Outcome::NoRoom => {
                if outcome == Outcome::NoRoom && self.ending == Ending::Open && self.watches.contains_key(&file.watch) {
                    let pause = self.pauses.entry(file.watch).or_default();
                    if pause.1.is_none_or(|until| until <= now) {
                        *pause = (pause.0 + 1, Some(now + backoff(pause.0 + 1)));
                    }
                }
                known.failed_tries += 1;
                let wait = match outcome {
                    Outcome::Failed(Class::Permanent) => again.map(|_| backoff(1)),
                    _ => Some(backoff(known.failed_tries)),
                };
                known.unready_since.get_or_insert(now);
                known.unready_looks += 1;
                if !wait.is_some_and(|wait| self.waits_again(file, known, wait, now)) {
                    self.park(file, known);
                    self.forget_oldest_parked();
                }
                return Ok(());
            }
            Outcome::Cancelled => {
                self.counts.left += 1;
                return Ok(());
            }
        }
        if let (Some(origin), Some(scans)) = (again, self.watches.get(&file.watch)) {
            let until = match self.ending {
                Ending::Open | Ending::Once { .. } => now + scans.timing.settle,
                Ending::Drain if origin == Origin::Arrival => now,
                Ending::Drain | Ending::Abort => return Ok(()),
            };
            let mut known = Known::new(origin, State::Waits { until });
            known.may_be_gone = true;
            self.files.insert(file.clone(), known);
        }
        Ok(())
    }

    fn settle_of(&self, watch: WatchId) -> Duration {
        let scans = self.watches.get(&watch);
        scans.map_or(Duration::MAX, |scans| scans.timing.settle)
    }

    pub(super) fn drain(&mut self, deadline: Option<Instant>) {
        if self.ending == Ending::Abort {
            return;
        }
        self.end_as(Ending::Drain);
        self.leave(|known| match known.state {
            State::Waits { until } => deadline.is_some_and(|deadline| until > deadline),
            _ => false,
        });
    }

    pub(super) fn abort(&mut self) {
        self.end_as(Ending::Abort);
        self.leave(|known| !matches!(known.state, State::Begun { .. } | State::Parked { .. }));
    }

    fn leave(&mut self, is_left: impl Fn(&Known) -> bool) {
        let left = self.files.values().filter(|known| is_left(known) && !known.may_be_gone);
        self.counts.left += left.count() as u64;
        self.files.retain(|_, known| !is_left(known));
    }

    /// Who has waited long enough is ready; to be called before the agenda is asked.
    pub(super) fn ripen(&mut self, now: Instant) {
        for pause in self.pauses.values_mut() {
            pause.1 = pause.1.filter(|until| *until > now);
        }
        for known in self.files.values_mut() {
            if matches!(known.state, State::Waits { until } if until <= now) {
                known.state = State::Ready { since: now };
            }
        }
    }

    /// Whether the action is one that may be asked for now.
    pub(super) fn acted(&mut self, action: &Action, now: Instant) -> Result<(), String> {
        match action {
            Action::Begin(file) => self.begun(file),
            Action::Retain(_) => Err("no watch removes outputs".to_owned()),
            Action::Scan {
                watch, folder, cause, ..
            } => self.scan_begun(*watch, folder, *cause, now),
            Action::ScanOn { watch, .. } => {
                let has_room = self.has_room_for_scan(*watch);
                let scans = self.watches.get_mut(watch).ok_or("a scan of no watch")?;
                match &mut scans.running {
                    Some(running) if !running.asked && has_room => running.asked = true,
                    Some(_) if !has_room => return Err("a scan goes on with the table half full".to_owned()),
                    _ => return Err("goes on with a scan that is not there or not answered".to_owned()),
                }
                Ok(())
            }
            Action::Finish if self.is_done() => Ok(()),
            Action::Finish => Err("finished before everything was done".to_owned()),
        }
    }

    /// What must hold when the agenda has nothing to do.
    pub(super) fn check_rest(&self, agenda: &Agenda, now: Instant) -> Result<(), String> {
        let begun = self.count(|known| matches!(known.state, State::Begun { .. }));
        if begun < self.limits.begun
            && let Some((file, _)) = self
                .files
                .iter()
                .find(|(file, known)| matches!(known.state, State::Ready { .. }) && !self.is_paused(file.watch))
        {
            return Err(format!(
                "there is room, and {} is ready and not begun",
                file.path.display()
            ));
        }
        for (watch, scans) in &self.watches {
            if self.has_room_for_scan(*watch) && scans.is_wanted(self.ending == Ending::Open, now) {
                return Err(format!("a scan of {watch:?} is due and not begun"));
            }
        }
        if self.is_done() {
            return Err("everything is done, and it does not finish".to_owned());
        }
        let (wanted, found) = (self.next_time(), agenda.poll_timeout());
        if found != wanted {
            let ahead = |time: Option<Instant>| time.map(|time| time.saturating_duration_since(now));
            return Err(format!(
                "wants to be asked again after {:?}, not {:?}",
                ahead(found),
                ahead(wanted)
            ));
        }
        if found.is_some_and(|time| time <= now) {
            return Err("has nothing to do, and wants to be asked at once".to_owned());
        }
        Ok(())
    }

    /// What must hold at any time.
    pub(super) fn check(&self, agenda: &Agenda) -> Result<(), String> {
        // In one go, since this is what a run does most.
        let (mut failing, mut left, mut pending, mut begun) = (0, 0, 0, 0);
        for known in self.files.values() {
            failing += u64::from(known.failed_tries > 0);
            let is_parked = matches!(known.state, State::Parked { .. });
            left += u64::from(is_parked && known.failed_tries == 0);
            pending += usize::from(!is_parked);
            begun += usize::from(matches!(known.state, State::Begun { .. }));
        }
        let tally = Tally {
            failed: self.counts.failed + failing + self.forgotten.values().sum::<u64>(),
            left: self.counts.left + left,
            ..self.counts
        };
        // Of watches that are gone: what is begun, and what came back failed.
        let gone = self.limits.begun + self.limits.files / 4;
        let most = (self.limits.files + LARGEST_BATCH) * self.watches.len() + gone;
        if agenda.tally() != tally {
            Err(format!("counts {:?}, not {tally:?}", agenda.tally()))
        } else if agenda.pending() != pending {
            Err(format!("{} files are pending, not {pending}", agenda.pending()))
        } else if begun > self.limits.begun {
            Err(format!("{begun} files are begun"))
        } else if agenda.files.len() > most {
            Err(format!("{} files are known", agenda.files.len()))
        } else {
            Ok(())
        }
    }

    fn begun(&mut self, file: &FileId) -> Result<(), String> {
        let known = self.files.get(file).ok_or("begins an unknown file")?;
        let State::Ready { since } = known.state else {
            return Err("begins a file that is not ready".to_owned());
        };
        let ready = || {
            self.files.iter().filter_map(|(file, known)| match known.state {
                State::Ready { since } if !self.is_paused(file.watch) => Some((file.watch, since)),
                _ => None,
            })
        };
        if self.is_paused(file.watch) {
            return Err("begins a file of a paused watch".to_owned());
        }
        let first = ready().map(|ready| ready.0).min();
        let after_last = ready()
            .map(|ready| ready.0)
            .filter(|watch| Some(*watch) > self.last_served)
            .min();
        if Some(file.watch) != after_last.or(first) {
            return Err("it is another watch's turn".to_owned());
        }
        if ready().any(|(watch, other)| watch == file.watch && other < since) {
            return Err("another file of the watch has been ready for longer".to_owned());
        }
        self.last_served = Some(file.watch);
        let begun = State::Begun { again: None };
        self.files.insert(file.clone(), Known { state: begun, ..*known });
        Ok(())
    }

    fn scan_begun(&mut self, watch: WatchId, folder: &Path, cause: Cause, now: Instant) -> Result<(), String> {
        let has_room = self.has_room_for_scan(watch);
        let is_open = self.ending == Ending::Open;
        let scans = self.watches.get_mut(&watch).ok_or("a scan of no watch")?;
        if scans.running.is_some() || !has_room {
            return Err("scans while another scan runs or the table is half full".to_owned());
        }
        let whole = folder.as_os_str().is_empty();
        let sweeps = whole && is_open && scans.sweep_at.is_some_and(|at| at <= now);
        let owed = if whole {
            scans.owes_whole.is_some() || sweeps
        } else {
            scans.owes_folders.remove(folder)
        };
        if !owed {
            return Err("scans what nobody wants scanned".to_owned());
        }
        if whole {
            if scans.whole_not_before.is_some_and(|at| at > now) {
                return Err("scans again too soon".to_owned());
            }
            scans.owes_whole = None;
            scans.owes_folders.clear();
            self.forgotten.remove(&watch);
        }
        if sweeps {
            scans.sweep_at = None;
        }
        scans.running = Some(Running {
            cause,
            whole,
            asked: true,
        });
        Ok(())
    }

    fn waits_again(&mut self, file: &FileId, mut known: Known, wait: Duration, now: Instant) -> bool {
        let until = now + wait;
        let since = *known.unready_since.get_or_insert(now);
        let Some(scans) = self.watches.get(&file.watch) else {
            return false;
        };
        let could_have_settled = scans.timing.settle * 2;
        let waits = match self.ending {
            Ending::Open => known.unready_looks <= 2 || self.has_room_for_unready(file.watch),
            Ending::Once { patience } => until <= after(since, patience.max(could_have_settled)),
            Ending::Drain | Ending::Abort => false,
        };
        if !waits && self.ending == Ending::Open {
            self.left_to_scans.insert(file.clone());
        }
        if waits {
            known.state = State::Waits { until };
            self.files.insert(file.clone(), known);
        }
        waits
    }

    fn park(&mut self, file: &FileId, known: Known) {
        self.serial += 1;
        let state = State::Parked { serial: self.serial };
        self.files.insert(file.clone(), Known { state, ..known });
    }

    fn forget_oldest_parked(&mut self) {
        let serial_of = |known: &Known| match known.state {
            State::Parked { serial } => Some(serial),
            _ => None,
        };
        while self.count(|known| serial_of(known).is_some()) > (self.limits.files / 4).max(1) {
            let parked = self
                .files
                .iter()
                .filter_map(|(file, known)| Some((serial_of(known)?, file.clone())));
            let Some((_, oldest)) = parked.min() else { return };
            match self.files.remove(&oldest) {
                Some(known) if known.failed_tries == 0 => self.counts.left += 1,
                _ => *self.forgotten.entry(oldest.watch).or_default() += 1,
            }
        }
    }

    /// Nothing new is taken, and who waits for another try gets none.
    fn end_as(&mut self, ending: Ending) {
        self.ending = ending;
        for scans in self.watches.values_mut() {
            *scans = Scans::new(scans.timing);
        }
        let mut failing: Vec<(FileId, Known, Instant)> = self
            .files
            .iter()
            .filter_map(|(file, known)| match known.state {
                State::Waits { until } if known.failed_tries > 0 => Some((file.clone(), *known, until)),
                _ => None,
            })
            .collect();
        failing.sort_by_key(|(.., until)| *until);
        for (file, known, _) in failing {
            self.park(&file, known);
        }
    }

    fn takes_new(&self) -> bool {
        matches!(self.ending, Ending::Open | Ending::Once { .. })
    }

    fn known_of(&self, watch: WatchId) -> usize {
        self.files.keys().filter(|file| file.watch == watch).count()
    }

    /// Those that may stay unready and those that may be parked leave room for scans.
    fn has_room_for_unready(&self, watch: WatchId) -> bool {
        let waits = |known: &Known| known.unready_since.is_some() && matches!(known.state, State::Waits { .. });
        let of_watch = self.files.iter().filter(|(file, _)| file.watch == watch);
        let unready = of_watch.filter(|(_, known)| waits(known)).count();
        unready + 1 + self.limits.files / 4 < self.limits.files / 4 * 2
    }

    pub(super) fn is_left_to_scans(&self, watch: WatchId, path: &Path) -> bool {
        let path = path.into();
        self.left_to_scans.contains(&FileId { watch, path })
    }

    fn has_room_for_scan(&self, watch: WatchId) -> bool {
        self.known_of(watch) < self.limits.files / 2
    }

    fn is_done(&self) -> bool {
        let parked = self.count(|known| matches!(known.state, State::Parked { .. }));
        let idle =
            |scans: &Scans| scans.running.is_none() && scans.owes_whole.is_none() && scans.owes_folders.is_empty();
        self.ending != Ending::Open && parked == self.files.len() && self.watches.values().all(idle)
    }

    fn next_time(&self) -> Option<Instant> {
        let waits = self.files.values().filter_map(|known| match known.state {
            State::Waits { until } => Some(until),
            _ => None,
        });
        let is_open = self.ending == Ending::Open;
        let resting = self
            .watches
            .iter()
            .filter(|(watch, scans)| self.has_room_for_scan(**watch) && scans.running.is_none());
        let scans = resting.flat_map(|(_, scans)| {
            let owed = scans.owes_whole.and(scans.whole_not_before);
            owed.into_iter().chain(scans.sweep_at.filter(|_| is_open))
        });
        let pauses = self.files.iter().filter_map(|(file, known)| match known.state {
            State::Ready { .. } if self.is_paused(file.watch) => self.pauses[&file.watch].1,
            _ => None,
        });
        waits.chain(scans).chain(pauses).min()
    }

    fn is_paused(&self, watch: WatchId) -> bool {
        let pause = self.pauses.get(&watch).and_then(|pause| pause.1);
        pause.is_some() && self.ending == Ending::Open
    }

    fn count(&self, counts: impl Fn(&Known) -> bool) -> usize {
        self.files.values().filter(|known| counts(known)).count()
    }
}
