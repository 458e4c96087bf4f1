//! Blocking work for many files in one piece.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::runtime::{BoxFuture, Runtime, unblock};
use crate::storage::Syncs;

use super::job::Cancel;
use super::pool::{Unfinished, Worked};
use super::stage::{Answer, Held};

pub(super) type BatchAtWork<'a, K, R> = BoxFuture<'a, Vec<Answer<K, R>>>;

type Rests<R> = Vec<Box<dyn Unfinished<R>>>;

/// Files for which the disk has been waited for, and what it said.
pub(super) struct Synced<K, R> {
    keys: Vec<K>,
    /// Nothing where that work panicked.
    synced: Option<(Rests<R>, Syncs)>,
}

/// Waits for the disk, once for all.
pub(super) fn sync<K: Send + 'static, R: Send + 'static>(
    runtime: &dyn Runtime,
    batch: Vec<Held<K, R>>,
) -> BoxFuture<'_, Synced<K, R>> {
    let (keys, rests): (Vec<K>, Rests<R>) = batch.into_iter().unzip();
    let work = move || {
        let mut syncs = enlisted(&rests);
        syncs.make_durable();
        (rests, syncs)
    };
    Box::pin(async move {
        let synced = unblock(runtime, work).await;
        Synced { keys, synced }
    })
}

/// Lets all go on.
pub(super) fn advance_synced<'a, K: Send + 'static, R: Send + 'static>(
    runtime: &'a dyn Runtime,
    Synced { keys, synced }: Synced<K, R>,
    cancel: &Cancel,
) -> BatchAtWork<'a, K, R> {
    let cancel = cancel.clone();
    let work = move || synced.map_or_else(Vec::new, |(rests, syncs)| advance_each(rests, syncs, &cancel));
    answered(runtime, keys, work)
}

/// Lets all go on, and wait for the disk where they have to.
pub(super) fn advance<'a, K: Send + 'static, R: Send + 'static>(
    runtime: &'a dyn Runtime,
    batch: Vec<Held<K, R>>,
    cancel: &Cancel,
) -> BatchAtWork<'a, K, R> {
    let (keys, rests): (Vec<K>, Rests<R>) = batch.into_iter().unzip();
    let cancel = cancel.clone();
    let work = move || {
        let syncs = enlisted(&rests);
        advance_each(rests, syncs, &cancel)
    };
    answered(runtime, keys, work)
}

fn enlisted<R>(rests: &Rests<R>) -> Syncs {
    let mut syncs = Syncs::default();
    for rest in rests {
        rest.enlist(&mut syncs);
    }
    syncs
}

fn advance_each<R>(rests: Rests<R>, mut syncs: Syncs, cancel: &Cancel) -> Vec<Option<Worked<R>>> {
    // A panic is one file's.
    let advance =
        |rest: Box<dyn Unfinished<R>>| catch_unwind(AssertUnwindSafe(|| rest.advance(&mut syncs, cancel))).ok();
    rests.into_iter().map(advance).collect()
}

fn answered<K: Send + 'static, R: Send + 'static>(
    runtime: &dyn Runtime,
    keys: Vec<K>,
    work: impl FnOnce() -> Vec<Option<Worked<R>>> + Send + 'static,
) -> BatchAtWork<'_, K, R> {
    Box::pin(async move {
        let worked = unblock(runtime, work).await.unwrap_or_default();
        let worked = worked.into_iter().chain(std::iter::repeat_with(|| None));
        keys.into_iter().zip(worked).collect()
    })
}
