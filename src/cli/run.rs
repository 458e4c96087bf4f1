//! `dwindle run`: the agent, until a signal stops it; one pass with `--once`; one look with `--dry-run`.

use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tracing::{debug, info, warn};

use super::args::{Common, Run};
use super::exit::Exit;
use super::metrics::Publication;
use super::observers::Observers;
use super::reload::Reloader;
use super::service::Service;
use super::setup::{self, Overrides, Setup};
use super::watch_observers::WatchObservers;
use super::{control, dry_run, print};
use crate::agent::{Agent, AgentBuilder, AgentError};
use crate::codec::free_kept;
use crate::config::Config;
use crate::daemon::NotifyWatcher;
use crate::daemon::control::{Control, Ledger};
use crate::daemon::hooks::{HookRunner, Tally};
use crate::daemon::instance::{self, Instance, Refused};
use crate::daemon::logging::LogObserver;
use crate::daemon::manager::Manager;
use crate::daemon::signals::{OnHangUp, Signal, Signals};
use crate::model::{Escaped, Observer, Report};
use crate::policy::{Preset, Shard, Watch, WatchId};
use crate::runtime::{BoxFuture, Runtime, Smol, block_on, race, unblock};
use crate::storage::give_back_memory;

/// Runs the command to its end.
pub(super) fn run(common: &Common, arguments: &Run) -> Result<Exit> {
    if let Some((outer, inner)) = overlap(&arguments.dirs) {
        let (outer, inner) = (Escaped(outer), Escaped(inner));
        print::complain(format_args!(
            "{inner} is watched already as a part of {outer}: name each folder once, and none that lies in another"
        ));
        return Ok(Exit::Usage);
    }
    let overrides = Overrides::of(common, arguments.shard);
    let Some(setup) = setup::read(&common.config, overrides, watches_of(&arguments.dirs)) else {
        return Ok(Exit::BadConfiguration);
    };
    let obstacles = setup::obstacles(&setup.config.watches, arguments.dry_run);
    if !obstacles.is_empty() {
        for obstacle in obstacles {
            print::complain(obstacle);
        }
        return Ok(Exit::TryLater);
    }
    if arguments.dry_run {
        return dry_run::run(&setup.config.watches);
    }
    let _log = setup::log(common, setup.config.log);
    match serve(common, arguments, overrides, setup) {
        Ok(ended) => conclude(ended, arguments),
        Err(sentence) => {
            print::complain(sentence);
            Ok(Exit::TryLater)
        }
    }
}

