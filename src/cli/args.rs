//! The command line: what can be said, and what was said. What follows from it is decided elsewhere.

use std::env;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::builder::Styles;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

use super::level::{LevelDigit, check_level, format_parser, parse_level};
use super::man::Page;
use super::variables::{forget_variable, name_variable};
use super::version;
use crate::daemon::logging::{Color, Format as LogFormat};
use crate::model::{Escaped, Format, Level};
use crate::policy::Shard;

/// Watches folders and turns every finished file into FILE.gz: once, and without losing a byte.
#[derive(Debug, Parser)]
#[command(
    name = "dwindle",
    version = version::full(),
    about = "Watches folders and turns every finished file into FILE.gz",
    long_about = None,
    after_help = closing(),
    arg_required_else_help = true,
    styles = Styles::plain(),
    max_term_width = 100
)]
pub(crate) struct Cli {
    /// What every command understands.
    #[command(flatten)]
    pub(crate) common: Common,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Action,
}

/// What every command understands. `None` leaves it to the configuration.
#[derive(Debug, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Common options")]
pub(crate) struct Common {
    /// Configuration file(s) instead of those in /etc/dwindle
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        env = "DWINDLE_CONFIG",
        hide_env = true
    )]
    pub(crate) config: Vec<PathBuf>,

    /// Compress N files at a time [default: as many as there are CPUs]
    #[arg(
        short = 'j',
        long,
        global = true,
        value_name = "N",
        value_parser = parse_workers,
        env = "DWINDLE_WORKERS",
        hide_env = true
    )]
    pub(crate) workers: Option<NonZeroUsize>,

    /// Compression level, 1 (fastest) to 9 (smallest) [default: 6]; with --format zstd to 19 [default: 3]
    #[arg(long, global = true, value_name = "N", value_parser = parse_level, env = "DWINDLE_LEVEL", hide_env = true)]
    level: Option<u8>,

    /// Log more: -v what is skipped, -vv everything
    #[arg(short, long, global = true, action = ArgAction::Count, env = "DWINDLE_VERBOSE", hide_env = true)]
    pub(crate) verbose: u8,

    /// Log less: -q warnings and errors, -qq errors, -qqq nothing
    #[arg(short, long, global = true, action = ArgAction::Count, env = "DWINDLE_QUIET", hide_env = true)]
    pub(crate) quiet: u8,

    /// What log lines look like
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "auto|text|json|journald",
        hide_possible_values = true,
        env = "DWINDLE_LOG_FORMAT",
        hide_env = true
    )]
    pub(crate) log_format: Option<LogFormat>,

    #[arg(
        long,
        help = "Use colours; auto: on a terminal, unless NO_COLOR is set",
        global = true,
        value_enum,
        value_name = "auto|always|never",
        hide_possible_values = true,
        default_value = "auto",
        hide_default_value = true,
        env = "DWINDLE_COLOR",
        hide_env = true
    )]
    pub(crate) color: Color,
}

impl Common {
    /// How many steps more (or, negative, less) to log than the configuration says.
    pub(crate) fn verbosity(&self) -> i16 {
        i16::from(self.verbose) - i16::from(self.quiet)
    }

    /// The level that is asked for, on the scale of the format.
    pub(crate) fn level_of(&self, format: Format) -> Option<Level> {
        self.level.and_then(|number| format.level(number))
    }
}

/// A command.
#[derive(Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum Action {
    /// Watch folders until stopped, and compress what is finished
    Run(Run),
    /// Compress the files named, like gzip
    Compress(Compress),
    /// Validate the configuration and print every problem in it
    Check(Check),
    /// Say of each path which watch has it, what every rule says, and what happens next
    Explain(Explain),
    /// Ask the running agent how it gets on
    Status(Status),
    /// Print the script that completes command lines in a shell
    Completions {
        /// One of bash, elvish, fish, powershell and zsh
        #[arg(hide_possible_values = true)]
        shell: Shell,
    },
    /// Print a manual page
    Man {
        /// dwindle, for dwindle(1), or dwindle.toml, for dwindle.toml(5) [default: dwindle]
        #[arg(
            value_enum,
            default_value = "dwindle",
            hide_default_value = true,
            hide_possible_values = true
        )]
        page: Page,
    },
}

