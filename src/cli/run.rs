//! `dwindle run`: the agent, until a signal stops it; one pass with `--once`; one look with `--dry-run`.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tracing::{debug, warn};

use super::args::{Common, Run};
use super::exit::Exit;
use super::setup::{self, Setup};
use super::{dry_run, print};
use crate::agent::{Agent, AgentError};
use crate::daemon::NotifyWatcher;
use crate::daemon::instance::{self, Instance, Refused};
use crate::daemon::logging::LogObserver;
use crate::daemon::signals::{Signal, Signals};
use crate::model::{Escaped, Report};
use crate::policy::{Preset, Watch};
use crate::runtime::{Smol, race};

/// Runs the command to its end.
pub(super) fn run(common: &Common, arguments: &Run) -> Result<Exit> {
    if let Some((outer, inner)) = overlap(&arguments.dirs) {
        let (outer, inner) = (Escaped(outer), Escaped(inner));
        print::complain(format_args!(
            "{inner} is watched already as a part of {outer}: name each folder once, and none that lies in another"
        ));
        return Ok(Exit::Usage);
    }
    let Some(Setup {
        config,
        files,
        warnings,
    }) = setup::read(common, watches_of(&arguments.dirs))
    else {
        return Ok(Exit::BadConfiguration);
    };
    if let Some(missing) = config.watches.iter().find(|watch| !watch.path().is_dir()) {
        print::complain(setup::no_such_folder(missing.path()));
        return Ok(Exit::TryLater);
    }
    if arguments.dry_run {
        return dry_run::run(&config.watches);
    }
    let _log = setup::log(common, config.log);
    for warning in &warnings {
        warn!("{}", warning.message());
    }
    // Before the first file is touched, so that no signal ever finds us unprepared.
    let (signals, runtime) = match Signals::listen().and_then(|signals| Ok((signals, Smol::new()?))) {
        Ok(started) => started,
        Err(error) => {
            print::complain(format_args!("cannot start now: {error}"));
            return Ok(Exit::TryLater);
        }
    };
    // Held until the end. After the signals, since a limit on the size of files would end the process here.
    let _instance = match lock(&config.watches, &files) {
        Ok(instance) => instance,
        Err(refused) => {
            print::complain(refused);
            return Ok(Exit::TryLater);
        }
    };
    let mut builder = Agent::builder()
        .level(config.level)
        .observer(Arc::new(LogObserver::default()))
        .runtime(Arc::new(runtime));
    if let Some(workers) = config.workers {
        builder = builder.workers(workers);
    }
    if !arguments.once {
        builder = builder.watcher(Arc::new(NotifyWatcher));
    }
    for watch in config.watches {
        builder = builder.watch(watch);
    }
    let ended = smol::block_on(async {
        let agent = builder.start().await?;
        if arguments.once {
            agent.end_when_done(config.shutdown_timeout).await?;
        }
        until_ended(&agent, &signals, config.shutdown_timeout).await
    });
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

/// Keeps other agents from the watched folders. Where there is no place for locks, folders that a person named are watched without; a
/// configuration is for services, which nobody looks at when they start.
fn lock(watches: &[Watch], files: &[PathBuf]) -> Result<Option<Instance>> {
    let folders = watches.iter().map(Watch::path);
    match Instance::lock(&instance::runtime_directory(), folders, &teller(files)) {
        Ok(instance) => Ok(Some(instance)),
        Err(refused @ Refused::NoDirectory { .. }) if files.is_empty() => {
            warn!("{refused}. Going on without: see to it that no other agent watches the same folder");
            Ok(None)
        }
        Err(refused @ Refused::NoDirectory { .. }) => {
            bail!("{refused}. Name one that belongs to you alone in the variable RUNTIME_DIRECTORY")
        }
        Err(refused) => Err(refused.into()),
    }
}

/// Who says what is watched, for the message to another agent.
fn teller(files: &[PathBuf]) -> OsString {
    if files.is_empty() {
        return "the command line".into();
    }
    let whole = |file: &PathBuf| file.canonicalize().unwrap_or_else(|_| file.clone()).into_os_string();
    files.iter().map(whole).collect::<Vec<_>>().join(OsStr::new(", "))
}

/// How the agent ended.
struct Ended {
    report: Report,
    /// The second signal, which cut the drain short.
    aborted_by: Option<Signal>,
}

/// The first signal begins the drain, the second aborts it.
async fn until_ended(agent: &Agent, signals: &Signals, limit: Duration) -> Result<Ended, AgentError> {
    enum Event {
        Ended(Result<Report, AgentError>),
        Signal(Signal),
    }
    let mut draining = false;
    let mut aborted_by = None;
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
                });
            }
            Event::Signal(signal) if draining => {
                debug!("second signal: giving up what is in flight");
                aborted_by.get_or_insert(signal);
                // Where it has ended in this moment, its report is next.
                let _ = agent.abort().await;
            }
            Event::Signal(_) => {
                draining = true;
                let _ = agent.drain(Some(limit)).await;
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
