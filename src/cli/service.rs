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
use crate::model::{Compressed, Error, Failure, Observer, Reason, Report, Success};
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
            warn!(name: "manager", "cannot tell the service manager: {error}");
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
    let paused = match snapshot.watches.iter().filter(|watch| watch.paused).count() {
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
    fn compressed(&self, _: &Path, _: &Path, _: &Success<'_>) {
        self.note();
    }

    fn skipped(&self, _: &Path, _: &Path, _: &Reason) {
        self.note();
    }

    fn failed(&self, _: &Path, _: &Path, _: &Failure<'_>) {
        self.note();
    }

    fn paused(&self, _: &Path, _: &Error, _: Duration) {
        self.note();
    }

    fn draining(&self, _: usize) {
        self.note();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::retry_on_intr;
    use rustix::net::{RecvFlags, recv};
    use std::fs;
    use std::os::unix::net::UnixDatagram;
    use std::sync::Condvar;
    use std::thread;

    use crate::agent::WatchState;
    use crate::policy::{Preset, Watch, WriterCheck};
    use crate::runtime::{BoxFuture, Smol, block_on};

    const LIMIT: Duration = Duration::from_millis(100);

    /// Long enough for a loaded machine; only a failing test waits so long.
    const DEADLINE: Duration = Duration::from_secs(30);

    /// Holds up whoever passes it while it is closed.
    #[derive(Default)]
    struct Gate {
        state: Mutex<(bool, usize)>,
        changed: Condvar,
    }

    impl Gate {
        fn set(&self, closed: bool) {
            self.state.lock().unwrap().0 = closed;
            self.changed.notify_all();
        }

        fn pass(&self) {
            let mut state = self.state.lock().unwrap();
            state.1 += 1;
            self.changed.notify_all();
            drop(self.changed.wait_while(state, |(closed, _)| *closed).unwrap());
        }

        /// Waits until somebody has come to it.
        fn wait_for_somebody(&self) {
            let state = self.state.lock().unwrap();
            let (_state, waited) = self
                .changed
                .wait_timeout_while(state, DEADLINE, |(_, came)| *came == 0)
                .unwrap();
            assert!(!waited.timed_out(), "nobody came to the gate");
        }
    }

    /// One holds up the agent's task, the other a worker.
    #[derive(Default)]
    struct Gates {
        of_task: Gate,
        of_worker: Gate,
    }

    impl Observer for Gates {
        fn started(&self, _: &Path, _: u64) {
            self.of_worker.pass();
        }

        fn compressed(&self, _: &Path, _: &Path, _: &Success<'_>) {
            self.of_task.pass();
        }
    }

    /// Has a gate before all work that blocks.
    struct Pool {
        inner: Smol,
        gate: Arc<Gate>,
    }

    impl Runtime for Pool {
        fn spawn(&self, task: BoxFuture<'static, ()>) {
            self.inner.spawn(task);
        }

        fn sleep_until(&self, deadline: Instant) -> BoxFuture<'static, ()> {
            self.inner.sleep_until(deadline)
        }

        fn unblock(&self, work: Box<dyn FnOnce() + Send + 'static>) {
            let gate = Arc::clone(&self.gate);
            self.inner.unblock(Box::new(move || {
                gate.pass();
                work();
            }));
        }

        fn now(&self) -> Instant {
            self.inner.now()
        }
    }

    /// Runs an agent with one file to compress under a manager with a watchdog, for as long as `watch` takes; it is given the manager's
    /// socket.
    fn attended(gates: &Arc<Gates>, of_pool: &Arc<Gate>, watch: impl FnOnce(&UnixDatagram)) {
        let folder = tempfile::tempdir().unwrap();
        let inbox = folder.path().join("inbox");
        fs::create_dir(&inbox).unwrap();
        fs::write(inbox.join("F"), "text").unwrap();
        let path = folder.path().join("socket");
        let socket = UnixDatagram::bind(&path).unwrap();
        let manager = Manager::new(path.as_os_str(), Some(LIMIT)).unwrap();
        let runtime: Arc<dyn Runtime> = Arc::new(Pool {
            inner: Smol::new().unwrap(),
            gate: Arc::clone(of_pool),
        });
        let (service, _changes) = Service::new(Some(manager), Arc::clone(&runtime));
        let rules = Watch::new(&inbox, Preset::Inbox).with_settle(Duration::ZERO);
        let builder = Agent::builder().runtime(runtime).observer(Arc::clone(gates) as _);
        let builder = builder.watch(rules.with_writer_check(WriterCheck::Quiet));
        let agent = block_on(builder.start()).unwrap();
        let (stop, stopped) = async_channel::bounded::<()>(1);
        thread::scope(|scope| {
            scope.spawn(|| {
                block_on(race(vec![
                    Box::pin(service.attend::<()>(&agent)),
                    Box::pin(async {
                        let _ = stopped.recv().await;
                    }),
                ]));
            });
            // Ended by a panic, too, or the scope would wait for ever.
            let _stop = stop;
            watch(&socket);
        });
    }

    fn is_alive_within(socket: &UnixDatagram, time: Duration) -> bool {
        let mut buffer = [0; 256];
        socket.set_read_timeout(Some(time)).unwrap();
        // A wait with a limit is interrupted when the process goes on after it was stopped (signal(7)).
        let length = retry_on_intr(|| recv(socket, &mut buffer, RecvFlags::empty()));
        length.is_ok_and(|(length, _)| {
            assert_eq!(&buffer[..length], b"WATCHDOG=1\n");
            true
        })
    }

    /// But for the signs that are there already and one that was on its way.
    fn falls_silent(socket: &UnixDatagram) -> bool {
        while is_alive_within(socket, Duration::from_millis(1)) {}
        (0..2).any(|_| !is_alive_within(socket, 5 * LIMIT))
    }

    #[test]
    fn an_agent_whose_task_hangs_is_not_alive() {
        let gates = Arc::<Gates>::default();
        gates.of_task.set(true);
        attended(&gates, &Arc::default(), |socket| {
            gates.of_task.wait_for_somebody();
            let silent = falls_silent(socket);
            gates.of_task.set(false);
            assert!(silent);
            assert!(is_alive_within(socket, DEADLINE));
        });
    }

    #[test]
    fn an_agent_without_a_thread_for_its_work_is_not_alive() {
        let (gates, of_pool) = (Arc::<Gates>::default(), Arc::<Gate>::default());
        attended(&gates, &of_pool, |socket| {
            assert!(is_alive_within(socket, DEADLINE));
            of_pool.set(true);
            let silent = falls_silent(socket);
            of_pool.set(false);
            assert!(silent);
            assert!(is_alive_within(socket, DEADLINE));
        });
    }

    #[test]
    fn an_agent_whose_worker_takes_long_is_alive() {
        let gates = Arc::<Gates>::default();
        gates.of_worker.set(true);
        attended(&gates, &Arc::default(), |socket| {
            gates.of_worker.wait_for_somebody();
            let alive = (0..5).all(|_| is_alive_within(socket, DEADLINE));
            gates.of_worker.set(false);
            assert!(alive);
        });
    }

    #[test]
    fn a_status_says_first_what_somebody_has_to_know() {
        let mut snapshot = Snapshot::default();
        let text = |snapshot: &Snapshot, stopping, refusal| describe(snapshot, stopping, refusal);
        assert_eq!(
            text(&snapshot, false, None),
            "Compressed 0 files; 0 skipped, 0 failed, 0 pending; 0 folders"
        );
        snapshot.watches = vec![WatchState::default(); 2];
        snapshot.watches[0].paused = true;
        snapshot.pending = 3;
        snapshot.report.compressed = 1;
        snapshot.report.bytes_in = 100;
        snapshot.report.bytes_out = 50;
        snapshot.report.failed = 2;
        let numbers = "Compressed 1 file: 100 B -> 50 B (50.0% smaller); 0 skipped, 2 failed, 3 pending";
        assert_eq!(
            text(&snapshot, false, Some("a.toml:1:1: wrong")),
            format!("Reload refused: a.toml:1:1: wrong; going on as before. {numbers}; 2 folders, 1 paused")
        );
        assert_eq!(
            text(&snapshot, true, Some("a.toml:1:1: wrong")),
            format!("{numbers}; stopping, 1 paused")
        );
    }
}
