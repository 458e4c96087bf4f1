//! The adapter to smol (feature `smol`).

use std::fmt::{self, Debug, Formatter};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use smol::Executor;

use super::pool::Pool;
use super::timers::{Sleep, Timers};
use super::{BoxFuture, Runtime};

/// An executor of smol's with a thread of its own, which waits for times as well. Tasks never block, so one thread serves them all; blocking
/// work goes to a pool of threads, which unlike smol's own ends them when they are idle: one that waits wakes up twice a second.
///
/// Dropping it drops the tasks that have not ended, and waits for the thread. Blocking work that has begun runs to its end.
pub struct Smol {
    executor: Arc<Executor<'static>>,
    timers: Arc<Timers>,
    pool: Arc<Pool>,
    // Closed when this is dropped, which ends the thread.
    stop: Option<async_channel::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Smol {
    /// Starts the executor's thread.
    ///
    /// # Errors
    ///
    /// When the system refuses the thread.
    pub fn new() -> io::Result<Self> {
        Self::with_rest(None)
    }

    /// The same, and what to do on the last thread for blocking work when that ends, since there has been none for ten seconds.
    pub(crate) fn with_rest(at_rest: Option<fn()>) -> io::Result<Self> {
        let executor = Arc::new(Executor::new());
        let timers = Arc::new(Timers::default());
        let (stop, stopped) = async_channel::bounded::<()>(1);
        let thread = thread::Builder::new().name("dwindle-smol".into()).spawn({
            let (executor, timers) = (Arc::clone(&executor), Arc::clone(&timers));
            move || run(&executor, &timers, &stopped)
        })?;
        Ok(Smol {
            executor,
            timers,
            pool: Arc::new(Pool::new(at_rest)),
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

/// Runs tasks until `stopped` closes. A task's panic comes out of `run`; the other tasks go on.
fn run(executor: &Executor<'static>, timers: &Timers, stopped: &async_channel::Receiver<()>) {
    let until_stopped = || timers.run(executor.run(stopped.recv()));
    while catch_unwind(AssertUnwindSafe(until_stopped)).is_err() {}
}

impl Runtime for Smol {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.executor.spawn(task).detach();
    }

    fn sleep_until(&self, deadline: Instant) -> BoxFuture<'static, ()> {
        Box::pin(Sleep::new(&self.timers, deadline))
    }

    fn unblock(&self, work: Box<dyn FnOnce() + Send + 'static>) {
        self.pool.run(work);
    }

    fn now(&self) -> Instant {
        Instant::now()
    }
}

impl Debug for Smol {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smol").finish_non_exhaustive()
    }
}

impl Drop for Smol {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take()
            // The last owner may be a task on that very thread.
            && thread.thread().id() != thread::current().id()
        {
            let _ = thread.join();
        }
    }
}