/// From the start to the end of an agent.
///
/// # Errors
///
/// A sentence, where it cannot start for a reason that may pass.
fn serve(
    common: &Common,
    arguments: &Run,
    overrides: Overrides,
    setup: Setup,
) -> Result<Result<Ended, AgentError>, String> {
    let Setup {
        config,
        files,
        warnings,
    } = setup;
    for warning in &warnings {
        warn!(name: "configuration", "{}", warning.message());
    }
    // Without a file there is nothing to read again: then it is the terminal that is gone.
    let reloads = !files.is_empty() && !arguments.once;
    let on_hang_up = if reloads { OnHangUp::Reload } else { OnHangUp::Stop };
    let cannot_start = |error: io::Error| format!("cannot start now: {error}");
    // Before the first file is touched, so that no signal ever finds us unprepared.
    let signals = Signals::listen(on_hang_up).map_err(cannot_start)?;
    let runtime: Arc<dyn Runtime> = Arc::new(Smol::with_rest(Some(rest)).map_err(cannot_start)?);
    // Held until the end. After the signals, since a limit on the size of files would end the process here.
    let instance = lock(&config.watches, arguments.shard, &files).map_err(|refused| refused.to_string())?;
    let socket = control::claim(&config, reloads && arguments.shard.is_none()).map_err(|taken| taken.to_string())?;
    let hooks = HookRunner::new().map_err(cannot_start)?;
    let metrics = Publication::new(&config.metrics, &runtime, &hooks)?;
    let (service, changes) = Service::new(manager(), Arc::clone(&runtime));
    let mut of_all: Vec<Arc<dyn Observer>> = vec![Arc::new(LogObserver::default()), Arc::new(changes)];
    of_all.extend(metrics.as_ref().map(Publication::observer));
    let control = socket.and_then(|socket| {
        let workers = config.workers.unwrap_or_else(setup::all_cpus);
        let ledger = Arc::new(Ledger::new(Path::new(&setup::teller(&files)), workers));
        of_all.push(Arc::clone(&ledger) as _);
        control::serve(socket, ledger)
    });
    let observers = WatchObservers {
        of_all: Arc::new(Observers(of_all)),
        hooks: hooks.clone(),
    };
    let mut builder = Agent::builder()
        .level(config.level)
        .observer(Arc::clone(&observers.of_all))
        .runtime(Arc::clone(&runtime));
    if let Some(workers) = config.workers {
        builder = builder.workers(workers);
    }
    if !arguments.once {
        builder = builder.watcher(Arc::new(NotifyWatcher));
    }
    Ok(block_on(live(Life {
        builder,
        config,
        files: reloads.then(|| (common.config.clone(), overrides)),
        once: arguments.once,
        instance,
        runtime,
        signals: &signals,
        service: &service,
        observers,
        control: control.as_ref(),
        metrics: metrics.as_ref(),
    })))
}

/// Prints the report, or why there is none, and says how the program ends.
fn conclude(ended: Result<Ended, AgentError>, arguments: &Run) -> Result<Exit> {
    let ended = match ended {
        Ok(ended) => ended,
        Err(AgentError::Pattern(error)) => {
            print::complain(error);
            return Ok(Exit::BadConfiguration);
        }
        Err(AgentError::Folder(error)) => {
            print::complain(error);
            return Ok(Exit::TryLater);
        }
        Err(error) => return Err(error.into()),
    };
    print::report(&ended.report, arguments.json).context("cannot write the report")?;
    Ok(match ended.aborted_by {
        Some(signal) => Exit::Signal(signal),
        None if arguments.once && ended.report.failed > 0 => Exit::SomeFailed,
        None => Exit::Done,
    })
}

/// When nothing was to be done for a while: nothing is kept for it, so that who only waits takes little memory.
fn rest() {
    free_kept();
    give_back_memory();
}

/// Keeps other agents from the watched folders. Where there is no place for locks, folders that a person named are watched without; a
/// configuration is for services, which nobody looks at when they start.
fn lock(watches: &[Watch], shard: Option<Shard>, files: &[PathBuf]) -> Result<Option<Instance>> {
    let folders = watches.iter().map(Watch::path);
    match Instance::lock(&instance::lock_directory(), folders, shard, &setup::teller(files)) {
        Ok(instance) => Ok(Some(instance)),
        Err(refused @ Refused::NoDirectory { .. }) if files.is_empty() => {
            warn!(name: "no-lock", "{refused}. Going on without: see to it that no other agent watches the same folder");
            Ok(None)
        }
        Err(refused @ Refused::NoDirectory { .. }) => {
            bail!("{refused}. Name one that belongs to you alone in the variable RUNTIME_DIRECTORY")
        }
        Err(refused) => Err(refused.into()),
    }
}

/// Who is told that the service has started. One that cannot be told will find that out by itself.
fn manager() -> Option<Manager> {
    Manager::from_environment().unwrap_or_else(|error| {
        warn!(name: "manager", "the service manager cannot be told anything: {error}");
        None
    })
}

