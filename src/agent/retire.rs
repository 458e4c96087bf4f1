//! The stage after the workers: makes outputs durable and publishes them, and holds their originals until they may go, each until its time,
//! and all whose time has come at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender};

use crate::runtime::{BoxFuture, Runtime, Token, race};

use super::batch::{BatchAtWork, Synced, advance, advance_synced, sync};
use super::job::Cancel;
use super::pool::{Progress, Unfinished};
use super::portions::Portions;
use super::stage::{Answer, Held, Stage};

/// So many wait for the disk together, while those before them are published. Fewer go on in one piece of work, which is sooner done.
const MANY: usize = 16;

/// After many, others gather for so long: each time that the disk is waited for costs the same, be it for one or a thousand.
const GATHERING: Duration = Duration::from_millis(40);

/// Work that goes on when its time has come.
pub(super) struct Retiree<K, R> {
    pub(super) key: K,
    pub(super) rest: Box<dyn Unfinished<R>>,
    /// From now on. What need not wait goes on with all others that came while the last ones were at it, and that gather behind many.
    pub(super) wait: Duration,
}

/// Runs until nobody can send more and all have ended.
///
/// What goes on at once, what waited for its time, and what takes long go on beside each other: while the ones wait for the disk, or read a
/// large file, the others need not. Where there are many, the next ones wait for the disk, and the folders of those that were published
/// with them, while the last ones are published by one thread: several would wait for the folder's lock.
pub(super) async fn retire<K: Send + 'static, R: Send + 'static>(
    runtime: Arc<dyn Runtime>,
    incoming: Receiver<Retiree<K, R>>,
    results: Sender<Progress<K, R>>,
    cancel: Cancel,
    token: Token,
) {
    let mut incoming = Portions::new(&runtime, incoming);
    let mut stage = Stage::new(runtime.now());
    let mut works = Works::new(&*runtime, cancel);
    loop {
        let due = works.next_due(&stage);
        let incoming_now = stage.has_room().then_some(&mut incoming);
        let Some(input) = works.next_input(due, incoming_now).await else {
            break;
        };
        let worked = match input {
            Input::Incoming(retiree) => {
                let now = runtime.now();
                stage.hold(retiree, now);
                while stage.has_room()
                    && let Some(retiree) = incoming.try_next()
                {
                    stage.hold(retiree, now);
                }
                Vec::new()
            }
            Input::Closed => {
                stage.is_closed = true;
                Vec::new()
            }
            Input::Time => Vec::new(),
            Input::Synced(batch) => {
                works.syncing = None;
                works.synced = Some(batch);
                Vec::new()
            }
            Input::Fresh(worked) => {
                works.fresh = None;
                worked
            }
            Input::Timed(worked) => {
                works.timed = None;
                worked
            }
            Input::Long(worked) => {
                works.long = None;
                worked
            }
        };
        for progress in stage.sort(worked, runtime.now()) {
            if results.send(progress).await.is_err() {
                break;
            }
        }
        works.begin(&mut stage);
    }
    drop(token);
}

enum Input<K, R> {
    Incoming(Retiree<K, R>),
    Closed,
    Time,
    Synced(Synced<K, R>),
    Fresh(Vec<Answer<K, R>>),
    Timed(Vec<Answer<K, R>>),
    Long(Vec<Answer<K, R>>),
}

/// What goes on now: at most one batch of each kind.
struct Works<'a, K, R> {
    runtime: &'a dyn Runtime,
    cancel: Cancel,
    /// Many that wait for the disk, and then until the last ones are published.
    syncing: Option<BoxFuture<'a, Synced<K, R>>>,
    synced: Option<Synced<K, R>>,
    /// When others have gathered for long enough.
    gathered: Instant,
    /// When it was last asked what can be begun.
    asked: Instant,
    fresh: Option<BatchAtWork<'a, K, R>>,
    timed: Option<BatchAtWork<'a, K, R>>,
    long: Option<BatchAtWork<'a, K, R>>,
}

