//! Runs the whole agent on a simulated runtime, against folders that are tables, and holds it to an account of what was done.
//!
//! A failure names its seed; `DWINDLE_SEED=N cargo test simulated_agent -- --nocapture` prints that run step by step, and
//! `DWINDLE_EXHAUSTIVE=1` tries ten times as many. A seed that once found a mistake is kept in `seeds.txt`.

mod account;
mod disk;
mod ends;
mod world;

#[path = "../../../tests/support/blocking.rs"]
mod blocking;
// Written as a stranger to this crate would write it; not all that it can do is needed here.
#[allow(dead_code)]
#[path = "../../../tests/support/simulator.rs"]
mod simulator;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;

use super::command::Site;
use super::events::Events;
use super::{Agent, AgentError, Select};
use crate::model::Report;
use crate::policy::WatchId;
use crate::policy::seeds::{Run, catching, run_seeds};
use crate::runtime::{BoxFuture, Runtime, block_on};
use account::Account;
use disk::{Change, Folder, Kind};
use ends::{End, plan_an_end};
use simulator::Simulator;
use world::{SimulatedFolder, State, Told, World, folder_path};

/// Milliseconds since the start.
type Millis = u64;

const SEEDS: u64 = 10_000;

/// After this long a finished file that was told of must be compressed, if the workers are not busy.
const SLACK: Millis = 120_000;

/// The agent's own look at folders that it has events of.
const SWEEP: Millis = 15 * 60 * 1000;

/// After this long without a change nothing may be left to do.
const REST: Millis = 2 * (SWEEP + SLACK);

/// With room for so many files, room is never short.
const ROOMY: usize = 512;

#[test]
fn a_simulated_agent_loses_nothing_and_ends() {
    run_seeds(include_str!("seeds.txt"), SEEDS, run);
}

fn run(seed: u64, traced: bool) -> Run {
    let mut trace = String::new();
    let result = catching(|| {
        let mut simulation = Simulation::new(seed, traced);
        let result = catching(|| simulation.run());
        let world = Arc::clone(&simulation.world);
        trace = world.lock().take_trace();
        result?;
        drop(simulation);
        let mut state = world.lock();
        state.account.check_closed();
        state.account.problem()
    });
    (trace, result)
}

#[derive(Debug)]
enum Happening {
    Change,
    /// More files than a small table holds stay unready; only a scan finds them.
    Crowd(WatchId),
    Tell(WatchId, Event),
    /// A writer came back to the file while it was with a worker.
    Touched(WatchId, PathBuf),
    /// The file must have been compressed.
    Check(WatchId, PathBuf, Owed),
    Unreachable(WatchId),
    Reachable(WatchId),
    AddWatch,
    RemoveWatch(WatchId),
    Snapshot,
    End(End),
}

#[derive(Clone, Debug)]
enum Event {
    File(PathBuf),
    Folder(PathBuf),
    Lost,
}

/// One file that is to be compressed.
#[derive(Clone, Copy, Debug)]
struct Owed {
    identity: u64,
    told_at: Millis,
    /// Only the regular scans find it.
    is_silent: bool,
}

struct Simulation {
    simulator: Option<Simulator>,
    runtime: Arc<dyn Runtime>,
    world: Arc<World>,
    agent: Option<Arc<Agent>>,
    feeds: BTreeMap<WatchId, Events>,
    /// The agent's limit of files.
    files: usize,
    /// From then on nothing changes by itself.
    quiet_from: Millis,
    ending: Option<End>,
    /// It must have ended by then.
    ends_by: Millis,
    removes: bool,
    /// Calls of the handle that have not returned.
    calls: Arc<AtomicUsize>,
    report: Arc<Mutex<Option<Result<Report, AgentError>>>>,
}

impl Simulation {
    fn new(seed: u64, traced: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let simulator = Simulator::from_seed(rng.u64(..));
        let runtime = simulator.runtime();
        let workers = rng.usize(1..5);
        let files = if rng.bool() { rng.usize(16..40) } else { ROOMY };
        let inbox = if rng.bool() { rng.usize(1..4) } else { 64 };
        let world = World::new(Arc::clone(&runtime), rng, Account::new(workers), traced);
        let world = Arc::new(world);
        let settings = || format!("seed {seed}: {workers} workers, {files} files, inbox of {inbox}");
        world.lock().tell(settings);
        let agent = Agent::builder().workers(workers).files(files).inbox(inbox);
        let agent = agent
            .observer(Arc::new(Told(Arc::clone(&world))))
            .runtime(Arc::clone(&runtime));
        Simulation {
            simulator: Some(simulator),
            runtime,
            world,
            agent: Some(Arc::new(block_on(agent.start()).expect("it has a runtime"))),
            feeds: BTreeMap::new(),
            files,
            quiet_from: 0,
            ending: None,
            ends_by: Millis::MAX,
            removes: false,
            calls: Arc::default(),
            report: Arc::default(),
        }
    }

