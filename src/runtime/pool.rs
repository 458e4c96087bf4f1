//! Threads for work that blocks.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// More work than this at once waits for a thread. The agent asks for one piece a worker, one a scan and four more.
const MOST_THREADS: usize = 256;

/// How long a thread without work stays for the next piece.
const IDLE: Duration = Duration::from_secs(10);

type Work = Box<dyn FnOnce() + Send + 'static>;

#[derive(Default)]
pub(super) struct Pool {
    state: Mutex<State>,
    more: Condvar,
    /// Called when the last thread ends, since nothing was to be done for a while.
    at_rest: Option<fn()>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Work>,
    threads: usize,
    idle: usize,
}

impl Pool {
    #[cfg(feature = "smol")]
    pub(super) fn new(at_rest: Option<fn()>) -> Self {
        Pool {
            at_rest,
            ..Pool::default()
        }
    }

    /// Queues the work, and starts a thread for it when none is idle. Where the system refuses the first thread, the work is dropped.
    pub(super) fn run(self: &Arc<Self>, work: Work) {
        let mut state = self.lock();
        state.queue.push_back(work);
        if state.queue.len() <= state.idle {
            // Woken under the lock, it would have to wait for that at once.
            drop(state);
            self.more.notify_one();
        } else if state.threads < MOST_THREADS {
            let refused = self.start_thread(&mut state);
            drop(state);
            // What is dropped may ask for more work, so the lock must be free.
            drop(refused);
        }
    }

    /// Returns the work that nobody will do.
    fn start_thread(self: &Arc<Self>, state: &mut State) -> VecDeque<Work> {
        let pool = Arc::clone(self);
        let started = thread::Builder::new()
            .name("dwindle-work".into())
            .spawn(move || pool.serve());
        if started.is_ok() {
            state.threads += 1;
        } else if state.threads == 0 {
            return std::mem::take(&mut state.queue);
        }
        VecDeque::new()
    }

    /// A thread's life.
    fn serve(&self) {
        while let Some(work) = self.next(IDLE) {
            // The one who waits for it sees its answer's channel closed.
            let _ = catch_unwind(AssertUnwindSafe(work));
        }
    }

    /// The next piece of work; none when there was none for so long.
    fn next(&self, patience: Duration) -> Option<Work> {
        let mut state = self.lock();
        loop {
            if let Some(work) = state.queue.pop_front() {
                return Some(work);
            }
            state.idle += 1;
            let (woken, timeout) = self
                .more
                .wait_timeout(state, patience)
                .unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if timeout.timed_out() && state.queue.is_empty() {
                state.threads -= 1;
                let is_last = state.threads == 0;
                drop(state);
                if let Some(at_rest) = self.at_rest.filter(|_| is_last) {
                    at_rest();
                }
                return None;
            }
        }
    }

    /// No code that can panic runs under this lock, so a poisoned one is as good as any.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, feature = "smol"))]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    static RESTS: AtomicUsize = AtomicUsize::new(0);

    #[test]
    fn only_the_last_thread_that_ends_says_that_all_rest() {
        let pool = Pool::new(Some(|| {
            RESTS.fetch_add(1, Ordering::SeqCst);
        }));
        pool.lock().threads = 2;
        for rests in [0, 1] {
            assert!(pool.next(Duration::ZERO).is_none());
            assert_eq!(RESTS.load(Ordering::SeqCst), rests);
        }
    }
}
