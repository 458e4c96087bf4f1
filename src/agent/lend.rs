//! Workers that have nothing to do, lent to one that has a large file: as many threads compress as there are workers, and never more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_channel::{Receiver, Sender};

use crate::codec::Help;

/// Lends the workers that are idle. The clones of all workers gone, the channel of helps is closed.
#[derive(Clone)]
pub(super) struct Lender {
    idle: IdleWorkers,
    helps: Sender<Help>,
}

/// How many workers wait for something to do.
#[derive(Clone, Default)]
pub(super) struct IdleWorkers(Arc<AtomicUsize>);

/// Counts a worker as idle until it is dropped.
pub(super) struct Idle(IdleWorkers);

impl Lender {
    /// With it: where idle workers learn whom to help.
    pub(super) fn new(workers: usize) -> (Self, Receiver<Help>) {
        let (helps, waiting) = async_channel::bounded(workers.max(1));
        let idle = IdleWorkers::default();
        (Lender { idle, helps }, waiting)
    }

    pub(super) fn workers(&self) -> IdleWorkers {
        self.idle.clone()
    }

    /// One that waits in the channel has an idle worker already, or the next one to become idle.
    pub(super) fn try_borrow(&self, help: Help) -> bool {
        self.helps.len() < self.idle.0.load(Ordering::Relaxed) && self.helps.try_send(help).is_ok()
    }
}

impl IdleWorkers {
    pub(super) fn count_in(&self) -> Idle {
        self.0.fetch_add(1, Ordering::Relaxed);
        Idle(self.clone())
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Helps for as long as there is something to help with and nothing of one's own to do. Blocks.
pub(super) fn help_until(mut help: Help, has_own: impl Fn() -> bool) {
    while help() && !has_own() {}
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::time::{Duration, Instant};

    use super::super::job::Cancel;
    use super::super::pool::{Pool, Progress, Task, Worked};
    use super::*;
    use crate::codec::Helpers;
    use crate::runtime::{Runtime, Threads, block_on};

    const WORKERS: usize = 3;

    /// A pool whose tasks are known by a number, and the threads that help with the large one.
    struct Crew {
        pool: Pool<u32, ()>,
        helping: Arc<AtomicUsize>,
        /// There is nothing left to help with.
        is_over: Arc<AtomicBool>,
    }

    impl Crew {
        fn new() -> Self {
            let runtime: Arc<dyn Runtime> = Arc::new(Threads::new().unwrap());
            Crew {
                pool: Pool::start(&runtime, WORKERS, &Cancel::default()),
                helping: Arc::default(),
                is_over: Arc::default(),
            }
        }

        /// Borrows whoever is idle until it is over.
        fn send_large(&self, key: u32) {
            let (helping, is_over) = (Arc::clone(&self.helping), Arc::clone(&self.is_over));
            let work = Box::new(move |helpers: &dyn Helpers| {
                while !is_over.load(Ordering::SeqCst) {
                    helpers.try_borrow(turns(&helping, &is_over));
                    std::thread::sleep(Duration::from_millis(1));
                }
                Worked::Ended(())
            });
            self.pool.tasks.try_send(Task { key, work }).unwrap();
        }

        fn send_small(&self, key: u32) {
            let work = Box::new(|_: &dyn Helpers| Worked::Ended(()));
            self.pool.tasks.try_send(Task { key, work }).unwrap();
        }

        fn wait_for_helpers(&self, helpers: usize) {
            let deadline = Instant::now() + Duration::from_secs(60);
            while self.helping.load(Ordering::SeqCst) != helpers {
                assert!(Instant::now() < deadline, "no {helpers} helpers");
                std::thread::sleep(Duration::from_millis(1));
            }
        }

        fn wait_for_end_of(&mut self, key: u32) {
            let progress = block_on(self.pool.results.next()).unwrap();
            assert!(matches!(progress, Progress::Ended(ended, Some(())) if ended == key));
        }
    }

    /// Help that counts whoever is at it, in turns of a millisecond.
    fn turns(helping: &Arc<AtomicUsize>, is_over: &Arc<AtomicBool>) -> Help {
        struct Helping(Arc<AtomicUsize>);
        impl Drop for Helping {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        let (helping, is_over) = (Arc::clone(helping), Arc::clone(is_over));
        let mut at_it = None;
        Box::new(move || {
            at_it.get_or_insert_with(|| {
                helping.fetch_add(1, Ordering::SeqCst);
                Helping(Arc::clone(&helping))
            });
            std::thread::sleep(Duration::from_millis(1));
            !is_over.load(Ordering::SeqCst)
        })
    }

    #[test]
    fn idle_workers_help_with_a_large_task_and_leave_for_tasks_of_their_own() {
        let mut crew = Crew::new();
        crew.send_large(1);
        crew.wait_for_helpers(WORKERS - 1);
        for key in 2..10 {
            crew.send_small(key);
            crew.wait_for_end_of(key);
        }
        crew.wait_for_helpers(WORKERS - 1);
        crew.is_over.store(true, Ordering::SeqCst);
        crew.wait_for_end_of(1);
        crew.wait_for_helpers(0);
    }

    #[test]
    fn nobody_helps_while_all_have_tasks() {
        let crew = Crew::new();
        for key in 0..3 {
            crew.send_large(key);
        }
        // Each has its worker when the third is not waiting any more.
        let deadline = Instant::now() + Duration::from_secs(60);
        while !crew.pool.tasks.is_empty() {
            assert!(Instant::now() < deadline, "a task waits");
            std::thread::sleep(Duration::from_millis(1));
        }
        crew.wait_for_helpers(0);
        crew.is_over.store(true, Ordering::SeqCst);
    }

    #[test]
    fn who_has_no_more_tasks_to_come_helps_until_the_last_is_done() {
        let mut crew = Crew::new();
        crew.send_large(1);
        crew.pool.tasks.close();
        crew.wait_for_helpers(WORKERS - 1);
        crew.is_over.store(true, Ordering::SeqCst);
        crew.wait_for_end_of(1);
        block_on(crew.pool.workers.wait());
        assert_eq!(crew.helping.load(Ordering::SeqCst), 0);
    }
}
