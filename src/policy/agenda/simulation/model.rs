//! What must be true of an agenda, kept in the plainest way: one table, searched from end to end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::super::files::Origin;
use super::super::{Action, Agenda, Cause, Ending, FileId, Limits, Outcome, Tally, Timing, WatchId, after, backoff};
use crate::model::Class;

const PAUSE: Duration = Duration::from_secs(1);
const LARGEST_BATCH: usize = 256;

pub(super) struct Model {
    limits: Limits,
    pub(super) ending: Ending,
    files: BTreeMap<FileId, Known>,
    watches: BTreeMap<WatchId, Scans>,
    last_served: Option<WatchId>,
    counts: Tally,
    forgotten: BTreeMap<WatchId, u64>,
    serial: u64,
}

#[derive(Clone, Copy)]
struct Known {
    state: State,
    origin: Origin,
    failed_tries: u32,
    unready_since: Option<Instant>,
    linked_looks: u32,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Waits { until: Instant },
    Ready { since: Instant },
    Begun { again: Option<Origin> },
    Parked { serial: u64 },
}

struct Scans {
    timing: Timing,
    running: Option<Running>,
    owes_whole: Option<Cause>,
    owes_folders: BTreeSet<PathBuf>,
    whole_not_before: Option<Instant>,
    sweep_at: Option<Instant>,
    failures: u32,
}

