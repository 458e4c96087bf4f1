//! Tasks and their timers, on one thread.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use crate::runtime::BoxFuture;

#[derive(Default)]
pub(super) struct Tasks {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    stopped: bool,
    /// Tasks that want to be polled.
    woken: VecDeque<Arc<Task>>,
    /// All tasks that have not ended, so that they can be dropped with the runtime. The key is the task's serial number.
    alive: BTreeMap<u64, Arc<Task>>,
    /// Deadline and serial number, which keeps equal deadlines apart.
    timers: BTreeMap<(Instant, u64), Waker>,
    serial: u64,
}

struct Task {
    serial: u64,
    future: Mutex<Option<BoxFuture<'static, ()>>>,
    queued: AtomicBool,
    tasks: Weak<Tasks>,
}

impl Tasks {
    pub(super) fn spawn(self: &Arc<Self>, future: BoxFuture<'static, ()>) {
        let mut state = self.lock();
        if state.stopped {
            return;
        }
        state.serial += 1;
        let task = Arc::new(Task {
            serial: state.serial,
            future: Mutex::new(Some(future)),
            queued: AtomicBool::new(true),
            tasks: Arc::downgrade(self),
        });
        state.alive.insert(task.serial, Arc::clone(&task));
        state.woken.push_back(task);
        drop(state);
        self.changed.notify_one();
    }

    /// Ends [`run`](Self::run), which drops all tasks.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_one();
    }

    /// Polls whatever is woken until it is stopped.
    pub(super) fn run(self: &Arc<Self>) {
        while let Some(task) = self.next() {
            if task.poll() {
                self.lock().alive.remove(&task.serial);
            }
        }
        let (alive, woken) = {
            let mut state = self.lock();
            state.timers.clear();
            (std::mem::take(&mut state.alive), std::mem::take(&mut state.woken))
        };
        // Outside the lock: dropping a task drops its timers, which takes the lock.
        drop(woken);
        for task in alive.into_values() {
            task.drop_future();
        }
    }

    /// Waits for a task to be woken; none when stopped.
    fn next(&self) -> Option<Arc<Task>> {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return None;
            }
            // Timers first, so that tasks that keep waking one another cannot starve them.
            let now = Instant::now();
            let due = state.take_due(now);
            if !due.is_empty() {
                drop(state);
                due.into_iter().for_each(Waker::wake);
                state = self.lock();
                continue;
            }
            if let Some(task) = state.woken.pop_front() {
                return Some(task);
            }
            state = match state.timers.first_key_value().map(|(key, _)| key.0) {
                Some(deadline) => {
                    self.changed
                        .wait_timeout(state, deadline.saturating_duration_since(now))
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// No code that can panic runs under this lock, so a poisoned one is as good as any.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_due(&mut self, now: Instant) -> Vec<Waker> {
        let mut due = Vec::new();
        while let Some(timer) = self.timers.first_entry()
            && timer.key().0 <= now
        {
            due.push(timer.remove());
        }
        due
    }
}

impl Task {
    /// Whether it has ended; by a panic counts.
    fn poll(self: &Arc<Self>) -> bool {
        self.queued.store(false, Ordering::Release);
        let waker = Waker::from(Arc::clone(self));
        let mut slot = self.future.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(future) = slot.as_mut() else { return true };
        let polled = catch_unwind(AssertUnwindSafe(|| {
            future.as_mut().poll(&mut Context::from_waker(&waker))
        }));
        let ended = !matches!(polled, Ok(Poll::Pending));
        if ended {
            drop_one(slot.take());
        }
        ended
    }

    fn drop_future(&self) {
        drop_one(self.future.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// What a future holds may panic when it is dropped, which is no matter to the other tasks.
fn drop_one(future: Option<BoxFuture<'static, ()>>) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(future)));
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        if self.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Some(tasks) = self.tasks.upgrade() {
            tasks.lock().woken.push_back(self);
            tasks.changed.notify_one();
        }
    }
}

/// Ready at its deadline. Holds its place among the timers, and leaves it when dropped.
pub(super) struct Sleep {
    tasks: Weak<Tasks>,
    deadline: Instant,
    serial: Option<u64>,
}

impl Sleep {
    pub(super) fn new(tasks: &Arc<Tasks>, deadline: Instant) -> Self {
        Sleep {
            tasks: Arc::downgrade(tasks),
            deadline,
            serial: None,
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.deadline {
            return Poll::Ready(());
        }
        // Without its runtime nothing polls this any more.
        let Some(tasks) = self.tasks.upgrade() else {
            return Poll::Pending;
        };
        let mut state = tasks.lock();
        let serial = *self.serial.get_or_insert_with(|| {
            state.serial += 1;
            state.serial
        });
        state.timers.insert((self.deadline, serial), context.waker().clone());
        drop(state);
        // It may be polled on another thread than the one that waits for timers.
        tasks.changed.notify_one();
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let (Some(tasks), Some(serial)) = (self.tasks.upgrade(), self.serial) {
            tasks.lock().timers.remove(&(self.deadline, serial));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::resume_unwind;

    use super::*;
    use crate::runtime::{Runtime, Threads, block_on};

    struct PanicsWhenDropped;

    impl Drop for PanicsWhenDropped {
        fn drop(&mut self) {
            // Past the panic hook, which would print.
            resume_unwind(Box::new("on purpose"));
        }
    }

    impl Future for PanicsWhenDropped {
        type Output = ();

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            Poll::Ready(())
        }
    }

    #[test]
    fn a_task_that_panics_when_it_is_dropped_takes_no_other_with_it() {
        let runtime = Threads::new().unwrap();
        runtime.spawn(Box::pin(PanicsWhenDropped));
        let (tell, told) = async_channel::bounded(1);
        runtime.spawn(Box::pin(async move { tell.try_send(7).unwrap() }));
        assert_eq!(block_on(told.recv()), Ok(7));
    }
}