/// What an agent needs from its start to its end.
struct Life<'a> {
    builder: AgentBuilder,
    config: Config,
    /// Where to read the configuration again, and what counts more than it; none where it is not read again.
    files: Option<(Vec<PathBuf>, Overrides)>,
    once: bool,
    instance: Option<Instance>,
    runtime: Arc<dyn Runtime>,
    signals: &'a Signals,
    service: &'a Service,
    observers: WatchObservers,
    control: Option<&'a Control>,
    metrics: Option<&'a Publication>,
}

async fn live(life: Life<'_>) -> Result<Ended, AgentError> {
    let Life {
        builder,
        config,
        files,
        once,
        mut instance,
        runtime,
        signals,
        service,
        observers,
        control,
        metrics,
    } = life;
    let (hooks, hook_runtime) = (observers.hooks.clone(), Arc::clone(&runtime));
    let shutdown_timeout = Mutex::new(config.shutdown_timeout);
    let agent = builder.start_without_watches()?;
    // One for the whole time: a question that it has taken is lost with it.
    let mut attending: BoxFuture<'_, Infallible> = Box::pin(attend(control, &agent));
    let watches = race(vec![
        Box::pin(open(&agent, &config, &observers, once)) as BoxFuture<'_, Result<_, AgentError>>,
        Box::pin(async { match (&mut attending).await {} }),
    ])
    .await?;
    service.started(&agent).await;
    if let Some(control) = control {
        control.running();
    }
    let mut tasks: Vec<BoxFuture<'_, Result<Ended, AgentError>>> = vec![
        Box::pin(until_ended(&agent, signals, service, &shutdown_timeout)),
        Box::pin(service.attend(&agent)),
        Box::pin(async { match attending.await {} }),
    ];
    if let Some(metrics) = metrics {
        tasks.push(Box::pin(metrics.attend(&agent)));
    }
    if let Some((files, overrides)) = files
        && let Some(instance) = instance.take()
    {
        let reloader = Reloader {
            files,
            overrides,
            config,
            watches,
            instance: Arc::new(instance),
            runtime,
            observers,
            control,
        };
        tasks.push(Box::pin(reloader.follow(&agent, signals, service, &shutdown_timeout)));
    }
    let ended = race(tasks).await;
    if let Some(control) = control {
        control.ended();
    }
    let mut ended = ended?;
    service.ended(&ended.report).await;
    finish_hooks(&mut ended, &hooks, signals, &*hook_runtime).await;
    if let Some(metrics) = metrics {
        metrics.ended(&ended.report).await;
    }
    Ok(ended)
}

/// Has the agent watch all its folders.
async fn open(
    agent: &Agent,
    config: &Config,
    observers: &WatchObservers,
    once: bool,
) -> Result<Vec<(Watch, WatchId)>, AgentError> {
    let mut watches = Vec::new();
    for watch in &config.watches {
        let (id, _) = agent.add_observed_watch(watch.clone(), observers.of(watch)).await?;
        watches.push((watch.clone(), id));
    }
    agent.hold_upkeep(false).await?;
    if once {
        agent.end_when_done(config.shutdown_timeout).await?;
    }
    Ok(watches)
}

/// Answers what is asked through the control socket. Never ends by itself.
async fn attend<T>(control: Option<&Control>, agent: &Agent) -> T {
    match control {
        Some(control) => control.attend(agent).await,
        None => std::future::pending().await,
    }
}

