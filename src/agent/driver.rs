//! The task that executes what the agenda decides. It alone owns the agenda; everything reaches it through channels.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender};

use crate::codec::Helpers;
use crate::model::{Error, Failure, Observer, Report, Step};
use crate::policy::{Action, Agenda, Cause, FileId, Limits, Tally, Timing, WatchId};
use crate::runtime::{BoxFuture, Runtime, Token, WaitGroup, race, unblock, yield_now};

use super::command::{Channels, Command, Site, Snapshot, WatchState};
use super::events::Event;
use super::job::{Area, Attempt, Batch, Cancel, Job, Retained, Walk};
use super::pool::{Pool, Progress, Task, Worked};

/// Folders without kernel events are scanned this often by their own setting; the others now and then, in case an event never came.
const SWEEP: Duration = Duration::from_secs(15 * 60);

pub(super) struct Driver {
    runtime: Arc<dyn Runtime>,
    /// Who is told of what concerns no single watch.
    observer: Arc<dyn Observer>,
    agenda: Agenda,
    sites: BTreeMap<WatchId, Running>,
    channels: Channels,
    pool: Pool<Begun, Attempt>,
    scans: (Sender<Scanned>, Receiver<Scanned>),
    retained: (Sender<RetainedBy>, Receiver<RetainedBy>),
    /// Outputs that were.
    removed: u64,
    cancel: Cancel,
    /// Ends the looks for surplus outputs: no stop waits for one.
    no_more_upkeep: Cancel,
    started: Instant,
    deadline: Option<Instant>,
    abandoned: bool,
    turn: usize,
}

struct Running {
    site: Site,
    /// The scan under way, between two of its batches.
    walk: Option<Box<dyn Walk>>,
    /// It could not be reached when last tried.
    lost: bool,
    /// What is under way in it: files that are begun, and its scan.
    work: WaitGroup,
}

/// A file with a worker. Its watch may end meanwhile, and what came of it is told all the same.
#[derive(Clone)]
struct Begun {
    file: FileId,
    folder: Arc<Path>,
    observer: Arc<dyn Observer>,
    _token: Token,
}

/// A batch, and the scan to be continued; without a result where the work panicked.
struct Scanned {
    watch: WatchId,
    result: Option<ScanResult>,
}

/// A watch, what came of its surplus outputs, and how long that took.
type RetainedBy = (WatchId, Retained, Duration);

/// Without the scan where the batch ends it.
type ScanResult = Result<(Option<Box<dyn Walk>>, Batch), Error>;

/// Whatever the driver waits for.
enum Input {
    Event(Event),
    Command(Command),
    /// Nobody holds the agent any more.
    Abandoned,
    Worked(Progress<Begun, Attempt>),
    Scanned(Scanned),
    Retained(RetainedBy),
    Time,
}

impl Driver {
    pub(super) fn new(
        runtime: Arc<dyn Runtime>,
        observer: Arc<dyn Observer>,
        workers: usize,
        files: usize,
        channels: Channels,
    ) -> Self {
        let cancel = Cancel::default();
        let pool = Pool::start(&runtime, workers, &cancel);
        let limits = Limits {
            files,
            begun: pool.appetite(),
        };
        let mut agenda = Agenda::new(limits);
        agenda.hold_upkeep(true);
        Driver {
            agenda,
            pool,
            sites: BTreeMap::new(),
            channels,
            // A watch has one scan at a time; those for which there is no room wait in their tasks.
            scans: async_channel::bounded(16),
            retained: async_channel::bounded(16),
            removed: 0,
            cancel,
            no_more_upkeep: Cancel::default(),
            started: runtime.now(),
            deadline: None,
            abandoned: false,
            turn: 0,
            runtime,
            observer,
        }
    }

    /// Runs until told to end and everything has ended, then sends the report.
    pub(super) async fn run(mut self) {
        loop {
            let input = self.next_input().await;
            // What was told before a command came is known when it is carried out.
            self.handle_waiting_events();
            self.handle(input);
            self.handle_waiting_results();
            if self.act() {
                break;
            }
            // With ever more to do it would never give way by itself.
            yield_now().await;
        }
        let report = self.report();
        drop(self.pool.tasks);
        // A scan under way finds that nobody wants its batch.
        self.scans.1.close();
        self.pool.workers.wait().await;
        let (sites, commands, (_, scans)) = (self.sites, self.channels.commands, self.scans);
        let close = move || {
            drop((sites, commands));
            while scans.try_recv().is_ok() {}
        };
        // Without an answer where the runtime ends, and drops it all the same.
        let _ = unblock(&*self.runtime, close).await;
        self.observer.finished(&report);
        // Where nobody waits for it, the observer has it.
        let _ = self.channels.report.try_send(report);
    }

