//! A watched folder for real: the look at one file and its commit. The events are those of [`native`](super::native), the scans those of
//! [`walk`](super::walk).

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::codec::Helpers;
use crate::model::{Error, Escaped, Format, Level, Observer, Reason};
use crate::policy::{Select, Watch};
use crate::storage::{
    Candidate, Folder, Look, Marker, Plan, Recovered, Renew, Rules, Scan, is_gone, is_leftover, look, recover,
};

use super::events::{Events, Watcher};
use super::giving_up::GivingUp;
use super::job::{Area, Attempt, Cancel, Job, Retained, Walk, Work};
use super::marked::Marked;
use super::native::{EventSource, Native};
use super::pool::Worked;
use super::retention::{MOST, Retention};
use super::root::Root;
use super::walk::FolderWalk;

/// How long a writer that comes late is waited for.
const HOLD: Duration = Duration::from_millis(200);

/// Everything about one watch that blocks.
pub(super) struct WatchedFolder {
    watch: Watch,
    rules: Rules,
    level: Level,
    observer: Arc<dyn Observer>,
    source: EventSource,
    root: Mutex<Arc<Root>>,
    native: Arc<Mutex<Native>>,
    /// That no lease can be had here was said: once is enough.
    said_no_lease: AtomicBool,
    /// The same of surplus outputs that cannot be removed.
    said_no_removal: AtomicBool,
    swept_outputs: AtomicBool,
}

impl WatchedFolder {
    /// Opens the folder, makes its output folder where that is missing, and gets ready for events.
    ///
    /// # Errors
    ///
    /// When one of the folders cannot be opened or made.
    pub(super) fn open(
        watch: Watch,
        select: Arc<Select>,
        level: Level,
        observer: Arc<dyn Observer>,
        watcher: Option<Arc<dyn Watcher>>,
        events: Events,
    ) -> Result<Self, Error> {
        let root = Root::open(&watch, &select)?;
        let source = EventSource { watcher, events };
        let native = source.begin(&watch, &root.folder);
        Ok(WatchedFolder {
            rules: Rules::of(&watch, select),
            level: watch.level_or(level),
            root: Mutex::new(Arc::new(root)),
            native: Arc::new(Mutex::new(native)),
            watch,
            observer,
            source,
            said_no_lease: AtomicBool::new(false),
            said_no_removal: AtomicBool::new(false),
            swept_outputs: AtomicBool::new(false),
        })
    }

    /// Whether the kernel's events are to be had, as far as is known.
    pub(super) fn is_native(&self) -> bool {
        matches!(*lock(&self.native), Native::On(_))
    }

    /// Why not, where they had been asked for.
    pub(super) fn why_polling(&self) -> Option<String> {
        match &*lock(&self.native) {
            Native::On(_) => None,
            Native::Off(why) => why.clone(),
        }
    }

    fn root(&self) -> Arc<Root> {
        Arc::clone(&lock(&self.root))
    }

    /// Follows the folder's path anew: another folder may have it by now, and needs another watch.
    fn reopen(&self) -> Result<Arc<Root>, Error> {
        let known = self.root();
        let found = Folder::open(&self.watch.path)?;
        if found.identity()? == known.folder.identity()? {
            return Ok(known);
        }
        let root = Arc::new(Root::open(&self.watch, &self.rules.select)?);
        let mut native = lock(&self.native);
        if matches!(*native, Native::On(_)) {
            *native = self.source.begin(&self.watch, &root.folder);
        }
        drop(native);
        *lock(&self.root) = Arc::clone(&root);
        Ok(root)
    }

    /// The folders to work in. One beside the watched one that was replaced or removed meanwhile is opened or made anew.
    fn root_for_work(&self) -> Result<Arc<Root>, Error> {
        let known = self.root();
        if known.others_have_their_paths() {
            return Ok(known);
        }
        let root = Arc::new(known.renew(&self.watch, &self.rules.select)?);
        let mut current = lock(&self.root);
        // A scan may have followed the watched folder's path anew meanwhile; that counts.
        if Arc::ptr_eq(&current, &known) {
            *current = root;
        }
        Ok(Arc::clone(&current))
    }

