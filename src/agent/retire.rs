//! The stage after the workers: makes outputs durable and publishes them, and holds their originals until they may go, each until its time,
//! and all whose time has come at once.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender};
use rustix::process::{Resource, getrlimit};

use crate::runtime::{BoxFuture, Runtime, Token, race, unblock};
use crate::storage::Syncs;

use super::job::Cancel;
use super::pool::{Progress, Unfinished, Worked};
use super::portions::Portions;

/// Times are put off to the next one of these, so that many files go on in one piece of work.
const TICK: Duration = Duration::from_millis(5);

/// So many descriptors a file has open here at most.
const DESCRIPTORS_EACH: u64 = 5;

/// How many are held at once, those on the way here included: all that the process may have open, but for a share that others need.
fn most() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let files = limit.saturating_sub(256) / DESCRIPTORS_EACH;
    usize::try_from(files).unwrap_or(usize::MAX).clamp(16, 4096)
}

/// How many of them may be on the way, while the stage is at others.
pub(super) fn room_for_retirees() -> usize {
    most() / 4
}

/// Work that goes on when its time has come.
pub(super) struct Retiree<K, R> {
    pub(super) key: K,
    pub(super) rest: Box<dyn Unfinished<R>>,
    /// From now on. What need not wait goes on at once, with all others that came while the last ones were at it.
    pub(super) wait: Duration,
}

/// Runs until nobody can send more and all have ended.
///
/// What goes on at once, what waited for its time, and what takes long go on beside each other: while the ones wait for the disk, or read a
/// large file, the others need not.
pub(super) async fn retire<K: Send + 'static, R: Send + 'static>(
    runtime: Arc<dyn Runtime>,
    incoming: Receiver<Retiree<K, R>>,
    results: Sender<Progress<K, R>>,
    cancel: Cancel,
    token: Token,
) {
    let mut incoming = Portions::new(&runtime, incoming);
    let mut stage = Stage::new(runtime.now());
    let mut works = Works::default();
    loop {
        // What comes in while others go on at once waits for them: what gathers meanwhile goes on together.
        let incoming_now = (works.fresh.is_none() && stage.has_room()).then_some(&mut incoming);
        let Some(input) = next_input(&*runtime, stage.next_due(), &mut works, incoming_now).await else {
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
            Input::Time => {
                let due = stage.take_due(runtime.now());
                if !due.is_empty() {
                    works.timed = Some(advance(&*runtime, due, &cancel));
                }
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
        if works.fresh.is_none() && !stage.fresh.is_empty() {
            works.fresh = Some(advance(&*runtime, stage.take_fresh(), &cancel));
        }
        if works.long.is_none() && !stage.long.is_empty() {
            works.long = Some(advance(&*runtime, std::mem::take(&mut stage.long), &cancel));
        }
    }
    drop(token);
}

enum Input<K, R> {
    Incoming(Retiree<K, R>),
    Closed,
    Time,
    Fresh(Vec<Answer<K, R>>),
    Timed(Vec<Answer<K, R>>),
    Long(Vec<Answer<K, R>>),
}

type BatchAtWork<'a, K, R> = BoxFuture<'a, Vec<Answer<K, R>>>;

/// What goes on now: at most one batch of each kind.
struct Works<'a, K, R> {
    fresh: Option<BatchAtWork<'a, K, R>>,
    timed: Option<BatchAtWork<'a, K, R>>,
    long: Option<BatchAtWork<'a, K, R>>,
}

type Held<K, R> = (K, Box<dyn Unfinished<R>>);

/// A key and what came of its work; nothing where that panicked.
type Answer<K, R> = (K, Option<Worked<R>>);

impl<K, R> Default for Works<'_, K, R> {
    fn default() -> Self {
        Works {
            fresh: None,
            timed: None,
            long: None,
        }
    }
}

struct Stage<K, R> {
    begun: Instant,
    most: usize,
    /// What need not wait.
    fresh: Vec<Held<K, R>>,
    /// By their time; the number keeps equal times apart.
    timed: BTreeMap<(Instant, u64), Held<K, R>>,
    /// Whose time has come, and that nothing else waits for. Counted among those that are going on.
    long: Vec<Held<K, R>>,
    serial: u64,
    /// How many are going on now.
    at_work: usize,
    is_closed: bool,
}

impl<K: Send + 'static, R: Send + 'static> Stage<K, R> {
    fn new(begun: Instant) -> Self {
        Stage {
            begun,
            most: most() - room_for_retirees(),
            fresh: Vec::new(),
            timed: BTreeMap::new(),
            long: Vec::new(),
            serial: 0,
            at_work: 0,
            is_closed: false,
        }
    }

    fn hold(&mut self, Retiree { key, rest, wait }: Retiree<K, R>, now: Instant) {
        if wait.is_zero() {
            return self.fresh.push((key, rest));
        }
        self.serial += 1;
        let due = self.tick_after(now + wait);
        self.timed.insert((due, self.serial), (key, rest));
    }

