//! What commands do before their own work: read the configuration, let the command line override it, begin to log.

use std::path::{Path, PathBuf};

use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::WorkerGuard;

use super::args::Common;
use super::print;
use crate::config::{self, Config, Diagnostic, Log, LogFormat, LogLevel};
use crate::daemon::logging::{self, Format};
use crate::model::Escaped;
use crate::policy::Watch;

/// The settings that hold, and what is odd about them.
pub(super) struct Setup {
    pub(super) config: Config,
    /// The files that it was read from; none where the command line names the folders.
    pub(super) files: Vec<PathBuf>,
    pub(super) warnings: Vec<Diagnostic>,
}

/// The configuration, with what the command line says instead; nothing, after telling why, where it cannot be used. With `watches`, no
/// configuration is read.
pub(super) fn read(common: &Common, watches: Option<Vec<Watch>>) -> Option<Setup> {
    let (mut config, files, warnings) = if let Some(watches) = watches {
        let config = Config {
            watches,
            ..Config::default()
        };
        (config, Vec::new(), Vec::new())
    } else {
        let loaded = match config::load(&common.config) {
            Ok(loaded) => loaded,
            Err(problems) => {
                print::problems(&problems);
                return None;
            }
        };
        if loaded.config.watches.is_empty() {
            print::complain(nothing_to_watch(&loaded.files));
            return None;
        }
        (loaded.config, loaded.files, loaded.warnings)
    };
    config.workers = common.workers.map(usize::from).or(config.workers);
    config.level = common.level.unwrap_or(config.level);
    Some(Setup {
        config,
        files,
        warnings,
    })
}

/// Log events go to standard error from now on, until the guard is dropped.
pub(super) fn log(common: &Common, log: Log) -> WorkerGuard {
    let format = common.log_format.unwrap_or(match log.format {
        LogFormat::Auto => Format::Auto,
        LogFormat::Text => Format::Text,
        LogFormat::Json => Format::Json,
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

/// What to do about a watched folder that is not there.
pub(super) fn no_such_folder(folder: &Path) -> String {
    let path = Escaped(folder);
    format!("{path} is not there, or is no folder: make it first (mkdir {path}), or correct the path")
}

fn nothing_to_watch(files: &[PathBuf]) -> &'static str {
    if files.is_empty() {
        "there is nothing to watch: name a folder (dwindle run DIR), a configuration (-c FILE), or write /etc/dwindle/config.toml"
    } else {
        "there is nothing to watch: the configuration has no [[watch]]"
    }
}
