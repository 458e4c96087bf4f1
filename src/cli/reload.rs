//! SIGHUP: the configuration is read again. All of it is checked before anything changes, and what cannot be used changes nothing.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::{error, info, warn};

use super::service::Service;
use super::setup::{self, Overrides, Setup, Unusable};
use super::watch_observers::WatchObservers;
use crate::agent::{Agent, AgentError};
use crate::config::{Config, Diagnostic};
use crate::daemon::control::Control;
use crate::daemon::instance::Instance;
use crate::daemon::signals::Signals;
use crate::model::Escaped;
use crate::policy::{Watch, WatchId};
use crate::runtime::{Runtime, WaitGroup, unblock};

/// What holds now, and where to read what is to hold.
pub(super) struct Reloader<'a> {
    /// As the command line names them; none for those at the default place.
    pub(super) files: Vec<PathBuf>,
    pub(super) overrides: Overrides,
    pub(super) config: Config,
    pub(super) watches: Vec<(Watch, WatchId)>,
    /// The locks on the watched folders.
    pub(super) instance: Arc<Instance>,
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) observers: WatchObservers,
    /// Tells who asks by what the agent is configured.
    pub(super) control: Option<&'a Control>,
}

/// Why nothing was changed: sentences, each naming what it is about.
type Refusal = Vec<String>;

/// What is to be taken over.
struct Prepared {
    setup: Setup,
    plan: Plan,
    instance: Arc<Instance>,
    /// Who says what is watched.
    teller: OsString,
}

/// How the watches that are come from those that were.
struct Plan {
    /// Those that stay as they are.
    stay: Vec<(Watch, WatchId)>,
    come: Vec<Watch>,
    go: Vec<(Watch, WatchId)>,
}

impl Reloader<'_> {
    /// Reads the configuration again each time when it is asked to. Never ends by itself.
    pub(super) async fn follow<T>(
        mut self,
        agent: &Agent,
        signals: &Signals,
        service: &Service,
        shutdown_timeout: &Mutex<Duration>,
    ) -> T {
        loop {
            signals.next_reload().await;
            if service.is_stopping() {
                continue;
            }
            service.reloading().await;
            let refusal = match self.reload(agent).await {
                Ok(()) => {
                    *shutdown_timeout.lock().unwrap_or_else(PoisonError::into_inner) = self.config.shutdown_timeout;
                    None
                }
                Err(sentences) => {
                    for sentence in &sentences {
                        error!(name: "reload-refused", "{sentence}");
                    }
                    error!(name: "reload-refused", "the configuration was not taken over: everything goes on as before");
                    sentences.into_iter().next()
                }
            };
            service.reloaded(agent, refusal).await;
        }
    }

    async fn reload(&mut self, agent: &Agent) -> Result<(), Refusal> {
        let prepared = self.prepare().await?;
        for warning in &prepared.setup.warnings {
            warn!(name: "configuration", "{}", warning.message());
        }
        // What is surplus by the rules of those that are there may belong to one that comes.
        if agent.hold_upkeep(true).await.is_err() {
            return Ok(());
        }
        let taken_over = self.take_over(agent, prepared).await;
        // Where the agent has ended, nothing is looked for any more.
        let _ = agent.hold_upkeep(false).await;
        taken_over
    }

    async fn take_over(&mut self, agent: &Agent, prepared: Prepared) -> Result<(), Refusal> {
        let Prepared {
            setup,
            plan,
            instance,
            teller,
        } = prepared;
        let mut came = Vec::new();
        // Those that come are there before those that go have gone: no file falls in between, and a folder that cannot be had after all
        // leaves everything as it was. Two watches on one folder are no matter for a moment.
        for watch in &plan.come {
            match agent.add_observed_watch(watch.clone(), self.observers.of(watch)).await {
                Ok((id, _)) => came.push((watch.clone(), id)),
                Err(AgentError::Ended) => return Ok(()),
                Err(error) => {
                    self.take_out(agent, &came, instance).await;
                    return Err(vec![error.to_string()]);
                }
            }
        }
        let left = std::mem::replace(&mut self.instance, instance);
        self.take_out(agent, &plan.go, left).await;
        // Who reads this may rely on it: nothing more is begun by the old rules.
        self.tell_what_waits(&setup.config);
        tell(&plan, &came);
        if let Some(control) = self.control {
            control.configured_by(Path::new(&teller));
        }
        self.config = setup.config;
        self.watches = plan.stay;
        self.watches.append(&mut came);
        Ok(())
    }

    /// Everything that can be known without changing anything, and the locks.
    async fn prepare(&self) -> Result<Prepared, Refusal> {
        let (files, overrides) = (self.files.clone(), self.overrides);
        let (watches, instance) = (self.watches.clone(), Arc::clone(&self.instance));
        let work = move || {
            let setup = setup::read_files(&files, overrides).map_err(sentences)?;
            let plan = Plan::new(watches, &setup.config.watches);
            let obstacles = setup::obstacles(&plan.come, false);
            if !obstacles.is_empty() {
                return Err(obstacles);
            }
            let folders = setup.config.watches.iter().map(Watch::path);
            let teller = setup::teller(&setup.files);
            let instance = instance.follow(folders, &teller);
            let instance = instance.map_err(|refused| vec![refused.to_string()])?;
            Ok(Prepared {
                setup,
                plan,
                instance: Arc::new(instance),
                teller,
            })
        };
        let prepared = unblock(&*self.runtime, work).await;
        prepared.unwrap_or_else(|| {
            Err(vec![
                "the configuration could not be read (a fault in dwindle)".to_owned(),
            ])
        })
    }

    /// Ends these watches. Their folders stay locked until what is in flight in them has ended.
    async fn take_out(&self, agent: &Agent, watches: &[(Watch, WatchId)], locks: Arc<Instance>) {
        let mut in_flight: Vec<WaitGroup> = Vec::new();
        for (_, id) in watches {
            // Where the agent has ended, so has the watch.
            in_flight.extend(agent.take_out(*id).await.ok().flatten());
        }
        let runtime = Arc::clone(&self.runtime);
        self.runtime.spawn(Box::pin(async move {
            for work in in_flight {
                work.wait().await;
            }
            unblock(&*runtime, move || drop(locks)).await;
        }));
    }

    fn tell_what_waits(&self, new: &Config) {
        if new.workers != self.config.workers {
            warn!(name: "next-start", "`workers` has changed: that takes effect at the next start");
        }
        if new.control_socket != self.config.control_socket {
            warn!(name: "next-start", "`control-socket` has changed: that takes effect at the next start");
        }
        if new.log != self.config.log {
            warn!(name: "next-start", "[log] has changed: that takes effect at the next start");
        }
        if new.metrics != self.config.metrics {
            warn!(name: "next-start", "[metrics] has changed: that takes effect at the next start");
        }
    }
}

