//! How hard to compress, and to what, as it is said on the command line.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::model::Format;

/// A level as gzip takes it, `-1` to `-9`. The last of several counts, and so it does between these and `--level`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct LevelDigit(Option<u8>);

impl LevelDigit {
    const IDS: [&'static str; 9] = ["-1", "-2", "-3", "-4", "-5", "-6", "-7", "-8", "-9"];

    /// The one that was given, once.
    pub(super) fn take(&mut self) -> Option<u8> {
        self.0.take()
    }

    fn argument(id: &'static str) -> Arg {
        let short = id.chars().last().unwrap_or_default();
        let argument = Arg::new(id)
            .short(short)
            .action(ArgAction::SetTrue)
            .overrides_with_all(Self::IDS)
            .overrides_with("level");
        match id {
            "-1" => argument.long("fast").help("Compress fastest; -2 to -8 lie between"),
            "-9" => argument
                .long("best")
                .help("Compress smallest; zstd goes on, by --level, to 19"),
            _ => argument.hide(true),
        }
    }
}

impl Args for LevelDigit {
    fn augment_args(command: Command) -> Command {
        command.args(Self::IDS.map(Self::argument))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for LevelDigit {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given = (1..).zip(Self::IDS).filter(|(_, id)| matches.get_flag(id));
        Ok(LevelDigit(given.next().map(|(number, _)| number)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Any number: its scale is known when the whole line is read.
pub(super) fn parse_level(text: &str) -> Result<u8, String> {
    text.parse()
        .map_err(|_| "a level is a number from 1 (fastest) to 9 (smallest), with --format zstd to 19".to_owned())
}

/// Whether the format has such a level; otherwise the sentence that says which it has.
pub(super) fn check_level(number: u8, format: Format) -> Result<(), String> {
    if format.level(number).is_some() {
        return Ok(());
    }
    let with = if format == Format::default() {
        String::new()
    } else {
        format!(", with --format {}", format.name())
    };
    let highest = format.highest_level();
    Err(format!(
        "a level is a number from 1 (fastest) to {highest} (smallest){with}"
    ))
}

/// The formats by their names.
pub(super) fn format_parser() -> impl TypedValueParser<Value = Format> {
    let names = Format::ALL.iter().map(|format| format.name());
    PossibleValuesParser::new(names).map(|name| Format::named(&name).unwrap_or_default())
}
