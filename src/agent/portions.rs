//! A channel's messages, taken in portions: to wake up for each of many small files costs more than what is then done for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_channel::Receiver;

use crate::runtime::Runtime;

/// So long nobody is woken again. Less than the time for which tasks lie ready.
pub(super) const PORTION: Duration = Duration::from_millis(1);

/// The end of a channel at which nobody waits right after something came.
pub(crate) struct Portions<T> {
    runtime: Arc<dyn Runtime>,
    channel: Receiver<T>,
    /// When to wait for one again.
    next: Instant,
}

impl<T> Portions<T> {
    pub(super) fn new(runtime: &Arc<dyn Runtime>, channel: Receiver<T>) -> Self {
        Portions {
            runtime: Arc::clone(runtime),
            channel,
            next: runtime.now(),
        }
    }

    /// Waits for the first of a portion; [`try_next`](Self::try_next) has the others. One that comes after a pause is given out at once.
    /// None when nobody can send more. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<T> {
        if self.runtime.now() < self.next {
            self.runtime.sleep_until(self.next).await;
        }
        let message = self.channel.recv().await.ok();
        self.next = self.runtime.now() + PORTION;
        message
    }

    /// The next one, if it is there.
    pub(crate) fn try_next(&self) -> Option<T> {
        self.channel.try_recv().ok()
    }

    /// Those that are there now.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = T> + use<T> {
        let channel = self.channel.clone();
        (0..channel.len()).map_while(move |_| channel.try_recv().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{Threads, block_on};

    #[test]
    fn a_first_one_comes_at_once_and_the_others_in_portions() {
        let runtime: Arc<dyn Runtime> = Arc::new(Threads::new().unwrap());
        let (sender, channel) = async_channel::unbounded();
        let mut portions = Portions::new(&runtime, channel);
        for number in 0..5 {
            sender.try_send(number).unwrap();
        }
        let began = runtime.now();
        assert_eq!(block_on(portions.next()), Some(0));
        assert_eq!(portions.try_next(), Some(1));
        assert_eq!(block_on(portions.next()), Some(2));
        assert!(runtime.now() >= began + PORTION);
        drop(sender);
        assert_eq!(portions.waiting().collect::<Vec<_>>(), [3, 4]);
        assert_eq!((block_on(portions.next()), portions.try_next()), (None, None));
    }
}
