//! The stage after the workers: holds files whose outputs are published until their originals may go, each until its time, and all whose
//! time has come at once.

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

/// Times are put off to the next one of these, so that many files go on in one piece of work.
const TICK: Duration = Duration::from_millis(5);

/// So many descriptors a file has open here at most.
const DESCRIPTORS_EACH: u64 = 4;

/// How many are held at once: all that the process may have open, but for a share that others need.
fn most() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let files = limit.saturating_sub(256) / DESCRIPTORS_EACH;
    usize::try_from(files).unwrap_or(usize::MAX).clamp(16, 2048)
}

/// Work that goes on when its time has come.
pub(super) struct Retiree<K, R> {
    pub(super) key: K,
    pub(super) rest: Box<dyn Unfinished<R>>,
    pub(super) due: Instant,
}

/// Runs until nobody can send more and all have ended.
pub(super) async fn retire<K: Send + 'static, R: Send + 'static>(
    runtime: Arc<dyn Runtime>,
    incoming: Receiver<Retiree<K, R>>,
    results: Sender<Progress<K, R>>,
    cancel: Cancel,
    token: Token,
) {
    let mut stage = Stage {
        begun: runtime.now(),
        most: most(),
        held: BTreeMap::new(),
        serial: 0,
        is_closed: false,
    };
    while let Some(input) = next_input(&*runtime, stage.next_due(), stage.receives_from(&incoming)).await {
        match input {
            Input::Incoming(retiree) => stage.hold(retiree),
            Input::Closed => stage.is_closed = true,
            Input::Time => {
                let due = stage.take_due(runtime.now());
                for progress in advance(&*runtime, due, &cancel, &mut stage).await {
                    if results.send(progress).await.is_err() {
                        break;
                    }
                }
            }
        }
    }
    drop(token);
}

enum Input<K, R> {
    Incoming(Retiree<K, R>),
    Closed,
    Time,
}

type Held<K, R> = (K, Box<dyn Unfinished<R>>);

struct Stage<K, R> {
    begun: Instant,
    most: usize,
    /// By their time; the number keeps equal times apart.
    held: BTreeMap<(Instant, u64), Held<K, R>>,
    serial: u64,
    is_closed: bool,
}

impl<K: Send + 'static, R: Send + 'static> Stage<K, R> {
    fn hold(&mut self, Retiree { key, rest, due }: Retiree<K, R>) {
        self.serial += 1;
        let wait = (due - self.begun).as_micros().next_multiple_of(TICK.as_micros());
        let due = self.begun + Duration::from_micros(u64::try_from(wait).unwrap_or(u64::MAX));
        self.held.insert((due, self.serial), (key, rest));
    }

    fn next_due(&self) -> Option<Instant> {
        self.held.first_key_value().map(|((due, _), _)| *due)
    }

    /// Nothing while it holds as many as it may.
    fn receives_from<'a>(&self, incoming: &'a Receiver<Retiree<K, R>>) -> Option<&'a Receiver<Retiree<K, R>>> {
        Some(incoming).filter(|_| !self.is_closed && self.held.len() < self.most)
    }

    fn take_due(&mut self, now: Instant) -> Vec<Held<K, R>> {
        let later = self.held.split_off(&(now, u64::MAX));
        std::mem::replace(&mut self.held, later).into_values().collect()
    }
}

/// Nothing at the end.
async fn next_input<K: Send, R>(
    runtime: &dyn Runtime,
    due: Option<Instant>,
    incoming: Option<&Receiver<Retiree<K, R>>>,
) -> Option<Input<K, R>> {
    let mut inputs: Vec<BoxFuture<'_, Input<K, R>>> = Vec::new();
    if let Some(due) = due {
        let sleep = runtime.sleep_until(due);
        inputs.push(Box::pin(async {
            sleep.await;
            Input::Time
        }));
    }
    if let Some(incoming) = incoming {
        inputs.push(Box::pin(async {
            incoming.recv().await.map_or(Input::Closed, Input::Incoming)
        }));
    }
    if inputs.is_empty() {
        return None;
    }
    Some(race(inputs).await)
}

/// Lets all go on in one piece of blocking work. Returns what to tell of those that have ended.
async fn advance<K: Send + 'static, R: Send + 'static>(
    runtime: &dyn Runtime,
    due: Vec<Held<K, R>>,
    cancel: &Cancel,
    stage: &mut Stage<K, R>,
) -> Vec<Progress<K, R>> {
    let (keys, rests): (Vec<K>, Vec<_>) = due.into_iter().unzip();
    let give_up = cancel.is_cancelled();
    let work = move || {
        let mut syncs = Syncs::default();
        // A panic is one file's.
        let advance =
            |rest: Box<dyn Unfinished<R>>| catch_unwind(AssertUnwindSafe(|| rest.advance(&mut syncs, give_up))).ok();
        rests.into_iter().map(advance).collect::<Vec<_>>()
    };
    let worked = unblock(runtime, work).await.unwrap_or_default();
    let mut worked = worked.into_iter();
    let now = runtime.now();
    let mut ended = Vec::new();
    for key in keys {
        match worked.next().flatten() {
            Some(Worked::Later(rest, wait)) => stage.hold(Retiree {
                key,
                rest,
                due: now + wait,
            }),
            Some(Worked::Ended(result)) => ended.push(Progress::Ended(key, Some(result))),
            None => ended.push(Progress::Ended(key, None)),
        }
    }
    ended
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Rest;

    impl Unfinished<()> for Rest {
        fn advance(self: Box<Self>, _: &mut Syncs, _: bool) -> Worked<()> {
            Worked::Ended(())
        }
    }

    #[test]
    fn nothing_goes_on_before_its_time_however_long_the_agent_runs() {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        for days in [0, 1, 248, 249, 10_000] {
            let begun = Instant::now();
            let mut stage = Stage {
                begun,
                most: 16,
                held: BTreeMap::new(),
                serial: 0,
                is_closed: false,
            };
            let due = begun + DAY * days + Duration::from_millis(11);
            stage.hold(Retiree {
                key: (),
                rest: Box::new(Rest),
                due,
            });
            let next = stage.next_due().expect("it is held");
            assert!((due..due + TICK).contains(&next), "after {days} days");
            assert_eq!(stage.take_due(due.checked_sub(TICK).unwrap()).len(), 0);
            assert_eq!(stage.take_due(next).len(), 1);
        }
    }
}
