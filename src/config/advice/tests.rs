use std::fs;

use super::*;
use crate::config::file;

/// The warnings for a configuration file that stands in `folder`, where `a`, `a/b` and `c` are.
fn warnings(text: &str) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["a/b", "c"] {
        fs::create_dir_all(folder.path().join(name)).expect("made");
    }
    let path = folder.path().join("x.toml");
    let file = file::parse(&path, text).expect("a legal configuration");
    let root = format!("{}/", folder.path().display());
    let print = |warning: &Diagnostic| warning.to_string().replace(&root, "");
    warn(&file.watches).iter().map(print).collect()
}

fn labels(watch: &str) -> Vec<String> {
    let label = |warning: String| {
        let (_, label) = warning.split_once("^ ").expect("has a label");
        label.to_owned()
    };
    warnings(&format!("[[watch]]\npath = \"a\"\n{watch}"))
        .into_iter()
        .map(label)
        .collect()
}

#[test]
fn a_file_where_a_folder_would_be_is_warned_of() {
    for key in ["output-dir", "done-dir", "failed-dir"] {
        for path in ["../x.toml", "../x.toml/below"] {
            let folder = tempfile::tempdir().expect("a folder");
            fs::create_dir(folder.path().join("a")).expect("made");
            let text = format!("[[watch]]\npath = \"a\"\n{key} = \"{path}\"");
            let config = folder.path().join("x.toml");
            fs::write(&config, &text).expect("written");
            let file = file::parse(&config, &text).expect("a legal configuration");
            let printed: Vec<String> = warn(&file.watches).iter().map(ToString::to_string).collect();
            let expected = [
                format!("`{key}` cannot be a folder"),
                "the watch would not begin".to_owned(),
            ];
            assert_eq!(printed.len(), 1, "{printed:?}");
            assert!(expected.iter().all(|words| printed[0].contains(words)), "{printed:?}");
        }
    }
}

#[test]
fn two_watches_on_one_folder_that_take_different_files_are_meant() {
    let twice = |first: &str, second: &str| {
        let watch = |include: &str| format!("[[watch]]\npath = \"a\"\n{include}\n");
        warnings(&(watch(first) + &watch(second))).len()
    };
    assert_eq!(twice("include = [\"*.csv\"]", "include = [\"*.log\"]"), 0);
    assert_eq!(twice("include = [\"*.csv\"]", ""), 1);
    assert_eq!(twice("include = [\"*.csv\", \"*.x\"]", "include = [\"*.x\"]"), 1);
}

#[test]
fn a_sound_configuration_has_no_warnings() {
    let text = r#"
[[watch]]
path = "a"
recursive = false
include = ["*.csv", "**/*.txt", "*", "*.g?", "*.{gz,csv}", "log.*"]
exclude = ["a*.csv", "**/tmp/**", "*.[!c]*"]
output-dir = "out"
on-conflict = "replace"
[[watch]]
path = "a/b"
output-dir = "out"
[[watch]]
path = "c"
writer-check = "quiet"
marker = "{name}.done"
include = ["*.csv", "*.d?ne"]
watcher = "poll"
poll-interval = "1s"
"#;
    assert_eq!(warnings(text), [""; 0]);
}

#[test]
fn a_missing_folder() {
    let expected = "\
warning: cannot watch ~/inbox
  --> x.toml:2:8
   |
 2 | path = \"~/inbox\"
   |        ^^^^^^^^^ there is no such folder now
   = help: `~` is not expanded: write the folder in full";
    assert_eq!(warnings("[[watch]]\npath = \"~/inbox\""), [expected]);
    for (path, part) in [
        ("x", "help: a relative path starts at"),
        ("$HOME/x", "help: environment variables are not"),
        ("/nowhere", "there is no such folder now"),
        ("/dev/null", "^ not a folder"),
        ("/dev/null/x", "^ cannot be looked at: Not a directory"),
    ] {
        let found = warnings(&format!("[[watch]]\npath = \"{path}\""));
        assert!(found.len() == 1 && found[0].contains(part), "{found:?}");
    }
}

#[test]
fn a_folder_for_done_files_that_another_watch_would_take_from() {
    for (keys, taken) in [
        ("done-dir = \"../c\"", true),
        ("failed-dir = \"../c/failed\"", true),
        ("done-dir = \"done\"", false),
        ("failed-dir = \"../d\"", false),
    ] {
        let found = warnings(&format!("[[watch]]\npath = \"a\"\n{keys}\n[[watch]]\npath = \"c\""));
        assert_eq!(found.len(), usize::from(taken), "{keys}: {found:?}");
        let told = |warning: &String| warning.contains("taken again by the watch at x.toml:5");
        assert!(found.iter().all(told), "{keys}: {found:?}");
    }
}

