//! Where the metrics go while the agent runs: into a file, and to whoever asks over HTTP.

mod server;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::{info, warn};

use server::Server;

use crate::agent::Agent;
use crate::config;
use crate::daemon::hooks::{HookRunner, Tally};
use crate::daemon::metrics::{Format, Hooks, Metrics, Moment, Textfile};
use crate::daemon::sandbox;
use crate::model::{Escaped, Observer, Report};
use crate::runtime::{BoxFuture, Runtime, race, unblock};

/// The file is written when something has been counted, this much later, so that what comes with it is in it,
const SETTLE: Duration = Duration::from_secs(1);
/// and then not for so long, whatever comes.
const BETWEEN_WRITES: Duration = Duration::from_secs(15);
/// One that could not be written is tried again, even where nothing happens.
const BETWEEN_TRIES: Duration = Duration::from_secs(60);
/// Where the file's server does not answer, the program's end does not wait for it.
const LONGEST_LAST_WRITE: Duration = Duration::from_secs(5);

/// The metrics, and the ways to them that the configuration asks for.
pub(super) struct Publication {
    runtime: Arc<dyn Runtime>,
    metrics: Arc<Metrics>,
    hooks: HookRunner,
    textfile: Option<Arc<Textfile>>,
    /// Until it is attended to: whoever does that has it then, so that nobody waits for an answer when that is over.
    server: Mutex<Option<Server>>,
    /// The file could not be written the last time.
    failing: AtomicBool,
}

impl Publication {
    /// Listens from here on where that is asked for; nobody is answered before [`attend`](Self::attend). Nothing where nobody wants metrics.
    ///
    /// # Errors
    ///
    /// A sentence, where the address cannot be had.
    pub(super) fn new(
        wanted: &config::Metrics,
        runtime: &Arc<dyn Runtime>,
        hooks: &HookRunner,
    ) -> Result<Option<Self>, String> {
        if *wanted == config::Metrics::default() {
            return Ok(None);
        }
        let server = wanted.listen.map(Server::bind).transpose()?;
        let metrics = Metrics::new();
        hooks.tell(metrics.changes());
        Ok(Some(Publication {
            runtime: Arc::clone(runtime),
            metrics: Arc::new(metrics),
            hooks: hooks.clone(),
            textfile: wanted.textfile.as_deref().map(|path| Arc::new(Textfile::new(path))),
            server: Mutex::new(server),
            failing: AtomicBool::new(false),
        }))
    }

    /// Who counts.
    pub(super) fn observer(&self) -> Arc<dyn Observer> {
        Arc::clone(&self.metrics) as Arc<dyn Observer>
    }

    /// Publishes what is counted. Never ends by itself; dropped, it listens no longer.
    pub(super) async fn attend<T>(&self, agent: &Agent) -> T {
        race(vec![
            Box::pin(self.keep_textfile(agent)) as BoxFuture<'_, T>,
            Box::pin(self.serve(agent)),
        ])
        .await
    }

    /// The file's last numbers, which stay when the process has gone. Takes a few seconds at most.
    pub(super) async fn ended(&self, report: &Report) {
        let Some(textfile) = &self.textfile else {
            return;
        };
        race(vec![
            Box::pin(async {
                self.write(&Moment::Ended(report)).await;
            }) as BoxFuture<'_, ()>,
            Box::pin(async {
                self.pause(LONGEST_LAST_WRITE).await;
                let (path, limit) = (Escaped(textfile.path()), LONGEST_LAST_WRITE.as_secs());
                warn!(name: "no-metrics", "the last metrics could not be written to {path} within {limit} s");
            }),
        ])
        .await;
    }

    /// Wakes when something has been counted, and not otherwise.
    async fn keep_textfile<T>(&self, agent: &Agent) -> T {
        if self.textfile.is_none() {
            return std::future::pending().await;
        }
        let mut written = self.write_now(agent).await;
        loop {
            if written {
                self.metrics.changed().await;
                self.pause(SETTLE).await;
            } else {
                self.pause(BETWEEN_TRIES).await;
            }
            written = self.write_now(agent).await;
            self.pause(BETWEEN_WRITES).await;
        }
    }