    fn try_attempt(
        &self,
        file: &Path,
        failures: u32,
        helpers: &dyn Helpers,
        cancel: &Cancel,
    ) -> Result<Worked<Attempt>, Error> {
        let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else {
            return Ok(Worked::Ended(Attempt::Gone));
        };
        let root = self.root_for_work()?;
        let parent = match root.folder.folder_or_self(folder) {
            Err(error) if is_gone(&error) => {
                self.withdraw(&root, None, file, None)?;
                return Ok(Worked::Ended(Attempt::Gone));
            }
            parent => parent?,
        };
        if is_leftover(name) {
            return self.recover(&root, &parent, file).map(Worked::Ended);
        }
        let giving_up = self.giving_up(&root, &parent, file, failures)?;
        let worked = self.look_and_commit(&root, &parent, file, helpers, cancel);
        match giving_up {
            None => worked,
            Some(giving_up) => {
                let worked = worked.unwrap_or_else(|error| Worked::Ended(Attempt::Failed(error)));
                Ok(giving_up.follow(worked))
            }
        }
    }

    /// Nothing where the watch leaves files that fail where they are.
    fn giving_up(
        &self,
        root: &Arc<Root>,
        parent: &Arc<Folder>,
        file: &Path,
        failures: u32,
    ) -> Result<Option<GivingUp>, Error> {
        if self.watch.failed_dir.is_none() {
            return Ok(None);
        }
        let name = file.file_name().unwrap_or_default();
        let Some(status) = parent.status(name)? else {
            return Ok(None);
        };
        let marker = match self.rules.select.marker_of(name) {
            Some(marker) => Marker::find(parent, marker)?,
            None => None,
        };
        Ok(Some(GivingUp {
            root: Arc::clone(root),
            parent: Arc::clone(parent),
            file: file.to_owned(),
            path: self.watch.path.join(file),
            seen: status.fingerprint,
            marker,
            failures,
            settle: self.rules.settle,
            writer_check: self.rules.writer_check,
            durable: self.watch.durable,
            observer: Arc::clone(&self.observer),
        }))
    }

    fn look_and_commit(
        &self,
        root: &Root,
        parent: &Arc<Folder>,
        file: &Path,
        helpers: &dyn Helpers,
        cancel: &Cancel,
    ) -> Result<Worked<Attempt>, Error> {
        let found = self.look(parent, file)?;
        match &found {
            // The former waits for its marker as it is.
            Look::Pass(Reason::NoMarker(_)) | Look::Ready(_) | Look::NotYet(_) | Look::InUse => {}
            Look::Gone | Look::IsFolder | Look::Pass(_) => self.withdraw(root, Some(&**parent), file, None)?,
        }
        Ok(Worked::Ended(match found {
            // Without its marker it is as good as not there yet: the marker's event tells of it.
            Look::Gone | Look::Pass(Reason::NoMarker(_)) => Attempt::Gone,
            Look::Ready(candidate) => {
                self.withdraw(root, Some(&**parent), file, Some(self.watch.format))?;
                return Ok(self.commit(root, parent, file, candidate, helpers, cancel));
            }
            Look::Pass(reason) => {
                self.say_once(&reason);
                Attempt::Skipped(reason)
            }
            Look::NotYet(wait) => Attempt::NotYet(wait),
            Look::InUse => Attempt::InUse,
            Look::IsFolder => Attempt::Folder,
        }))
    }

    fn look(&self, parent: &Folder, file: &Path) -> Result<Look, Error> {
        let name = file.file_name().unwrap_or_default();
        let look = || look(parent, name, &self.rules, SystemTime::now());
        if self.rules.select.standing(name).is_none() {
            return look();
        }
        self.source.events.may_wait(file);
        let found = look();
        if !matches!(&found, Ok(Look::Pass(Reason::PossiblyLive | Reason::AmongNewest(_)))) {
            self.source.events.need_not_wait(file);
        }
        found
    }

    /// An output that follows its original goes where that will get no new one, which it will in the format that is `coming`.
    fn withdraw(&self, root: &Root, parent: Option<&Folder>, file: &Path, coming: Option<Format>) -> Result<(), Error> {
        if !self.watch.outputs_follow() {
            return Ok(());
        }
        root.withdraw(&self.watch.path, parent, file, coming, &*self.observer)
    }

    fn commit(
        &self,
        root: &Root,
        parent: &Arc<Folder>,
        file: &Path,
        mut candidate: Candidate,
        helpers: &dyn Helpers,
        cancel: &Cancel,
    ) -> Worked<Attempt> {
        let plan = plan_of(&self.watch, self.level);
        let work = Work {
            parent,
            places: root.places_of(file),
            plan,
            path: &self.watch.path.join(file),
            observer: &self.observer,
            helpers,
            cancel,
            // Somebody is at it: even with no settle time, not at once again.
            look_again: self.watch.settle.max(Duration::from_secs(1)),
            gone: |_| Attempt::Gone,
        };
        let marker = candidate.marker.take();
        let worked = work.commit(candidate);
        match marker {
            Some(marker) => Marked::new(marker, parent, &self.observer).follow(worked),
            None => worked,
        }
    }

