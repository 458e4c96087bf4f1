//! Floor 5: arguments and printing.

mod args;
mod check;
mod completions;
mod compress;
mod control;
mod descriptors;
mod dry_run;
mod exit;
mod explain;
mod level;
mod man;
mod metrics;
mod observers;
mod print;
mod progress;
mod reload;
mod run;
mod service;
mod setup;
mod status;
mod variables;
mod version;
mod watch_observers;

use std::env;
use std::io;
use std::process::ExitCode;

use anyhow::Context;

use args::{Action, Cli};
use exit::Exit;

/// Runs the program.
pub fn main() -> ExitCode {
    match Cli::parse_from(env::args_os()) {
        Ok(cli) => execute(&cli).into(),
        Err(error) => {
            // Help that nobody reads any more is no failure either.
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Exit::Usage.number()))
        }
    }
}

fn execute(cli: &Cli) -> Exit {
    descriptors::raise_limit();
    descriptors::make_room();
    let result = match &cli.command {
        Action::Run(arguments) => run::run(&cli.common, arguments),
        Action::Compress(arguments) => compress::run(&cli.common, arguments),
        Action::Check(arguments) => check::run(&cli.common.config, arguments),
        Action::Explain(arguments) => explain::run(&cli.common.config, arguments),
        Action::Status(arguments) => status::run(&cli.common, arguments),
        Action::Completions { shell } => printed(print::bytes(&completions::script(*shell))),
        Action::Man { page } => printed(print::bytes(&man::page(*page))),
    };
    result.unwrap_or_else(|error| {
        print::complain(format_args!("{error:#}"));
        Exit::SomeFailed
    })
}

fn printed(result: io::Result<()>) -> anyhow::Result<Exit> {
    result.context("cannot write to standard output")?;
    Ok(Exit::Done)
}
