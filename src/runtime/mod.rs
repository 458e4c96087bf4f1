//! What the agent asks of whatever runs it, and nothing else: three verbs and a clock.
//!
//! [`Threads`] needs only the standard library; `Smol` (feature `smol`) is what the program uses. An adapter for another
//! executor is an `impl` of [`Runtime`], outside this crate.

mod block_on;
mod drain;
mod pool;
mod race;
mod threads;
mod turn;

#[cfg(feature = "smol")]
mod smol;
#[cfg(feature = "smol")]
mod timers;

use std::future::Future;
use std::pin::Pin;
use std::time::Instant;

pub use block_on::block_on;
pub(crate) use drain::{Token, WaitGroup};
pub(crate) use race::race;
pub use threads::Threads;
pub(crate) use turn::yield_now;

#[cfg(feature = "smol")]
pub use self::smol::Smol;

/// A future on the heap that may be sent to another thread.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The four things the agent needs of an executor. Object-safe; the agent holds it as `Arc<dyn Runtime>` and reaches for nothing
/// ambient, so it can be driven from any thread.
///
/// All methods are called from any thread, several at a time, and none may block. The last owner to drop the runtime may be one of its own
/// tasks, or work that it runs: a `Drop` that waits for its threads must not wait for the one it is on.
///
/// A whole adapter, here to a thread for everything:
///
/// ```
/// use std::sync::Arc;
/// use std::thread;
/// use std::time::{Duration, Instant};
/// use dwindle::runtime::{BoxFuture, Runtime, block_on};
///
/// struct ThreadForEverything;
///
/// impl Runtime for ThreadForEverything {
///     fn spawn(&self, task: BoxFuture<'static, ()>) {
///         thread::spawn(|| block_on(task));
///     }
///
///     fn sleep_until(&self, deadline: Instant) -> BoxFuture<'static, ()> {
///         let (wake, woken) = async_channel::bounded::<()>(1);
///         thread::spawn(move || {
///             thread::sleep(deadline.saturating_duration_since(Instant::now()));
///             drop(wake);
///         });
///         Box::pin(async move {
///             let _ = woken.recv().await; // ends when `wake` is dropped
///         })
///     }
///
///     fn unblock(&self, work: Box<dyn FnOnce() + Send>) {
///         thread::spawn(work);
///     }
///
///     fn now(&self) -> Instant {
///         Instant::now()
///     }
/// }
///
/// let agent = dwindle::Agent::builder().runtime(Arc::new(ThreadForEverything));
/// let report = block_on(async { agent.start().await?.shutdown(Duration::ZERO).await })?;
/// assert_eq!(report.compressed, 0);
/// # Ok::<(), dwindle::AgentError>(())
/// ```
pub trait Runtime: Send + Sync + 'static {
    /// Runs a task in the background, to its end.
    ///
    /// A task that panics must not take others with it. When the runtime ends before the task does, or has ended, the task is dropped: by
    /// that the agent's handle learns of it. An agent spawns two tasks, one a worker, and one a scan under way; none of them blocks.
    fn spawn(&self, task: BoxFuture<'static, ()>);

    /// A future that is ready once [`now`](Self::now) has reached `deadline`, at once where that is past. Dropping it cancels it. Late is
    /// harmless, but for being late; early makes the agent ask again. It is polled by a task of this runtime.
    fn sleep_until(&self, deadline: Instant) -> BoxFuture<'static, ()>;

    /// Runs work that blocks (system calls, compression) where that hinders no task.
    ///
    /// The work reports by its own means. When it panics, or cannot be run at all, it is dropped and nothing else happens. There is at
    /// most one piece a worker, one a scan and four more at a time, beside short ones that open and close folders; none waits for another, so
    /// that fewer threads than that only make it slower.
    fn unblock(&self, work: Box<dyn FnOnce() + Send + 'static>);

    /// The time by this runtime's clock, which may be a simulated one, and never goes back.
    fn now(&self) -> Instant;
}

/// The answer of blocking work, or nothing where it panicked or could not be run.
///
/// Cancel-safe in this sense: dropping the future forgets the answer; the work itself runs to its end.
pub(crate) async fn unblock<T, F>(runtime: &dyn Runtime, work: F) -> Option<T>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let (answer, answered) = async_channel::bounded(1);
    runtime.unblock(Box::new(move || {
        // Nobody waits any more: the answer has no taker, which is fine.
        let _ = answer.try_send(work());
    }));
    answered.recv().await.ok()
}
