//! A runtime on which nothing happens by chance: one thread, a clock that jumps, and an order of all steps that is drawn from a seed.
//!
//! It is written as a stranger would write it, and uses of the library only the two names that its parent module imports.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::blocking::Polls;
use super::{BoxFuture, Runtime};

/// More steps than any test needs. A simulation that takes more does not come to rest.
const MOST_STEPS: u64 = 1_000_000;

thread_local! {
    /// How much of the time of the work that is running is over.
    static TAKES: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// To be called inside blocking work: so much more of its time is over. Nobody hears of what it did before it has ended.
pub(crate) fn take_time(time: Duration) {
    TAKES.set(TAKES.get() + time);
}

/// Runs tasks and blocking work. Dropping it drops them all.
pub(crate) struct Simulator {
    world: Arc<World>,
    polls: Polls,
}

struct World {
    base: Instant,
    state: Mutex<State>,
}

struct State {
    rng: Rng,
    now: Duration,
    serial: u64,
    steps: u64,
    is_over: bool,
    /// But for the one that is being polled.
    tasks: BTreeMap<u64, BoxFuture<'static, ()>>,
    woken: Vec<u64>,
    work: Vec<Work>,
    timers: BTreeMap<(Duration, u64), Waker>,
    /// Wakings by the work that is running: they wait until its time is over.
    held: Option<Vec<Arc<TaskWaker>>>,
}

struct Work {
    at: Duration,
    run: Box<dyn FnOnce() + Send>,
}

enum Step {
    Poll(u64, BoxFuture<'static, ()>),
    Work(Work),
}

impl Simulator {
    pub(crate) fn from_seed(seed: u64) -> Self {
        let state = State {
            rng: Rng::with_seed(seed),
            now: Duration::ZERO,
            serial: 0,
            steps: 0,
            is_over: false,
            tasks: BTreeMap::new(),
            woken: Vec::new(),
            work: Vec::new(),
            timers: BTreeMap::new(),
            held: None,
        };
        let world = World {
            base: Instant::now(),
            state: Mutex::new(state),
        };
        Simulator {
            world: Arc::new(world),
            polls: Polls::default(),
        }
    }

    /// From now on the kernel is asked, too, whether a poll read, wrote or slept.
    pub(crate) fn detecting_system_calls(mut self) -> Self {
        self.polls.detect_system_calls();
        self
    }

    /// What to hand to those who want a runtime. It runs nothing once the simulator is dropped.
    pub(crate) fn runtime(&self) -> Arc<dyn Runtime> {
        Arc::new(SimulatedRuntime(Arc::clone(&self.world)))
    }

    /// The simulated time since the beginning.
    pub(crate) fn elapsed(&self) -> Duration {
        self.world.lock().now
    }

    /// Tasks that have not ended.
    pub(crate) fn tasks(&self) -> usize {
        self.world.lock().tasks.len()
    }

    /// Blocking work that has not been run.
    pub(crate) fn waiting_work(&self) -> usize {
        self.world.lock().work.len()
    }

    /// Runs until the condition holds. False where it does not and nothing will ever happen again.
    pub(crate) fn run_until(&self, condition: impl FnMut() -> bool) -> bool {
        self.run_until_or(Duration::MAX, condition)
    }

    /// Runs for so long.
    pub(crate) fn advance(&self, time: Duration) {
        self.run_within(time, || false);
    }

    /// Runs until the condition holds, or for so long: false then.
    pub(crate) fn run_within(&self, time: Duration, condition: impl FnMut() -> bool) -> bool {
        let end = self.elapsed() + time;
        let holds = self.run_until_or(end, condition);
        if !holds {
            self.world.lock().now = end;
        }
        holds
    }

    /// Runs whatever can run without time going by.
    pub(crate) fn run_until_idle(&self) {
        while self.step() {}
    }

    fn run_until_or(&self, latest: Duration, mut condition: impl FnMut() -> bool) -> bool {
        while !condition() {
            if !self.step() && !self.world.jump(latest) {
                return false;
            }
        }
        true
    }

    /// Runs until the future, which is polled here as one more task, number 0, is ready.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&woken));
        loop {
            if woken.0.swap(false, Ordering::SeqCst) {
                let poll = self
                    .polls
                    .watch(0, || future.as_mut().poll(&mut Context::from_waker(&waker)));
                if let Poll::Ready(value) = poll {
                    return value;
                }
            }
            let goes_on = self.step() || woken.0.load(Ordering::SeqCst) || self.world.jump(Duration::MAX);
            assert!(goes_on, "the future is never ready: nothing will ever happen again");
        }
    }

    /// Polls a task or runs work, whichever the seed says. False where nothing can run now.
    fn step(&self) -> bool {
        let step = self.world.lock().choose();
        match step {
            None => return false,
            Some(Step::Poll(task, future)) => self.poll(task, future),
            Some(Step::Work(work)) => self.run(work),
        }
        true
    }

    fn poll(&self, task: u64, mut future: BoxFuture<'static, ()>) {
        let world = Arc::clone(&self.world);
        let waker = Arc::new(TaskWaker { task, world }).into();
        let poll = self.polls.watch(task, || {
            let poll = || Pin::as_mut(&mut future).poll(&mut Context::from_waker(&waker));
            // A task that panics ends, and takes no other with it.
            let poll = catch_unwind(AssertUnwindSafe(poll)).unwrap_or(Poll::Ready(()));
            match poll {
                Poll::Pending => Some(future),
                Poll::Ready(()) => {
                    let _ = catch_unwind(AssertUnwindSafe(|| drop(future)));
                    None
                }
            }
        });
        if let Some(future) = poll {
            self.world.lock().tasks.insert(task, future);
        }
    }

    fn run(&self, work: Work) {
        self.world.lock().held = Some(Vec::new());
        let _ = catch_unwind(AssertUnwindSafe(work.run));
        let mut state = self.world.lock();
        let at = state.now + TAKES.take();
        for waker in state.held.take().unwrap_or_default() {
            state.serial += 1;
            let key = (at, state.serial);
            state.timers.insert(key, Waker::from(waker));
        }
        drop(state);
        self.world.fire();
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let mut state = self.world.lock();
        state.is_over = true;
        let rest = (
            std::mem::take(&mut state.tasks),
            std::mem::take(&mut state.work),
            std::mem::take(&mut state.timers),
        );
        drop(state);
        drop(rest);
    }
}

impl World {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on to the next moment at which something happens, `latest` at the latest; false where there is none.
    fn jump(&self, latest: Duration) -> bool {
        let mut state = self.lock();
        let timer = state.timers.first_key_value().map(|(key, _)| key.0);
        let work = state.work.iter().map(|work| work.at).min();
        let Some(next) = timer.into_iter().chain(work).min().filter(|at| *at <= latest) else {
            return false;
        };
        state.now = state.now.max(next);
        drop(state);
        self.fire();
        true
    }

    /// Wakes those whose time has come.
    fn fire(&self) {
        let mut due = Vec::new();
        let mut state = self.lock();
        let now = state.now;
        while let Some(timer) = state.timers.first_entry().filter(|timer| timer.key().0 <= now) {
            due.push(timer.remove());
        }
        drop(state);
        due.into_iter().for_each(Waker::wake);
    }
}

impl State {
    /// The next step, drawn from all that can be done now.
    fn choose(&mut self) -> Option<Step> {
        self.woken.retain(|task| self.tasks.contains_key(task));
        let due: Vec<usize> = (0..self.work.len())
            .filter(|&at| self.work[at].at <= self.now)
            .collect();
        let choices = self.woken.len() + due.len();
        if choices == 0 {
            return None;
        }
        self.steps += 1;
        assert!(self.steps <= MOST_STEPS, "it does not come to rest");
        let choice = self.rng.usize(..choices);
        if let Some(work) = choice.checked_sub(self.woken.len()) {
            return Some(Step::Work(self.work.swap_remove(due[work])));
        }
        let task = self.woken.swap_remove(choice);
        let future = self.tasks.remove(&task)?;
        Some(Step::Poll(task, future))
    }
}

struct SimulatedRuntime(Arc<World>);

impl Runtime for SimulatedRuntime {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        let mut state = self.0.lock();
        if state.is_over {
            drop(state);
            return drop(task);
        }
        state.serial += 1;
        let serial = state.serial;
        state.tasks.insert(serial, task);
        state.woken.push(serial);
    }

    fn sleep_until(&self, deadline: Instant) -> BoxFuture<'static, ()> {
        Box::pin(Sleep {
            world: Arc::clone(&self.0),
            until: deadline.saturating_duration_since(self.0.base),
            timer: None,
        })
    }

    fn unblock(&self, work: Box<dyn FnOnce() + Send + 'static>) {
        let mut state = self.0.lock();
        if state.is_over {
            drop(state);
            return drop(work);
        }
        // Half of it finds a thread at once, the other half waits for one.
        let wait = state.rng.u64(..40).saturating_sub(20);
        let at = state.now + Duration::from_millis(wait);
        state.work.push(Work { at, run: work });
    }

    fn now(&self) -> Instant {
        self.0.base + self.0.lock().now + TAKES.get()
    }
}

struct Sleep {
    world: Arc<World>,
    until: Duration,
    timer: Option<(Duration, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut state = this.world.lock();
        if let Some(timer) = this.timer.take() {
            state.timers.remove(&timer);
        }
        if state.now >= this.until {
            return Poll::Ready(());
        }
        state.serial += 1;
        let timer = (this.until, state.serial);
        state.timers.insert(timer, context.waker().clone());
        this.timer = Some(timer);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            self.world.lock().timers.remove(&timer);
        }
    }
}

struct TaskWaker {
    task: u64,
    world: Arc<World>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        let mut state = self.world.lock();
        if let Some(held) = &mut state.held {
            held.push(Arc::clone(&self));
        } else if !state.woken.contains(&self.task) {
            state.woken.push(self.task);
        }
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}
