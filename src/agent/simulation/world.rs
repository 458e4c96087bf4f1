//! What the agent has to do with in a simulation: folders on a disk that is a table, and an observer that keeps the account.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;

use super::account::Account;
use super::blocking::assert_may_block;
use super::disk::{Folder, Kind, Look};
use super::simulator::take_time;
use super::{Happening, Millis};
use crate::agent::job::{Attempt, Batch, Cancel, Job, Walk};
use crate::agent::pool::{Unfinished, Worked};
use crate::codec::Helpers;
use crate::model::{Class, Error, Failure, Observer, Reason, Report, Step, Success};
use crate::policy::WatchId;
use crate::runtime::Runtime;
use crate::storage::Syncs;

/// The longest that a job takes.
pub(super) const LONGEST_JOB: Millis = 5_000;

pub(super) struct World {
    runtime: Arc<dyn Runtime>,
    start: std::time::Instant,
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) now: Millis,
    pub(super) rng: Rng,
    /// In order of time, then of being planned.
    plan: BTreeMap<(Millis, u64), Happening>,
    planned: u64,
    pub(super) folders: BTreeMap<WatchId, Folder>,
    pub(super) account: Account,
    trace: Option<String>,
}

impl World {
    pub(super) fn new(runtime: Arc<dyn Runtime>, rng: Rng, account: Account, traced: bool) -> Self {
        let state = State {
            now: 0,
            rng,
            plan: BTreeMap::new(),
            planned: 0,
            folders: BTreeMap::new(),
            account,
            trace: traced.then(String::new),
        };
        World {
            start: runtime.now(),
            runtime,
            state: Mutex::new(state),
        }
    }

    /// The state, with the clock read.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.now = millis(self.runtime.now() - self.start);
        state
    }
}

impl State {
    pub(super) fn plan_in(&mut self, wait: Millis, happening: Happening) {
        self.planned += 1;
        self.plan.insert((self.now + wait, self.planned), happening);
    }

    pub(super) fn next_happening(&mut self) -> Option<(Millis, Happening)> {
        self.plan.pop_first().map(|((at, _), happening)| (at, happening))
    }

    pub(super) fn tell(&mut self, line: impl FnOnce() -> String) {
        let now = Duration::from_millis(self.now);
        if let Some(trace) = &mut self.trace {
            // Writing to a string cannot fail.
            let _ = writeln!(trace, "{:>9.3} {}", now.as_secs_f64(), line());
        }
    }

    pub(super) fn take_trace(&mut self) -> String {
        self.trace.take().unwrap_or_default()
    }

    fn job_takes(&mut self, watch: WatchId, path: &Path) -> Millis {
        // A file that is held open is only looked at.
        let file = self.folders.get(&watch).and_then(|folder| folder.files.get(path));
        let is_short = file.is_some_and(|file| file.kind == Kind::Held) || self.rng.bool();
        let longest = if is_short { 20 } else { LONGEST_JOB };
        self.rng.u64(0..longest)
    }

    /// Looks at a file, and does with it what is to be done.
    fn attempt(&mut self, watch: WatchId, path: &Path, cancel: &Cancel) -> Attempt {
        let now = self.now;
        if cancel.is_cancelled() && self.rng.bool() {
            return Attempt::Cancelled;
        }
        let Some(folder) = self.folders.get_mut(&watch) else {
            return Attempt::Gone;
        };
        match folder.look(path, now) {
            Look::Gone => Attempt::Gone,
            Look::Subfolder => Attempt::Folder,
            Look::Unreachable | Look::Faulty => Attempt::Failed(Error::transient(Step::Read, path, "on purpose")),
            Look::Forbidden => Attempt::Failed(Error::permanent(Step::Open, path, "on purpose")),
            // Past the panic hook, which would print.
            Look::Cursed => resume_unwind(Box::new("on purpose")),
            Look::PassedOver => Attempt::Skipped(Reason::UpToDate),
            Look::HardLinked => Attempt::Skipped(Reason::HardLinks),
            Look::NotYet(wait) => Attempt::NotYet(Duration::from_millis(wait)),
            Look::Finished if self.rng.u8(..24) == 0 => {
                folder.touch(path, now);
                let settle = folder.settle;
                self.plan_in(0, Happening::Touched(watch, path.to_owned()));
                Attempt::NotYet(Duration::from_millis(settle))
            }
            Look::Finished => {
                let bytes = folder.files[path].bytes();
                folder.compress(path);
                self.account.compressed_on_disk(bytes);
                Attempt::Compressed {
                    output: PathBuf::from(format!("{}.gz", path.display())),
                    bytes_in: bytes,
                    bytes_out: 10,
                    took: Duration::ZERO,
                    since_published: Duration::ZERO,
                }
            }
        }
    }

