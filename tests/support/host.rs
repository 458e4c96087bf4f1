//! The five runtimes that the conformance suite runs on, and how a test drives each from a thread that belongs to none.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use dwindle::runtime::{Smol, Threads, block_on};

use super::blocking::Polls;
use super::simulator::{Simulator, take_time};
use super::wait::{DEADLINE, poll};
use super::{BoxFuture, Runtime, tokio};

/// Each run of the simulator has another order of steps.
const SIMULATOR_SEEDS: u64 = 3;

/// So much simulated time goes by between two looks at a condition.
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// So many of them are made in the 5 ms that a waiting test pauses: the simulated clock goes ten times as fast as the real one.
const LOOKS: usize = 10;

/// A runtime under test.
pub(crate) struct Host {
    pub(crate) name: String,
    kind: Kind,
    watched: Arc<Watched>,
    simulator: Option<Simulator>,
}

#[derive(Clone, Copy)]
enum Kind {
    Smol,
    Threads,
    TokioOnOneThread,
    TokioOnSeveral,
    Simulator(u64),
}

/// Runs the test on each of them, all at once. Nothing that it sees may depend on which of them it is.
pub(crate) fn on_each_runtime(test: impl Fn(&Host) + Sync) {
    let real = [Kind::Smol, Kind::Threads, Kind::TokioOnOneThread, Kind::TokioOnSeveral];
    let kinds = real.into_iter().chain((1..=SIMULATOR_SEEDS).map(Kind::Simulator));
    thread::scope(|scope| {
        let test = &test;
        let runs: Vec<_> = kinds.map(|kind| scope.spawn(move || run(kind, test))).collect();
        let panics: Vec<_> = runs.into_iter().filter_map(|run| run.join().err()).collect();
        if let Some(panic) = panics.into_iter().next() {
            resume_unwind(panic);
        }
    });
}

fn run(kind: Kind, test: impl Fn(&Host)) {
    let host = Host::new(kind);
    let result = catch_unwind(AssertUnwindSafe(|| {
        test(&host);
        host.expect_that_no_task_blocked();
    }));
    if let Err(panic) = result {
        eprintln!("on the runtime {}", host.name);
        resume_unwind(panic);
    }
}

impl Host {
    fn new(kind: Kind) -> Self {
        let mut simulator = None;
        let (name, runtime): (_, Arc<dyn Runtime>) = match kind {
            Kind::Smol => ("smol".to_owned(), Arc::new(Smol::new().unwrap())),
            Kind::Threads => ("threads".to_owned(), Arc::new(Threads::new().unwrap())),
            Kind::TokioOnOneThread => ("tokio on one thread".to_owned(), tokio::current_thread()),
            Kind::TokioOnSeveral => ("tokio on several threads".to_owned(), tokio::multi_thread()),
            Kind::Simulator(seed) => {
                let simulator = simulator.insert(Simulator::from_seed(seed).detecting_system_calls());
                (format!("simulator, seed {seed}"), simulator.runtime())
            }
        };
        let watched = Arc::new(Watched {
            inner: RwLock::new(Some(runtime)),
            blocked: Arc::default(),
        });
        Host {
            name,
            kind,
            watched,
            simulator,
        }
    }

    /// Another runtime of the same kind.
    pub(crate) fn another(&self) -> Self {
        Host::new(self.kind)
    }

    pub(crate) fn runtime(&self) -> Arc<dyn Runtime> {
        Arc::clone(&self.watched) as _
    }

    /// The time by the runtime's clock.
    pub(crate) fn now(&self) -> Instant {
        self.watched.now()
    }

    pub(crate) fn is_simulated(&self) -> bool {
        self.simulator.is_some()
    }

    /// Drives a future on this thread, which belongs to no runtime.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        match &self.simulator {
            Some(simulator) => simulator.block_on(future),
            None => block_on(future),
        }
    }

    /// Waits until the condition holds. It may ask the agent.
    pub(crate) fn wait_until(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let met = poll(DEADLINE, || {
            let holds = match &self.simulator {
                None => condition(),
                Some(simulator) => (0..LOOKS).any(|_| {
                    simulator.advance(BETWEEN_LOOKS);
                    condition()
                }),
            };
            holds.then_some(())
        });
        assert!(met.is_some(), "waiting until {what}");
    }

    /// To be called inside blocking work: it goes on for so long, by the runtime's clock.
    pub(crate) fn takes_time(&self, time: Duration) -> impl Fn() + Send + Sync + 'static {
        let take = if self.is_simulated() { take_time } else { thread::sleep };
        move || take(time)
    }

    /// The runtime ends, and drops its tasks.
    pub(crate) fn end(mut self) {
        drop(self.simulator.take());
        self.watched.end();
    }

    fn expect_that_no_task_blocked(&self) {
        let blocked = self.watched.blocked.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(*blocked, [""; 0], "tasks blocked their threads");
    }
}

/// A runtime that can be ended while others hold it, and that notes which of its tasks did what may block.
struct Watched {
    inner: RwLock<Option<Arc<dyn Runtime>>>,
    blocked: Arc<Mutex<Vec<String>>>,
}

impl Watched {
    fn with<T>(&self, call: impl FnOnce(&dyn Runtime) -> T) -> Option<T> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.as_deref().map(call)
    }

    /// Returns when nobody is inside a call, so that it is here that the runtime is dropped.
    fn end(&self) {
        let inner = self.inner.write().unwrap_or_else(PoisonError::into_inner).take();
        drop(inner);
    }
}

impl Runtime for Watched {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        let blocked = Arc::clone(&self.blocked);
        self.with(|inner| inner.spawn(Box::pin(WatchedTask { task, blocked })));
    }

    fn sleep_until(&self, deadline: Instant) -> BoxFuture<'static, ()> {
        self.with(|inner| inner.sleep_until(deadline))
            .unwrap_or_else(|| Box::pin(std::future::pending()))
    }

    fn unblock(&self, work: Box<dyn FnOnce() + Send + 'static>) {
        self.with(|inner| inner.unblock(work));
    }

    fn now(&self) -> Instant {
        self.with(Runtime::now).unwrap_or_else(Instant::now)
    }
}

struct WatchedTask {
    task: BoxFuture<'static, ()>,
    blocked: Arc<Mutex<Vec<String>>>,
}

impl Future for WatchedTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let (poll, blocked) = Polls::listen(|| self.task.as_mut().poll(context));
        if let Some(what) = blocked {
            self.blocked.lock().unwrap_or_else(PoisonError::into_inner).push(what);
        }
        poll
    }
}
