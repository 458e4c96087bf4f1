//! A runtime of plain threads: the standard library and nothing else.

mod tasks;

use std::fmt::{self, Debug, Formatter};
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::pool::Pool;
use super::{BoxFuture, Runtime};
use tasks::Tasks;

/// One thread that polls the tasks and keeps their timers, and a pool of threads for blocking work, which grows with the work that
/// waits and shrinks again when idle.
///
/// For programs without an async runtime; but an agent on it may as well be used from one, since an agent's futures are polled by any
/// executor.
///
/// Dropping it drops the tasks that have not ended and waits for their thread, which none of them holds up. Blocking work that has begun
/// runs to its end.
pub struct Threads {
    tasks: Arc<Tasks>,
    pool: Arc<Pool>,
    thread: Option<JoinHandle<()>>,
}

impl Threads {
    /// Starts the thread for tasks.
    ///
    /// # Errors
    ///
    /// When the system refuses the thread.
    pub fn new() -> io::Result<Self> {
        let tasks = Arc::new(Tasks::default());
        let thread = thread::Builder::new().name("dwindle-tasks".into()).spawn({
            let tasks = Arc::clone(&tasks);
            move || tasks.run()
        })?;
        Ok(Threads {
            tasks,
            pool: Arc::new(Pool::default()),
            thread: Some(thread),
        })
    }
}

impl Runtime for Threads {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.tasks.spawn(task);
    }

    fn sleep_until(&self, deadline: Instant) -> BoxFuture<'static, ()> {
        Box::pin(tasks::Sleep::new(&self.tasks, deadline))
    }

    fn unblock(&self, work: Box<dyn FnOnce() + Send + 'static>) {
        self.pool.run(work);
    }

    fn now(&self) -> Instant {
        Instant::now()
    }
}

impl Debug for Threads {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threads").finish_non_exhaustive()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.tasks.stop();
        if let Some(thread) = self.thread.take()
            // The last owner may be a task on that very thread.
            && thread.thread().id() != thread::current().id()
        {
            let _ = thread.join();
        }
    }
}