struct Running {
    cause: Cause,
    whole: bool,
    asked: bool,
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
        let Some(known) = self.files.get_mut(file) else {
            if is_full {
                scans.owe(Path::new(""), Cause::NoRoom);
            } else {
                let known = Known::new(Origin::Arrival, State::Waits { until });
                self.files.insert(file.clone(), known);
            }
            return;
        };
        match &mut known.state {
            State::Begun { again } => *again = Some(Origin::Arrival),
            State::Ready { .. } => known.origin = Origin::Arrival,
            State::Waits { .. } | State::Parked { .. } => {
                if let Ending::Once { patience } = self.ending {
                    let patience = patience.max(scans.timing.settle * 2);
                    until = until.min(*known.unready_since.get_or_insert(now) + patience);
                }
                known.origin = Origin::Arrival;
                known.state = State::Waits { until };
            }
        }
    }

    pub(super) fn owe_scan(&mut self, watch: WatchId, folder: &Path, cause: Cause) {
        let takes_new = self.takes_new();
        if let Some(scans) = self.watches.get_mut(&watch).filter(|_| takes_new) {
            scans.owe(folder, cause);
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
            let known = self.files.entry(file);
            let known = known.or_insert(Known::new(origin, State::Ready { since: now }));
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
        backoff(failures)
    }

    pub(super) fn outcome(&mut self, file: &FileId, outcome: Outcome, now: Instant) -> Result<(), String> {
        let mut known = self.files.remove(file).ok_or("an outcome of an unknown file")?;
        let State::Begun { again } = known.state else {
            return Err("an outcome of a file that was not begun".to_owned());
        };
        let came_as = known.origin;
        let touched = again == Some(Origin::Arrival);
        if touched {
            known.origin = Origin::Arrival;
        }
        match outcome {
            Outcome::Compressed { bytes_in, bytes_out } => {
                self.counts.compressed += 1;
                self.counts.bytes_in += bytes_in;
                self.counts.bytes_out += bytes_out;
            }
            Outcome::Skipped => self.counts.skipped += u64::from(came_as == Origin::Arrival),
            Outcome::HardLinked => {
                known.linked_looks += 1;
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
            Outcome::Folder => self.owe_scan(file.watch, &file.path, Cause::NewFolder),
            Outcome::NotYet(wait) => {
                known.failed_tries = 0;
                if !self.waits_again(file, known, wait, now) && self.watches.contains_key(&file.watch) {
                    self.counts.left += 1;
                }
                return Ok(());
            }
            Outcome::Failed(class) => {
                known.failed_tries += 1;
                let wait = match class {
                    Class::Transient => Some(backoff(known.failed_tries)),
                    Class::Permanent => again.map(|_| backoff(1)),
                };
                known.unready_since.get_or_insert(now);
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
            if self.takes_new() {
                let until = now + scans.timing.settle;
                self.files
                    .insert(file.clone(), Known::new(origin, State::Waits { until }));
            } else if touched {
                self.counts.left += 1;
            }
        }
        Ok(())
    }

    pub(super) fn drain(&mut self, deadline: Option<Instant>) {
        if self.ending == Ending::Abort {
            return;
        }
        self.end_as(Ending::Drain);
        let before = self.files.len();
        self.files.retain(|_, known| match known.state {
            State::Waits { until } => deadline.is_none_or(|deadline| until <= deadline),
            _ => true,
        });
        self.counts.left += (before - self.files.len()) as u64;
    }

    pub(super) fn abort(&mut self) {
        self.end_as(Ending::Abort);
        let before = self.files.len();
        self.files
            .retain(|_, known| matches!(known.state, State::Begun { .. } | State::Parked { .. }));
        self.counts.left += (before - self.files.len()) as u64;
    }

    /// Who has waited long enough is ready; to be called before the agenda is asked.
    pub(super) fn ripen(&mut self, now: Instant) {
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
                .find(|(_, known)| matches!(known.state, State::Ready { .. }))
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
        let failing = self.count(|known| known.failed_tries > 0) as u64;
        let tally = Tally {
            failed: self.counts.failed + failing + self.forgotten.values().sum::<u64>(),
            ..self.counts
        };
        let pending = self.count(|known| !matches!(known.state, State::Parked { .. }));
        let begun = self.count(|known| matches!(known.state, State::Begun { .. }));
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
                State::Ready { since } => Some((file.watch, since)),
                _ => None,
            })
        };
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
        let in_time = match self.ending {
            Ending::Open => true,
            Ending::Once { patience } => {
                let settle = self
                    .watches
                    .get(&file.watch)
                    .map_or(Duration::ZERO, |scans| scans.timing.settle);
                until <= after(since, patience.max(settle * 2))
            }
            Ending::Drain | Ending::Abort => false,
        };
        let waits = in_time && self.watches.contains_key(&file.watch);
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
            self.files.remove(&oldest);
            *self.forgotten.entry(oldest.watch).or_default() += 1;
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
        waits.chain(scans).min()
    }

    fn count(&self, counts: impl Fn(&Known) -> bool) -> usize {
        self.files.values().filter(|known| counts(known)).count()
    }
}

impl Known {
    fn new(origin: Origin, state: State) -> Self {
        Known {
            state,
            origin,
            failed_tries: 0,
            unready_since: None,
            linked_looks: 0,
        }
    }
}

impl Scans {
    fn new(timing: Timing) -> Self {
        Scans {
            timing,
            running: None,
            owes_whole: None,
            owes_folders: BTreeSet::new(),
            whole_not_before: None,
            sweep_at: None,
            failures: 0,
        }
    }

    fn owe(&mut self, folder: &Path, cause: Cause) {
        if self.owes_whole.is_some() {
        } else if folder.as_os_str().is_empty() {
            self.owes_whole = Some(cause);
            self.owes_folders.clear();
        } else {
            self.owes_folders.insert(folder.to_owned());
        }
    }

    /// Whether something is to be asked for now.
    fn is_wanted(&self, sweeps: bool, now: Instant) -> bool {
        if let Some(running) = &self.running {
            return !running.asked;
        }
        let is_swept = sweeps && self.sweep_at.is_some_and(|at| at <= now);
        let may_be_whole = self.whole_not_before.is_none_or(|at| at <= now);
        !self.owes_folders.is_empty() || ((is_swept || self.owes_whole.is_some()) && may_be_whole)
    }
}
