//! Floor 4: the TOML configuration. Reads and merges its files, says what is wrong with them and where, and warns of what is legal but
//! unlikely to be meant.
//!
//! The keys, their defaults and their meaning are described in `docs/configuration.md`, shown in `config.example.toml`, and told by
//! dwindle.toml(5), of which `reference` has the text.

mod advice;
mod beside_logrotate;
mod diagnostic;
mod file;
mod load;
mod logrotate;
mod metrics;
mod reference;
mod section;
mod values;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::model::Level;
use crate::policy::Watch;

pub(crate) use beside_logrotate::warn_beside_logrotate;
pub(crate) use diagnostic::Diagnostic;
pub(crate) use load::{control_socket, load, nothing_watched};
pub(crate) use reference::{Key, PRESETS, Standard, TABLES, Table};

/// The whole configuration, with defaults for what no file says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    /// How many files are compressed at the same time; `None` is as many as there are CPUs this process may use.
    pub(crate) workers: Option<usize>,
    /// For watches with the format gzip that have no level of their own.
    pub(crate) level: Level,
    /// How long a stop waits for files that are known and not compressed yet.
    pub(crate) shutdown_timeout: Duration,
    /// Where the agent can be asked how it gets on; `None` is in its runtime directory.
    pub(crate) control_socket: Option<PathBuf>,
    pub(crate) log: Log,
    pub(crate) metrics: Metrics,
    pub(crate) watches: Vec<Watch>,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) format: LogFormat,
    pub(crate) level: LogLevel,
}

/// What log lines look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Whatever fits the place where they go.
    #[default]
    Auto,
    Text,
    Json,
    Journald,
}

/// The least important event that is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

/// Where metrics are published; nowhere by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Metrics {
    /// A file for `node_exporter`'s textfile collector.
    pub(crate) textfile: Option<PathBuf>,
    /// Where HTTP is spoken.
    pub(crate) listen: Option<SocketAddr>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            workers: None,
            level: Level::default(),
            shutdown_timeout: Duration::from_secs(60),
            control_socket: None,
            log: Log::default(),
            metrics: Metrics::default(),
            watches: Vec::new(),
        }
    }
}
