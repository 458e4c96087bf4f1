//! Where the metrics go while the agent runs: into a file, and to whoever asks over HTTP.

mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tracing::{info, warn};

use server::Server;

use crate::agent::Agent;
use crate::config;
use crate::daemon::hooks::{HookRunner, Tally};
use crate::daemon::metrics::{Format, Hooks, Metrics, Moment, Textfile};
use crate::model::{Escaped, Observer, Report};
use crate::runtime::{BoxFuture, Runtime, race, unblock};

/// The file is written when something has been counted, this much later, so that what comes with it is in it,
const SETTLE: Duration = Duration::from_secs(1);
/// and then not for so long, whatever comes.
const BETWEEN_WRITES: Duration = Duration::from_secs(15);
/// One that could not be written is tried again, even where nothing happens.
const BETWEEN_TRIES: Duration = Duration::from_secs(60);

/// The metrics, and the ways to them that the configuration asks for.
pub(super) struct Publication {
    runtime: Arc<dyn Runtime>,
    metrics: Arc<Metrics>,
    hooks: HookRunner,
    textfile: Option<Textfile>,
    server: Option<Server>,
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
        Ok(Some(Publication {
            runtime: Arc::clone(runtime),
            metrics: Arc::new(Metrics::new()),
            hooks: hooks.clone(),
            textfile: wanted.textfile.as_deref().map(Textfile::new),
            server,
            failing: AtomicBool::new(false),
        }))
    }

    /// Who counts.
    pub(super) fn observer(&self) -> Arc<dyn Observer> {
        Arc::clone(&self.metrics) as Arc<dyn Observer>
    }

    /// Publishes what is counted. Never ends by itself.
    pub(super) async fn attend<T>(&self, agent: &Agent) -> T {
        race(vec![
            Box::pin(self.keep_textfile(agent)) as BoxFuture<'_, T>,
            Box::pin(self.serve(agent)),
        ])
        .await
    }

    /// The file's last numbers, which stay when the process has gone.
    pub(super) async fn ended(&self, report: &Report) {
        self.write(&Moment::Ended(report)).await;
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
        let Some(result) = unblock(&*self.runtime, move || textfile.write(&text)).await else {
            return false;
        };
        let (written, failed_before) = (result.is_ok(), self.failing.swap(result.is_err(), Ordering::Relaxed));
        match result {
            Ok(()) if failed_before => info!(name: "metrics", "metrics are written to {path} again"),
            Err(error) if !failed_before => warn!(name: "metrics", "no metrics for now; this is tried again: {error}"),
            _ => {}
        }
        written
    }

    async fn pause(&self, time: Duration) {
        self.runtime.sleep_until(self.runtime.now() + time).await;
    }

    async fn serve<T>(&self, agent: &Agent) -> T {
        let Some(server) = &self.server else {
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
