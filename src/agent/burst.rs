//! One task after the other on the same thread, for as long as they are short: to wake a thread for each of many small files costs more
//! than the files.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use async_channel::{Receiver, Sender};

use crate::codec::{Help, Helpers};
use crate::runtime::Runtime;
use crate::storage::Syncs;

use super::alone::{GoingOn, OneOfMany};
use super::job::Cancel;
use super::lend::Lender;
use super::pace::Pace;
use super::pool::{Progress, Task, Unfinished, Worked};
use super::retire::Retiree;

/// No further task is begun in a burst after one that took so long,
const LONG: Duration = Duration::from_millis(1);

/// nor in one that has gone on for so long.
const LONGEST: Duration = Duration::from_millis(10);

/// A worker's place: where its tasks come from, and where they go.
pub(super) struct Bench<K, R> {
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) tasks: Receiver<Task<K, R>>,
    pub(super) results: Sender<Progress<K, R>>,
    pub(super) retirees: Sender<Retiree<K, R>>,
    pub(super) lender: Lender,
    pub(super) pace: Arc<Pace>,
    pub(super) going_on: GoingOn,
    pub(super) cancel: Cancel,
}

/// What came of a task, as far as nobody was told.
pub(super) struct Outcome<K, R> {
    pub(super) progress: Option<Progress<K, R>>,
    pub(super) retiree: Option<Retiree<K, R>>,
}

impl<K: Clone, R: 'static> Bench<K, R> {
    /// Does this task and then, for a short time, those that wait. What comes of each is handed on before the next is begun; returns what
    /// is left to hand on. Blocks, as the tasks do.
    pub(super) fn work_off(&self, first: Task<K, R>) -> Outcome<K, R> {
        let began = self.runtime.now();
        let mut task_began = began;
        let mut task = first;
        loop {
            let Task { key, work } = task;
            // A panic is one task's.
            let worked = catch_unwind(AssertUnwindSafe(|| work(self)));
            let now = self.runtime.now();
            let took = now.saturating_duration_since(task_began);
            self.pace.note(took);
            let worked = match worked {
                Ok(Worked::Later(rest, Duration::ZERO)) => self.go_on(rest, took),
                worked => worked,
            };
            let mut outcome = Outcome::of(key, worked);
            let now = self.runtime.now();
            task_began = now;
            let is_over = took >= LONG || now.saturating_duration_since(began) >= LONGEST;
            if is_over || self.tasks.is_empty() || !self.hand_on(&mut outcome) {
                return outcome;
            }
            let Ok(next) = self.tasks.try_recv() else {
                return outcome;
            };
            task = next;
        }
    }

    /// What comes alone goes on right here, since the stage would have to be woken for it. Where there are others, it goes on with them: the
    /// disk is then waited for once for all.
    fn go_on(&self, rest: Box<dyn Unfinished<R>>, took: Duration) -> thread::Result<Worked<R>> {
        let (counted, is_first) = self.going_on.count_in();
        if is_first && took < LONG && self.tasks.is_empty() {
            let mut syncs = Syncs::default();
            return catch_unwind(AssertUnwindSafe(|| {
                rest.enlist(&mut syncs);
                rest.advance(&mut syncs, &self.cancel)
            }));
        }
        let rest = OneOfMany {
            rest,
            _counted: counted,
        };
        Ok(Worked::Later(Box::new(rest), Duration::ZERO))
    }

    /// False where a channel is full, or closed. That a task is retiring is told before it is, so that its end is not told first.
    fn hand_on(&self, outcome: &mut Outcome<K, R>) -> bool {
        outcome.progress = take_in(&self.results, outcome.progress.take());
        if outcome.progress.is_none() {
            outcome.retiree = take_in(&self.retirees, outcome.retiree.take());
        }
        outcome.progress.is_none() && outcome.retiree.is_none()
    }
}

impl<K: Clone, R> Outcome<K, R> {
    fn of(key: K, worked: thread::Result<Worked<R>>) -> Self {
        let (progress, retiree) = match worked {
            Ok(Worked::Later(rest, wait)) => (Progress::Later(key.clone()), Some(Retiree { key, rest, wait })),
            Ok(Worked::Ended(result)) => (Progress::Ended(key, Some(result)), None),
            Err(_) => (Progress::Ended(key, None), None),
        };
        Outcome {
            progress: Some(progress),
            retiree,
        }
    }
}

/// Returns what the channel does not take.
fn take_in<T>(channel: &Sender<T>, message: Option<T>) -> Option<T> {
    let unsent = channel.try_send(message?).err()?;
    Some(unsent.into_inner())
}

impl<K, R> Helpers for Bench<K, R> {
    fn try_borrow(&self, help: Help) -> bool {
        self.lender.try_borrow(help)
    }

    fn have_nothing_to_do(&self) -> bool {
        self.tasks.is_empty() && self.going_on.is_none()
    }
}

impl<K, R> Clone for Bench<K, R> {
    fn clone(&self) -> Self {
        Bench {
            runtime: Arc::clone(&self.runtime),
            tasks: self.tasks.clone(),
            results: self.results.clone(),
            retirees: self.retirees.clone(),
            lender: self.lender.clone(),
            pace: Arc::clone(&self.pace),
            going_on: self.going_on.clone(),
            cancel: self.cancel.clone(),
        }
    }
}
