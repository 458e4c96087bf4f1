//! The wait group: a token for each piece of work, and a future that ends when the last token is dropped.

use std::convert::Infallible;

use async_channel::{Receiver, Sender};

/// Hands out tokens and waits for all of them. Nothing is ever sent: a channel whose senders are all gone is closed, and that a
/// token is dropped when its task panics or is cancelled comes for free.
pub(crate) struct WaitGroup {
    token: Token,
    all_dropped: Receiver<Infallible>,
}

/// Held by a piece of work for as long as it lasts.
#[derive(Clone)]
pub(crate) struct Token {
    _sender: Sender<Infallible>,
}

impl WaitGroup {
    pub(crate) fn new() -> Self {
        let (sender, all_dropped) = async_channel::bounded(1);
        WaitGroup {
            token: Token { _sender: sender },
            all_dropped,
        }
    }

    /// A further token.
    pub(crate) fn token(&self) -> Token {
        self.token.clone()
    }

    /// Ends when every token handed out has been dropped.
    pub(crate) async fn wait(self) {
        drop(self.token);
        if let Ok(never) = self.all_dropped.recv().await {
            match never {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::task::{Context, Poll, Waker};

    #[test]
    fn waits_for_the_last_token_and_not_for_none() {
        let mut context = Context::from_waker(Waker::noop());

        let group = WaitGroup::new();
        let tokens = [group.token(), group.token()];
        let mut wait = Box::pin(group.wait());
        assert_eq!(wait.as_mut().poll(&mut context), Poll::Pending);
        let [first, last] = tokens;
        drop(first);
        assert_eq!(wait.as_mut().poll(&mut context), Poll::Pending);
        drop(last);
        assert_eq!(wait.as_mut().poll(&mut context), Poll::Ready(()));

        let mut wait = Box::pin(WaitGroup::new().wait());
        assert_eq!(wait.as_mut().poll(&mut context), Poll::Ready(()));
    }
}
