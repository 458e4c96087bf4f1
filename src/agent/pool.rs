//! The fixed pool: as many tasks as there are workers, fed by one bounded channel.

use std::sync::Arc;

use async_channel::{Receiver, Sender};

use crate::runtime::{Runtime, Token, WaitGroup, unblock};

/// Blocking work, and the key under which its result comes back.
pub(crate) struct Task<K, R> {
    pub(crate) key: K,
    pub(crate) work: Box<dyn FnOnce() -> R + Send>,
}

/// Workers, and the two channels that join them to whoever feeds them. Closing or dropping `tasks` ends the workers: each takes what
/// the channel still holds, and lets go of its token when that is done.
pub(crate) struct Pool<K, R> {
    pub(crate) tasks: Sender<Task<K, R>>,
    /// One for each task; without a result where the work panicked.
    pub(crate) results: Receiver<(K, Option<R>)>,
    pub(crate) workers: WaitGroup,
}

impl<K: Send + 'static, R: Send + 'static> Pool<K, R> {
    /// Starts the workers.
    pub(crate) fn start(runtime: &Arc<dyn Runtime>, workers: usize) -> Self {
        let (tasks, task_queue) = async_channel::bounded(Self::capacity(workers));
        let (result_queue, results) = async_channel::bounded(Self::capacity(workers));
        let group = WaitGroup::new();
        for _ in 0..workers {
            let worker = work(
                Arc::clone(runtime),
                task_queue.clone(),
                result_queue.clone(),
                group.token(),
            );
            runtime.spawn(Box::pin(worker));
        }
        Pool {
            tasks,
            results,
            workers: group,
        }
    }

    /// How many tasks each channel holds: one that a worker is at, and the next one, so that it does not wait for its feeder in between.
    pub(crate) fn capacity(workers: usize) -> usize {
        2 * workers
    }
}

/// One worker's life.
async fn work<K: Send + 'static, R: Send + 'static>(
    runtime: Arc<dyn Runtime>,
    tasks: Receiver<Task<K, R>>,
    results: Sender<(K, Option<R>)>,
    token: Token,
) {
    while let Ok(Task { key, work }) = tasks.recv().await {
        let result = unblock(&*runtime, work).await;
        if results.send((key, result)).await.is_err() {
            break;
        }
    }
    drop(token);
}
