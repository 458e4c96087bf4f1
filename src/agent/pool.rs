//! The fixed pool: as many tasks as there are workers, fed by one bounded channel, and one more task for what is left to do later.

use std::sync::Arc;
use std::time::Duration;

use async_channel::{Receiver, Sender};

use crate::codec::{Help, Helpers};
use crate::runtime::{BoxFuture, Runtime, Token, WaitGroup, race, unblock};
use crate::storage::Syncs;

use super::alone::GoingOn;
use super::burst::{Bench, Outcome};
use super::job::Cancel;
use super::lend::{Lender, help_until};
use super::pace::Pace;
use super::portions::Portions;
use super::retire::retire;
use super::stage::room_for_retirees;

/// Blocking work, and the key under which its result comes back.
pub(crate) struct Task<K, R> {
    pub(crate) key: K,
    pub(crate) work: Work<R>,
}

/// What a worker does, with the help of those that are idle.
pub(crate) type Work<R> = Box<dyn FnOnce(&dyn Helpers) -> Worked<R> + Send>;

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

    /// Whether what it does next has to wait for the disk, for which it may as well wait together with others.
    fn waits_for_disk(&self) -> bool;

    /// Whether what it does next may take as long as reading a large file: then nothing else waits for it.
    fn takes_long(&self) -> bool {
        false
    }

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
/// the channel still holds, helps the others with what they are at, and lets go of its token when all is done.
pub(crate) struct Pool<K, R> {
    pub(crate) tasks: Sender<Task<K, R>>,
    /// One `Ended` for each task.
    pub(crate) results: Portions<Progress<K, R>>,
    pub(crate) workers: WaitGroup,
    pace: Arc<Pace>,
}

impl<K: Clone + Send + 'static, R: Send + 'static> Pool<K, R> {
    /// Starts the workers. `cancel` is when to wait for nobody any longer.
    pub(crate) fn start(runtime: &Arc<dyn Runtime>, workers: usize, cancel: &Cancel) -> Self {
        let pace = Arc::new(Pace::of(workers));
        let (tasks, task_queue) = async_channel::bounded(pace.most());
        let (result_queue, results) = async_channel::bounded(4 * pace.most());
        let (retirees, retiree_queue) = async_channel::bounded(room_for_retirees());
        let (lender, helps) = Lender::new(workers);
        let group = WaitGroup::new();
        let going_on = GoingOn::default();
        for _ in 0..workers {
            let bench = Bench {
                runtime: Arc::clone(runtime),
                tasks: task_queue.clone(),
                results: result_queue.clone(),
                retirees: retirees.clone(),
                lender: lender.clone(),
                pace: Arc::clone(&pace),
                going_on: going_on.clone(),
                cancel: cancel.clone(),
            };
            runtime.spawn(Box::pin(work(bench, helps.clone(), group.token())));
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
            results: Portions::new(runtime, results),
            workers: group,
            pace,
        }
    }

    /// How many tasks are worth having under way at once: those that the workers are at, and the next ones, so that no worker waits for
    /// its feeder in between. Never more than the channel holds.
    pub(crate) fn appetite(&self) -> usize {
        self.pace.appetite()
    }
}

/// A worker's life.
async fn work<K: Clone + Send + 'static, R: Send + 'static>(bench: Bench<K, R>, helps: Receiver<Help>, token: Token) {
    let runtime = Arc::clone(&bench.runtime);
    let tasks = bench.tasks.clone();
    loop {
        let next = {
            let _idle = bench.lender.workers().count_in();
            next(&tasks, &helps).await
        };
        match next {
            Next::Task(task) => {
                if !do_tasks(&bench, task).await {
                    return;
                }
            }
            Next::Help(help) => {
                let tasks = tasks.clone();
                // A panic is told to whoever is helped.
                let _ = unblock(&*runtime, move || help_until(help, || !tasks.is_empty())).await;
            }
            Next::End => break,
        }
    }
    // No more tasks are to come. Some may be at work still, with a large file; they end when they let go of their lenders.
    let workers = bench.lender.workers();
    drop((bench, tasks));
    loop {
        let next = {
            let _idle = workers.count_in();
            helps.recv().await
        };
        let Ok(help) = next else { break };
        let _ = unblock(&*runtime, move || help_until(help, || false)).await;
    }
    drop(token);
}

enum Next<K, R> {
    Task(Task<K, R>),
    Help(Help),
    End,
}

/// Tasks come before help.
async fn next<K: Send, R: Send>(tasks: &Receiver<Task<K, R>>, helps: &Receiver<Help>) -> Next<K, R> {
    let task: BoxFuture<'_, _> = Box::pin(async { tasks.recv().await.map_or(Next::End, Next::Task) });
    let help: BoxFuture<'_, _> = Box::pin(async {
        match helps.recv().await {
            Ok(help) => Next::Help(help),
            // It cannot end before the tasks do: this worker lends, too.
            Err(_) => Next::End,
        }
    });
    race(vec![task, help]).await
}

/// Does the task, and those that wait behind it, on a thread that may block. False where nobody takes the results any more.
async fn do_tasks<K: Clone + Send + 'static, R: Send + 'static>(bench: &Bench<K, R>, first: Task<K, R>) -> bool {
    let key = first.key.clone();
    let outcome = {
        let bench = bench.clone();
        unblock(&*bench.runtime.clone(), move || bench.work_off(first)).await
    };
    // The work could not even be begun.
    let Outcome { progress, retiree } = outcome.unwrap_or_else(|| Outcome {
        progress: Some(Progress::Ended(key, None)),
        retiree: None,
    });
    let is_told = match progress {
        Some(progress) => bench.results.send(progress).await.is_ok(),
        None => true,
    };
    if let Some(retiree) = retiree {
        // Full while many are retiring: the worker waits then. Where the stage is gone, so is whoever counts.
        let _ = bench.retirees.send(retiree).await;
    }
    is_told
}
