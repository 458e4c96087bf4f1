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
use super::disk::{Folder, Look};
use super::simulator::take_time;
use super::{Happening, Millis};
use crate::agent::job::{Attempt, Batch, Cancel, Job, Walk};
use crate::model::{Error, Observer, Reason, Report, Step};
use crate::policy::WatchId;
use crate::runtime::Runtime;

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

    fn job_takes(&mut self) -> Millis {
        let longest = if self.rng.bool() { 20 } else { LONGEST_JOB };
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
                }
            }
        }
    }

    fn next_batch(&mut self, walk: &mut SimulatedWalk, most: usize) -> Result<Batch, Error> {
        let draw = self.rng.u8(..);
        let batch = self.rng.usize(1..=most.min(8));
        let now = self.now;
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
        if walk.last.is_none() {
            folder.watch(&walk.folder);
        }
        let (files, end) = folder.list(&walk.folder, walk.last.as_ref(), batch);
        walk.last = files.last().cloned().or(walk.last.take());
        Ok(Batch {
            files,
            end,
            failed: Vec::new(),
            polling: polling.then(|| "on purpose".to_owned()),
        })
    }
}

pub(super) fn folder_path(watch: WatchId) -> PathBuf {
    format!("w{}", watch.0).into()
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
    fn attempt(&self, file: &Path, cancel: &Cancel) -> Attempt {
        assert_may_block("a job");
        let mut state = self.world.lock();
        let takes = state.job_takes();
        take_time(Duration::from_millis(takes));
        let now = state.now;
        state.account.job_begins(self.watch, file, now, now + takes);
        let attempt =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| state.attempt(self.watch, file, cancel)));
        state.account.job_ends(self.watch, file, attempt.as_ref().ok());
        state.tell(|| {
            let what = attempt
                .as_ref()
                .map_or("panics".to_owned(), |it| format!("{:?}", it.outcome()));
            format!("  job on {:?} {}, for {takes} ms: {what}", self.watch, file.display())
        });
        drop(state);
        attempt.unwrap_or_else(|panic| resume_unwind(panic))
    }

    fn scan(&self, folder: &Path) -> Result<Box<dyn Walk>, Error> {
        assert_may_block("a scan");
        let mut state = self.world.lock();
        state.account.open(1);
        state.tell(|| format!("  scan of {:?} {}", self.watch, folder.display()));
        Ok(Box::new(SimulatedWalk {
            watch: self.watch,
            folder: folder.to_owned(),
            last: None,
            world: Arc::clone(&self.world),
        }))
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
            Ok(batch) => format!("    finds {:?}, end: {}, {:?}", batch.files, batch.end, batch.polling),
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
    fn note(&self, line: impl FnOnce() -> String, note: impl FnOnce(&mut Account)) {
        let mut state = self.0.lock();
        state.tell(|| format!("    < {}", line()));
        state.account.told();
        note(&mut state.account);
    }
}

impl Observer for Told {
    fn watching(&self, folder: &Path, native: bool, why: Option<&str>) {
        let line = || format!("watching {}, native: {native}, {why:?}", folder.display());
        self.note(line, |_| {});
    }

    fn folder_lost(&self, folder: &Path, error: &Error, retry_in: Duration) {
        let line = || format!("lost {} for {retry_in:?}: {error}", folder.display());
        self.note(line, |account| account.folder_lost(folder, retry_in));
    }

    fn folder_found(&self, folder: &Path) {
        let line = || format!("found {}", folder.display());
        self.note(line, |account| account.folder_found(folder));
    }

    fn rescanning(&self, folder: &Path, cause: &'static str) {
        self.note(|| format!("rescanning {}: {cause}", folder.display()), |_| {});
    }

    fn compressed(&self, folder: &Path, source: &Path, output: &Path, bytes_in: u64, bytes_out: u64, _: Duration) {
        let line = || format!("{} in {} is {}", source.display(), folder.display(), output.display());
        self.note(line, |account| account.told_compressed(bytes_in, bytes_out));
    }

    fn skipped(&self, folder: &Path, source: &Path, _: &Reason) {
        let line = || format!("{} in {} passed over", source.display(), folder.display());
        self.note(line, Account::told_skipped);
    }

    fn failed(&self, folder: &Path, source: &Path, _: &Error, retry_in: Option<Duration>) {
        let line = || {
            format!(
                "{} in {} failed, again in {retry_in:?}",
                source.display(),
                folder.display()
            )
        };
        self.note(line, |account| account.told_failed(folder, source));
    }

    fn draining(&self, pending: usize) {
        self.note(|| format!("draining {pending}"), |_| {});
    }

    fn finished(&self, report: &Report) {
        let line = || format!("finished: {report}");
        self.note(line, |account| account.told_finished(report));
    }
}
