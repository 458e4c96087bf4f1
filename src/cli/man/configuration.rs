//! dwindle.toml(5): every key, from the configuration's own table of them.

use std::io;

use clap_mangen::roff::{Inline, Roff, bold, roman};

use super::{definitions, paragraphs};
use crate::cli::version;
use crate::config::{Key, PRESETS, Standard, TABLES, Table};

const DESCRIPTION: &[&str] = &[
    "dwindle run reads its configuration from these files. They are merged in the order of their names, config.toml first: a later file \
     overrides single values of an earlier one, and its watches are added. What no file says has its default. Hidden files are not read. \
     With --config, only the files named are read.",
    "The language is TOML, in UTF-8; a file has at most 1 MiB. A key that does not exist is refused, and so is a wrong value: dwindle check \
     prints every problem with its file, line and column, and dwindle run does not start with one.",
    "A running agent reads its configuration again at SIGHUP (systemctl reload dwindle). A broken one changes nothing.",
];

const VALUES: &[(&str, &str)] = &[
    (
        "duration",
        "In quotes with a unit, \"500ms\", \"90s\", \"5m\", \"36h\", \"30d\", also \"1h30m\". A day is 24 hours.",
    ),
    (
        "size",
        "In quotes with a unit, \"512B\", \"64KiB\", \"10MB\", or a plain number of bytes. KiB, MiB and GiB are powers of 1024, KB, MB and \
         GB of 1000.",
    ),
    (
        "glob",
        "Without a slash it is matched against the file's name, in every folder that is watched; with one against the path from the watched \
         folder on. * and ? do not match a slash, ** does; reports/ is short for reports/**. [abc] is one of these characters, {csv,tsv} \
         one of these words.",
    ),
];

const FILES: &[(&str, &str)] = &[
    ("/etc/dwindle/config.toml", "Read first."),
    (
        "/etc/dwindle/conf.d/*.toml",
        "Read after it, in the order of their names: 10-logs.toml before 20-web.toml.",
    ),
];

const EXAMPLES: &[(&str, &str)] = &[
    (
        "Files that people and programs drop become .gz in a folder of their own:",
        "[[watch]]\npath = \"/srv/inbox\"\noutput-dir = \"archive\"",
    ),
    (
        "Rotated logs, beside logrotate with compress and delaycompress:",
        "[[watch]]\npath = \"/var/log/nginx\"\npreset = \"rotated-logs\"",
    ),
    (
        "A .gz beside each web file, for nginx's gzip_static:",
        "[[watch]]\npath = \"/var/www/html\"\npreset = \"static-assets\"\nlevel = 9",
    ),
];

pub(super) fn write_page(page: &mut Vec<u8>) -> io::Result<()> {
    let mut head = Roff::new();
    let source = format!("dwindle {}", version::NUMBER);
    head.control("TH", ["dwindle.toml", "5", "", &source, "File Formats"]);
    head.control("SH", ["NAME"]).text([roman(
        "dwindle.toml - which folders dwindle watches, and what becomes of the files in them",
    )]);
    head.control("SH", ["SYNOPSIS"])
        .text([bold("/etc/dwindle/config.toml")]);
    head.control("br", []).text([bold("/etc/dwindle/conf.d/*.toml")]);
    head.to_writer(page)?;
    paragraphs("DESCRIPTION", DESCRIPTION).to_writer(page)?;
    for table in TABLES {
        keys(table).to_writer(page)?;
    }
    presets().to_writer(page)?;
    definitions("VALUES", VALUES).to_writer(page)?;
    definitions("FILES", FILES).to_writer(page)?;
    examples().to_writer(page)?;
    paragraphs("SEE ALSO", &["dwindle(1), logrotate(8), inotify(7)"]).to_writer(page)
}

fn keys(table: &Table) -> Roff {
    let title = match table.head {
        "" => "TOP LEVEL",
        head => head,
    };
    let mut section = paragraphs(title, &[table.about]);
    for key in table.keys {
        section
            .control("TP", [])
            .text([bold(key.name), roman(format!(" = {}", key.values))])
            .text([roman(key.meaning)])
            .control("br", [])
            .text(default_and_example(key));
    }
    section
}

/// `Default: "2s"; static-assets: "500ms". Example: settle = "10s"`, each default in bold.
fn default_and_example(key: &Key) -> Vec<Inline> {
    let mut line = match key.standard {
        Standard::Value(default) | Standard::Without(default) => vec![roman("Default: "), bold(default)],
        Standard::ByPreset(defaults) => by_preset(defaults),
        Standard::Required => vec![bold("Required")],
    };
    line.push(roman(format!(". Example: {} = {}", key.name, key.example)));
    line
}

fn by_preset(defaults: [&'static str; 3]) -> Vec<Inline> {
    let mut line = vec![roman("Default: "), bold(defaults[0])];
    for ((preset, _), default) in PRESETS.iter().zip(defaults).skip(1) {
        if default != defaults[0] {
            line.extend([roman(format!("; {preset}: ")), bold(default)]);
        }
    }
    line
}

/// What each takes, and below it a table of the defaults in which they differ.
fn presets() -> Roff {
    let mut section = definitions("PRESETS", &PRESETS);
    section
        .control("PP", [])
        .text([roman("They differ in these defaults:")]);
    section.control("PP", []).control("nf", []).control("ft", ["CR"]);
    let names = PRESETS.map(|(name, _)| name);
    section.text([roman(row("", names))]);
    for key in TABLES.iter().flat_map(|table| table.keys) {
        if let Standard::ByPreset(defaults) = key.standard {
            section.text([roman(row(key.name, defaults))]);
        }
    }
    section.control("ft", ["R"]).control("fi", []);
    section
}

fn row(key: &str, cells: [&str; 3]) -> String {
    let [inbox, rotated_logs, static_assets] = cells;
    format!("{key:15}{inbox:12}{rotated_logs:15}{static_assets}")
}

fn examples() -> Roff {
    let mut section = Roff::new();
    section.control("SH", ["EXAMPLES"]);
    for (title, lines) in EXAMPLES {
        section.control("PP", []).text([roman(*title)]);
        section.control("PP", []).control("nf", []).control("ft", ["CR"]);
        for line in lines.lines() {
            section.text([roman(line)]);
        }
        section.control("ft", ["R"]).control("fi", []);
    }
    section
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> String {
        let mut page = Vec::new();
        write_page(&mut page).unwrap();
        String::from_utf8(page).unwrap().replace("\\-", "-").replace("\\&", "")
    }

    #[test]
    fn page_has_every_key_with_its_default_in_bold() {
        let page = text();
        let mut rest = &*page;
        for key in TABLES.iter().flat_map(|table| table.keys) {
            (_, rest) = rest
                .split_once(&format!("\n\\fB{}\\fR = ", key.name))
                .unwrap_or_else(|| panic!("{}", key.name));
            let default = match key.standard {
                Standard::Value(default) | Standard::Without(default) | Standard::ByPreset([default, ..]) => default,
                Standard::Required => "Required",
            };
            let line = rest.lines().nth(3).unwrap();
            assert!(line.contains(&format!("\\fB{default}\\fR")), "{}: {line}", key.name);
        }
    }

    #[test]
    fn examples_are_configurations() {
        let folder = tempfile::tempdir().unwrap();
        for (index, (_, text)) in EXAMPLES.iter().enumerate() {
            let file = folder.path().join(format!("{index}.toml"));
            std::fs::write(&file, text).unwrap();
            let loaded = crate::config::load(&[file]).unwrap();
            assert_eq!(loaded.config.watches.len(), 1);
        }
    }
}
