//! From a text to settings, to problems, and back to what the documents say of both.

mod damage;
mod documents;
mod reference;
mod refused;

use std::fmt::Write as _;
use std::path::Path;

use super::Diagnostic;
use super::file::{self, File};
use crate::policy::{OnConflict, Preset, Watch, WatcherChoice, WriterCheck};

const EXAMPLE: &str = include_str!("../../../config.example.toml");
const DOCUMENTATION: &str = include_str!("../../../docs/configuration.md");

fn parse(text: &str) -> Result<File, Vec<Diagnostic>> {
    file::parse(Path::new("/etc/dwindle/config.toml"), text)
}

/// All problems as they are printed, an empty line after each.
fn problems(text: &str) -> String {
    let mut printed = String::new();
    for problem in parse(text).expect_err("is refused") {
        assert_eq!(problem.severity(), super::diagnostic::Severity::Error);
        writeln!(printed, "{problem}\n").expect("strings take everything");
    }
    printed
}

fn watch(text: &str) -> Watch {
    let text = format!("[[watch]]\npath = \"/srv\"\n{text}");
    let mut file = parse(&text).unwrap_or_else(|problems| panic!("{text}: {}", problems[0]));
    file.watches.pop().expect("one watch").watch
}

#[test]
fn every_key_reaches_its_setting() {
    let read = watch(
        r#"
preset = "rotated-logs"
recursive = true
include = ["a"]
exclude = ["b", "c/*"]
min-size = "1KiB"
format = "gzip"
level = 9
settle = "1m"
writer-check = "quiet"
marker = "{name}.done"
keep-original = true
output-dir = "out"
failed-dir = "failed"
on-conflict = "skip"
leave-newest = 3
watcher = "poll"
poll-interval = "1h"
durable = false
keep-for = "30d"
keep-count = 14
keep-bytes = "10GiB"
"#,
    );
    let expected = Watch::new("/srv", Preset::RotatedLogs)
        .with_recursive(true)
        .with_include(["a"])
        .with_exclude(["b", "c/*"])
        .with_min_size(1024)
        .with_level(crate::model::Level::new(9).expect("a level"))
        .with_settle(std::time::Duration::from_secs(60))
        .with_writer_check(WriterCheck::Quiet)
        .with_marker("{name}.done")
        .with_keep_original(true)
        .with_output_dir("out")
        .with_failed_dir("failed")
        .with_on_conflict(OnConflict::Skip)
        .with_leave_newest(3)
        .with_watcher(WatcherChoice::Poll)
        .with_poll_interval(std::time::Duration::from_secs(3600))
        .with_durable(false)
        .with_keep_for(std::time::Duration::from_secs(30 * 24 * 3600))
        .with_keep_count(14)
        .with_keep_bytes(10 << 30);
    assert_eq!(read, expected);
}

#[test]
fn originals_may_go_to_a_folder_of_their_own() {
    let read = watch("done-dir = \"done\"");
    assert_eq!(read, Watch::new("/srv", Preset::Inbox).with_done_dir("done"));
}

#[test]
fn an_output_folder_that_is_the_watched_one_is_none() {
    for folder in [".", "./", "/srv", "/srv/."] {
        assert_eq!(
            watch(&format!("output-dir = \"{folder}\"")).output_dir,
            None,
            "{folder}"
        );
    }
    assert!(watch("output-dir = \"..\"").output_dir.is_some());
}

#[cfg(feature = "zstd")]
#[test]
fn a_level_is_on_the_scale_of_its_format() {
    use crate::model::{Format, Level};
    // In any order.
    for text in ["format = \"zstd\"\nlevel = 19", "level = 19\nformat = \"zstd\""] {
        let expected = Watch::new("/srv", Preset::Inbox).with_level(Format::Zstd.level(19).expect("a level"));
        assert_eq!(watch(text), expected);
    }
    let zstd = watch("format = \"zstd\"");
    let top = Level::new(9).expect("a level");
    assert_eq!(zstd.level_or(top), Format::Zstd.default_level());
    assert_eq!(watch("").level_or(top), top);
    let refused = problems("[[watch]]\npath = \"/a\"\nlevel = 20\nformat = \"zstd\"");
    assert!(
        refused.contains(":3:9\n") && refused.contains("from 1 (fastest) to 19 (smallest)"),
        "{refused}"
    );
    let refused = problems("[[watch]]\npath = \"/a\"\nlevel = 10");
    assert!(
        refused.contains(":3:9\n") && refused.contains("from 1 (fastest) to 9 (smallest)"),
        "{refused}"
    );
    let refused = problems("[[watch]]\npath = \"/a\"\nformat = \"zip\"");
    assert!(refused.contains("expected \"gzip\" or \"zstd\""), "{refused}");
    // Of which format the level is, nobody can tell then.
    let refused = problems("[[watch]]\npath = \"/a\"\nformat = \"zip\"\nlevel = 19");
    assert_eq!(refused.matches("error: ").count(), 1, "{refused}");
}
