//! What the manual page tells of the keys is what the parser and the documentation say.

use std::fmt::Write as _;

use super::{DOCUMENTATION, EXAMPLE, parse};
use crate::config::file::{LOG_KEYS, TOP_KEYS, WATCH_KEYS};
use crate::config::metrics::METRICS_KEYS;
use crate::config::reference::{Key, PRESETS, Standard, TABLES, Table};
use crate::policy::{Preset, Watch};

/// The keys of each table, as the parser knows them.
const KNOWN: &[(&str, &[&str])] = &[
    ("", TOP_KEYS),
    ("[log]", LOG_KEYS),
    ("[metrics]", METRICS_KEYS),
    ("[[watch]]", WATCH_KEYS),
];

#[test]
fn every_key_that_the_parser_knows_has_its_line() {
    let heads: Vec<&str> = TABLES.iter().map(|table| table.head).collect();
    let known: Vec<&str> = KNOWN.iter().map(|(head, _)| *head).collect();
    assert_eq!(heads, known, "the tables of src/config/reference.rs");
    for (table, (head, known)) in TABLES.iter().zip(KNOWN) {
        let is_table = |key: &&str| heads.contains(&&*format!("[{key}]")) || heads.contains(&&*format!("[[{key}]]"));
        let expected: Vec<&str> = known.iter().copied().filter(|key| !is_table(key)).collect();
        let names: Vec<&str> = table.keys.iter().map(|key| key.name).collect();
        assert_eq!(names, expected, "the keys of {head:?} in src/config/reference.rs");
    }
}

/// Which is held to the defaults itself, and shows a key that has none as a comment.
#[test]
fn defaults_are_those_of_the_example() {
    for table in TABLES {
        let begin = EXAMPLE.find(&format!("\n{}\n", table.head)).expect("the table") + 1;
        let shown = EXAMPLE[begin..]
            .lines()
            .skip(1)
            .take_while(|line| !line.starts_with('['));
        let shown: Vec<&str> = shown.collect();
        for key in table.keys {
            let line = match key.standard {
                Standard::Value(value) | Standard::ByPreset([value, ..]) => format!("{} = {value}", key.name),
                Standard::Without(_) => format!("#{} = ", key.name),
                Standard::Required => format!("{} = ", key.name),
            };
            assert!(
                shown.iter().any(|shown| shown.starts_with(&line)),
                "{} {line}",
                table.head
            );
        }
    }
}

#[test]
fn defaults_are_those_of_each_preset() {
    let presets = [Preset::Inbox, Preset::RotatedLogs, Preset::StaticAssets];
    for (index, (preset, (name, _))) in presets.into_iter().zip(PRESETS).enumerate() {
        let mut text = format!("[[watch]]\npath = \"/srv\"\npreset = \"{name}\"\n");
        for key in TABLES.last().expect("the watches").keys {
            let value = match key.standard {
                Standard::Value(value) => value,
                Standard::ByPreset(values) => values[index],
                Standard::Without(_) | Standard::Required => continue,
            };
            if key.name != "preset" {
                writeln!(text, "{} = {value}", key.name).expect("strings take everything");
            }
        }
        let mut file = parse(&text).unwrap_or_else(|problems| panic!("{}", problems[0]));
        let entry = file.watches.remove(0);
        assert_eq!(entry.watch, Watch::new("/srv", preset));
    }
}

#[test]
fn examples_are_legal_and_no_defaults() {
    for Table { head, keys, .. } in TABLES {
        for Key {
            name,
            standard,
            example,
            ..
        } in *keys
        {
            let path = if *head == "[[watch]]" && *name != "path" {
                "path = \"/srv\"\n"
            } else {
                ""
            };
            let text = format!("{head}\n{path}{name} = {example}\n");
            parse(&text).unwrap_or_else(|problems| panic!("{}", problems[0]));
            let defaults: &[&str] = match standard {
                Standard::Value(value) => &[value],
                Standard::ByPreset([inbox, ..]) => &[inbox],
                Standard::Without(_) | Standard::Required => &[],
            };
            assert!(
                name == &"recursive" || !defaults.contains(example),
                "{name}: {example} is the default"
            );
        }
    }
}

/// `| key | type | default |`, and in `[[watch]]` a default for each preset.
#[test]
fn the_documentation_says_the_same_of_values_and_defaults() {
    let mut section = "";
    let mut compared = 0;
    for line in DOCUMENTATION.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title.trim_matches('`');
        }
        let head = if section == "Top level" { "" } else { section };
        let Some(table) = TABLES.iter().find(|table| table.head == head) else {
            continue;
        };
        let cells: Vec<String> = line.split('|').map(|cell| cell.trim().replace('`', "")).collect();
        let [_, name, values, defaults @ ..] = &cells[..] else {
            continue;
        };
        let Some(key) = table.keys.iter().find(|key| key.name == name) else {
            continue;
        };
        assert_eq!(values, key.values, "{head} {name}");
        let expected = match key.standard {
            Standard::Value(value) | Standard::Without(value) => [value; 3],
            Standard::ByPreset(values) => values,
            Standard::Required => ["required"; 3],
        };
        let columns = if head == "[[watch]]" && name != "preset" { 3 } else { 1 };
        for (cell, expected) in defaults.iter().zip(expected).take(columns) {
            assert_eq!(cell.trim_end_matches(" is the default"), expected, "{head} {name}");
        }
        compared += 1;
    }
    assert_eq!(compared, TABLES.iter().map(|table| table.keys.len()).sum::<usize>());
}
