//! The bridge from a thread that belongs to no runtime.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};

/// Runs a future on the calling thread, which sleeps while there is nothing to do. For threads that belong to no runtime; on an
/// executor's thread it would hold up the other tasks.
///
/// ```
/// assert_eq!(dwindle::runtime::block_on(async { 7 }), 7);
/// ```
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let unpark = Arc::new(Unpark::this_thread());
    let waker = Arc::clone(&unpark).into();
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        while !unpark.take_waking() {
            thread::park();
        }
    }
}

/// The flag tells who woke the thread, since a thread has but one token for all that parks it, and a poll may have used it up.
pub(super) struct Unpark {
    thread: Thread,
    woken: AtomicBool,
}

impl Unpark {
    pub(super) fn this_thread() -> Self {
        Unpark {
            thread: thread::current(),
            woken: AtomicBool::new(false),
        }
    }

    /// Whether it was woken since this was asked last.
    pub(super) fn take_waking(&self) -> bool {
        self.woken.swap(false, Ordering::Acquire)
    }
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_for_another_thread() {
        let (sender, receiver) = async_channel::bounded(1);
        let other = thread::spawn(move || sender.send_blocking(7));
        assert_eq!(block_on(receiver.recv()), Ok(7));
        assert_eq!(other.join().unwrap(), Ok(()));
    }

    #[test]
    fn is_woken_though_a_poll_parks_its_thread_too() {
        let mut is_woken = false;
        let future = std::future::poll_fn(|context| {
            if is_woken {
                return Poll::Ready(7);
            }
            is_woken = true;
            context.waker().wake_by_ref();
            // Such as a lock or a channel of the standard library does, or another `block_on`.
            thread::park();
            Poll::Pending
        });
        assert_eq!(block_on(future), 7);
    }
}