    async fn write_now(&self, agent: &Agent) -> bool {
        self.metrics.forget_changes();
        let Ok(snapshot) = agent.snapshot().await else {
            return false;
        };
        self.write(&Moment::Running(&snapshot)).await
    }

    /// Whether the file is written. One failure of several in a row is logged.
    async fn write(&self, moment: &Moment<'_>) -> bool {
        let Some(textfile) = self.textfile.clone() else {
            return false;
        };
        let path = Escaped(textfile.path()).to_string();
        let text = self.text(moment, Format::Prometheus);
        let is_last = matches!(moment, Moment::Ended(_));
        let write = move || {
            let written = if is_last {
                textfile.write_last(&text)
            } else {
                textfile.write(&text)
            };
            written.map_err(|error| match sandbox::denial(textfile.folder(), true) {
                Some(denial) => format!("{error}. {denial}"),
                None => error.to_string(),
            })
        };
        let Some(result) = unblock(&*self.runtime, write).await else {
            return false;
        };
        let (written, failed_before) = (result.is_ok(), self.failing.swap(result.is_err(), Ordering::Relaxed));
        match result {
            Ok(()) if failed_before => info!(name: "metrics", "metrics are written to {path} again"),
            Err(error) if is_last && !failed_before => {
                warn!(name: "no-metrics", "the last metrics are not written: {error}");
            }
            Err(error) if !failed_before => {
                warn!(name: "no-metrics", "no metrics for now; this is tried again: {error}");
            }
            _ => {}
        }
        written
    }

    async fn pause(&self, time: Duration) {
        self.runtime.sleep_until(self.runtime.now() + time).await;
    }

    async fn serve<T>(&self, agent: &Agent) -> T {
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(server) = server else {
            return std::future::pending().await;
        };
        server.serve(self, agent).await
    }

    /// How it is now; nothing where the agent has ended, or does not answer.
    async fn now(&self, agent: &Agent, format: Format) -> Option<String> {
        let snapshot = agent.snapshot().await.ok()?;
        Some(self.text(&Moment::Running(&snapshot), format))
    }