    async fn next_input(&mut self) -> Input {
        let Channels { inbox, commands, .. } = &self.channels;
        let worked = async {
            match self.pool.results.next().await {
                Some(progress) => Input::Worked(progress),
                None => std::future::pending().await,
            }
        };
        let mut inputs: Vec<BoxFuture<'_, Input>> = vec![
            Box::pin(worked),
            Box::pin(receive(&self.scans.1, Input::Scanned)),
            Box::pin(receive(&self.retained.1, Input::Retained)),
            Box::pin(receive(inbox, Input::Event)),
        ];
        if !self.abandoned {
            inputs.push(Box::pin(async {
                commands.0.recv().await.map_or(Input::Abandoned, Input::Command)
            }));
        }
        if let Some(at) = self.agenda.poll_timeout().into_iter().chain(self.deadline).min() {
            let sleep = self.runtime.sleep_until(at);
            inputs.push(Box::pin(async {
                sleep.await;
                Input::Time
            }));
        }
        // Each is the first to be asked in its turn, so that none holds up the others.
        self.turn = self.turn.wrapping_add(1);
        let first = self.turn % inputs.len();
        inputs.rotate_left(first);
        race(inputs).await
    }

    fn handle(&mut self, input: Input) {
        let now = self.runtime.now();
        match input {
            Input::Event(event) => self.handle_event(event, now),
            Input::Command(command) => self.handle_command(command, now),
            Input::Abandoned => {
                self.abandoned = true;
                self.abort();
            }
            Input::Worked(progress) => self.handle_progress(progress, now),
            Input::Scanned(scanned) => self.handle_scanned(scanned, now),
            Input::Retained(retained) => self.handle_retained(retained, now),
            Input::Time => {}
        }
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.abort();
        }
    }

    /// Takes what else is in the inbox, as much as it holds, and looks at the flags of what did not fit into it: in this order, so
    /// that a flag set while the inbox was full is seen.
    fn handle_waiting_events(&mut self) {
        let now = self.runtime.now();
        for _ in 0..self.channels.inbox.len() {
            let Ok(event) = self.channels.inbox.try_recv() else {
                break;
            };
            self.handle_event(event, now);
        }
        for (watch, running) in &self.sites {
            if running.site.lost.swap(false, Ordering::AcqRel) {
                self.agenda.handle_lost_events(*watch, Cause::EventsLost, now);
            }
        }
    }

    /// What else the workers have told, as much as there is now.
    fn handle_waiting_results(&mut self) {
        for progress in self.pool.results.waiting() {
            self.handle_progress(progress, self.runtime.now());
        }
    }

    fn handle_event(&mut self, event: Event, now: Instant) {
        match event {
            Event::File(file) => self.agenda.handle_event(&file, now),
            Event::Successor(file) => self.agenda.handle_successor(file, now),
            Event::Folder(watch, folder) => self.agenda.handle_folder(watch, &folder, now),
            Event::Wake => {}
        }
    }

    fn handle_command(&mut self, command: Command, now: Instant) {
        match command {
            Command::Add(watch, site, done) => {
                self.add(watch, site, now);
                let _ = done.try_send(());
            }
            Command::Remove(watch, done) => {
                let work = self.sites.remove(&watch).map(|running| {
                    let Running { site, walk, work, .. } = running;
                    self.release((site, walk));
                    work
                });
                self.agenda.remove_watch(watch);
                let _ = done.try_send(work);
            }
            Command::Snapshot(answer) => {
                let _ = answer.try_send(self.snapshot());
            }
            Command::Once { patience } => self.agenda.handle_once(patience),
            Command::Drain { limit } => {
                // What was told before the stop is known.
                self.handle_waiting_events();
                self.no_more_upkeep.cancel();
                self.observer.draining(self.agenda.pending());
                self.deadline = limit.and_then(|limit| now.checked_add(limit));
                self.agenda.handle_drain(self.deadline);
            }
            Command::Abort => self.abort(),
            Command::HoldUpkeep(holds) => self.agenda.hold_upkeep(holds),
        }
    }

    fn add(&mut self, watch: WatchId, site: Site, now: Instant) {
        let timing = Timing {
            settle: site.settle,
            rescan_every: if site.native { SWEEP } else { site.poll_interval },
        };
        site.observer
            .watching(&site.path, site.native, site.why_polling.as_deref());
        self.agenda.add_watch(watch, timing, now);
        if site.job.retains() {
            self.agenda.keep_up(watch);
        }
        let running = Running {
            site,
            walk: None,
            lost: false,
            work: WaitGroup::new(),
        };
        self.sites.insert(watch, running);
    }

    fn abort(&mut self) {
        self.deadline = None;
        self.cancel.cancel();
        self.no_more_upkeep.cancel();
        self.agenda.handle_abort();
    }

    fn handle_progress(&mut self, progress: Progress<Begun, Attempt>, now: Instant) {
        match progress {
            Progress::Later(begun) => self.agenda.handle_retiring(&begun.file),
            Progress::Ended(begun, attempt) => self.handle_attempt(&begun, attempt, now),
        }
    }

    fn handle_attempt(&mut self, begun: &Begun, attempt: Option<Attempt>, now: Instant) {
        let Begun {
            file, folder, observer, ..
        } = begun;
        let attempt = attempt.unwrap_or_else(|| Attempt::unanswered(&folder.join(&file.path)));
        let ready = self.agenda.ready_since(file).unwrap_or(now);
        let verdict = self.agenda.handle_outcome(file, attempt.outcome(), now);
        if let Attempt::Recovered(path) = &attempt {
            let file = FileId {
                watch: file.watch,
                path: path.as_path().into(),
            };
            self.agenda.handle_event(&file, now);
        }
        if !verdict.news {
            return;
        }
        let ready = now.saturating_duration_since(ready);
        attempt.tell(&**observer, folder, &file.path, verdict, ready);
        if let (Attempt::Failed(error), Some(pause)) = (&attempt, verdict.pause) {
            observer.paused(folder, error, pause);
        }
    }

    fn handle_retained(&mut self, (watch, retained, took): RetainedBy, now: Instant) {
        self.removed += retained.removed;
        self.agenda.handle_retained(watch, took, retained.left, now);
    }

    fn handle_scanned(&mut self, scanned: Scanned, now: Instant) {
        let watch = scanned.watch;
        let Some(running) = self.sites.get_mut(&watch) else {
            return self.release(scanned);
        };
        let result = scanned.result.unwrap_or_else(|| {
            let cause = "the scan ended without an answer (a fault in dwindle)";
            Err(Error::permanent(Step::List, &running.site.path, cause))
        });
        let (folder, observer) = (running.site.path.as_path(), &running.site.observer);
        match result {
            Ok((walk, batch)) => {
                if std::mem::take(&mut running.lost) {
                    observer.folder_found(folder);
                }
                for error in &batch.failed {
                    let path = error.path().strip_prefix(folder).unwrap_or(error.path());
                    observer.failed(folder, path, &Failure::of(error));
                    self.agenda.handle_scan_trouble(watch, error.class());
                }
                if let Some(why) = batch.polling {
                    observer.watching(folder, false, Some(&why));
                    running.site.native = false;
                    running.site.why_polling = Some(why);
                    self.agenda.rescan_every(watch, running.site.poll_interval, now);
                }
                running.walk = walk;
                self.agenda.handle_scanned(watch, batch.files, batch.end, now);
            }
            Err(error) => {
                running.walk = None;
                running.lost = true;
                let retry_in = self.agenda.handle_scan_failed(watch, now);
                observer.folder_lost(folder, &error, retry_in);
            }
        }
    }

    /// Does what the agenda says; true at the end.
    fn act(&mut self) -> bool {
        self.agenda.begin_at_most(self.pool.appetite());
        while let Some(action) = self.agenda.poll_action(self.runtime.now()) {
            match action {
                Action::Begin(file) => self.begin(file),
                Action::Scan {
                    watch,
                    folder,
                    cause,
                    most,
                } => {
                    self.tell_rescan(watch, cause);
                    self.scan(watch, most, Some(folder));
                }
                Action::ScanOn { watch, most } => self.scan(watch, most, None),
                Action::Retain(watch) => self.retain(watch),
                Action::Finish => return true,
            }
        }
        false
    }

    fn begin(&mut self, file: FileId) {
        let Some(running) = self.sites.get(&file.watch) else {
            return;
        };
        let job = Arc::clone(&running.site.job);
        let cancel = self.cancel.clone();
        let path = Arc::clone(&file.path);
        let failures = self.agenda.failures_of(&file);
        let work = Box::new(move |helpers: &dyn Helpers| {
            if cancel.is_cancelled() {
                Worked::Ended(Attempt::Cancelled)
            } else {
                job.attempt(&path, failures, helpers, &cancel)
            }
        });
        let folder = running.site.path.as_path().into();
        let key = Begun {
            file,
            folder,
            observer: Arc::clone(&running.site.observer),
            _token: running.work.token(),
        };
        // The agenda begins no more than the channel has room for.
        let _ = self.pool.tasks.try_send(Task { key, work });
    }

    fn tell_rescan(&self, watch: WatchId, cause: Cause) {
        if let Some(running) = self.sites.get(&watch)
            && matches!(cause, Cause::EventsLost | Cause::NoRoom)
        {
            running.site.observer.rescanning(&running.site.path, cause.as_str());
        }
    }

    /// Fetches a batch in a task of its own: of a new scan, or, without a folder, of the one under way.
    fn scan(&mut self, watch: WatchId, most: usize, folder: Option<PathBuf>) {
        let Some(running) = self.sites.get_mut(&watch) else {
            return;
        };
        let walk = running.walk.take();
        let job = Arc::clone(&running.site.job);
        let runtime = Arc::clone(&self.runtime);
        let answer = self.scans.0.clone();
        let tokens = (self.pool.workers.token(), running.work.token());
        self.runtime.spawn(Box::pin(async move {
            let result = unblock(&*runtime, move || next_batch(&*job, walk, folder.as_deref(), most)).await;
            if let Err(unwanted) = answer.send(Scanned { watch, result }).await {
                let _ = unblock(&*runtime, move || drop(unwanted)).await;
            }
            drop(tokens);
        }));
    }

    /// Removes a watch's surplus outputs in a task of its own.
    fn retain(&mut self, watch: WatchId) {
        let Some(running) = self.sites.get(&watch) else {
            return;
        };
        // One with the same folders may be the same watch, which is being replaced.
        let others = self.sites.values().filter(|other| other.site.own != running.site.own);
        let others: Vec<Area> = others.map(|other| Area::new(other.site.own.clone())).collect();
        let job = Arc::clone(&running.site.job);
        let (runtime, answer, cancel) = (
            Arc::clone(&self.runtime),
            self.retained.0.clone(),
            self.no_more_upkeep.clone(),
        );
        let tokens = (self.pool.workers.token(), running.work.token());
        self.runtime.spawn(Box::pin(async move {
            let begun = runtime.now();
            let retained = unblock(&*runtime, move || job.retain(&others, &cancel)).await;
            let took = runtime.now().saturating_duration_since(begun);
            let _ = answer.send((watch, retained.unwrap_or_default(), took)).await;
            drop(tokens);
        }));
    }

    /// Drops what has folders open: closing them may block.
    fn release(&self, folders: impl Send + 'static) {
        self.runtime.unblock(Box::new(move || drop(folders)));
    }

    fn snapshot(&self) -> Snapshot {
        let paused: BTreeSet<WatchId> = self.agenda.paused().collect();
        let state_of = |(watch, Running { site, lost, .. }): (&WatchId, &Running)| WatchState {
            path: site.path.clone(),
            native: site.native,
            why_polling: site.why_polling.clone(),
            lost: *lost,
            paused: paused.contains(watch),
        };
        let on_the_way = self.pool.tasks.len();
        Snapshot {
            report: self.report(),
            pending: self.agenda.pending(),
            queued: self.agenda.ready() + on_the_way,
            in_flight: self.agenda.under_way().saturating_sub(on_the_way),
            watches: self.sites.iter().map(state_of).collect(),
        }
    }

    fn report(&self) -> Report {
        let Tally {
            compressed,
            bytes_in,
            bytes_out,
            skipped,
            failed,
            left,
        } = self.agenda.tally();
        Report {
            compressed,
            bytes_in,
            bytes_out,
            skipped,
            failed,
            left,
            removed: self.removed,
            elapsed: self.runtime.now().saturating_duration_since(self.started),
        }
    }
}

/// The next message as an input. A channel that has been closed brings nothing more, and is no reason to wake.
async fn receive<T>(channel: &Receiver<T>, input: impl FnOnce(T) -> Input) -> Input {
    match channel.recv().await {
        Ok(message) => input(message),
        Err(_) => std::future::pending().await,
    }
}

fn next_batch(job: &dyn Job, walk: Option<Box<dyn Walk>>, folder: Option<&Path>, most: usize) -> ScanResult {
    let mut walk = match (folder, walk) {
        (Some(folder), _) => job.scan(folder)?,
        (None, Some(walk)) => walk,
        (None, None) => job.scan(Path::new(""))?,
    };
    let batch = walk.next(most)?;
    Ok(((!batch.end).then_some(walk), batch))
}
