//! What no compiler or linter tells.

use std::fs;
use std::path::Path;

use crate::support::source::sources_below;

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
    let main = fs::read_to_string(tests.join("main.rs")).expect("tests/main.rs");
    let support = fs::read_to_string(tests.join("support/mod.rs")).expect("tests/support/mod.rs");
    for source in sources_below("tests") {
        let name = source
            .path
            .file_stem()
            .expect("a file's name")
            .to_string_lossy()
            .into_owned();
        let below_support = source.path.starts_with("tests/support");
        let parent = if below_support { &support } else { &main };
        let named = parent.lines().any(|line| line.ends_with(&format!("mod {name};")));
        let is_root = name == "main" || name == "mod";
        assert!(named || is_root, "{} has no mod line", source.path.display());
    }
}
