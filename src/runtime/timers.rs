//! Times for a thread that runs tasks: it waits for both itself. smol's own timers have a thread of their own, so that each would wake
//! two, and a task that it wakes up for would wait for the second.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Instant;

use super::block_on::Unpark;

/// The times that somebody waits for, and the thread that looks at them.
#[derive(Default)]
pub(super) struct Timers(Mutex<State>);

#[derive(Default)]
struct State {
    /// Deadline and serial number, which keeps equal deadlines apart.
    waiting: BTreeMap<(Instant, u64), Waker>,
    serial: u64,
    runner: Option<Arc<Unpark>>,
}

impl Timers {
    /// Polls the future on this thread until it is ready, and wakes whoever waits for a time when that has come.
    pub(super) fn run(&self, future: impl Future) {
        let unpark = Arc::new(Unpark::this_thread());
        self.lock().runner = Some(Arc::clone(&unpark));
        let waker = Waker::from(Arc::clone(&unpark));
        let mut future = pin!(future);
        while future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            loop {
                let next = self.wake_due();
                if unpark.take_waking() {
                    break;
                }
                match next {
                    Some(next) => thread::park_timeout(next.saturating_duration_since(Instant::now())),
                    None => thread::park(),
                }
            }
        }
    }

    /// Returns the next time, if any.
    fn wake_due(&self) -> Option<Instant> {
        let mut state = self.lock();
        let later = state.waiting.split_off(&(Instant::now(), u64::MAX));
        let due = std::mem::replace(&mut state.waiting, later);
        let next = state.waiting.first_key_value().map(|(key, _)| key.0);
        drop(state);
        due.into_values().for_each(Waker::wake);
        next
    }

    /// No code that can panic runs under this lock, so a poisoned one is as good as any.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ready at its deadline. Holds its place among the timers, and leaves it when dropped.
pub(super) struct Sleep {
    timers: Arc<Timers>,
    deadline: Instant,
    serial: Option<u64>,
}

impl Sleep {
    pub(super) fn new(timers: &Arc<Timers>, deadline: Instant) -> Self {
        Sleep {
            timers: Arc::clone(timers),
            deadline,
            serial: None,
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.deadline {
            return Poll::Ready(());
        }
        let this = self.get_mut();
        let mut state = this.timers.lock();
        let serial = *this.serial.get_or_insert_with(|| {
            state.serial += 1;
            state.serial
        });
        let key = (this.deadline, serial);
        let former = state.waiting.insert(key, context.waker().clone());
        // It may be polled on another thread than the one that waits.
        if state.waiting.first_key_value().is_some_and(|(first, _)| *first == key)
            && let Some(runner) = &state.runner
        {
            runner.wake_by_ref();
        }
        drop(state);
        // Outside the lock: it may be what holds the last of a task.
        drop(former);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(serial) = self.serial {
            let waker = self.timers.lock().waiting.remove(&(self.deadline, serial));
            // Outside the lock: it may be what holds the last of a task.
            drop(waker);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::runtime::block_on;

    /// Timers with a thread of their own until the sender is dropped.
    fn running() -> (Arc<Timers>, async_channel::Sender<()>, thread::JoinHandle<()>) {
        let timers = Arc::new(Timers::default());
        let (stop, stopped) = async_channel::bounded::<()>(1);
        let runner = Arc::clone(&timers);
        let thread = thread::spawn(move || runner.run(stopped.recv()));
        (timers, stop, thread)
    }

    #[test]
    fn each_is_woken_at_its_time_whoever_waits_for_it() {
        let (timers, stop, thread) = running();
        let begun = Instant::now();
        let in_millis = |millis| begun + Duration::from_millis(millis);
        // The later one first, so that the thread has to look again.
        let late = thread::spawn({
            let sleep = Sleep::new(&timers, in_millis(40));
            move || block_on(sleep)
        });
        block_on(Sleep::new(&timers, in_millis(20)));
        assert!(Instant::now() >= in_millis(20));
        late.join().unwrap();
        assert!(Instant::now() >= in_millis(40));
        block_on(Sleep::new(&timers, begun));
        assert!(timers.lock().waiting.is_empty());
        drop(stop);
        thread.join().unwrap();
    }

    #[test]
    fn one_that_nobody_waits_for_any_more_is_forgotten() {
        let (timers, stop, thread) = running();
        let mut sleep = Sleep::new(&timers, Instant::now() + Duration::from_secs(3600));
        let polled = Pin::new(&mut sleep).poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
        assert_eq!(timers.lock().waiting.len(), 1);
        drop(sleep);
        assert!(timers.lock().waiting.is_empty());
        drop(stop);
        thread.join().unwrap();
    }
}