impl Plan {
    fn new(mut old: Vec<(Watch, WatchId)>, new: &[Watch]) -> Self {
        let (mut stay, mut come) = (Vec::new(), Vec::new());
        for watch in new {
            match old.iter().position(|(known, _)| known == watch) {
                Some(index) => stay.push(old.swap_remove(index)),
                None => come.push(watch.clone()),
            }
        }
        Plan { stay, come, go: old }
    }
}

fn tell(plan: &Plan, came: &[(Watch, WatchId)]) {
    let has = |watches: &[(Watch, WatchId)], path: &Path| watches.iter().any(|(watch, _)| watch.path() == path);
    let changed = came.iter().filter(|(watch, _)| has(&plan.go, watch.path())).count();
    for (watch, _) in &plan.go {
        let path = watch.path();
        if !has(came, path) && !has(&plan.stay, path) {
            info!(name: "not-watching", watch = %Escaped(path), "no longer watching {}", Escaped(path));
        }
    }
    let (folders, new) = (plan.stay.len() + came.len(), came.len() - changed);
    let removed = plan.go.len().saturating_sub(changed);
    info!(
        name: "reloaded",
        folders,
        new, changed, removed, "configuration read again: {new} new, {changed} changed, {removed} removed"
    );
}

fn sentences(unusable: Unusable) -> Refusal {
    match unusable {
        Unusable::Wrong(problems) => problems.iter().map(sentence).collect(),
        Unusable::Empty(sentence) => vec![sentence],
    }
}

/// In one line, as log lines are.
fn sentence(problem: &Diagnostic) -> String {
    match problem.position() {
        Some((file, line, column)) => {
            let message = Escaped(Path::new(problem.message()));
            format!("{}:{line}:{column}: {message}", Escaped(file))
        }
        None => problem.message().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Preset;

    #[test]
    fn what_is_the_same_stays_and_every_other_watch_comes_or_goes() {
        let watch = |path: &str| Watch::new(path, Preset::Inbox);
        let old = ["/a", "/b", "/b", "/c"].map(watch);
        let old = (0..).map(WatchId).zip(old).map(|(id, watch)| (watch, id)).collect();
        let changed = watch("/c").with_min_size(1);
        let plan = Plan::new(old, &[watch("/b"), changed.clone(), watch("/d")]);
        assert_eq!(plan.stay, [(watch("/b"), WatchId(1))]);
        assert_eq!(plan.come, [changed, watch("/d")]);
        let mut go: Vec<_> = plan.go.iter().map(|(_, id)| id.0).collect();
        go.sort_unstable();
        assert_eq!(go, [0, 2, 3]);
    }
}
