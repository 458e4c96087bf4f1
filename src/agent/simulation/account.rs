//! What must be true of an agent, whatever happens: kept from what the disk saw and from what the observer was told.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Millis;
use super::world::folder_path;
use crate::agent::job::Attempt;
use crate::model::{Class, Report};
use crate::policy::WatchId;

/// How far back the load is looked at.
const WINDOW: Millis = 60_000;

type Name = (PathBuf, PathBuf);

#[derive(Default)]
pub(super) struct Account {
    workers: usize,
    /// The first thing that was not as it must be.
    problem: Option<String>,
    /// Jobs, until when each goes on.
    jobs: Vec<(Name, Millis, Millis)>,
    /// As the disk has it.
    on_disk: Report,
    /// As the observer was told.
    told: Report,
    /// Files whose last try failed, and when it ended.
    failing: BTreeMap<Name, Millis>,
    /// Scans that failed and were not to be tried again; in one pass each is a failure.
    scans_given_up: u64,
    /// Subfolders that a scan left out, and that are still to be told of.
    untold: BTreeSet<Name>,
    /// From then on it makes but one pass, in which each of these is a failure.
    once_from: Option<Millis>,
    /// How often a subfolder was left out in that pass: at the least, and at the most.
    left_out: (u64, u64),
    /// And before it: of these, what the last scan had to leave out for good is a failure, too.
    left_out_before: u64,
    /// Folders that are told to be lost.
    lost: BTreeSet<PathBuf>,
    /// When a folder's return, or a scan's failure, last put off everything in it.
    disturbed: BTreeMap<WatchId, Millis>,
    pub(super) finished: Option<Report>,
    /// Folders and scans not closed yet.
    open: usize,
    /// From then on no job may begin.
    gives_up_at: Option<Millis>,
    /// Until then a scan goes on.
    scans_until: Millis,
}

impl Account {
    pub(super) fn new(workers: usize) -> Self {
        Account {
            workers,
            ..Account::default()
        }
    }

    pub(super) fn problem(&self) -> Result<(), String> {
        self.problem.clone().map_or(Ok(()), Err)
    }

    pub(super) fn demand(&mut self, holds: bool, problem: impl FnOnce() -> String) {
        if !holds && self.problem.is_none() {
            self.problem = Some(problem());
        }
    }

    pub(super) fn job_begins(&mut self, watch: WatchId, path: &Path, now: Millis, until: Millis) {
        let name = (folder_path(watch), path.to_owned());
        self.jobs.retain(|job| job.2 + WINDOW > now);
        let going: Vec<_> = self.jobs.iter().filter(|job| job.2 > now).collect();
        let (count, is_twice) = (going.len() + 1, going.iter().any(|job| job.0 == name));
        let workers = self.workers;
        self.demand(count <= workers, || format!("{count} jobs at once"));
        self.demand(!is_twice, || format!("two jobs at once on {}", path.display()));
        let is_over = self.finished.is_some() || self.gives_up_at.is_some_and(|at| at < now);
        self.demand(!is_over, || format!("a job on {} began after the end", path.display()));
        self.jobs.push((name, now, until));
    }

    pub(super) fn job_ends(&mut self, watch: WatchId, path: &Path, attempt: Option<&Attempt>, at: Millis) {
        let name = (folder_path(watch), path.to_owned());
        match attempt {
            None | Some(Attempt::Failed(_)) => self.failing.insert(name, at),
            Some(_) => self.failing.remove(&name),
        };
    }

    /// Whether the workers had more than half of what they could do in the minute before.
    pub(super) fn is_busy(&self, now: Millis) -> bool {
        const AROUND: Millis = 40;
        let since = now.saturating_sub(WINDOW);
        let time = |job: &(Name, Millis, Millis)| job.2.min(now).saturating_sub(job.1.max(since)) + AROUND;
        let busy: Millis = self.jobs.iter().filter(|job| job.2 > since).map(time).sum();
        busy * 2 > WINDOW * self.workers as u64
    }

    pub(super) fn compressed_on_disk(&mut self, bytes: u64) {
        self.on_disk.compressed += 1;
        self.on_disk.bytes_in += bytes;
        self.on_disk.bytes_out += 10;
    }

    pub(super) fn disturbed(&mut self, watch: WatchId, now: Millis) {
        self.disturbed.insert(watch, now);
    }

    pub(super) fn disturbed_at(&self, watch: WatchId) -> Millis {
        self.disturbed.get(&watch).copied().unwrap_or_default()
    }

    /// When the last try on the file failed, where it did.
    pub(super) fn failed_at(&self, watch: WatchId, path: &Path) -> Millis {
        let name = (folder_path(watch), path.to_owned());
        self.failing.get(&name).copied().unwrap_or_default()
    }

