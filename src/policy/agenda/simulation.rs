//! Runs the agenda through random worlds on a clock of its own, and holds it to a model after every step.
//!
//! A failure names its seed; `DWINDLE_SEED=N cargo test random_worlds -- --nocapture` prints that run step by step, and
//! `DWINDLE_EXHAUSTIVE=1` tries ten times as many. A seed that once found a mistake is kept in `cases/seeds.txt`.

mod known;
mod model;
mod scans;
mod world;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::{Action, Agenda, Cause, FileId, Limits, Outcome, WatchId};
use crate::policy::seeds::{catching, run_seeds};
use model::Model;
use world::{Change, Folder, Look, Millis};

const SEEDS: u64 = 10_000;

/// After this long without a change everything must be done, but for what only sweeps find.
const REST: Millis = 20 * 60 * 1000;

/// More steps than any run needs.
const MOST_STEPS: usize = 100_000;

#[test]
fn random_worlds_lose_nothing_and_end() {
    run_seeds(include_str!("cases/seeds.txt"), SEEDS, |seed, traced| {
        let mut simulation = Simulation::new(seed, traced);
        let result = catching(|| simulation.run());
        (simulation.trace.unwrap_or_default(), result)
    });
}

struct Simulation {
    rng: Rng,
    limits: Limits,
    start: Instant,
    now: Millis,
    agenda: Agenda,
    model: Model,
    folders: BTreeMap<WatchId, Folder>,
    /// In order of time, then of being planned.
    plan: BTreeMap<(Millis, u64), Happening>,
    planned: u64,
    /// From then on nothing changes by itself.
    quiet_from: Millis,
    /// From then on everything must be done, unless it is told to end before.
    rests_at: Millis,
    compressed: u64,
    is_finished: bool,
    trace: Option<String>,
}

#[derive(Debug)]
enum Happening {
    Change,
    /// More files come to the folder than its watch has room for, and stay unready.
    Crowd(WatchId),
    Event(FileId),
    Subfolder(WatchId, PathBuf),
    LostEvents(WatchId),
    Unreachable(WatchId),
    Reachable(WatchId),
    AddWatch,
    RemoveWatch(WatchId),
    Scanned(WatchId, Option<(Vec<PathBuf>, bool)>),
    JobEnds(FileId, JobEnd),
    Drain(Option<Millis>),
    Abort,
    Once {
        patience: Millis,
    },
}

#[derive(Debug)]
enum JobEnd {
    Known(Outcome),
    Compress { identity: u64, began: Millis },
}

impl Simulation {
    fn new(seed: u64, traced: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let files = if rng.bool() {
            rng.usize(4..40)
        } else {
            rng.usize(12..2_000)
        };
        let limits = Limits {
            files,
            begun: rng.usize(1..6),
        };
        Simulation {
            rng,
            limits,
            start: Instant::now(),
            now: 0,
            agenda: Agenda::new(limits),
            model: Model::new(limits),
            folders: BTreeMap::new(),
            plan: BTreeMap::new(),
            planned: 0,
            quiet_from: 0,
            rests_at: 0,
            compressed: 0,
            is_finished: false,
            trace: traced.then(|| format!("seed {seed}: {limits:?}\n")),
        }
    }

    fn run(&mut self) -> Result<(), String> {
        self.plan_the_run();
        for _ in 0..MOST_STEPS {
            self.act()?;
            if self.is_finished {
                return self.check_end();
            }
            self.rest()?;
            let Some(next) = self.next_time() else {
                return Err("nothing will ever happen again".to_owned());
            };
            self.now = if self.has_nothing_left_to_show() {
                self.rests_at
            } else {
                next
            };
            while let Some(entry) = self.plan.first_entry()
                && entry.key().0 <= self.now
            {
                let happening = entry.remove();
                self.tell(|| format!("{happening:?}"));
                self.happen(happening)?;
                self.model.check(&self.agenda)?;
            }
        }
        Err("it does not come to rest".to_owned())
    }

