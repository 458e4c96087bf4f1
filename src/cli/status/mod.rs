//! `dwindle status`: what the running agent does, once or live.

mod find;
mod line;
mod live;
mod screen;
mod text;

use std::io::{self, IsTerminal};

use anyhow::{Context, Result};

use super::args::{self, Common};
use super::exit::Exit;
use super::print;
use crate::daemon::control::Status;
use find::{Places, Source};
use line::Look;

/// Runs the command to its end.
pub(super) fn run(common: &Common, arguments: &args::Status) -> Result<Exit> {
    let places = match Places::new(&common.config, arguments.socket.as_deref()) {
        Ok(places) => places,
        Err(problems) => {
            print::problems(&problems);
            return Ok(Exit::BadConfiguration);
        }
    };
    let (source, json) = match Source::find(&places) {
        Ok(found) => found,
        Err(sentence) => {
            print::complain(sentence);
            return Ok(Exit::TryLater);
        }
    };
    let look = Look {
        color: common.color.is_used(io::stdout().is_terminal()),
        size: screen::size(),
    };
    if arguments.watch {
        return live::run(source, json, arguments.json, look);
    }
    if arguments.json {
        print::line(json).context("cannot write the status")?;
        return Ok(Exit::Done);
    }
    let Some(status) = read(&json) else {
        print::complain(source.is_strange());
        return Ok(Exit::TryLater);
    };
    // As long as it is: a person can scroll.
    let lines = text::lines(
        &status,
        &Look {
            size: look.size.map(|(columns, _)| (columns, usize::MAX)),
            ..look
        },
    );
    print::bytes((lines.join("\n") + "\n").as_bytes()).context("cannot write the status")?;
    Ok(Exit::Done)
}

/// Nothing where another version of dwindle means something else by it.
fn read(json: &str) -> Option<Status> {
    serde_json::from_str(json).ok()
}
