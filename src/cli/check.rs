//! `dwindle check`: every problem of the configuration, and what is legal but unlikely to be meant.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::args::Check;
use super::exit::Exit;
use super::{print, setup};
use crate::config::{self, Metrics};
use crate::daemon::sandbox::{self, Denial};
use crate::model::Escaped;

/// Prints problems and warnings on standard error, and on standard output whether the configuration can be used.
pub(super) fn run(files: &[PathBuf], arguments: &Check) -> Result<Exit> {
    let loaded = match config::load(files) {
        Ok(loaded) => loaded,
        Err(problems) => {
            print::problems(&problems);
            return Ok(Exit::BadConfiguration);
        }
    };
    print::problems(&loaded.warnings);
    let beside = config::warn_beside_logrotate(&loaded.config.watches, &loaded.places, &arguments.logrotate);
    print::problems(&beside);
    if loaded.files.is_empty() {
        print::complain("there is no configuration: neither /etc/dwindle/config.toml nor a file given with -c");
        return Ok(Exit::BadConfiguration);
    }
    if loaded.config.watches.is_empty() {
        print::problems(&[config::nothing_watched()]);
        return Ok(Exit::BadConfiguration);
    }
    let no_metrics = no_metrics(&loaded.config.metrics);
    if let Some(denial) = &no_metrics {
        print::complain(format_args!("the metrics' `textfile` cannot be written: {denial}"));
    }
    // Only a check within the service's sandbox sees it, as a reload's is: the agent would refuse.
    let denials = loaded
        .config
        .watches
        .iter()
        .filter_map(|watch| setup::denial(watch, false));
    let denials: Vec<_> = denials.collect();
    for denial in &denials {
        print::complain(denial);
    }
    if !denials.is_empty() {
        return Ok(Exit::TryLater);
    }
    let names: Vec<String> = loaded.files.iter().map(|file| Escaped(file).to_string()).collect();
    let watches = loaded.config.watches.len();
    let folders = if watches == 1 { "folder" } else { "folders" };
    let warnings = match loaded.warnings.len() + beside.len() + usize::from(no_metrics.is_some()) {
        0 => String::new(),
        1 => ", 1 warning".to_owned(),
        many => format!(", {many} warnings"),
    };
    print::line(format_args!(
        "{}: valid, {watches} {folders} to watch{warnings}",
        names.join(", ")
    ))
    .context("cannot write to standard output")?;
    Ok(Exit::Done)
}

/// What the sandbox of a service keeps from the metrics, without which the agent does its work all the same.
fn no_metrics(metrics: &Metrics) -> Option<Denial> {
    sandbox::denial(metrics.textfile.as_deref()?.parent()?, true)
}
