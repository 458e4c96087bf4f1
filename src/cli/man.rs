//! `dwindle man`: the manual pages, dwindle(1) with the whole program, and dwindle.toml(5).

mod configuration;

use std::io;

use clap::{Command, ValueEnum};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::{args, version};

/// A manual page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Page {
    #[default]
    #[value(name = "dwindle")]
    Program,
    #[value(name = "dwindle.toml")]
    Configuration,
}

/// The page in roff, the same for every build of a version.
pub(crate) fn page(page: Page) -> Vec<u8> {
    let mut roff = Vec::new();
    let written = match page {
        Page::Program => write_page(&mut roff),
        Page::Configuration => configuration::write_page(&mut roff),
    };
    written.expect("memory can be written to");
    roff
}

const DESCRIPTION: &[&str] = &[
    "dwindle watches folders and turns every file that nobody writes to any more into FILE.gz, which holds the same bytes and has the \
     owner, mode and times of the original. The original is removed once the .gz has been read back, compared and made durable. \
     On demand it is FILE.zst, compressed by zstd.",
    "Hidden files, files that are still being written, and what is compressed already are left alone.",
    "SIGINT or SIGTERM stops it: what is known is compressed first. Its last line says what it did.",
    "SIGHUP has run read its configuration again; one that is broken changes nothing. Without a configuration it is a stop.",
];

const EXIT_STATUS: &[(&str, &str)] = &[
    ("0", "Done. So is a stop that a signal asked for."),
    (
        "1",
        "Some files failed. Each of them is still there, and the others are done.",
    ),
    ("2", "The command line is wrong."),
    (
        "75",
        "It could not start, for a reason that may pass, such as a missing folder. Of status: no agent answers, or none any more.",
    ),
    ("78", "The configuration is wrong."),
    (
        "130, 143",
        "SIGINT or SIGTERM left some of the files that compress was given, or a second one cut the stop short. No file is lost or half done. \
         Of status --watch: the signal ended the looking, and not the agent; on the live screen SIGINT is 0.",
    ),
];

const FILES: &[(&str, &str)] = &[
    (
        "/etc/dwindle/config.toml",
        "The configuration, unless another is named: dwindle.toml(5).",
    ),
    (
        "/etc/dwindle/conf.d/*.toml",
        "More of it, read in the order of the names.",
    ),
    (
        "/etc/dwindle/NAME.toml",
        "The configuration of the service's instance dwindle@NAME, which reads no other.",
    ),
    (
        "/run/dwindle/control.sock, /run/dwindle-NAME/control.sock",
        "Where status asks the service, and its instance dwindle@NAME; $XDG_RUNTIME_DIR/dwindle/control.sock for an agent that a user has started.",
    ),
];

fn write_page(page: &mut Vec<u8>) -> io::Result<()> {
    let program = program();
    let commands: Vec<_> = program.get_subcommands().map(without_common_options).collect();

    let man = Man::new(program)
        .source(format!("dwindle {}", version::NUMBER))
        .manual("User Commands");
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    paragraphs("DESCRIPTION", DESCRIPTION).to_writer(page)?;
    definitions("COMMANDS", &commands.iter().map(usage_and_purpose).collect::<Vec<_>>()).to_writer(page)?;
    for command in commands.into_iter().filter(has_options) {
        Man::new(command).render_options_section(page)?;
    }
    man.render_options_section(page)?;
    definitions("EXIT STATUS", EXIT_STATUS).to_writer(page)?;
    definitions("FILES", FILES).to_writer(page)?;
    definitions("EXAMPLES", args::EXAMPLES).to_writer(page)?;
    paragraphs(
        "SEE ALSO",
        &["dwindle.toml(5), gzip(1), zstd(1), logrotate(8), inotify(7)"],
    )
    .to_writer(page)
}

/// The program with what the help leaves out for brevity: which variable stands for an option.
fn program() -> Command {
    let mut program = args::command()
        .override_usage("dwindle [OPTIONS] COMMAND [ARGUMENTS]")
        .disable_help_subcommand(true);
    program.build();
    program.mut_args(|argument| argument.help_heading("Options of every command").hide_env(false))
}

/// A command as its part of the page shows it.
fn without_common_options(command: &Command) -> Command {
    let section = format!("Options of {}", command.get_name());
    command.clone().mut_args(|argument| {
        let common = argument.is_global_set() || argument.get_id() == "help";
        let hidden = common || argument.is_hide_set();
        argument.help_heading(section.clone()).hide(hidden)
    })
}

fn has_options(command: &Command) -> bool {
    command.get_arguments().any(|argument| !argument.is_hide_set())
}

fn usage_and_purpose(command: &Command) -> (String, String) {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").to_owned();
    (usage, format!("{}.", command.get_about().cloned().unwrap_or_default()))
}

fn paragraphs(title: &str, texts: &[&str]) -> Roff {
    let mut section = Roff::new();
    section.control("SH", [title]);
    for text in texts {
        section.control("PP", []).text([roman(*text)]);
    }
    section
}

fn definitions<T: AsRef<str>>(title: &str, entries: &[(T, T)]) -> Roff {
    let mut section = Roff::new();
    section.control("SH", [title]);
    for (term, meaning) in entries {
        section
            .control("TP", [])
            .text([bold(term.as_ref())])
            .text([roman(meaning.as_ref())]);
    }
    section
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> String {
        String::from_utf8(page(Page::Program)).unwrap().replace("\\-", "-")
    }

    #[test]
    fn page_has_every_command_and_every_option() {
        let page = text();
        for command in args::command().get_subcommands() {
            let name = command.get_name();
            assert!(page.contains(&format!("\\fBdwindle {name}")), "{name}");
            for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
                let shown = match argument.get_long() {
                    Some(long) => format!("--{long}"),
                    None => argument.get_value_names().unwrap_or_default().join(" "),
                };
                assert!(page.contains(&shown), "{name} {shown}");
            }
        }
        for argument in args::command().get_arguments() {
            let variable = argument.get_env().unwrap().to_str().unwrap();
            assert!(page.contains(variable), "{variable}");
        }
    }

    #[test]
    fn page_does_not_change_with_the_commit() {
        assert!(!text().contains(env!("DWINDLE_COMMIT")));
    }
}
