//! What a service manager is told of the agent: that it has started, how it gets on, that it is alive, that it ends.
//!
//! Alive means: the agent's task has answered, and a thread for blocking work was to be had for saying so. A file that takes long, or a
//! disk that answers late, is no reason to begin anew: the workers are busy, and the others go on.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender};
use tracing::warn;

use crate::agent::{Agent, Snapshot};
use crate::daemon::manager::{Manager, Word};
use crate::model::{Compressed, Error, Observer, Reason, Report};
use crate::runtime::{Runtime, race, unblock};

/// The status is told no more often than this, and only when it changes.
const BETWEEN_STATUSES: Duration = Duration::from_secs(2);

/// The service manager, where there is one. Without, nothing of all this happens.
pub(super) struct Service {
    runtime: Arc<dyn Runtime>,
    manager: Option<Arc<Manager>>,
    changed: Receiver<()>,
    stopping: AtomicBool,
    /// Why the configuration could not be read again, if that was what came of the last try.
    refusal: Mutex<Option<String>>,
}

/// Notices that the status may have changed.
pub(super) struct Changes(Sender<()>);

impl Service {
    /// With `manager` or none; the second value wants to hear what happens.
    pub(super) fn new(manager: Option<Manager>, runtime: Arc<dyn Runtime>) -> (Self, Changes) {
        let (change, changed) = async_channel::bounded(1);
        let service = Service {
            runtime,
            manager: manager.map(Arc::new),
            changed,
            stopping: AtomicBool::new(false),
            refusal: Mutex::new(None),
        };
        (service, Changes(change))
    }

    /// The agent has begun to look at all its folders.
    pub(super) async fn started(&self, agent: &Agent) {
        self.tell_with_status(agent, Word::Ready).await;
    }

    pub(super) async fn reloading(&self) {
        if !self.is_stopping() {
            self.tell([Word::Reloading], None).await;
        }
    }

    /// The configuration was read again, or was not taken, for this reason.
    pub(super) async fn reloaded(&self, agent: &Agent, refusal: Option<String>) {
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = refusal;
        if !self.is_stopping() {
            self.tell_with_status(agent, Word::Ready).await;
        }
    }

    /// The drain begins.
    pub(super) async fn stopping(&self, agent: &Agent) {
        self.stopping.store(true, Ordering::Release);
        self.tell_with_status(agent, Word::Stopping).await;
    }

    /// The agent has ended.
    pub(super) async fn ended(&self, report: &Report) {
        self.stopping.store(true, Ordering::Release);
        self.tell([Word::Stopping], Some(report.to_string())).await;
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Tells how the agent gets on, and that it is alive. Never ends by itself.
    pub(super) async fn attend<T>(&self, agent: &Agent) -> T {
        if self.manager.is_none() {
            return std::future::pending().await;
        }
        race(vec![
            Box::pin(self.keep_status(agent)),
            Box::pin(self.keep_alive(agent)),
        ])
        .await
    }

    /// Wakes when something happened, and not otherwise.
    async fn keep_status<T>(&self, agent: &Agent) -> T {
        let mut told = String::new();
        loop {
            let _ = self.changed.recv().await;
            if let Some(text) = self.status(agent).await
                && text != told
            {
                self.tell([], Some(text.clone())).await;
                told = text;
            }
            self.pause(BETWEEN_STATUSES).await;
        }
    }

    /// Twice in the time that the manager gives: once may be late.
    async fn keep_alive<T>(&self, agent: &Agent) -> T {
        let Some(limit) = self.manager.as_ref().and_then(|manager| manager.watchdog()) else {
            return std::future::pending().await;
        };
        loop {
            let asked = self.runtime.now();
            if agent.snapshot().await.is_ok() {
                self.tell([Word::Alive], None).await;
            }
            self.pause_until(asked + limit / 2).await;
        }
    }

    async fn tell_with_status(&self, agent: &Agent, word: Word<'static>) {
        if self.manager.is_some() {
            let status = self.status(agent).await;
            self.tell([word], status).await;
        }
    }

    /// On a thread for blocking work, and each message after the one before it has been told.
    async fn tell<const N: usize>(&self, words: [Word<'static>; N], status: Option<String>) {
        let Some(manager) = self.manager.clone() else { return };
        let work = move || {
            let status = status.as_deref().map(Word::Status);
            manager.tell(&words.into_iter().chain(status).collect::<Vec<_>>())
        };
        if let Some(Err(error)) = unblock(&*self.runtime, work).await {
            warn!("cannot tell the service manager: {error}");
        }
    }

    /// None where the agent has ended, or does not answer.
    async fn status(&self, agent: &Agent) -> Option<String> {
        let snapshot = agent.snapshot().await.ok()?;
        let refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        Some(describe(&snapshot, self.is_stopping(), refusal.as_deref()))
    }

    async fn pause(&self, time: Duration) {
        self.pause_until(self.runtime.now() + time).await;
    }

    async fn pause_until(&self, moment: Instant) {
        self.runtime.sleep_until(moment).await;
    }
}

/// One line, of which a person who looks at the service wants the first part first.
fn describe(snapshot: &Snapshot, stopping: bool, refusal: Option<&str>) -> String {
    let report = &snapshot.report;
    let (compressed, skipped, failed, pending) = (Compressed(report), report.skipped, report.failed, snapshot.pending);
    let before = match refusal {
        Some(refusal) if !stopping => format!("Reload refused: {refusal}; going on as before. "),
        _ => String::new(),
    };
    let folders = match snapshot.watches.len() {
        _ if stopping => "stopping".to_owned(),
        1 => "1 folder".to_owned(),
        many => format!("{many} folders"),
    };
    let paused = match snapshot.paused.len() {
        0 => String::new(),
        many => format!(", {many} paused"),
    };
    format!("{before}{compressed}; {skipped} skipped, {failed} failed, {pending} pending; {folders}{paused}")
}

impl Changes {
    fn note(&self) {
        // One that is there already is enough.
        let _ = self.0.try_send(());
    }
}

impl Observer for Changes {
    fn compressed(&self, _: &Path, _: &Path, _: &Path, _: u64, _: u64, _: Duration) {
        self.note();
    }

    fn skipped(&self, _: &Path, _: &Path, _: &Reason) {
        self.note();
    }

    fn failed(&self, _: &Path, _: &Path, _: &Error, _: Option<Duration>) {
        self.note();
    }

    fn paused(&self, _: &Path, _: &Error, _: Duration) {
        self.note();
    }

    fn draining(&self, _: usize) {
        self.note();
    }
}
