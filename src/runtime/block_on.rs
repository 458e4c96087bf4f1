//! The bridge from a thread that belongs to no runtime.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};

/// Runs a future on the calling thread, which sleeps while there is nothing to do. For threads that belong to no runtime; on an
/// executor's thread it would hold up the other tasks.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            // Woken for another reason, it finds that it is still pending.
            Poll::Pending => thread::park(),
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
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
}
