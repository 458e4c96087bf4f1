//! Whatever goes wrong, no byte is lost, and the log says what it was: one test or more for each row of `rows.txt`, on the real program.
//!
//! The tests are stated by the promise and not by the steps that keep it: see [`scene`]. Those that go through every moment of a run take
//! some of them, chosen by a seed that a failure prints; with `DWINDLE_EXHAUSTIVE=1` they take all.

/// The agent, caught at a moment of its work.
mod at_work;
/// The clock jumps.
mod clock;
/// Other programs at the same file.
mod concurrency;
/// Killed at any moment, and started again.
mod crashes;
/// System calls that fail.
mod errors;
/// Events lost, late, or never sent.
mod events;
/// Folders that belong to somebody who wants our privileges.
mod hostile;
/// Several at work on one folder.
mod instances;
/// Space, inodes and other limits.
mod limits;
/// Which system calls of a run are worth a crash.
mod moments;
/// The power fails at any moment.
mod power;
/// Writers at every moment of the commit, and what a lesser protocol loses to them.
mod race;
/// What a test lays out before something goes wrong, and what must be true afterwards.
mod scene;
/// What a service lives through.
mod service;
/// All of it together, for a long time.
mod soak;

use std::collections::BTreeMap;

use crate::support::source::sources_below;

const ROWS: &str = include_str!("rows.txt");

/// Rows that a unit test of this name holds, since the program cannot be brought to it from outside.
const IN_UNIT_TESTS: [(u32, &str); 2] = [
    (19, "interrupted_and_short_reads_are_no_matter"),
    (20, "garbage_from_the_engine_is_refused"),
];

#[test]
fn every_row_has_its_test() {
    let sources: Vec<_> = ["src", "tests"].into_iter().flat_map(sources_below).collect();
    let functions: Vec<&str> = sources.iter().flat_map(|source| test_functions(&source.text)).collect();
    let mut tests = BTreeMap::<u32, usize>::new();
    for function in &functions {
        if let Some(rest) = function.strip_prefix("row_") {
            let number = rest.split('_').next().and_then(|digits| digits.parse().ok());
            *tests.entry(number.expect("a row's number")).or_default() += 1;
        }
    }
    for (row, function) in IN_UNIT_TESTS {
        assert!(functions.contains(&function), "row {row}: there is no test {function}");
        *tests.entry(row).or_default() += 1;
    }
    let numbers: Vec<u32> = rows().keys().copied().collect();
    assert_eq!(numbers, (1..=58).collect::<Vec<_>>());
    for (number, sentence) in rows() {
        assert!(tests.contains_key(&number), "row {number}, {sentence}: not tested");
    }
    let unknown: Vec<_> = tests.keys().filter(|number| !rows().contains_key(number)).collect();
    assert!(unknown.is_empty(), "tests of rows that there are not: {unknown:?}");
}

fn rows() -> BTreeMap<u32, &'static str> {
    let lines = ROWS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (number, sentence) = line.split_once(' ').expect("a number and a sentence");
            (number.parse().expect("a row's number"), sentence.trim())
        })
        .collect()
}

/// The names of the functions that directly follow a line `#[test]`.
fn test_functions(source: &str) -> impl Iterator<Item = &str> {
    let lines = source.lines().zip(source.lines().skip(1));
    lines.filter_map(|(above, line)| {
        let name = line.trim().strip_prefix("fn ")?.split('(').next();
        if above.trim() == "#[test]" { name } else { None }
    })
}