    fn run(&mut self) -> Result<(), String> {
        self.plan_the_run();
        while !self.has_ended() {
            let next = self.world.lock().next_happening();
            let Some((at, happening)) = next.filter(|(at, _)| *at < self.ends_by) else {
                break;
            };
            self.run_until(at);
            let mut state = self.world.lock();
            state.tell(|| format!("{happening:?}"));
            state.account.problem()?;
            drop(state);
            self.happen(happening);
        }
        if self.ending == Some(End::DropRuntime) {
            return self.world.lock().account.problem();
        }
        self.run_until(self.ends_by);
        self.check_end()
    }

    /// Goes on to a moment; not beyond the agent's end.
    fn run_until(&self, at: Millis) {
        let Some(simulator) = &self.simulator else { return };
        let time = Duration::from_millis(at).saturating_sub(simulator.elapsed());
        if time.is_zero() {
            // What happens in one moment comes in one heap.
            return;
        }
        simulator.run_within(time, || self.has_ended());
    }

    fn has_ended(&self) -> bool {
        self.ending == Some(End::DropRuntime) || self.world.lock().account.finished.is_some()
    }

    fn plan_the_run(&mut self) {
        let mut state = self.world.lock();
        let watches = state.rng.u64(1..=3);
        let stands_still = state.rng.u8(..10) == 0;
        for _ in 0..watches {
            state.plan_in(0, Happening::AddWatch);
        }
        if stands_still {
            let patience = state.rng.u64(0..20_000);
            return state.plan_in(1, Happening::End(End::Once { patience }));
        }
        self.quiet_from = state.rng.u64(1_000..120_000);
        for _ in 0..state.rng.u64(0..24) {
            let at = state.rng.u64(0..self.quiet_from);
            let watch = WatchId(state.rng.u64(1..=watches));
            match state.rng.u8(..30) {
                0 => state.plan_in(at, Happening::Unreachable(watch)),
                1 => state.plan_in(at, Happening::AddWatch),
                2 => state.plan_in(at, Happening::RemoveWatch(watch)),
                3 => state.plan_in(at, Happening::Tell(watch, Event::Lost)),
                4 => state.plan_in(at, Happening::Snapshot),
                // More at once than a small inbox holds.
                5 => (0..8).for_each(|_| state.plan_in(at, Happening::Change)),
                _ => state.plan_in(at, Happening::Change),
            }
        }
        // Rare, for it takes long.
        if self.files != ROOMY && state.rng.u8(..24) == 0 {
            let at = state.rng.u64(0..self.quiet_from);
            state.plan_in(at, Happening::Crowd(WatchId(1)));
        }
        if state.rng.u8(..3) == 0 {
            let rests_at = self.quiet_from + REST;
            state.plan_in(rests_at, Happening::End(End::Drain(None)));
        } else {
            let at = state.rng.u64(0..self.quiet_from + 20_000);
            plan_an_end(&mut state, at);
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Change => self.change(),
            Happening::Crowd(watch) => self.crowd(watch),
            Happening::Tell(watch, event) => self.deliver(watch, &event),
            Happening::Touched(watch, path) => self.tell_of_file(watch, &path, 0),
            Happening::Check(watch, path, owed) => self.check(watch, path, owed),
            Happening::Unreachable(watch) => self.lose(watch),
            Happening::Reachable(watch) => {
                let mut state = self.world.lock();
                let now = state.now;
                state.account.disturbed(watch, now);
                if let Some(folder) = state.folders.get_mut(&watch) {
                    folder.is_reachable = true;
                }
            }
            Happening::AddWatch => self.add_watch(),
            Happening::RemoveWatch(watch) => self.remove_watch(watch),
            Happening::Snapshot => self.take_snapshots(1),
            Happening::End(end) => self.end(end),
        }
    }

