//! The example and the documentation say what is true.

use std::fmt::Write as _;

use super::{DOCUMENTATION, EXAMPLE, parse, problems, watch};
use crate::config::file::{LOG_KEYS, TOP_KEYS, WATCH_KEYS};
use crate::config::metrics::METRICS_KEYS;
use crate::config::{Config, Log};
use crate::policy::{Preset, Watch};

#[test]
fn the_example_is_exactly_the_defaults() {
    let file = parse(EXAMPLE).unwrap_or_else(|problems| panic!("{}", problems[0]));
    let config = Config::default();
    assert_eq!(file.workers, None);
    assert_eq!(file.level, Some(config.level));
    assert_eq!(file.shutdown_timeout, Some(config.shutdown_timeout));
    assert_eq!(file.control_socket, config.control_socket);
    let Log { format, level } = config.log;
    assert_eq!((file.log_format, file.log_level), (Some(format), Some(level)));
    assert_eq!(file.metrics.values(), config.metrics);
    let [entry] = &file.watches[..] else {
        panic!("one watch is shown")
    };
    assert_eq!(entry.watch, Watch::new("/srv/inbox", Preset::Inbox));
}

#[test]
fn the_example_shows_every_key_with_a_reason() {
    let mut keys = Vec::new();
    let mut before = "";
    for line in EXAMPLE.lines() {
        if let Some((key, _)) = line
            .trim_start_matches('#')
            .split_once(" = ")
            .filter(|_| !line.starts_with("# "))
        {
            assert!(before.starts_with("# "), "no reason stands before {line}");
            keys.push(key);
        }
        before = line;
    }
    let tables = ["log", "metrics", "watch"];
    let known = [TOP_KEYS, LOG_KEYS, METRICS_KEYS, WATCH_KEYS].concat();
    let known: Vec<&str> = known.into_iter().filter(|key| !tables.contains(key)).collect();
    assert_eq!(keys, known);
}

#[test]
fn the_keys_that_the_example_leaves_out_can_be_used_as_shown() {
    let text: String = EXAMPLE.lines().fold(String::new(), |text, line| {
        let line = line
            .strip_prefix('#')
            .filter(|rest| !rest.starts_with(' '))
            .unwrap_or(line);
        text + line + "\n"
    });
    let file = parse(&text).unwrap_or_else(|problems| panic!("{}", problems[0]));
    assert_eq!(file.workers, Some(4));
    assert!(file.control_socket.is_some());
    assert!(file.watches[0].watch.level.is_some());
}

#[test]
fn the_documentation_has_every_key() {
    for key in [TOP_KEYS, LOG_KEYS, METRICS_KEYS, WATCH_KEYS].concat() {
        let written = [
            format!("| `{key}` |"),
            format!("## `[{key}]`"),
            format!("## `[[{key}]]`"),
        ];
        assert!(written.iter().any(|form| DOCUMENTATION.contains(form)), "{key}");
    }
    for key in WATCH_KEYS {
        assert!(
            DOCUMENTATION.contains(&format!("\n- `{key}`: ")),
            "{key} is not explained"
        );
    }
}

#[test]
fn the_documentation_has_the_defaults_of_every_preset() {
    let presets = [Preset::Inbox, Preset::RotatedLogs, Preset::StaticAssets];
    let mut compared = 0;
    for row in DOCUMENTATION.lines() {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, key, _, defaults @ .., _] = &cells[..] else {
            continue;
        };
        if defaults.len() != presets.len() {
            continue;
        }
        for (preset, default) in presets.iter().zip(defaults) {
            let Some(value) = default.strip_prefix('`').and_then(|cell| cell.strip_suffix('`')) else {
                continue;
            };
            let key = key.trim_matches('`');
            if key == "type" {
                continue;
            }
            let mut table = format!("preset = {}\n", name(*preset));
            if WATCH_KEYS.contains(&key) {
                writeln!(table, "{key} = {value}").expect("strings take everything");
                compared += 1;
            }
            assert_eq!(watch(&table), Watch::new("/srv", *preset), "{row}");
        }
    }
    assert_eq!(compared, 51, "seventeen keys have a default for each of three presets");
}

fn name(preset: Preset) -> &'static str {
    match preset {
        Preset::Inbox => "\"inbox\"",
        Preset::RotatedLogs => "\"rotated-logs\"",
        Preset::StaticAssets => "\"static-assets\"",
    }
}

#[test]
fn the_configurations_in_the_documentation_are_legal_and_the_problem_is_real() {
    let blocks = DOCUMENTATION.split("```toml\n").skip(1);
    let configurations: Vec<&str> = blocks.filter_map(|block| block.split("```").next()).collect();
    assert_eq!(configurations.len(), 5);
    for text in configurations {
        let file = parse(text).unwrap_or_else(|problems| panic!("{}", problems[0]));
        assert!(!file.watches.is_empty());
    }
    let shown = problems("[[watch]]\npath = \"/srv/inbox\"\n\nsetle = \"2s\"");
    assert!(DOCUMENTATION.contains(shown.trim_end()), "{shown}");
}
