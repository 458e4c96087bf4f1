//! Floor 5: arguments and printing.

mod args;
mod both;
mod completions;
mod exit;
mod man;
mod print;
mod progress;
mod version;

use std::env;
use std::io;
use std::process::ExitCode;

use args::{Action, Cli};
use exit::Exit;

/// Runs the program.
pub fn main() -> ExitCode {
    match Cli::parse_from(env::args_os()) {
        Ok(cli) => run(&cli).into(),
        Err(error) => {
            // Help that nobody reads any more is no failure either.
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Exit::Usage.number()))
        }
    }
}

fn run(cli: &Cli) -> Exit {
    match &cli.command {
        Action::Completions { shell } => printed(print::bytes(&completions::script(*shell))),
        Action::Man => printed(print::bytes(&man::page())),
        Action::Run(_) | Action::Compress(_) | Action::Check => {
            print::complain("this command is not built in yet");
            Exit::TryLater
        }
    }
}

fn printed(result: io::Result<()>) -> Exit {
    match result {
        Ok(()) => Exit::Done,
        Err(error) => {
            print::complain(format_args!("cannot write to standard output: {error}"));
            Exit::SomeFailed
        }
    }
}
