//! The fixed pool: as many tasks as there are workers, fed by one bounded channel, and one more task for what is left to do later.

use std::sync::Arc;
use std::time::Duration;

use async_channel::{Receiver, Sender};

use crate::runtime::{Runtime, Token, WaitGroup, unblock};
use crate::storage::Syncs;

use super::job::Cancel;
use super::retire::{Retiree, retire};

/// Blocking work, and the key under which its result comes back.
pub(crate) struct Task<K, R> {
    pub(crate) key: K,
    pub(crate) work: Box<dyn FnOnce() -> Worked<R> + Send>,
}

/// How far work came.
pub(crate) enum Worked<R> {
    Ended(R),
    /// The rest needs no worker, but time: it goes on after so long.
    Later(Box<dyn Unfinished<R>>, Duration),
}

/// The rest of a piece of work. Dropped, it leaves things so that another attempt can do it all.
pub(crate) trait Unfinished<R>: Send {
    /// Says what it will have to make durable, so that all work that is due does it in one go. Blocks, but not for long.
    fn enlist(&self, syncs: &mut Syncs);

    /// Does what is due. Blocks. `syncs` is that of all work that is due now; once cancelled it waits for nobody any longer.
    fn advance(self: Box<Self>, syncs: &mut Syncs, cancel: &Cancel) -> Worked<R>;
}

/// What the pool tells of a task.
pub(crate) enum Progress<K, R> {
    /// Its worker is free again; it ends later.
    Later(K),
    /// Without a result where the work panicked.
    Ended(K, Option<R>),
}

/// Workers, and the two channels that join them to whoever feeds them. Closing or dropping `tasks` ends the workers: each takes what
/// the channel still holds, and lets go of its token when that is done.
pub(crate) struct Pool<K, R> {
    pub(crate) tasks: Sender<Task<K, R>>,
    /// One `Ended` for each task.
    pub(crate) results: Receiver<Progress<K, R>>,
    pub(crate) workers: WaitGroup,
}

impl<K: Clone + Send + 'static, R: Send + 'static> Pool<K, R> {
    /// Starts the workers. `cancel` is when to wait for nobody any longer.
    pub(crate) fn start(runtime: &Arc<dyn Runtime>, workers: usize, cancel: &Cancel) -> Self {
        let (tasks, task_queue) = async_channel::bounded(Self::capacity(workers));
        let (result_queue, results) = async_channel::bounded(Self::capacity(workers));
        let (retirees, retiree_queue) = async_channel::bounded(1);
        let group = WaitGroup::new();
        for _ in 0..workers {
            let worker = Worker {
                runtime: Arc::clone(runtime),
                tasks: task_queue.clone(),
                results: result_queue.clone(),
                retirees: retirees.clone(),
            };
            runtime.spawn(Box::pin(worker.run(group.token())));
        }
        let stage = retire(
            Arc::clone(runtime),
            retiree_queue,
            result_queue,
            cancel.clone(),
            group.token(),
        );
        runtime.spawn(Box::pin(stage));
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

struct Worker<K, R> {
    runtime: Arc<dyn Runtime>,
    tasks: Receiver<Task<K, R>>,
    results: Sender<Progress<K, R>>,
    /// Full while many are retiring: the worker waits then.
    retirees: Sender<Retiree<K, R>>,
}

impl<K: Clone + Send + 'static, R: Send + 'static> Worker<K, R> {
    async fn run(self, token: Token) {
        while let Ok(Task { key, work }) = self.tasks.recv().await {
            let told = match unblock(&*self.runtime, work).await {
                Some(Worked::Later(rest, wait)) => {
                    let told = self.results.send(Progress::Later(key.clone())).await;
                    // Where the stage is gone, so is whoever counts.
                    let _ = self.retirees.send(Retiree { key, rest, wait }).await;
                    told
                }
                Some(Worked::Ended(result)) => self.results.send(Progress::Ended(key, Some(result))).await,
                None => self.results.send(Progress::Ended(key, None)).await,
            };
            if told.is_err() {
                break;
            }
        }
        drop(token);
    }
}
