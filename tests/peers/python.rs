//! Python's handlers that rotate by themselves, RotatingFileHandler and TimedRotatingFileHandler.

use std::process::Command;

use rustix::process::Signal;

use super::{assert_each_once, configure, lines_below, only_outputs_but, watch_as_in};
use crate::support::{Sandbox, names_below, needs, programs};

const WATCH: &str = "[[watch]]\npath = \"@FOLDER@/logs\"\npreset = \"rotated-logs\"\nsettle = \"50ms\"\n";

/// Runs the script to its end with the agent beside it, until there are outputs beside the live log only. The folder's names.
fn log_with(script: &str) -> (Sandbox, Vec<String>) {
    let (sandbox, names, said) = log_and_complain_with(script);
    // A handler that fails says so on standard error, and the program goes on.
    assert_eq!(said, "");
    (sandbox, names)
}

/// The same, and what was said on standard error.
fn log_and_complain_with(script: &str) -> (Sandbox, Vec<String>, String) {
    let sandbox = Sandbox::new();
    let logs = sandbox.folder("logs");
    let script = sandbox.file("script.py", script);
    let mut running = watch_as_in(&sandbox, &configure(&sandbox, "dwindle.toml", WATCH));
    let output = programs::output(Command::new("python3").arg(script).current_dir(sandbox.root()));
    let output = output.expect("python3 starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    running.wait_for("the last output", || only_outputs_but(&logs, &["app.log"]));
    running.signal(Signal::TERM);
    assert_eq!(running.wait_exit().expect_code(0).report().failed, 0);
    let names = names_below(&logs);
    (sandbox, names, said)
}

#[test]
fn a_rotating_file_handler_that_writes_the_date_into_names_loses_nothing() {
    needs!(tool "python3");
    let (sandbox, names) = log_with(include_str!("python/sized.py"));
    assert!(names.len() > 3, "{names:?}");
    assert!(names.iter().all(|name| name.starts_with("app.log")), "{names:?}");
    let line = |number| format!("this is a record of some length: line {number}");
    assert_each_once(&lines_below(&sandbox.path("logs")), (1..=10_000).map(line));
}

/// It looks for `app.log.1` to rename it, and there is none: so each becomes the first, and the outputs are told apart by us.
#[test]
fn a_rotating_file_handler_that_counts_loses_sight_of_the_outputs_and_no_record_is_lost() {
    needs!(tool "python3");
    let (sandbox, names) = log_with(include_str!("python/numbered.py"));
    let numbered = (1..=5).map(|number| format!("app.log.1.~{number}~.gz"));
    let mut expected: Vec<_> = ["app.log", "app.log.1.gz"]
        .map(str::to_owned)
        .into_iter()
        .chain(numbered)
        .collect();
    expected.sort();
    assert_eq!(names, expected);
    assert_each_once(
        &lines_below(&sandbox.path("logs")),
        (1..=60).map(|number| format!("line {number}")),
    );
}

/// Whoever takes it away, dwindle, logrotate or a person: the reason to let nobody rename what it counts.
#[test]
fn a_rotating_file_handler_drops_a_record_when_what_it_is_about_to_rename_goes() {
    needs!(tool "python3");
    let (sandbox, _, said) = log_and_complain_with(include_str!("python/raced.py"));
    assert!(said.contains("Arguments: (3,)"), "{said}");
    assert_each_once(
        &lines_below(&sandbox.path("logs")),
        (1..=2).map(|number| format!("line {number}")),
    );
}

/// Since Python 3.13 one more, because the last one, which is not compressed yet at that moment, is not counted.
#[test]
fn a_timed_rotating_file_handler_that_is_told_of_the_suffix_keeps_as_many_as_it_was_told_to() {
    needs!(tool "python3");
    let (sandbox, names) = log_with(include_str!("python/timed.py"));
    let outputs = names.len() - 1;
    assert!([3, 4].contains(&outputs), "{names:?}");
    let first = 10 - outputs;
    let mut expected = vec!["app.log".to_owned()];
    expected.extend((first..=9).map(|day| format!("app.log.2025-03-{day:02}.gz")));
    assert_eq!(names, expected);
    assert_each_once(
        &lines_below(&sandbox.path("logs")),
        (first - 2..=8).map(|day| format!("line {day}")),
    );
}