    /// Something that a run left which was killed.
    fn recover(&self, root: &Root, parent: &Arc<Folder>, file: &Path) -> Result<Attempt, Error> {
        let name = file.file_name().unwrap_or_default();
        let places = root.places_of(file);
        let recovered = recover(parent, name, &places, self.watch.durable, &mut |message| {
            self.observer.warning(&message);
        })?;
        let Recovered::Original(original) = recovered else {
            return Ok(Attempt::Gone);
        };
        let path = file.with_file_name(original);
        self.observer.warning(&format!(
            "{} had been left in quarantine by a run that was killed, and has its name again",
            Escaped(&self.watch.path.join(&path))
        ));
        // Beside its own name it may be another shard's.
        Ok(if self.rules.select.is_of_shard(&path) {
            Attempt::Recovered(path)
        } else {
            Attempt::Gone
        })
    }

    fn say_once(&self, reason: &Reason) {
        if matches!(reason, Reason::NoLease(_)) && !self.said_no_lease.swap(true, Ordering::Relaxed) {
            let folder = Escaped(&self.watch.path);
            self.observer
                .warning(&format!("files in {folder} are left alone: {reason}"));
        }
    }
}

impl Job for WatchedFolder {
    fn retains(&self) -> bool {
        self.watch.retention.is_limited()
    }

    fn retain(&self, others: &[Area], cancel: &Cancel) -> Retained {
        let root = self.root();
        let retention = Retention {
            watch: &self.watch,
            select: &self.rules.select,
            source: &root.folder,
            output: root.output.as_deref(),
            most: MOST,
        };
        let mut said = false;
        let mut tell = |output: &Path, why| self.observer.removed(&self.watch.path, output, why);
        let retained = retention.apply(others, cancel, &mut tell, &mut |error| {
            // Once, until a pass goes well.
            if !std::mem::replace(&mut said, true) && !self.said_no_removal.load(Ordering::Relaxed) {
                self.observer.warning(&error.to_string());
            }
        });
        self.said_no_removal.store(said, Ordering::Relaxed);
        retained
    }

    fn attempt(&self, file: &Path, failures: u32, helpers: &dyn Helpers, cancel: &Cancel) -> Worked<Attempt> {
        self.try_attempt(file, failures, helpers, cancel)
            .unwrap_or_else(|error| Worked::Ended(Attempt::Failed(error)))
    }

    fn scan(&self, folder: &Path) -> Result<Box<dyn Walk>, Error> {
        let is_whole = folder.as_os_str().is_empty();
        let was_native = self.is_native();
        let root = if is_whole { self.reopen()? } else { self.root() };
        let polling = if was_native { self.why_polling() } else { None };
        let mut failed = Vec::new();
        let scan = match Scan::new(&root.folder, folder, Arc::clone(&self.rules.select)) {
            Ok(scan) => Some(scan),
            Err(error) if is_whole => return Err(error),
            // A subfolder that is gone again holds nothing.
            Err(error) if is_gone(&error) => None,
            Err(error) => {
                failed.push(error);
                None
            }
        };
        let outputs = match &root.output {
            Some(output)
                if is_whole && (self.watch.outputs_follow() || !self.swept_outputs.swap(true, Ordering::Relaxed)) =>
            {
                Scan::new(output, Path::new(""), Arc::new(Select::everything(self.watch.shard))).ok()
            }
            _ => None,
        };
        Ok(Box::new(FolderWalk {
            scan,
            outputs,
            outputs_follow: self.watch.outputs_follow(),
            select: Arc::clone(&self.rules.select),
            found_files: false,
            root,
            events: self.source.events.clone(),
            observer: Arc::clone(&self.observer),
            native: Arc::clone(&self.native),
            polling,
            failed,
        }))
    }
}

/// How the files of a watch are committed.
pub(super) fn plan_of(watch: &Watch, level: Level) -> Plan {
    Plan {
        level,
        keep_original: watch.keep_original,
        renew: if watch.outputs_follow() {
            Renew::Followers
        } else {
            Renew::None
        },
        on_conflict: watch.on_conflict,
        durable: watch.durable,
        hold: HOLD,
    }
}

/// A panic under one of these locks leaves nothing half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
