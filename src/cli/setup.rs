//! What commands do before their own work: read the configuration, let the command line override it, begin to log.

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::WorkerGuard;

use super::args::Common;
use super::print;
use crate::config::{self, Config, Diagnostic, Log, LogFormat, LogLevel};
use crate::daemon::logging::{self, Format as LogLines};
use crate::daemon::sandbox::{self, Denial};
use crate::model::{Escaped, Format, Level};
use crate::policy::{Shard, Watch};

/// The settings that hold, and what is odd about them.
pub(super) struct Setup {
    pub(super) config: Config,
    /// The files that it was read from; none where the command line names the folders.
    pub(super) files: Vec<PathBuf>,
    pub(super) warnings: Vec<Diagnostic>,
}

/// The configuration, with what the command line says instead; nothing, after telling why, where it cannot be used. With `watches`, no
/// configuration is read.
pub(super) fn read(files: &[PathBuf], overrides: Overrides, watches: Option<Vec<Watch>>) -> Option<Setup> {
    if let Some(watches) = watches {
        let config = Config {
            watches,
            ..Config::default()
        };
        return Some(Setup {
            config: overrides.applied_to(config),
            files: Vec::new(),
            warnings: Vec::new(),
        });
    }
    match read_files(files, overrides) {
        Ok(setup) => Some(setup),
        Err(Unusable::Wrong(problems)) => {
            print::problems(&problems);
            None
        }
        Err(Unusable::Empty(sentence)) => {
            print::complain(&sentence);
            None
        }
    }
}

/// What the command line says of the configuration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Overrides {
    workers: Option<usize>,
    level: Option<Level>,
    shard: Option<Shard>,
}

impl Overrides {
    pub(super) fn of(common: &Common, shard: Option<Shard>) -> Self {
        Overrides {
            workers: common.workers.map(usize::from),
            level: common.level_of(Format::Gzip),
            shard,
        }
    }

    /// Each watch says its level from now on, so that another one is another watch.
    fn applied_to(self, mut config: Config) -> Config {
        config.workers = self.workers.or(config.workers);
        config.level = self.level.unwrap_or(config.level);
        for watch in &mut config.watches {
            watch.level = Some(watch.level_or(config.level));
            watch.shard = self.shard;
        }
        config
    }
}

/// Why there is nothing to go by.
#[derive(Debug)]
pub(super) enum Unusable {
    Wrong(Vec<Diagnostic>),
    /// Nothing is to be watched; what to do about it.
    Empty(String),
}

/// The configuration in these files, or in those at the default place, with what the command line says instead. Blocks, and prints nothing.
///
/// # Errors
///
/// Where it cannot be used.
pub(super) fn read_files(files: &[PathBuf], overrides: Overrides) -> Result<Setup, Unusable> {
    let loaded = config::load(files).map_err(Unusable::Wrong)?;
    if loaded.config.watches.is_empty() {
        return Err(Unusable::Empty(nothing_to_watch(&loaded.files)));
    }
    Ok(Setup {
        config: overrides.applied_to(loaded.config),
        files: loaded.files,
        warnings: loaded.warnings,
    })
}

/// Log events go to standard error from now on, until the guard is dropped.
pub(super) fn log(common: &Common, log: Log) -> WorkerGuard {
    let format = common.log_format.unwrap_or(match log.format {
        LogFormat::Auto => LogLines::Auto,
        LogFormat::Text => LogLines::Text,
        LogFormat::Json => LogLines::Json,
        LogFormat::Journald => LogLines::Journald,
    });
    let level = match log.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let level = logging::stepped(level, common.verbosity());
    logging::init(format, level, common.color)
}

/// Why these watches cannot begin: folders that are not there, or that the sandbox of a service keeps from us; a sentence each, with what to
/// do about it. With `only_look`, nothing has to be written to.
pub(super) fn obstacles<'a>(watches: impl IntoIterator<Item = &'a Watch>, only_look: bool) -> Vec<String> {
    let obstacle = |watch: &Watch| match denial(watch, only_look) {
        Some(denial) => Some(denial.to_string()),
        None => (!is_folder(watch.path())).then(|| no_such_folder(watch.path())),
    };
    watches.into_iter().filter_map(obstacle).collect()
}

/// What the sandbox of a service keeps from a watch.
pub(super) fn denial(watch: &Watch, only_look: bool) -> Option<Denial> {
    let path = watch.path();
    if only_look || !is_folder(path) {
        return sandbox::denial(path, false);
    }
    let own = [&watch.done_dir, &watch.failed_dir].into_iter().flatten();
    let own = own.map(|folder| path.join(folder)).chain([watch.output_folder()]);
    let itself = watch.writes_to_its_folder().then(|| path.to_owned());
    let mut written = itself.into_iter().chain(own);
    written.find_map(|folder| sandbox::denial(&folder, true))
}

/// As many workers as there are where nobody says how many.
pub(super) fn all_cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Whether there is such a folder. A question that a signal interrupted is asked again.
fn is_folder(path: &Path) -> bool {
    loop {
        match std::fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            found => return found.is_ok_and(|found| found.is_dir()),
        }
    }
}

/// What to do about a watched folder that is not there.
fn no_such_folder(folder: &Path) -> String {
    let path = Escaped(folder);
    format!("{path} is not there, or is no folder: make it first (mkdir {path}), or correct the path")
}

/// Who says what is watched, for the message to another agent.
pub(super) fn teller(files: &[PathBuf]) -> OsString {
    if files.is_empty() {
        return "the command line".into();
    }
    let whole = |file: &PathBuf| file.canonicalize().unwrap_or_else(|_| file.clone()).into_os_string();
    files.iter().map(whole).collect::<Vec<_>>().join(OsStr::new(", "))
}

fn nothing_to_watch(files: &[PathBuf]) -> String {
    match files.first() {
        None => "there is nothing to watch: name a folder (dwindle run DIR), a configuration (-c FILE), or write /etc/dwindle/config.toml"
            .to_owned(),
        Some(file) => format!(
            "there is nothing to watch: the configuration has no [[watch]]. Add that line to {}, and below it one like path = \"/srv/inbox\"",
            Escaped(file)
        ),
    }
}
