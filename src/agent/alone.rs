//! Counts the outputs that are on their way to be published: what is the only one need not wait to go on together with others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::storage::Syncs;

use super::job::Cancel;
use super::pool::{Unfinished, Worked};

/// How many pieces of work need no worker any more, and are to go on at once.
#[derive(Clone, Default)]
pub(super) struct GoingOn(Arc<AtomicUsize>);

/// Counts one of them until it is dropped.
pub(super) struct Counted(GoingOn);

impl GoingOn {
    /// With it: whether there is no other.
    pub(super) fn count_in(&self) -> (Counted, bool) {
        let others = self.0.fetch_add(1, Ordering::Relaxed);
        (Counted(self.clone()), others == 0)
    }

    pub(super) fn is_none(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Work that is counted until it has gone on.
pub(super) struct OneOfMany<R> {
    pub(super) rest: Box<dyn Unfinished<R>>,
    pub(super) _counted: Counted,
}

impl<R> Unfinished<R> for OneOfMany<R> {
    fn enlist(&self, syncs: &mut Syncs) {
        self.rest.enlist(syncs);
    }

    fn waits_for_disk(&self) -> bool {
        self.rest.waits_for_disk()
    }

    fn takes_long(&self) -> bool {
        self.rest.takes_long()
    }

    fn advance(self: Box<Self>, syncs: &mut Syncs, cancel: &Cancel) -> Worked<R> {
        self.rest.advance(syncs, cancel)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    use super::super::pool::{Pool, Progress, Task};
    use super::*;
    use crate::codec::Helpers;
    use crate::runtime::{BoxFuture, Runtime, Threads, block_on};

    /// By its clock nothing takes long.
    struct Timeless(Threads, Instant);

    impl Runtime for Timeless {
        fn spawn(&self, task: BoxFuture<'static, ()>) {
            self.0.spawn(task);
        }

        fn sleep_until(&self, deadline: Instant) -> BoxFuture<'static, ()> {
            self.0.sleep_until(deadline)
        }

        fn unblock(&self, work: Box<dyn FnOnce() + Send + 'static>) {
            self.0.unblock(work);
        }

        fn now(&self) -> Instant {
            self.1
        }
    }

    /// Says when it goes on, and waits until it may end.
    struct Rest {
        begun: mpsc::Sender<()>,
        may_end: mpsc::Receiver<()>,
    }

    impl Unfinished<()> for Rest {
        fn enlist(&self, _: &mut Syncs) {}

        fn waits_for_disk(&self) -> bool {
            false
        }

        fn advance(self: Box<Self>, _: &mut Syncs, _: &Cancel) -> Worked<()> {
            let _ = self.begun.send(());
            let _ = self.may_end.recv_timeout(Duration::from_secs(60));
            Worked::Ended(())
        }
    }

    /// With it: where it says that it goes on, and what lets it end.
    fn rest() -> (Box<dyn Unfinished<()>>, mpsc::Receiver<()>, mpsc::Sender<()>) {
        let ((begun, has_begun), (end, may_end)) = (mpsc::channel(), mpsc::channel());
        (Box::new(Rest { begun, may_end }), has_begun, end)
    }

    #[test]
    fn only_what_is_alone_goes_on_where_it_was_worked_at() {
        let timeless = Timeless(Threads::new().unwrap(), Instant::now());
        let runtime: Arc<dyn Runtime> = Arc::new(timeless);
        let mut pool = Pool::start(&runtime, 2, &Cancel::default());
        let begin = |key| {
            let (rest, has_begun, end) = rest();
            let work = Box::new(|_: &dyn Helpers| Worked::Later(rest, Duration::ZERO));
            assert!(pool.tasks.try_send(Task { key, work }).is_ok());
            has_begun.recv_timeout(Duration::from_secs(60)).unwrap();
            end
        };
        let (end_first, end_second) = (begin(1), begin(2));
        assert!(matches!(block_on(pool.results.next()), Some(Progress::Later(2))));
        // That the first one goes on was not told before it has ended: its worker is at it.
        for (end, key) in [(end_second, 2), (end_first, 1)] {
            end.send(()).unwrap();
            assert!(matches!(block_on(pool.results.next()), Some(Progress::Ended(ended, Some(()))) if ended == key));
        }
    }

    #[test]
    fn one_of_many_is_counted_until_it_has_gone_on() {
        let going_on = GoingOn::default();
        let (rest, _, _) = rest();
        let (counted, is_first) = going_on.count_in();
        assert!(is_first);
        let many = Box::new(OneOfMany {
            rest,
            _counted: counted,
        });
        assert!(!going_on.is_none() && !going_on.count_in().1);
        many.advance(&mut Syncs::default(), &Cancel::default());
        assert!(going_on.is_none() && going_on.count_in().1);
    }
}