    fn plan_the_run(&mut self) {
        let watches = self.rng.u64(1..=3);
        for _ in 0..watches {
            self.add_watch();
        }
        // One in eight is a single pass over a world that stands still.
        let stands_still = self.rng.u8(..8) == 0;
        if stands_still {
            let patience = self.rng.u64(0..20_000);
            self.plan_in(0, Happening::Once { patience });
            return;
        }
        self.quiet_from = self.rng.u64(1_000..120_000);
        for _ in 0..self.rng.u64(0..60) {
            let at = self.rng.u64(0..self.quiet_from);
            let watch = WatchId(self.rng.u64(1..=watches));
            let happening = match self.rng.u8(..40) {
                0 => Happening::Unreachable(watch),
                1 => Happening::AddWatch,
                2 => Happening::RemoveWatch(watch),
                3 => Happening::LostEvents(watch),
                _ => Happening::Change,
            };
            self.plan_in(at, happening);
        }
        if self.limits.files < 40 && self.rng.u8(..8) == 0 {
            let at = self.rng.u64(0..self.quiet_from);
            let watch = WatchId(self.rng.u64(1..=watches));
            self.plan_in(at, Happening::Crowd(watch));
        }
        let sweep = self.folders.values().filter(|folder| folder.is_silent);
        let sweep = sweep.map(|folder| folder.timing.rescan_every).max().unwrap_or_default();
        self.rests_at = self.quiet_from + REST + 3 * millis(sweep);
        if self.rng.bool() {
            let at = self.rng.u64(0..self.quiet_from + 20_000);
            self.plan_an_end(at);
        } else {
            self.plan_in(self.rests_at, Happening::Drain(None));
        }
    }

    fn plan_an_end(&mut self, at: Millis) {
        let within = self.rng.u64(0..20_000);
        match self.rng.u8(..5) {
            0 => self.plan_in(at, Happening::Abort),
            1 => self.plan_in(at, Happening::Drain(None)),
            2 => self.plan_in(at, Happening::Once { patience: within }),
            3 => {
                self.plan_in(at, Happening::Drain(Some(at + within)));
                self.plan_in(at + within, Happening::Abort);
            }
            _ => {
                self.plan_in(at, Happening::Once { patience: within });
                self.plan_in(at + within, Happening::Drain(None));
            }
        }
    }

    /// Does what the agenda asks for, until it asks for nothing.
    fn act(&mut self) -> Result<(), String> {
        self.model.ripen(self.instant());
        while let Some(action) = self.agenda.poll_action(self.instant()) {
            self.tell(|| format!("  -> {action:?}"));
            self.model.acted(&action, self.instant())?;
            self.model.check(&self.agenda)?;
            match action {
                Action::Begin(file) => self.begin(file),
                Action::Scan {
                    watch, folder, most, ..
                } => {
                    if let Some(there) = self.folders.get_mut(&watch) {
                        there.begin_scan(&folder);
                    }
                    self.scan_on(watch, most);
                }
                Action::ScanOn { watch, most } => self.scan_on(watch, most),
                Action::Retain(watch) => return Err(format!("{watch:?} keeps all")),
                Action::Finish => {
                    self.is_finished = true;
                    break;
                }
            }
        }
        Ok(())
    }

    fn rest(&mut self) -> Result<(), String> {
        self.model.check_rest(&self.agenda, self.instant())
    }

    fn next_time(&self) -> Option<Millis> {
        let planned = self.plan.first_key_value().map(|(key, _)| key.0);
        let wanted = self.agenda.poll_timeout().map(|time| millis(time - self.start));
        planned.into_iter().chain(wanted).min()
    }

    /// Two minutes without a change, and all work is done: the sweeps of the long rest would only find what was passed over.
    fn has_nothing_left_to_show(&self) -> bool {
        let is_open = self.model.ending == super::Ending::Open;
        let is_quiet = self.now > self.quiet_from + 120_000 && self.plan.len() == 1;
        is_open && is_quiet && self.forgotten_file().is_none()
    }

