//! Going to the end of the queue.

use std::future::poll_fn;
use std::task::Poll;

/// Lets every other task that is ready have its turn first.
pub(crate) async fn yield_now() {
    let mut has_yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut has_yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