    pub(super) fn give_up_at(&mut self, at: Millis) {
        self.gives_up_at = Some(self.gives_up_at.map_or(at, |earlier| earlier.min(at)));
    }

    pub(super) fn scan_goes_on(&mut self, until: Millis) {
        self.scans_until = self.scans_until.max(until);
    }

    pub(super) fn is_scanning(&self, now: Millis) -> bool {
        self.scans_until >= now
    }

    pub(super) fn open(&mut self, count: usize) {
        self.open += count;
    }

    pub(super) fn close(&mut self) {
        self.open -= 1;
    }

    pub(super) fn once_from(&mut self, now: Millis) {
        self.once_from.get_or_insert(now);
    }

    /// A scan could not come into these subfolders.
    pub(super) fn left_out(&mut self, watch: WatchId, folders: &[(PathBuf, Class)]) {
        let names = folders.iter().map(|(folder, _)| (folder_path(watch), folder.clone()));
        self.untold.extend(names);
    }

    /// Before a scan goes on, what it left out must have been told.
    pub(super) fn check_left_out(&mut self, watch: WatchId) {
        let untold = self.untold.iter().find(|name| name.0 == folder_path(watch)).cloned();
        self.demand(untold.is_none(), || format!("nobody told of {untold:?}"));
    }

    pub(super) fn told(&mut self) {
        self.demand(self.finished.is_none(), || {
            "the observer was told after the end".to_owned()
        });
    }

    pub(super) fn folder_lost(&mut self, folder: &Path, retry_in: Duration) {
        self.scans_given_up += u64::from(retry_in.is_zero());
        self.lost.insert(folder.to_owned());
    }

    pub(super) fn folder_found(&mut self, folder: &Path) {
        let was_lost = self.lost.remove(folder);
        self.demand(was_lost, || {
            format!("{} was found and had not been lost", folder.display())
        });
    }

    pub(super) fn told_compressed(&mut self, bytes_in: u64, bytes_out: u64) {
        self.told.compressed += 1;
        self.told.bytes_in += bytes_in;
        self.told.bytes_out += bytes_out;
    }

    pub(super) fn told_skipped(&mut self) {
        self.told.skipped += 1;
    }

    pub(super) fn told_failed(&mut self, folder: &Path, source: &Path, now: Millis) {
        let name = (folder.to_owned(), source.to_owned());
        if self.untold.remove(&name) {
            // In the very moment of the command, it may be before or after it.
            self.left_out_before += u64::from(self.once_from.is_none());
            self.left_out.0 += u64::from(self.once_from.is_some_and(|from| from < now));
            self.left_out.1 += u64::from(self.once_from.is_some_and(|from| from <= now));
            return;
        }
        let fails = self.failing.contains_key(&name);
        self.demand(fails, || format!("{} did not fail", source.display()));
    }

    pub(super) fn told_finished(&mut self, report: &Report) {
        self.finished = Some(*report);
    }

    pub(super) fn told_compressed_so_far(&self) -> u64 {
        self.told.compressed
    }

    /// A report of an agent that has done something, but not ended. So many files were told of when it was asked for; more may have been
    /// by the time when it is looked at.
    pub(super) fn check_so_far(&mut self, report: &Report, told: u64) {
        let on_disk = self.on_disk;
        self.demand(told <= report.compressed, || {
            format!("{report:?}, and told {told} before")
        });
        self.demand(report.compressed <= on_disk.compressed, || {
            format!("{report:?}, and on disk {on_disk:?}")
        });
    }

    /// The report, the observer and the disk tell the same. `forgets` where files may have been forgotten with their watch, or for
    /// want of room; `is_one_pass` where nothing cut the one pass short.
    pub(super) fn check_report(&mut self, report: &Report, forgets: bool, is_one_pass: bool) {
        let same = |other: &Report| {
            let numbers = |report: &Report| (report.compressed, report.bytes_in, report.bytes_out);
            numbers(report) == numbers(other)
        };
        let (told, on_disk, failing) = (self.told, self.on_disk, self.failing.len() as u64);
        self.demand(same(&on_disk), || format!("{report:?}, and on disk {on_disk:?}"));
        self.demand(same(&told) && report.skipped == told.skipped, || {
            format!("{report:?}, and told {told:?}")
        });
        if !forgets {
            let (least, most) = self.left_out;
            let least = failing + if is_one_pass { least } else { 0 };
            let before = self.once_from.map_or(0, |_| self.left_out_before);
            let most = failing + self.scans_given_up + before + most;
            let accounted = report.failed <= most && least <= report.failed + report.left;
            self.demand(accounted, || format!("{report:?}, and {least} to {most} failed"));
        }
    }

    /// Nobody holds anything any more.
    pub(super) fn check_closed(&mut self) {
        let open = self.open;
        self.demand(open == 0, || format!("{open} folders and scans are still open"));
    }
}
