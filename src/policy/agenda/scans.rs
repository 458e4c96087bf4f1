//! When a watched folder is scanned: at first, for a new subfolder, after lost events, and now and then.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Action, Cause, Timing, WatchId, after, backoff};

/// More subfolders than this at once become one scan of the whole.
const MOST_FOLDERS: usize = 256;

/// At least this long between two scans of a whole folder, or two tries at one, or a storm of events would become a storm of scans.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Scans {
    pub(super) timing: Timing,
    running: Option<Running>,
    /// The whole folder is to be scanned.
    whole: Option<Cause>,
    /// Subfolders to be scanned; empty while the whole folder is due.
    folders: BTreeSet<PathBuf>,
    /// Neither of them before this moment.
    not_before: Option<Instant>,
    /// Nor before this one, should anything happen meanwhile.
    pause_until: Option<Instant>,
    sweep_at: Option<Instant>,
    failures: u32,
    /// Scans in a row that had to leave something out, and whether this one had to.
    troubles: u32,
    troubled: bool,
    /// How many subfolders the last scan had to leave out, for reasons that do not pass.
    left_out: u64,
}

struct Running {
    cause: Cause,
    whole: bool,
    /// An answer is awaited.
    asked: bool,
}

impl Scans {
    pub(super) fn new(timing: Timing) -> Self {
        Scans {
            timing,
            running: None,
            whole: None,
            folders: BTreeSet::new(),
            not_before: None,
            pause_until: None,
            sweep_at: None,
            failures: 0,
            troubles: 0,
            troubled: false,
            left_out: 0,
        }
    }

    /// A folder, relative to the watched one, is to be scanned. A scan that is running may have passed what this is about, so it does not count.
    pub(super) fn due(&mut self, folder: &Path, cause: Cause, now: Instant) {
        // What happens now may end the trouble that a longer wait is for.
        let soonest = self.pause_until.map_or(now, |until| until.max(now));
        self.not_before = Some(self.not_before.map_or(now, |at| at.min(soonest)));
        if self.whole.is_some() {
            return;
        }
        if folder.as_os_str().is_empty() {
            self.folders.clear();
            self.whole = Some(cause);
        } else if self.folders.len() < MOST_FOLDERS {
            self.folders.insert(folder.to_owned());
        } else {
            self.folders.clear();
            self.whole = Some(Cause::NoRoom);
        }
    }

    /// From now on with another interval between sweeps.
    pub(super) fn rescan_every(&mut self, interval: Duration, now: Instant) {
        self.timing.rescan_every = interval;
        if let Some(at) = self.sweep_at {
            self.sweep_at = Some(at.min(after(now, interval)));
        }
    }

    /// What is to be done now.
    pub(super) fn poll(&mut self, watch: WatchId, most: usize, sweeps: bool, now: Instant) -> Option<Action> {
        if let Some(running) = &mut self.running {
            if running.asked {
                return None;
            }
            running.asked = true;
            return Some(Action::ScanOn { watch, most });
        }
        if sweeps && self.sweep_at.is_some_and(|at| at <= now) {
            self.sweep_at = None;
            self.due(Path::new(""), Cause::Sweep, now);
        }
        if self.not_before.is_some_and(|at| at > now) && (self.whole.is_some() || self.failures > 0) {
            return None;
        }
        let (folder, cause) = match self.whole.take() {
            Some(cause) => (PathBuf::new(), cause),
            None => (self.folders.pop_first()?, Cause::NewFolder),
        };
        if folder.as_os_str().is_empty() {
            self.left_out = 0;
        }
        self.running = Some(Running {
            cause,
            whole: folder.as_os_str().is_empty(),
            asked: true,
        });
        Some(Action::Scan {
            watch,
            folder,
            cause,
            most,
        })
    }

    /// An answer has come; the cause of the scan that it belongs to, where that is still wanted.
    pub(super) fn answered(&mut self, end: bool, now: Instant) -> Option<Cause> {
        let running = self.running.as_mut()?;
        running.asked = false;
        let Running { cause, whole, .. } = *running;
        if end {
            self.running = None;
        }
        if end && whole {
            self.failures = 0;
            self.not_before = Some(now + PAUSE);
            self.pause_until = self.not_before;
            self.sweep_at = Some(after(now, self.timing.rescan_every));
        }
        if end && std::mem::take(&mut self.troubled) {
            self.troubles = self.troubles.saturating_add(1);
            self.due(Path::new(""), Cause::Sweep, now);
            self.not_before = Some(now + backoff(self.troubles));
        } else if end && whole {
            self.troubles = 0;
        }
        Some(cause)
    }

    /// The scan under way left something out, for a reason that may pass.
    pub(super) fn trouble(&mut self) {
        self.troubled = self.running.is_some();
    }

    /// The scan under way left something out, for a reason that does not pass.
    pub(super) fn leave_out(&mut self) {
        self.left_out += 1;
    }

    /// What was left out is a failure now, once.
    pub(super) fn take_left_out(&mut self) -> u64 {
        std::mem::take(&mut self.left_out)
    }

    /// The folder could not be reached: all of it is to be scanned, after the wait that is returned, or sooner if something happens.
    pub(super) fn failed(&mut self, now: Instant) -> Duration {
        self.running = None;
        self.failures = self.failures.saturating_add(1);
        let wait = backoff(self.failures);
        self.folders.clear();
        // Whatever is there when it returns has arrived with it.
        self.whole = Some(Cause::Start);
        self.not_before = Some(now + wait);
        self.pause_until = Some(now + PAUSE);
        self.sweep_at = None;
        wait
    }

    /// No more scans.
    pub(super) fn stop(&mut self) {
        *self = Scans::new(self.timing);
    }

    pub(super) fn is_idle(&self) -> bool {
        self.running.is_none() && self.whole.is_none() && self.folders.is_empty()
    }

    /// When `poll` may next have something; to be asked after it.
    pub(super) fn timeout(&self, sweeps: bool) -> Option<Instant> {
        if self.running.is_some() {
            return None;
        }
        let due = self.whole.and(self.not_before);
        let sweep = self.sweep_at.filter(|_| sweeps);
        due.into_iter().chain(sweep).min()
    }
}