    fn change(&mut self) {
        let mut state = self.world.lock();
        let State { rng, folders, now, .. } = &mut *state;
        let now = *now;
        let nth = rng.usize(..folders.len().max(1));
        let Some((&watch, folder)) = folders.iter_mut().nth(nth) else {
            return;
        };
        let change = folder.change(rng, now);
        state.tell(|| format!("  in {watch:?}: {change:?}"));
        drop(state);
        match change {
            Change::Nothing => {}
            Change::File(path, written_until) => {
                self.tell_of_file(watch, &path, 0);
                if written_until > now {
                    self.tell_of_file(watch, &path, written_until - now);
                }
            }
            Change::Subfolder(path, files) => {
                let is_told = self.tell_of_folder(watch, &path);
                for (path, until) in files {
                    let is_told =
                        is_told || self.tell_of(watch, &path, until.saturating_sub(now), Event::File(path.clone()));
                    self.owe(watch, &path, !is_told);
                }
            }
        }
    }

    fn crowd(&self, watch: WatchId) {
        let mut state = self.world.lock();
        let State { rng, folders, now, .. } = &mut *state;
        if let Some(folder) = folders.get_mut(&watch) {
            folder.crowd(rng, *now, 24);
            state.plan_in(0, Happening::Tell(watch, Event::Lost));
        }
    }

    fn tell_of_file(&self, watch: WatchId, path: &Path, wait: Millis) {
        let is_told = self.tell_of(watch, path, wait, Event::File(path.to_owned()));
        self.owe(watch, path, !is_told);
    }

    fn tell_of_folder(&self, watch: WatchId, path: &Path) -> bool {
        let event = if self.world.lock().rng.bool() {
            Event::Folder(path.to_owned())
        } else {
            Event::File(path.to_owned())
        };
        self.tell_of(watch, path, 0, event)
    }

    /// The event comes, now and then late or twice; or it is lost, and that is told; or, in some folders, it is lost without a word.
    /// False where only the regular scans will find what it was about.
    fn tell_of(&self, watch: WatchId, path: &Path, wait: Millis, event: Event) -> bool {
        let mut state = self.world.lock();
        let State { rng, folders, .. } = &mut *state;
        let Some(folder) = folders.get(&watch) else { return true };
        if !folder.tells_of(path) {
            // A scan that has been told of is under way, where no event was lost.
            return folder.native && !folder.is_silent;
        }
        if folder.is_silent && rng.bool() {
            return false;
        }
        let latest = if rng.u8(..16) == 0 { 30_000 } else { 50 };
        // What the kernel tells, it tells in heaps.
        let wait = wait + rng.u64(0..latest) / 25 * 25;
        let event = if rng.u8(..8) == 0 { Event::Lost } else { event };
        let twice = rng.u8(..8) == 0;
        state.plan_in(wait, Happening::Tell(watch, event.clone()));
        if twice {
            state.plan_in(wait, Happening::Tell(watch, event));
        }
        true
    }

    fn deliver(&self, watch: WatchId, event: &Event) {
        match (self.feeds.get(&watch), event) {
            (Some(events), Event::File(path)) => events.file(path),
            (Some(events), Event::Folder(path)) => events.folder(path),
            (Some(events), Event::Lost) => events.lost(),
            (None, _) => {}
        }
    }

    /// What has the name now is to be compressed.
    fn owe(&self, watch: WatchId, path: &Path, is_silent: bool) {
        let mut state = self.world.lock();
        let now = state.now;
        let file = state.folders.get(&watch).and_then(|folder| folder.files.get(path));
        let Some(file) = file.filter(|file| file.kind == Kind::Plain).copied() else {
            return;
        };
        let owed = Owed {
            identity: file.identity,
            told_at: now,
            is_silent,
        };
        state.plan_in(SLACK, Happening::Check(watch, path.to_owned(), owed));
    }