impl<'a, K: Send + 'static, R: Send + 'static> Works<'a, K, R> {
    fn new(runtime: &'a dyn Runtime, cancel: Cancel) -> Self {
        Works {
            runtime,
            cancel,
            syncing: None,
            synced: None,
            gathered: runtime.now(),
            asked: runtime.now(),
            fresh: None,
            timed: None,
            long: None,
        }
    }

    /// Begins what can be begun.
    fn begin(&mut self, stage: &mut Stage<K, R>) {
        self.asked = self.runtime.now();
        if self.fresh.is_none()
            && let Some(batch) = self.synced.take()
        {
            self.fresh = Some(advance_synced(self.runtime, batch, &self.cancel));
        }
        if self.is_at_disk() || self.is_gathering(stage) {
            // What waits for the disk goes together.
        } else if stage.fresh.len() >= MANY {
            self.gathered = self.asked + GATHERING;
            // A folder's failure is told once by each of its descriptors, so two must not wait for one at the same time.
            let batch = if self.timed.is_none() {
                stage.take_fresh_and_due(self.asked)
            } else {
                stage.take_fresh()
            };
            self.syncing = Some(sync(self.runtime, batch));
        } else if self.fresh.is_none() && !stage.fresh.is_empty() {
            self.fresh = Some(self.advance(stage.take_fresh()));
        }
        if self.timed.is_none() {
            let with_disk = !self.is_at_disk() && !self.is_gathering(stage);
            let due = stage.take_due(self.asked, with_disk);
            self.timed = (!due.is_empty()).then(|| self.advance(due));
        }
        if self.long.is_none() && !stage.long.is_empty() {
            self.long = Some(self.advance(std::mem::take(&mut stage.long)));
        }
    }