    fn text(&self, moment: &Moment<'_>, format: Format) -> String {
        let Tally { run, failed, not_run } = self.hooks.tally();
        let hooks = Hooks {
            succeeded: run.saturating_sub(failed),
            failed,
            not_run,
        };
        self.metrics.text(moment, hooks, format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;
    use std::path::Path;
    use std::thread;
    use std::time::Instant;

    use crate::model::Reason;
    use crate::runtime::{Smol, block_on};

    /// Lets nobody wait, and notes how long they would have.
    struct Hurried {
        inner: Smol,
        slept: Mutex<Vec<Duration>>,
        /// Work that blocks is never done.
        hangs: bool,
    }

    impl Runtime for Hurried {
        fn spawn(&self, task: BoxFuture<'static, ()>) {
            self.inner.spawn(task);
        }

        fn sleep_until(&self, deadline: Instant) -> BoxFuture<'static, ()> {
            let time = deadline.saturating_duration_since(self.inner.now());
            self.slept
                .lock()
                .unwrap()
                .push(Duration::from_secs_f64(time.as_secs_f64().round()));
            Box::pin(async {})
        }

        fn unblock(&self, work: Box<dyn FnOnce() + Send + 'static>) {
            if self.hangs {
                std::mem::forget(work);
            } else {
                self.inner.unblock(work);
            }
        }

        fn now(&self) -> Instant {
            self.inner.now()
        }
    }

    fn publication(wanted: &config::Metrics, runtime: &Arc<dyn Runtime>) -> Publication {
        let hooks = HookRunner::new().unwrap();
        Publication::new(wanted, runtime, &hooks).unwrap().unwrap()
    }

    /// Of a textfile, on a runtime that hurries, or hangs.
    fn hurried(textfile: &Path, hangs: bool) -> (Arc<Hurried>, Publication) {
        let hurried = Arc::new(Hurried {
            inner: Smol::new().unwrap(),
            slept: Mutex::default(),
            hangs,
        });
        let runtime: Arc<dyn Runtime> = Arc::clone(&hurried) as _;
        let wanted = config::Metrics {
            textfile: Some(textfile.to_owned()),
            listen: None,
        };
        let publication = publication(&wanted, &runtime);
        (hurried, publication)
    }

    fn agent() -> Agent {
        block_on(Agent::builder().runtime(Arc::new(Smol::new().unwrap())).start()).unwrap()
    }

    /// Has the file kept, in a thread, until `look` has seen enough.
    fn kept(publication: &Publication, look: impl FnOnce()) {
        let agent = agent();
        let (stop, stopped) = async_channel::bounded::<()>(1);
        thread::scope(|scope| {
            scope.spawn(|| {
                block_on(race(vec![
                    Box::pin(publication.keep_textfile::<()>(&agent)) as BoxFuture<'_, ()>,
                    Box::pin(async {
                        let _ = stopped.recv().await;
                    }),
                ]));
            });
            // Ended by a panic, too, or the scope would wait for ever.
            let _stop = stop;
            look();
        });
    }

    #[track_caller]
    fn wait_for(condition: impl Fn() -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        while !condition() {
            assert!(Instant::now() < end, "not within a minute");
            thread::yield_now();
        }
    }

    #[test]
    fn the_file_is_written_soon_after_something_is_counted_and_then_not_for_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dwindle.prom");
        let (hurried, publication) = hurried(&path, false);
        kept(&publication, || {
            wait_for(|| path.exists());
            assert!(hurried.slept.lock().unwrap().is_empty());
            for turn in 1..=2 {
                publication
                    .observer()
                    .skipped(Path::new("/a"), Path::new("F"), &Reason::Empty);
                wait_for(|| hurried.slept.lock().unwrap().len() == 2 * turn);
            }
        });
        let turn = [SETTLE, BETWEEN_WRITES];
        assert_eq!(*hurried.slept.lock().unwrap(), [turn, turn].concat());
    }

    #[test]
    fn a_file_that_cannot_be_written_is_tried_again_though_nothing_happens() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("later/dwindle.prom");
        let (hurried, publication) = hurried(&path, false);
        kept(&publication, || {
            wait_for(|| hurried.slept.lock().unwrap().len() > 2);
            std::fs::create_dir(folder.path().join("later")).unwrap();
            wait_for(|| path.exists());
        });
        assert_eq!(hurried.slept.lock().unwrap()[..2], [BETWEEN_TRIES, BETWEEN_WRITES]);
    }

    #[test]
    fn a_file_system_that_does_not_answer_holds_up_the_end_for_seconds_only() {
        let folder = tempfile::tempdir().unwrap();
        let (hurried, publication) = hurried(&folder.path().join("dwindle.prom"), true);
        block_on(publication.ended(&Report::default()));
        assert_eq!(*hurried.slept.lock().unwrap(), [LONGEST_LAST_WRITE]);
    }

    #[test]
    fn an_agent_that_has_ended_is_unavailable() {
        let runtime: Arc<dyn Runtime> = Arc::new(Smol::new().unwrap());
        let wanted = config::Metrics {
            textfile: None,
            listen: Some("127.0.0.1:0".parse().unwrap()),
        };
        let publication = publication(&wanted, &runtime);
        let address = publication.server.lock().unwrap().as_ref().unwrap().address();
        let agent = agent();
        block_on(async {
            agent.abort().await.unwrap();
            agent.report().await.unwrap();
        });
        let (answer, answered) = async_channel::bounded(1);
        thread::spawn(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            answer.send_blocking(text).unwrap();
        });
        let text = block_on(race(vec![
            Box::pin(publication.attend::<String>(&agent)) as BoxFuture<'_, String>,
            Box::pin(async { answered.recv().await.unwrap() }),
        ]));
        assert!(text.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{text}");
    }
}