    fn happen(&mut self, happening: Happening) -> Result<(), String> {
        let now = self.instant();
        match happening {
            Happening::Change => self.change(),
            Happening::Crowd(watch) => self.crowd(watch),
            Happening::Event(file) => {
                self.agenda.handle_event(&file, now);
                self.model.event(&file, now);
            }
            Happening::Subfolder(watch, folder) => {
                self.agenda.handle_folder(watch, &folder, now);
                self.model.owe_scan(watch, &folder, Cause::NewFolder, now);
            }
            Happening::LostEvents(watch) => {
                self.agenda.handle_lost_events(watch, Cause::EventsLost, now);
                self.model.owe_scan(watch, Path::new(""), Cause::EventsLost, now);
            }
            Happening::Unreachable(watch) => self.lose(watch),
            Happening::Reachable(watch) => {
                if let Some(folder) = self.folders.get_mut(&watch) {
                    folder.is_reachable = true;
                }
            }
            Happening::AddWatch => self.add_watch(),
            Happening::RemoveWatch(watch) => {
                self.folders.remove(&watch);
                self.agenda.remove_watch(watch);
                self.model.remove_watch(watch);
            }
            Happening::Scanned(watch, Some((found, end))) => {
                self.model.scanned(watch, &found, end, now);
                self.agenda.handle_scanned(watch, found, end, now);
            }
            Happening::Scanned(watch, None) => {
                if self.agenda.handle_scan_failed(watch, now) != self.model.scan_failed(watch, now) {
                    return Err("says another time for the next scan".to_owned());
                }
            }
            Happening::JobEnds(file, end) => return self.end_job(&file, &end),
            Happening::Drain(deadline) => {
                self.check_all_is_done()?;
                let deadline = deadline.map(|at| self.start + Duration::from_millis(at));
                self.agenda.handle_drain(deadline);
                self.model.drain(deadline);
            }
            Happening::Abort => {
                self.agenda.handle_abort();
                self.model.abort();
            }
            Happening::Once { patience } => {
                let patience = Duration::from_millis(patience);
                self.agenda.handle_once(patience);
                self.model.ending = super::Ending::Once { patience };
            }
        }
        Ok(())
    }

    fn change(&mut self) {
        let count = self.folders.len().max(1);
        let nth = self.rng.usize(..count);
        let Some(folder) = self.folders.values_mut().nth(nth) else {
            return;
        };
        let watch = folder.watch;
        let change = folder.change(&mut self.rng, self.now);
        self.tell(|| format!("  in {watch:?}: {change:?}"));
        match change {
            Change::Nothing => {}
            Change::File(path, written_until) => {
                self.tell_of_file(watch, &path, self.now);
                if written_until > self.now {
                    self.tell_of_file(watch, &path, written_until);
                }
            }
            Change::Subfolder(path, written) => {
                if self.rng.bool() {
                    self.tell_of(watch, self.now, Happening::Subfolder(watch, path));
                } else {
                    self.tell_of_file(watch, &path, self.now);
                }
                for (path, until) in written {
                    self.tell_of_file(watch, &path, until);
                }
            }
        }
    }

    fn crowd(&mut self, watch: WatchId) {
        let Some(folder) = self.folders.get_mut(&watch) else {
            return;
        };
        let count = self.limits.files / 2 + self.rng.usize(0..self.limits.files);
        for (path, written_until) in folder.crowd(&mut self.rng, self.now, count) {
            self.tell_of_file(watch, &path, self.now);
            if written_until > self.now {
                self.tell_of_file(watch, &path, written_until);
            }
        }
    }

    fn tell_of_file(&mut self, watch: WatchId, path: &Path, at: Millis) {
        let path = path.into();
        self.tell_of(watch, at, Happening::Event(FileId { watch, path }));
    }

    /// The event comes; or it is lost, and that is told; or, in some folders, it is lost without a word.
    fn tell_of(&mut self, watch: WatchId, at: Millis, event: Happening) {
        let Some(folder) = self.folders.get(&watch) else {
            return;
        };
        if !folder.is_watched || (folder.is_silent && self.rng.bool()) {
            return;
        }
        let delay = self.rng.u64(0..50);
        if self.rng.u8(..8) == 0 {
            self.plan_in(at - self.now + delay, Happening::LostEvents(watch));
        } else {
            self.plan_in(at - self.now + delay, event);
        }
    }

    fn lose(&mut self, watch: WatchId) {
        let Some(folder) = self.folders.get_mut(&watch) else {
            return;
        };
        folder.is_reachable = false;
        folder.is_watched = false;
        let back = self.rng.u64(0..20_000);
        self.plan_in(back, Happening::Reachable(watch));
        self.plan_in(0, Happening::LostEvents(watch));
    }