    fn advance(&self, batch: Vec<Held<K, R>>) -> BatchAtWork<'a, K, R> {
        advance(self.runtime, batch, &self.cancel)
    }

    fn is_at_disk(&self) -> bool {
        self.syncing.is_some() || self.synced.is_some()
    }

    /// For as long as others may come.
    fn is_gathering(&self, stage: &Stage<K, R>) -> bool {
        stage.has_room() && self.asked < self.gathered
    }

    /// When to ask again what can be begun, if nothing else happens before.
    fn next_due(&self, stage: &Stage<K, R>) -> Option<Instant> {
        let for_time = stage.for_time.next_due().filter(|_| self.timed.is_none());
        let for_disk = if self.is_at_disk() {
            None
        } else if self.is_gathering(stage) {
            Some(self.gathered)
        } else {
            stage.for_disk.next_due().filter(|_| self.timed.is_none())
        };
        for_time.into_iter().chain(for_disk).min()
    }

    /// Nothing at the end.
    async fn next_input(
        &mut self,
        due: Option<Instant>,
        incoming: Option<&mut Portions<Retiree<K, R>>>,
    ) -> Option<Input<K, R>> {
        let mut inputs: Vec<BoxFuture<'_, Input<K, R>>> = Vec::new();
        if let Some(due) = due {
            let sleep = self.runtime.sleep_until(due);
            inputs.push(Box::pin(async {
                sleep.await;
                Input::Time
            }));
        }
        if let Some(syncing) = &mut self.syncing {
            inputs.push(Box::pin(async { Input::Synced(syncing.await) }));
        }
        if let Some(fresh) = &mut self.fresh {
            inputs.push(Box::pin(async { Input::Fresh(fresh.await) }));
        }
        if let Some(timed) = &mut self.timed {
            inputs.push(Box::pin(async { Input::Timed(timed.await) }));
        }
        if let Some(long) = &mut self.long {
            inputs.push(Box::pin(async { Input::Long(long.await) }));
        }
        if let Some(incoming) = incoming {
            inputs.push(Box::pin(async {
                incoming.next().await.map_or(Input::Closed, Input::Incoming)
            }));
        }
        if inputs.is_empty() {
            return None;
        }
        Some(race(inputs).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use super::super::pool::Worked;
    use crate::runtime::{Threads, WaitGroup, block_on};
    use crate::storage::Syncs;
    use std::sync::mpsc;

    /// What waits for another, or is waited for.
    enum Entangled {
        Long(mpsc::Receiver<()>),
        Short(mpsc::Sender<()>),
    }

    impl Unfinished<bool> for Entangled {
        fn enlist(&self, _: &mut Syncs) {}

        fn waits_for_disk(&self) -> bool {
            false
        }

        fn takes_long(&self) -> bool {
            matches!(self, Entangled::Long(_))
        }

        fn advance(self: Box<Self>, _: &mut Syncs, _: &Cancel) -> Worked<bool> {
            Worked::Ended(match *self {
                Entangled::Long(other) => other.recv_timeout(Duration::from_secs(60)).is_ok(),
                Entangled::Short(other) => other.send(()).is_ok(),
            })
        }
    }

    #[test]
    fn nothing_waits_for_what_takes_long() {
        let runtime: Arc<dyn Runtime> = Arc::new(Threads::new().unwrap());
        let (to_stage, incoming) = async_channel::unbounded();
        let (results, from_stage) = async_channel::unbounded();
        let (short, long) = mpsc::channel();
        for (key, rest) in [(1, Entangled::Long(long)), (2, Entangled::Short(short))] {
            let (rest, wait) = (Box::new(rest), Duration::from_millis(1));
            assert!(to_stage.try_send(Retiree { key, rest, wait }).is_ok());
        }
        drop(to_stage);
        let group = WaitGroup::new();
        let stage = retire(runtime, incoming, results, Cancel::default(), group.token());
        block_on(stage);
        let mut told = Vec::new();
        while let Ok(Progress::Ended(key, ended_well)) = from_stage.try_recv() {
            told.push((key, ended_well));
        }
        told.sort_unstable();
        assert_eq!(told, [(1, Some(true)), (2, Some(true))]);
    }

    /// One of many, of which the first is done when others, who come after it, wait for the disk.
    enum OneOfMany {
        First(Sender<Retiree<usize, bool>>, mpsc::Sender<()>, mpsc::Receiver<()>),
        Other(Option<mpsc::Sender<()>>),
    }

    fn others(count: usize, waits: Option<&mpsc::Sender<()>>) -> impl Iterator<Item = Retiree<usize, bool>> {
        (0..count).map(move |key| Retiree {
            key,
            rest: Box::new(OneOfMany::Other(waits.cloned())),
            wait: Duration::ZERO,
        })
    }

    impl Unfinished<bool> for OneOfMany {
        fn enlist(&self, _: &mut Syncs) {
            if let OneOfMany::Other(Some(waits)) = self {
                let _ = waits.send(());
            }
        }

        fn waits_for_disk(&self) -> bool {
            false
        }

        fn advance(self: Box<Self>, _: &mut Syncs, _: &Cancel) -> Worked<bool> {
            let OneOfMany::First(to_stage, waits, wait) = *self else {
                return Worked::Ended(true);
            };
            for other in others(MANY, Some(&waits)) {
                assert!(to_stage.try_send(other).is_ok());
            }
            drop(to_stage);
            Worked::Ended(wait.recv_timeout(Duration::from_secs(60)).is_ok())
        }
    }

    #[test]
    fn many_wait_for_the_disk_while_those_before_them_are_published() {
        let runtime: Arc<dyn Runtime> = Arc::new(Threads::new().unwrap());
        let (to_stage, incoming) = async_channel::unbounded();
        let (results, from_stage) = async_channel::unbounded();
        let (waits, wait) = mpsc::channel();
        let first = Retiree {
            key: MANY,
            rest: Box::new(OneOfMany::First(to_stage.clone(), waits, wait)),
            wait: Duration::ZERO,
        };
        for one in others(MANY, None).chain([first]) {
            assert!(to_stage.try_send(one).is_ok());
        }
        drop(to_stage);
        let group = WaitGroup::new();
        block_on(retire(runtime, incoming, results, Cancel::default(), group.token()));
        let mut told = 0;
        while let Ok(Progress::Ended(_, ended_well)) = from_stage.try_recv() {
            assert_eq!(ended_well, Some(true));
            told += 1;
        }
        assert_eq!(told, 2 * MANY + 1);
    }
}