/// `dwindle run`.
#[allow(clippy::struct_field_names)] // `dry_run` is the flag's name
#[derive(Debug, Default, PartialEq, Eq, Args)]
pub(crate) struct Run {
    /// Folders to watch, every finished file in them; without any, the configuration says
    #[arg(value_name = "DIR")]
    pub(crate) dirs: Vec<PathBuf>,

    /// One pass over what is there now; waits for what is still being written
    #[arg(long)]
    pub(crate) once: bool,

    /// One pass that touches nothing: says, a line per file, what would be done and why
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Only the files whose relative paths fall to part I of N, so that N hosts can share a folder
    #[arg(long, value_name = "I/N", env = "DWINDLE_SHARD", hide_env = true)]
    pub(crate) shard: Option<Shard>,

    /// Report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `dwindle compress`.
#[allow(clippy::struct_excessive_bools)] // as many as there are flags, and none depends on another
#[derive(Debug, Default, PartialEq, Eq, Args)]
pub(crate) struct Compress {
    /// Files to compress, or with -r folders; a single - is standard input to standard output
    #[arg(value_name = "PATH", required = true)]
    pub(crate) paths: Vec<PathBuf>,

    /// Go through folders, and all folders in them
    #[arg(short, long)]
    pub(crate) recursive: bool,

    /// Keep the originals
    #[arg(short, long)]
    pub(crate) keep: bool,

    /// What to compress to: gzip makes FILE.gz, zstd makes FILE.zst [default: gzip]
    #[arg(
        long,
        value_name = "gzip|zstd",
        value_parser = format_parser(),
        default_value = "gzip",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub(crate) format: Format,

    /// Put the compressed files into DIR instead of beside the originals
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output_dir: Option<PathBuf>,

    /// Replace a compressed file that is there already
    #[arg(short, long)]
    pub(crate) force: bool,

    /// With -r: only the files whose paths in their folder fall to part I of N, so that N hosts can share it
    #[arg(long, value_name = "I/N", env = "DWINDLE_SHARD", hide_env = true)]
    pub(crate) shard: Option<Shard>,

    /// Report as JSON
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    digit: LevelDigit,
}

/// `dwindle check`.
#[derive(Debug, PartialEq, Eq, Args)]
pub(crate) struct Check {
    /// Configuration of logrotate to compare with
    #[arg(long, value_name = "FILE", default_value = "/etc/logrotate.conf")]
    pub(crate) logrotate: PathBuf,
}

/// `dwindle explain`.
#[derive(Debug, Default, PartialEq, Eq, Args)]
pub(crate) struct Explain {
    /// Files or folders, whether they exist or not
    #[arg(value_name = "PATH", required = true)]
    pub(crate) paths: Vec<PathBuf>,

    /// As an agent with this --shard would have it
    #[arg(long, value_name = "I/N", env = "DWINDLE_SHARD", hide_env = true)]
    pub(crate) shard: Option<Shard>,
}

/// `dwindle status`.
#[derive(Debug, Default, PartialEq, Eq, Args)]
pub(crate) struct Status {
    /// Print what the agent answers, an object of JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// Go on until q, Ctrl-C, or the agent's end: on a terminal a live screen, elsewhere a line now and then
    #[arg(short, long)]
    pub(crate) watch: bool,

