//! What no compiler or linter tells.

use std::fs;
use std::path::Path;

use crate::support::source::{Source, sources_below};

/// One idea a file; more lines than this hold two.
const MOST_LINES: usize = 600;

#[test]
fn no_source_file_is_long() {
    let sources = sources_below("src").into_iter().chain(sources_below("tests"));
    let long: Vec<_> = sources
        .filter(|source| source.text.lines().count() > MOST_LINES)
        .map(|source| source.path)
        .collect();
    assert!(long.is_empty(), "more than {MOST_LINES} lines: {long:?}");
}

#[test]
fn nothing_is_left_to_do() {
    let mut marks = Vec::new();
    for source in sources_below("src") {
        for (index, line) in source.text.lines().enumerate() {
            if ["TODO", "FIXME", "todo!", "unimplemented!"]
                .iter()
                .any(|mark| line.contains(mark))
            {
                marks.push(format!("{}:{}: {line}", source.path.display(), index + 1));
            }
        }
    }
    assert!(marks.is_empty(), "\n{}", marks.join("\n"));
}

/// Without its `mod` line a file's tests are never run, and nothing else says so.
#[test]
fn every_test_file_is_part_of_the_binary() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let main = tests.join("main.rs");
    for source in sources_below("tests") {
        let name = source
            .path
            .file_stem()
            .expect("a file's name")
            .to_string_lossy()
            .into_owned();
        let folder = source.path.parent().expect("a file's path");
        let is_module = name == "mod";
        let name = if is_module {
            folder.file_name().expect("a folder").to_string_lossy().into_owned()
        } else {
            name
        };
        let is_on_top = is_module || folder == Path::new("tests");
        let parent = if is_on_top {
            main.clone()
        } else {
            tests.join("..").join(folder).join("mod.rs")
        };
        let parent = fs::read_to_string(parent).expect("the parent module");
        let named = parent.lines().any(|line| line.ends_with(&format!("mod {name};")));
        let is_root = name == "main";
        assert!(named || is_root, "{} has no mod line", source.path.display());
    }
}

/// A child has the descriptors of all threads until its execve(2). The kernel then says of a file that another test has just written that
/// somebody has it open for writing, and of a lock that another test has just given up that it is held. Hooks are programs, and are tested
/// from here only.
#[test]
fn unit_tests_start_no_programs() {
    let is_hook = |source: &Source| source.path.ends_with("daemon/hooks/child.rs");
    let starts = |source: &&Source| source.text.contains("process::Command") && !is_hook(source);
    let sources = sources_below("src");
    let starting: Vec<_> = sources.iter().filter(starts).map(|source| &source.path).collect();
    assert!(starting.is_empty(), "{starting:?}");
}
