//! tokio, by an adapter as an outsider writes it: against the public API alone.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use crate::support::wait::DEADLINE;
use dwindle::Runtime;
use dwindle::runtime::BoxFuture;
use tokio::runtime::{Builder, Handle};

struct Tokio {
    handle: Handle,
    /// Ends the runtime when this is dropped.
    end: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

/// Tasks on two threads.
pub(crate) fn multi_thread() -> Arc<dyn Runtime> {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_time().build();
    let runtime = runtime.expect("tokio starts");
    Arc::new(Tokio {
        handle: runtime.handle().clone(),
        end: Mutex::new(Some(Box::new(move || {
            if is_in_a_task() {
                runtime.shutdown_background();
            } else {
                runtime.shutdown_timeout(DEADLINE);
            }
        }))),
    })
}

/// All tasks on one thread, which drives them until the runtime is dropped.
pub(crate) fn current_thread() -> Arc<dyn Runtime> {
    let runtime = Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("tokio starts");
    let handle = runtime.handle().clone();
    let (end, ended) = smol::channel::bounded::<()>(1);
    let driver = thread::spawn(move || {
        let _ = runtime.block_on(ended.recv());
        runtime.shutdown_timeout(DEADLINE);
    });
    Arc::new(Tokio {
        handle,
        end: Mutex::new(Some(Box::new(move || {
            drop(end);
            if !is_in_a_task() {
                driver.join().expect("the driver does not panic");
            }
        }))),
    })
}

/// The last to let go of a runtime may be one of its own tasks, which cannot wait for its end.
fn is_in_a_task() -> bool {
    Handle::try_current().is_ok()
}

impl Runtime for Tokio {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.handle.spawn(task);
    }

    fn sleep_until(&self, deadline: Instant) -> BoxFuture<'static, ()> {
        let _inside = self.handle.enter();
        Box::pin(tokio::time::sleep_until(deadline.into()))
    }

    fn unblock(&self, work: Box<dyn FnOnce() + Send>) {
        self.handle.spawn_blocking(work);
    }

    fn now(&self) -> Instant {
        Instant::now()
    }
}

impl Drop for Tokio {
    fn drop(&mut self) {
        if let Some(end) = self.end.lock().ok().and_then(|mut end| end.take()) {
            end();
        }
    }
}