#[test]
fn two_watches_on_one_folder_and_one_inside_another() {
    let expected = "\
warning: the folder a/../a is watched twice
  --> x.toml:4:8
   |
 4 | path = \"a/../a\"
   |        ^^^^^^^^ the other one is at x.toml:2
   = help: put the rules for it into one watch, or give each an `include` of its own";
    assert_eq!(
        warnings("[[watch]]\npath = \"a\"\n[[watch]]\npath = \"a/../a\""),
        [expected]
    );
    for (outer, overlap) in [
        ("", true),
        ("exclude = [\"b/**\"]", false),
        ("recursive = false", false),
    ] {
        for text in [
            format!("[[watch]]\npath = \"a\"\n{outer}\n[[watch]]\npath = \"a/b\""),
            format!("[[watch]]\npath = \"a/b\"\n[[watch]]\npath = \"a\"\n{outer}"),
        ] {
            let found = warnings(&text);
            let told = found.len() == 1 && found[0].starts_with("warning: two watches overlap: a");
            assert_eq!(told, overlap, "{text}: {found:?}");
        }
    }
}

#[test]
fn a_shared_output_folder_with_replacement() {
    let text = |conflict: &str| {
        let output = format!("output-dir = \"/nowhere/out\"\non-conflict = \"{conflict}\"");
        format!("[[watch]]\npath = \"a\"\n{output}\n[[watch]]\npath = \"c\"\n{output}")
    };
    let expected = "\
warning: two watches have the same `output-dir`, and `on-conflict` is \"replace\"
  --> x.toml:7:14
   |
 7 | output-dir = \"/nowhere/out\"
   |              ^^^^^^^^^^^^^^ the other one is at x.toml:3
   = help: files with the same name replace each other's outputs: use two folders, or \"number\"";
    assert_eq!(warnings(&text("replace")), [expected]);
    assert_eq!(warnings(&text("number")), [""; 0]);
}

#[test]
fn a_poll_interval_for_a_folder_that_is_never_polled() {
    let expected = "\
warning: `poll-interval` has no effect
  --> x.toml:4:17
   |
 4 | poll-interval = \"1s\"
   |                 ^^^^ `watcher` is \"native\"";
    let text = "[[watch]]\npath = \"a\"\nwatcher = \"native\"\npoll-interval = \"1s\"";
    assert_eq!(warnings(text), [expected]);
}

#[test]
fn an_include_that_is_always_beaten() {
    let expected = "\
warning: this `include` never takes a file
  --> x.toml:3:21
   |
 3 | include = [\"*.csv\", \"*.gz\"]
   |                     ^^^^^^ compressed already, by its suffix (.gz)";
    let text = "[[watch]]\npath = \"a\"\ninclude = [\"*.csv\", \"*.gz\"]";
    assert_eq!(warnings(text), [expected]);
    for (watch, expected) in [
        (
            r#"include = ["x/**/*.tar.xz"]"#,
            "compressed already, by its suffix (.xz)",
        ),
        (r#"include = [".*"]"#, "dot-files and dot-folders are never taken"),
        (
            r#"include = [".cache/*.js"]"#,
            "dot-files and dot-folders are never taken",
        ),
        (
            r#"include = ["*.part"]"#,
            "the name says that it is still being written (*.part)",
        ),
        (
            "include = [\"*.csv\"]\nexclude = [\"*.csv\"]",
            "the exclude pattern \"*.csv\" matches",
        ),
        (
            "include = [\"*.[ct]sv\"]\nexclude = [\"*.[ct]sv\"]",
            "the exclude pattern \"*.[ct]sv\" matches",
        ),
        (
            "include = [\"a*.csv\"]\nexclude = [\"*.csv\"]",
            "the exclude pattern \"*.csv\" matches",
        ),
        (
            "include = [\"x/**\"]\nexclude = [\"x/\"]",
            "the exclude pattern \"x/\" matches",
        ),
        (
            "include = [\"*.done\"]\nmarker = \"{name}.done\"",
            "it only marks another file as finished",
        ),
        (
            "include = [\"x/*.csv\"]\nrecursive = false",
            "it lies in a subfolder, and the watch is not recursive",
        ),
        (
            "include = [\"x/*.csv\"]\noutput-dir = \"x\"",
            "it lies in the watch's output folder",
        ),
    ] {
        assert_eq!(labels(watch), [expected], "{watch}");
    }
}

#[test]
fn an_include_of_which_something_is_left_is_not_warned_of() {
    for watch in [
        "include = [\"*.csv\"]\nexclude = [\"a*.csv\"]",
        "include = [\"a*b\"]\nexclude = [\"a?*b\"]",
        "include = [\"a/**\"]\nexclude = [\"a/*.csv\"]",
        "include = [\"*\"]\nexclude = [\"[!a]*\"]",
        "include = [\"*.[gx]z\"]",
        "include = [\"gz\"]",
        "include = [\"*.csv\"]\nexclude = [\"[!a]*\"]",
        "include = [\"**/*.csv\"]\nrecursive = false",
        "include = [\"*.php\"]\npreset = \"static-assets\"",
        "include = [\"*.log\"]\npreset = \"rotated-logs\"",
    ] {
        assert_eq!(labels(watch), [""; 0], "{watch}");
    }
}