    fn next_batch(&mut self, walk: &mut SimulatedWalk, most: usize) -> Result<Batch, Error> {
        let draw = self.rng.u8(..);
        let batch = self.rng.usize(1..=most.min(8));
        let now = self.now;
        self.account.check_left_out(walk.watch);
        let Some(folder) = self.folders.get_mut(&walk.watch) else {
            return Err(Error::permanent(Step::List, &walk.folder, "no such watch"));
        };
        if !folder.is_reachable || draw == 0 {
            self.account.disturbed(walk.watch, now);
            return Err(Error::transient(Step::List, &walk.folder, "on purpose"));
        }
        if draw == 1 {
            self.account.disturbed(walk.watch, now);
            resume_unwind(Box::new("on purpose"));
        }
        let polling = draw == 2 && std::mem::take(&mut folder.native);
        let mut failed = Vec::new();
        if walk.last.is_none() {
            walk.left_out = folder.enter(&walk.folder);
            failed = walk.left_out.iter().map(|it| left_out(walk.watch, it)).collect();
            self.account.left_out(walk.watch, &walk.left_out);
        }
        let (files, end) = folder.list(&walk.folder, &walk.left_out, walk.last.as_ref(), batch);
        walk.last = files.last().cloned().or(walk.last.take());
        Ok(Batch {
            files,
            end,
            failed,
            polling: polling.then(|| "on purpose".to_owned()),
        })
    }
}

pub(super) fn folder_path(watch: WatchId) -> PathBuf {
    format!("w{}", watch.0).into()
}

/// The error of a subfolder that a scan has to leave out.
fn left_out(watch: WatchId, (folder, class): &(PathBuf, Class)) -> Error {
    let path = folder_path(watch).join(folder);
    match class {
        Class::Transient => Error::transient(Step::List, path, "on purpose"),
        Class::Permanent => Error::permanent(Step::List, path, "on purpose"),
    }
}

fn millis(duration: Duration) -> Millis {
    u64::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

/// The job of one watch.
pub(super) struct SimulatedFolder {
    watch: WatchId,
    world: Arc<World>,
}

impl SimulatedFolder {
    pub(super) fn new(watch: WatchId, world: &Arc<World>) -> Self {
        world.lock().account.open(1);
        SimulatedFolder {
            watch,
            world: Arc::clone(world),
        }
    }
}

impl Job for SimulatedFolder {
    fn attempt(&self, file: &Path, _: u32, _: &dyn Helpers, cancel: &Cancel) -> Worked<Attempt> {
        assert_may_block("a job");
        let mut state = self.world.lock();
        let takes = state.job_takes(self.watch, file);
        take_time(Duration::from_millis(takes));
        let now = state.now;
        state.account.job_begins(self.watch, file, now, now + takes);
        let attempt =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| state.attempt(self.watch, file, cancel)));
        state
            .account
            .job_ends(self.watch, file, attempt.as_ref().ok(), now + takes);
        state.tell(|| {
            let what = attempt
                .as_ref()
                .map_or("panics".to_owned(), |it| format!("{:?}", it.outcome()));
            format!("  job on {:?} {}, for {takes} ms: {what}", self.watch, file.display())
        });
        let turns = state.rng.u32(0..3);
        drop(state);
        let attempt = attempt.unwrap_or_else(|panic| resume_unwind(panic));
        let rest = Rest {
            attempt,
            turns,
            world: Arc::clone(&self.world),
        };
        match &rest.attempt {
            Attempt::Compressed { .. } => rest.go_on(),
            _ => Worked::Ended(rest.attempt),
        }
    }

    fn scan(&self, folder: &Path) -> Result<Box<dyn Walk>, Error> {
        assert_may_block("a scan");
        let mut state = self.world.lock();
        state.account.open(1);
        state.tell(|| format!("  scan of {:?} {}", self.watch, folder.display()));
        Ok(Box::new(SimulatedWalk {
            watch: self.watch,
            folder: folder.to_owned(),
            left_out: Vec::new(),
            last: None,
            world: Arc::clone(&self.world),
        }))
    }
}