/// Waits for the hooks of what was done: as long as the drain may last, or, where nobody asked for an end, to their own. A further signal
/// ends them.
async fn finish_hooks(ended: &mut Ended, hooks: &HookRunner, signals: &Signals, runtime: &dyn Runtime) {
    enum Event {
        Finished(Option<Tally>),
        Signal(Signal),
    }
    if ended.aborted_by.is_some() {
        hooks.abort();
    }
    let (runner, deadline) = (hooks.clone(), ended.deadline);
    let mut finishing: BoxFuture<'_, _> = Box::pin(unblock(runtime, move || runner.finish(deadline)));
    let tally = loop {
        let event = race(vec![
            Box::pin(async { Event::Finished((&mut finishing).await) }) as BoxFuture<'_, _>,
            Box::pin(async { Event::Signal(signals.next().await) }),
        ])
        .await;
        match event {
            Event::Finished(tally) => break tally.unwrap_or_default(),
            Event::Signal(Signal::HangUp) => {}
            // The first one where the agent ended by itself: the report stands, and the hooks may take their time.
            Event::Signal(_) if ended.deadline.is_none() => {
                ended.deadline = Some(Instant::now());
                hooks.abort();
            }
            Event::Signal(signal) => {
                ended.aborted_by.get_or_insert(signal);
                hooks.abort();
            }
        }
    };
    let Tally { run, failed, not_run } = tally;
    if failed + not_run > 0 {
        warn!(
            name: "hooks-done",
            run,
            failed, not_run, "hooks: {run} run, {failed} of them failed, {not_run} not run"
        );
    } else if run > 0 {
        info!(name: "hooks-done", run, failed, not_run, "hooks: {run} run");
    }
}

/// How the agent ended.
struct Ended {
    report: Report,
    /// The second signal, which cut the drain short.
    aborted_by: Option<Signal>,
    /// When the drain had to be over.
    deadline: Option<Instant>,
}

/// The first signal begins the drain, the second aborts it.
async fn until_ended(
    agent: &Agent,
    signals: &Signals,
    service: &Service,
    shutdown_timeout: &Mutex<Duration>,
) -> Result<Ended, AgentError> {
    enum Event {
        Ended(Result<Report, AgentError>),
        Signal(Signal),
    }
    let mut draining = false;
    let mut aborted_by = None;
    let mut deadline = None;
    loop {
        let event = race(vec![
            Box::pin(async { Event::Ended(agent.report().await) }),
            Box::pin(async { Event::Signal(signals.next().await) }),
        ])
        .await;
        match event {
            Event::Ended(report) => {
                return Ok(Ended {
                    report: report?,
                    aborted_by,
                    deadline,
                });
            }
            // A terminal that goes may say so more than once; it is no haste.
            Event::Signal(Signal::HangUp) if draining => {}
            Event::Signal(signal) if draining => {
                debug!("second signal: giving up what is in flight");
                aborted_by.get_or_insert(signal);
                // Where it has ended in this moment, its report is next.
                let _ = agent.abort().await;
            }
            Event::Signal(_) => {
                draining = true;
                let limit = *shutdown_timeout.lock().unwrap_or_else(PoisonError::into_inner);
                deadline = Instant::now().checked_add(limit);
                let _ = agent.drain(Some(limit)).await;
                service.stopping(agent).await;
            }
        }
    }
}

/// Folders named on the command line are inboxes; without any, the configuration says what is watched.
fn watches_of(folders: &[PathBuf]) -> Option<Vec<Watch>> {
    let inbox = |folder: &PathBuf| Watch::new(absolute(folder), Preset::Inbox);
    (!folders.is_empty()).then(|| folders.iter().map(inbox).collect())
}

/// Two of the folders that are the same, or of which the second lies in the first.
fn overlap(folders: &[PathBuf]) -> Option<(&Path, &Path)> {
    let real: Vec<_> = folders
        .iter()
        .filter_map(|folder| Some((folder.as_path(), folder.canonicalize().ok()?)))
        .collect();
    let pairs = real.iter().enumerate().flat_map(|(index, outer)| {
        let others = real.iter().enumerate().filter(move |(other, _)| *other != index);
        others.map(move |(_, inner)| (outer, inner))
    });
    let mut overlapping = pairs.filter(|(outer, inner)| inner.1.starts_with(&outer.1));
    overlapping.next().map(|(outer, inner)| (outer.0, inner.0))
}

/// Log lines and rules speak of whole paths; where the current folder is gone, of the path as given.
fn absolute(folder: &Path) -> PathBuf {
    std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned())
}