    /// The agent's control socket [default: the configuration's, the service's, the user's]
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
}

impl Compress {
    /// Whether to compress standard input to standard output. There are no other paths then.
    pub(crate) fn is_filter(&self) -> bool {
        self.paths.iter().any(|path| path == Path::new("-"))
    }
}

impl Cli {
    /// Reads a command line, the program's name first, and the `DWINDLE_*` variables.
    ///
    /// # Errors
    ///
    /// A wrong command line, or what to print for `--help` and `--version`: the error knows its text, where it goes and its exit code.
    pub(crate) fn parse_from(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut command = command()
            .mut_args(forget_variable)
            .mut_subcommands(|command| command.mut_args(forget_variable));
        let matches = command
            .try_get_matches_from_mut(arguments)
            .map_err(|error| name_variable(error, &command))?;
        let mut cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        if matches.value_source("config") == Some(ValueSource::EnvVariable) {
            cli.common.config = cli.common.config.iter().flat_map(env::split_paths).collect();
        }
        let named = |matches: &ArgMatches, id| matches.value_source(id) == Some(ValueSource::CommandLine);
        let config_named = named(&matches, "config");
        let shard_named = matches
            .subcommand_matches("compress")
            .is_some_and(|matches| named(matches, "shard"));
        if let Some((name, sentence)) = cli.contradiction(config_named, shard_named) {
            let command = command.find_subcommand_mut(name).expect("the command that was given");
            return Err(command.error(ErrorKind::ArgumentConflict, sentence));
        }
        if let Action::Compress(compress) = &mut cli.command
            && let Some(level) = compress.digit.take()
        {
            cli.common.level = Some(level);
        }
        cli.settle_level()
            .map_err(|sentence| command.error(ErrorKind::ValueValidation, sentence))?;
        Ok(cli)
    }

    /// Of several levels the one that counts: that of the variable only where no option says one.
    fn settle_level(&mut self) -> Result<(), String> {
        let format = match &self.command {
            Action::Compress(compress) => compress.format,
            _ => Format::default(),
        };
        if let Some(number) = self.common.level {
            return check_level(number, format);
        }
        // Not left to clap, which sees a contradiction between the variable and `-9`.
        let Some(value) = env::var_os("DWINDLE_LEVEL").filter(|value| !value.is_empty()) else {
            return Ok(());
        };
        let number = parse_level(&value.to_string_lossy()).and_then(|number| {
            check_level(number, format)?;
            Ok(number)
        });
        let number =
            number.map_err(|sentence| format!("DWINDLE_LEVEL is \"{}\": {sentence}", Escaped(Path::new(&value))))?;
        self.common.level = Some(number);
        Ok(())
    }

    /// What cannot be meant together, and the command it was said to.
    fn contradiction(&self, config_named: bool, shard_named: bool) -> Option<(&'static str, &'static str)> {
        match &self.command {
            Action::Run(run) if config_named && !run.dirs.is_empty() => Some((
                "run",
                "DIR and --config exclude each other: folders are watched either as named here or as the configuration says",
            )),
            Action::Compress(compress) if shard_named && !compress.recursive => Some((
                "compress",
                "--shard is for folders, with --recursive; a file that is named alone is taken",
            )),
            Action::Compress(compress) if compress.is_filter() && compress.paths.len() > 1 => Some((
                "compress",
                "- is standard input to standard output, and stands alone; a file of that name is ./-",
            )),
            Action::Compress(compress) if compress.is_filter() && compress.output_dir.is_some() => Some((
                "compress",
                "- writes to standard output, so there is nothing to put into --output-dir",
            )),
            Action::Compress(compress) if compress.is_filter() && compress.json => Some((
                "compress",
                "- writes compressed data to standard output, where no --json report can follow",
            )),
            _ => None,
        }
    }
}

/// The command line's description, for help, manual page and completions.
pub(crate) fn command() -> Command {
    Cli::command()
}

/// Command lines to begin with.
pub(crate) const EXAMPLES: &[(&str, &str)] = &[
    ("dwindle run inbox", "Watch the folder inbox until Ctrl-C"),
    ("dwindle run --once", "One pass over the configured folders, for cron"),
    (
        "dwindle explain app.log.1",
        "Why a file is taken or not, and what happens next",
    ),
    ("dwindle status --watch", "What the running agent does, live"),
    (
        "dwindle compress -rk9 logs",
        "All below logs, as small as it gets; keep originals",
    ),
];

/// What the help ends with.
fn closing() -> String {
    let lines = EXAMPLES.iter().map(|(line, does)| format!("  {line:28}{does}\n"));
    format!(
        "Examples:\n{}\nEach common option is also a variable: --log-format is DWINDLE_LOG_FORMAT, and so on.",
        lines.collect::<String>()
    )
}

fn parse_workers(text: &str) -> Result<NonZeroUsize, String> {
    let workers = text.parse().ok().filter(|workers: &NonZeroUsize| workers.get() <= 1024);
    workers.ok_or_else(|| "the number of workers is a whole number from 1 to 1024".to_owned())
}

#[cfg(test)]
mod tests;