/// What is left to do with a file that is compressed.
struct Rest {
    attempt: Attempt,
    turns: u32,
    world: Arc<World>,
}

impl Rest {
    fn go_on(self) -> Worked<Attempt> {
        if self.turns == 0 {
            return Worked::Ended(self.attempt);
        }
        let wait = self.world.lock().rng.u64(0..400).saturating_sub(100);
        Worked::Later(Box::new(self), Duration::from_millis(wait))
    }
}

impl Unfinished<Attempt> for Rest {
    fn enlist(&self, _: &mut Syncs) {}

    fn waits_for_disk(&self) -> bool {
        self.turns.is_multiple_of(2)
    }

    fn advance(mut self: Box<Self>, _: &mut Syncs, _: &Cancel) -> Worked<Attempt> {
        assert_may_block("a removal");
        self.turns -= 1;
        self.go_on()
    }
}

impl Drop for SimulatedFolder {
    fn drop(&mut self) {
        assert_may_block("closing a folder");
        self.world.lock().account.close();
    }
}

struct SimulatedWalk {
    watch: WatchId,
    folder: PathBuf,
    /// Subfolders that it does not come into.
    left_out: Vec<(PathBuf, Class)>,
    last: Option<PathBuf>,
    world: Arc<World>,
}

impl Walk for SimulatedWalk {
    fn next(&mut self, most: usize) -> Result<Batch, Error> {
        assert_may_block("a scan");
        let world = Arc::clone(&self.world);
        let mut state = world.lock();
        let takes = state.rng.u64(0..300);
        take_time(Duration::from_millis(takes));
        let until = state.now + takes;
        state.account.scan_goes_on(until);
        let result = state.next_batch(self, most);
        state.tell(|| match &result {
            Ok(Batch {
                files,
                end,
                failed,
                polling,
            }) => format!("    finds {files:?}, end: {end}, failed: {failed:?}, {polling:?}"),
            Err(error) => format!("    {error}"),
        });
        result
    }
}

impl Drop for SimulatedWalk {
    fn drop(&mut self) {
        assert_may_block("ending a scan");
        self.world.lock().account.close();
    }
}

/// Hands what the agent tells to the account.
pub(super) struct Told(pub(super) Arc<World>);

impl Told {
    fn note(&self, line: impl FnOnce() -> String, note: impl FnOnce(&mut Account, Millis)) {
        let mut state = self.0.lock();
        state.tell(|| format!("    < {}", line()));
        state.account.told();
        let now = state.now;
        note(&mut state.account, now);
    }
}

impl Observer for Told {
    fn watching(&self, folder: &Path, native: bool, why: Option<&str>) {
        let line = || format!("watching {}, native: {native}, {why:?}", folder.display());
        self.note(line, |_, _| {});
    }

    fn folder_lost(&self, folder: &Path, error: &Error, retry_in: Duration) {
        let line = || format!("lost {} for {retry_in:?}: {error}", folder.display());
        self.note(line, |account, _| account.folder_lost(folder, retry_in));
    }

    fn folder_found(&self, folder: &Path) {
        let line = || format!("found {}", folder.display());
        self.note(line, |account, _| account.folder_found(folder));
    }

    fn rescanning(&self, folder: &Path, cause: &'static str) {
        self.note(|| format!("rescanning {}: {cause}", folder.display()), |_, _| {});
    }

    fn compressed(&self, folder: &Path, source: &Path, success: &Success<'_>) {
        let output = success.output.display();
        let line = || format!("{} in {} is {output}", source.display(), folder.display());
        self.note(line, |account, _| {
            account.told_compressed(success.bytes_in, success.bytes_out);
        });
    }

    fn skipped(&self, folder: &Path, source: &Path, _: &Reason) {
        let line = || format!("{} in {} passed over", source.display(), folder.display());
        self.note(line, |account, _| account.told_skipped());
    }

    fn failed(&self, folder: &Path, source: &Path, failure: &Failure<'_>) {
        let line = || {
            format!(
                "{} in {} failed, again in {:?}",
                source.display(),
                folder.display(),
                failure.retry_in
            )
        };
        self.note(line, |account, now| account.told_failed(folder, source, now));
    }

    fn draining(&self, pending: usize) {
        self.note(|| format!("draining {pending}"), |_, _| {});
    }

    fn finished(&self, report: &Report) {
        let line = || format!("finished: {report}");
        self.note(line, |account, _| account.told_finished(report));
    }
}