    /// Unless it is excused, or has time still, the file must have been compressed.
    fn check(&self, watch: WatchId, path: PathBuf, owed: Owed) {
        let mut state = self.world.lock();
        let State {
            now, folders, account, ..
        } = &mut *state;
        let Some(folder) = folders.get(&watch).filter(|_| self.ending.is_none()) else {
            return;
        };
        let file = folder.files.get(&path);
        let Some(file) = file.filter(|file| file.kind == Kind::Plain && file.identity == owed.identity) else {
            return;
        };
        let disturbed_at = account.disturbed_at(watch).max(account.failed_at(watch, &path));
        let last_change = file.finished_at().max(owed.told_at).max(disturbed_at);
        let interval = match folder.native {
            // While it has a second name it is passed over, and nothing tells when that goes.
            true if owed.is_silent || file.is_linked() => SWEEP,
            true => 0,
            false => folder.poll_interval,
        };
        // Where room is short, a file that goes on failing may be left to the regular scans.
        let room = match self.files {
            ROOMY => 0,
            _ if file.fails() => SWEEP + 5 * SLACK,
            _ => 5 * SLACK,
        };
        let due = last_change + folder.settle + interval + SLACK + room;
        let is_excused =
            folder.is_removed || !folder.is_reachable || folder.is_shut_away(&path) || account.is_busy(*now);
        let wait = if is_excused { SLACK } else { due.saturating_sub(*now) };
        let is_late = wait == 0;
        account.demand(!is_late, || {
            format!("{} of {watch:?} has been forgotten", path.display())
        });
        if !folder.is_removed {
            state.plan_in(wait, Happening::Check(watch, path, owed));
        }
    }

    fn lose(&self, watch: WatchId) {
        let mut state = self.world.lock();
        let State { rng, folders, .. } = &mut *state;
        let Some(folder) = folders.get_mut(&watch) else { return };
        folder.become_unreachable();
        let back = Folder::absence(rng);
        state.plan_in(back, Happening::Reachable(watch));
        state.plan_in(0, Happening::Tell(watch, Event::Lost));
    }

    fn add_watch(&mut self) {
        let Some(agent) = &self.agent else { return };
        let mut state = self.world.lock();
        let watch = WatchId(state.folders.len() as u64 + 1);
        let folder = Folder::new(&mut state.rng);
        let lost = Arc::new(AtomicBool::new(false));
        let events = Events::new(
            watch,
            Arc::new(Select::everything(None)),
            agent.inbox.clone(),
            Arc::clone(&lost),
        );
        self.feeds.insert(watch, events);
        let (settle, poll_interval) = (folder.settle, folder.poll_interval);
        let (native, is_reachable) = (folder.native, folder.is_reachable);
        let files: Vec<PathBuf> = folder.files.keys().cloned().collect();
        state.folders.insert(watch, folder);
        if !is_reachable {
            let back = Folder::absence(&mut state.rng);
            state.plan_in(back, Happening::Reachable(watch));
        }
        drop(state);
        for path in files {
            self.owe(watch, &path, false);
        }
        let site = Site {
            own: [PathBuf::new(), PathBuf::new()],
            path: folder_path(watch),
            settle: Duration::from_millis(settle),
            poll_interval: Duration::from_millis(poll_interval),
            native,
            why_polling: None,
            job: Arc::new(SimulatedFolder::new(watch, &self.world)),
            observer: Arc::new(Told(Arc::clone(&self.world))),
            lost,
        };
        self.call(|agent| async move { drop(agent.add_site(watch, site).await) });
    }

    fn remove_watch(&mut self, watch: WatchId) {
        self.removes = true;
        if let Some(folder) = self.world.lock().folders.get_mut(&watch) {
            folder.is_removed = true;
        }
        self.call(move |agent| async move { drop(agent.remove_watch(watch).await) });
    }

    /// Asks for snapshots, one when the other has come.
    fn take_snapshots(&self, count: usize) {
        let (world, most) = (Arc::clone(&self.world), self.files + 256);
        self.call(move |agent| async move {
            for _ in 0..count {
                let told = world.lock().account.told_compressed_so_far();
                let Ok(snapshot) = agent.snapshot().await else { return };
                let account = &mut world.lock().account;
                account.demand(snapshot.pending <= most, || {
                    format!("{} files are known", snapshot.pending)
                });
                account.check_so_far(&snapshot.report, told);
            }
        });
    }

    /// Calls a method of the handle, in a task.
    fn call<F: Future<Output = ()> + Send + 'static>(&self, call: impl FnOnce(Arc<Agent>) -> F) {
        let Some(agent) = &self.agent else { return };
        let call = call(Arc::clone(agent));
        let calls = Arc::clone(&self.calls);
        calls.fetch_add(1, Ordering::SeqCst);
        self.runtime.spawn(Box::pin(async move {
            call.await;
            calls.fetch_sub(1, Ordering::SeqCst);
        }));
    }
}
