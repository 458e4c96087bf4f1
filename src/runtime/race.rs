//! The first of several futures to be ready.

use std::future::poll_fn;
use std::task::Poll;

use super::BoxFuture;

/// Waits for whichever future is ready first; where several are, the earliest in the list wins. The others are dropped, so each must
/// be cancel-safe. With an empty list it waits for ever.
pub(crate) async fn race<T>(mut futures: Vec<BoxFuture<'_, T>>) -> T {
    poll_fn(|context| {
        for future in &mut futures {
            if let Poll::Ready(value) = future.as_mut().poll(context) {
                return Poll::Ready(value);
            }
        }
        Poll::Pending
    })
    .await
}
