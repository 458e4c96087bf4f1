//! Floor 1: what the agent asks of whatever runs it, and nothing else: three verbs and a clock.
//!
//! [`Threads`] needs only the standard library; [`Smol`] (feature `smol`) is what the program uses. An adapter for another
//! executor is an `impl` of [`Runtime`], outside this crate.

mod block_on;
mod drain;
mod race;
mod threads;
mod turn;

#[cfg(feature = "smol")]
mod smol;

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
pub trait Runtime: Send + Sync + 'static {
    /// Runs a task in the background, to its end. Does not block.
    ///
    /// A task that panics must not take others with it. When the runtime ends before the task does, the task is dropped.
    fn spawn(&self, task: BoxFuture<'static, ()>);

    /// A future that is ready once [`now`](Self::now) has reached `deadline`. Dropping it cancels it.
    fn sleep_until(&self, deadline: Instant) -> BoxFuture<'static, ()>;

    /// Runs work that blocks (system calls, compression) where that hinders no task. Does not block itself.
    ///
    /// The work reports by its own means. When it panics, or cannot be run at all, it is dropped and nothing else happens.
    fn unblock(&self, work: Box<dyn FnOnce() + Send + 'static>);

    /// The time by this runtime's clock, which may be a simulated one.
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