    fn tick_after(&self, due: Instant) -> Instant {
        let wait = (due - self.begun).as_micros().next_multiple_of(TICK.as_micros());
        self.begun + Duration::from_micros(u64::try_from(wait).unwrap_or(u64::MAX))
    }

    fn next_due(&self) -> Option<Instant> {
        self.timed.first_key_value().map(|((due, _), _)| *due)
    }

    /// Whether it takes more.
    fn has_room(&self) -> bool {
        !self.is_closed && self.fresh.len() + self.timed.len() + self.at_work < self.most
    }

    fn take_fresh(&mut self) -> Vec<Held<K, R>> {
        self.at_work += self.fresh.len();
        std::mem::take(&mut self.fresh)
    }

    /// But for what takes long, which is put beside.
    fn take_due(&mut self, now: Instant) -> Vec<Held<K, R>> {
        let later = self.timed.split_off(&(now, u64::MAX));
        let due = std::mem::replace(&mut self.timed, later);
        self.at_work += due.len();
        let (long, due) = due.into_values().partition(|(_, rest)| rest.takes_long());
        self.long.extend::<Vec<_>>(long);
        due
    }

    /// Holds what is not done; returns what to tell of the others.
    fn sort(&mut self, worked: Vec<Answer<K, R>>, now: Instant) -> Vec<Progress<K, R>> {
        self.at_work -= worked.len();
        let mut ended = Vec::new();
        for (key, worked) in worked {
            match worked {
                Some(Worked::Later(rest, wait)) => self.hold(Retiree { key, rest, wait }, now),
                Some(Worked::Ended(result)) => ended.push(Progress::Ended(key, Some(result))),
                None => ended.push(Progress::Ended(key, None)),
            }
        }
        ended
    }
}

/// Nothing at the end.
async fn next_input<K: Send + 'static, R: Send + 'static>(
    runtime: &dyn Runtime,
    due: Option<Instant>,
    works: &mut Works<'_, K, R>,
    incoming: Option<&mut Portions<Retiree<K, R>>>,
) -> Option<Input<K, R>> {
    let mut inputs: Vec<BoxFuture<'_, Input<K, R>>> = Vec::new();
    if let Some(work) = &mut works.fresh {
        inputs.push(Box::pin(async { Input::Fresh(work.await) }));
    }
    if let Some(work) = &mut works.long {
        inputs.push(Box::pin(async { Input::Long(work.await) }));
    }
    if let Some(work) = &mut works.timed {
        inputs.push(Box::pin(async { Input::Timed(work.await) }));
    } else if let Some(due) = due {
        let sleep = runtime.sleep_until(due);
        inputs.push(Box::pin(async {
            sleep.await;
            Input::Time
        }));
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

/// Lets all go on in one piece of blocking work.
fn advance<'a, K: Send + 'static, R: Send + 'static>(
    runtime: &'a dyn Runtime,
    due: Vec<Held<K, R>>,
    cancel: &Cancel,
) -> BatchAtWork<'a, K, R> {
    let (keys, rests): (Vec<K>, Vec<_>) = due.into_iter().unzip();
    let cancel = cancel.clone();
    let work = move || {
        let mut syncs = Syncs::default();
        for rest in &rests {
            rest.enlist(&mut syncs);
        }
        // A panic is one file's.
        let advance =
            |rest: Box<dyn Unfinished<R>>| catch_unwind(AssertUnwindSafe(|| rest.advance(&mut syncs, &cancel))).ok();
        rests.into_iter().map(advance).collect::<Vec<_>>()
    };
    Box::pin(async move {
        let worked = unblock(runtime, work).await.unwrap_or_default();
        let worked = worked.into_iter().chain(std::iter::repeat_with(|| None));
        keys.into_iter().zip(worked).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::runtime::{Threads, WaitGroup, block_on};
    use std::sync::mpsc;

    /// What waits for another, or is waited for.
    enum Entangled {
        Long(mpsc::Receiver<()>),
        Short(mpsc::Sender<()>),
    }

    impl Unfinished<bool> for Entangled {
        fn enlist(&self, _: &mut Syncs) {}

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

    struct Rest;

    impl Unfinished<()> for Rest {
        fn enlist(&self, _: &mut Syncs) {}

        fn advance(self: Box<Self>, _: &mut Syncs, _: &Cancel) -> Worked<()> {
            Worked::Ended(())
        }
    }

    #[test]
    fn nothing_goes_on_before_its_time_however_long_the_agent_runs() {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        for days in [0, 1, 248, 249, 10_000] {
            let begun = Instant::now();
            let mut stage = Stage::new(begun);
            let (now, wait) = (begun + DAY * days, Duration::from_millis(11));
            let rest = Box::new(Rest);
            stage.hold(Retiree { key: (), rest, wait }, now);
            let due = now + wait;
            let next = stage.next_due().expect("it is held");
            assert!((due..due + TICK).contains(&next), "after {days} days");
            assert_eq!(stage.take_due(due.checked_sub(TICK).unwrap()).len(), 0);
            assert_eq!(stage.take_due(next).len(), 1);
        }
    }
}
