//! What is counted, from the start of the process on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_channel::{Receiver, Sender};
use prometheus_client::metrics::histogram::Histogram;

use super::exposition::{Format, Hooks, Moment, expose};
use crate::model::{Class, Error, Failure, Observer, Reason, Success, Surplus};
use crate::policy::Cause;

/// Upper bounds in seconds of the time that one file takes.
const WORK: [f64; 17] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0,
];
/// The same for the time that it waits before, which a backlog makes longer.
const WAIT: [f64; 16] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 60.0, 300.0, 600.0, 3600.0, 14400.0,
];

/// Under this reason an output counts that went the way of its original.
const ORIGINAL_GONE: &str = "original-gone";

/// Counts what the agent tells. No method blocks.
#[derive(Debug)]
pub(crate) struct Metrics {
    counts: Mutex<Counts>,
    started: SystemTime,
    change: Sender<()>,
    changed: Receiver<()>,
}

/// The counts at one moment; only the histograms of a clone go on.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    /// By folder. One that is not watched any more stays here: should it come back, its counts go on.
    pub(super) watches: BTreeMap<PathBuf, OfWatch>,
    pub(super) wait: Histogram,
    pub(super) rescans: BTreeMap<&'static str, u64>,
}

/// The counts of one watched folder.
#[derive(Clone, Debug)]
pub(super) struct OfWatch {
    pub(super) compressed: u64,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    /// Tries, by class.
    pub(super) failed: BTreeMap<&'static str, u64>,
    pub(super) given_up: u64,
    pub(super) skipped: BTreeMap<&'static str, u64>,
    pub(super) removed: BTreeMap<&'static str, u64>,
    pub(super) took: Histogram,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let (change, changed) = async_channel::bounded(1);
        Metrics {
            counts: Mutex::new(Counts {
                watches: BTreeMap::new(),
                wait: Histogram::new(WAIT),
                rescans: zeros([Cause::EventsLost, Cause::NoRoom].map(Cause::as_str)),
            }),
            started: SystemTime::now(),
            change,
            changed,
        }
    }

    /// Waits until something has been counted since this was last waited for. Cancel safe.
    pub(crate) async fn changed(&self) {
        let _ = self.changed.recv().await;
    }

    /// What has been counted up to now needs no waiting for any more, since it is about to be shown.
    pub(crate) fn forget_changes(&self) {
        let _ = self.changed.try_recv();
    }

    /// For who counts something that is shown here. It has room for one note, and one is enough.
    pub(crate) fn changes(&self) -> Sender<()> {
        self.change.clone()
    }

    /// All metrics in one of the text formats.
    pub(crate) fn text(&self, moment: &Moment<'_>, hooks: Hooks, format: Format) -> String {
        let counts = self.lock().clone();
        expose(counts, moment, hooks, self.started, format)
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.lock());
        self.note();
    }

    fn count_of(&self, folder: &Path, change: impl FnOnce(&mut OfWatch)) {
        self.count(|counts| change(counts.of(folder)));
    }

    fn note(&self) {
        // One that is there already is enough.
        let _ = self.change.try_send(());
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    pub(super) fn of(&mut self, folder: &Path) -> &mut OfWatch {
        if !self.watches.contains_key(folder) {
            self.watches.insert(folder.to_owned(), OfWatch::new());
        }
        self.watches.get_mut(folder).expect("it was just put there")
    }
}

impl OfWatch {
    /// Every label is there from the start: what first appears as a 1 is no increase to Prometheus.
    fn new() -> Self {
        OfWatch {
            compressed: 0,
            bytes_in: 0,
            bytes_out: 0,
            failed: zeros([Class::Transient, Class::Permanent].map(Class::as_str)),
            given_up: 0,
            skipped: zeros(told_reasons()),
            removed: zeros([
                Surplus::Age.label(),
                Surplus::Count.label(),
                Surplus::Bytes.label(),
                ORIGINAL_GONE,
            ]),
            took: Histogram::new(WORK),
        }
    }
}

/// Why files are passed over that the agent has looked at. By their names most never come so far; a reason that is not here counts, too.
fn told_reasons() -> [&'static str; 15] {
    [
        Reason::CompressedContent(""),
        Reason::Empty,
        Reason::TooSmall,
        Reason::NotRegular,
        Reason::SymbolicLink,
        Reason::OtherMount,
        Reason::HardLinks,
        Reason::Protected,
        Reason::NoLease(String::new()),
        Reason::NoMarker(std::ffi::OsString::new()),
        Reason::PossiblyLive,
        Reason::AmongNewest(0),
        Reason::UpToDate,
        Reason::NameTaken,
        Reason::NameTooLong,
    ]
    .map(|reason| reason.label())
}

fn zeros<const N: usize>(labels: [&'static str; N]) -> BTreeMap<&'static str, u64> {
    labels.into_iter().map(|label| (label, 0)).collect()
}

fn add(counts: &mut BTreeMap<&'static str, u64>, label: &'static str) {
    *counts.entry(label).or_default() += 1;
}

impl Observer for Metrics {
    fn watching(&self, folder: &Path, _: bool, _: Option<&str>) {
        self.count_of(folder, |_| {});
    }

    fn folder_lost(&self, _: &Path, _: &Error, _: Duration) {
        self.note();
    }

    fn folder_found(&self, _: &Path) {
        self.note();
    }

    fn rescanning(&self, _: &Path, cause: &'static str) {
        self.count(|counts| add(&mut counts.rescans, cause));
    }

    fn compressed(&self, folder: &Path, _: &Path, success: &Success<'_>) {
        self.count(|counts| {
            counts.wait.observe(success.since_ready.as_secs_f64());
            let of = counts.of(folder);
            of.compressed += 1;
            of.bytes_in += success.bytes_in;
            of.bytes_out += success.bytes_out;
            of.took.observe(success.took.as_secs_f64());
        });
    }

    fn withdrawn(&self, folder: &Path, _: &Path, _: &Path) {
        self.count_of(folder, |of| add(&mut of.removed, ORIGINAL_GONE));
    }

    fn skipped(&self, folder: &Path, _: &Path, reason: &Reason) {
        self.count_of(folder, |of| add(&mut of.skipped, reason.label()));
    }

    fn failed(&self, folder: &Path, _: &Path, failure: &Failure<'_>) {
        self.count_of(folder, |of| {
            add(&mut of.failed, failure.error.class().as_str());
            of.given_up += u64::from(failure.given_up);
        });
    }

    fn removed(&self, folder: &Path, _: &Path, surplus: Surplus) {
        self.count_of(folder, |of| add(&mut of.removed, surplus.label()));
    }

    fn paused(&self, _: &Path, _: &Error, _: Duration) {
        self.note();
    }

    fn draining(&self, _: usize) {
        self.note();
    }
}
