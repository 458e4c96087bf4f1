//! What the model keeps of a watch's scans: which are owed, and not before when.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::super::{Cause, Timing};

/// Between two scans of a whole folder.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Scans {
    pub(super) timing: Timing,
    pub(super) running: Option<Running>,
    pub(super) owes_whole: Option<Cause>,
    pub(super) owes_folders: BTreeSet<PathBuf>,
    pub(super) whole_not_before: Option<Instant>,
    pub(super) pause_until: Option<Instant>,
    pub(super) sweep_at: Option<Instant>,
    pub(super) failures: u32,
}

pub(super) struct Running {
    pub(super) cause: Cause,
    pub(super) whole: bool,
    pub(super) asked: bool,
}

impl Scans {
    pub(super) fn new(timing: Timing) -> Self {
        Scans {
            timing,
            running: None,
            owes_whole: None,
            owes_folders: BTreeSet::new(),
            whole_not_before: None,
            pause_until: None,
            sweep_at: None,
            failures: 0,
        }
    }

    pub(super) fn owe(&mut self, folder: &Path, cause: Cause, now: Instant) {
        let soonest = self.pause_until.map_or(now, |until| until.max(now));
        self.whole_not_before = Some(self.whole_not_before.map_or(now, |at| at.min(soonest)));
        if self.owes_whole.is_some() {
        } else if folder.as_os_str().is_empty() {
            self.owes_whole = Some(cause);
            self.owes_folders.clear();
        } else {
            self.owes_folders.insert(folder.to_owned());
        }
    }

    /// Whether something is to be asked for now.
    pub(super) fn is_wanted(&self, sweeps: bool, now: Instant) -> bool {
        if let Some(running) = &self.running {
            return !running.asked;
        }
        let is_swept = sweeps && self.sweep_at.is_some_and(|at| at <= now);
        let may_be_whole = self.whole_not_before.is_none_or(|at| at <= now);
        !self.owes_folders.is_empty() || ((is_swept || self.owes_whole.is_some()) && may_be_whole)
    }
}