    fn add_watch(&mut self) {
        let watch = WatchId(self.planned + 1);
        self.planned += 1;
        let folder = Folder::new(watch, &mut self.rng);
        self.agenda.add_watch(watch, folder.timing, self.instant());
        self.model.add_watch(watch, folder.timing);
        self.folders.insert(watch, folder);
    }

    fn begin(&mut self, file: FileId) {
        let now = self.now;
        let look = match self.folders.get_mut(&file.watch) {
            Some(folder) => folder.look(&file.path, now),
            None => Look::Answer(Outcome::Cancelled),
        };
        let end = match look {
            Look::Answer(outcome) => JobEnd::Known(outcome),
            Look::Compress { identity } => JobEnd::Compress { identity, began: now },
        };
        let takes = if self.rng.bool() {
            self.rng.u64(0..20)
        } else {
            self.rng.u64(0..5_000)
        };
        self.plan_in(takes, Happening::JobEnds(file, end));
    }

    fn end_job(&mut self, file: &FileId, end: &JobEnd) -> Result<(), String> {
        let is_told_to_stop = self.model.ending == super::Ending::Abort && self.rng.bool();
        let outcome = match (end, self.folders.get_mut(&file.watch)) {
            _ if is_told_to_stop => Outcome::Cancelled,
            (JobEnd::Known(outcome), _) => *outcome,
            (JobEnd::Compress { .. }, None) => Outcome::Gone,
            (JobEnd::Compress { identity, began }, Some(folder)) => {
                folder.compress(&file.path, *identity, *began, self.now)
            }
        };
        self.compressed += u64::from(matches!(outcome, Outcome::Compressed { .. }));
        self.tell(|| format!("  {outcome:?}"));
        self.model.outcome(file, outcome, self.instant())?;
        self.agenda.handle_outcome(file, outcome, self.instant());
        Ok(())
    }

    fn scan_on(&mut self, watch: WatchId, most: usize) {
        let answer = match self.folders.get_mut(&watch) {
            Some(folder) => folder.scan_on(most, &mut self.rng),
            None => None,
        };
        let takes = self.rng.u64(0..300);
        self.plan_in(takes, Happening::Scanned(watch, answer));
    }

    /// After a long rest no file may have been forgotten.
    fn check_all_is_done(&self) -> Result<(), String> {
        if self.model.ending != super::Ending::Open || self.now < self.rests_at {
            return Ok(());
        }
        match self.forgotten_file() {
            Some(path) => Err(format!("{} has been forgotten", path.display())),
            None => Ok(()),
        }
    }

    /// A file that is to be compressed, and not one that the next event or scan will tell of again.
    fn forgotten_file(&self) -> Option<&PathBuf> {
        self.folders.values().find_map(|folder| {
            let is_left = |path: &&PathBuf| self.model.is_left_to_scans(folder.watch, path);
            folder.open_work().find(|path| !is_left(path))
        })
    }

    fn check_end(&self) -> Result<(), String> {
        let tally = self.agenda.tally();
        if tally.compressed != self.compressed {
            return Err(format!("{} files were compressed, {tally:?}", self.compressed));
        }
        let stood_still = self.quiet_from == 0;
        let open = self.folders.values().find_map(|folder| folder.open_work().next());
        match open.filter(|_| stood_still && tally.left + tally.failed == 0) {
            Some(path) => Err(format!("{} was forgotten in the one pass", path.display())),
            None => Ok(()),
        }
    }

    fn plan_in(&mut self, wait: Millis, happening: Happening) {
        self.planned += 1;
        self.plan.insert((self.now + wait, self.planned), happening);
    }

    fn instant(&self) -> Instant {
        self.start + Duration::from_millis(self.now)
    }

    fn tell(&mut self, line: impl FnOnce() -> String) {
        let now = Duration::from_millis(self.now);
        if let Some(trace) = &mut self.trace {
            // Writing to a string cannot fail.
            let _ = writeln!(trace, "{:>9.3} {}", now.as_secs_f64(), line());
        }
    }
}

fn millis(duration: Duration) -> Millis {
    u64::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}
