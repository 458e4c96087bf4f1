//! The `DWINDLE_*` variables, each an option's: one that is set to nothing is not set, and one that is wrong is named.

use std::env;

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, Command};

/// Says so where a wrong value stands in a `DWINDLE_*` variable: whoever sees the sentence may have typed no option at all.
pub(super) fn name_variable(mut error: clap::Error, command: &Command) -> clap::Error {
    let (Some(ContextValue::String(option)), Some(ContextValue::String(value))) =
        (error.get(ContextKind::InvalidArg), error.get(ContextKind::InvalidValue))
    else {
        return error;
    };
    // As in "--workers <N>".
    let named = option.split(' ').next().unwrap_or_default().trim_start_matches('-');
    let of_commands = command.get_subcommands().flat_map(Command::get_arguments);
    let variable = command
        .get_arguments()
        .chain(of_commands)
        .filter(|argument| argument.get_long().is_some_and(|long| *long == *named))
        .find_map(Arg::get_env)
        .filter(|variable| env::var_os(variable).is_some_and(|given| given == value.as_str()));
    if let Some(variable) = variable {
        let tip = format!("the variable {} says so", variable.display());
        let tips = ContextValue::StyledStrs(vec![tip.into()]);
        error.insert(ContextKind::Suggested, tips);
    }
    error
}

/// `DWINDLE_WORKERS=` in a file of variables means that it is not set. `DWINDLE_LEVEL` is for [`Cli::parse_from`](super::args::Cli::parse_from).
pub(super) fn forget_variable(argument: Arg) -> Arg {
    let empty = argument
        .get_env()
        .and_then(env::var_os)
        .is_some_and(|value| value.is_empty());
    if empty || argument.get_id() == "level" {
        argument.env(Resettable::Reset)
    } else {
        argument
    }
}
