//! Floor 1: what the agent asks of whatever runs it, and nothing else: three verbs and a clock.

use std::future::Future;
use std::pin::Pin;
use std::time::Instant;

/// A future on the heap, which can be sent to another thread.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The four things the agent needs from an executor. Object-safe; the agent holds it as `Arc<dyn Runtime>` and reaches for nothing
/// ambient, so it can be driven from any thread.
pub trait Runtime: Send + Sync + 'static {
    /// Runs a task in the background, to its end. Must not block.
    ///
    /// A task that panics must not take others with it. When the runtime ends before the task, the task is dropped.
    fn spawn(&self, task: BoxFuture<'static, ()>);

    /// A future that is ready once [`now`](Self::now) has reached `deadline`. Dropping it before is the way to cancel it.
    fn sleep_until(&self, deadline: Instant) -> BoxFuture<'static, ()>;

    /// Runs a piece of work that blocks (system calls, compression) where that hinders no task. Must not block itself.
    ///
    /// The work reports by its own means. When it panics, it is dropped and nothing else happens.
    fn unblock(&self, work: Box<dyn FnOnce() + Send + 'static>);

    /// The time by this runtime's clock, which may be a simulated one.
    fn now(&self) -> Instant;
}
