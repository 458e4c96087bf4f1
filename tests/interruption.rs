//! `dwindle compress` at a terminal: the bar, and Ctrl-C.

use std::fs;

use rustix::process::Signal;

use crate::support::run::Running;
use crate::support::{Data, Dwindle, Original, Sandbox, assert_gz_of, names_below, needs};

/// Files to be compressed one after the other, each long enough to be caught at work.
fn begin(sandbox: &Sandbox, names: &[&str]) -> (Vec<Original>, Running) {
    let mut data = Data::from_seed(40);
    let originals = names
        .iter()
        .map(|name| Original::of(&sandbox.file(name, data.tedious_text(1_500_000))));
    let originals = originals.collect();
    let mut running = Dwindle::new(sandbox)
        .args(["compress", "-j1", "-9"])
        .args(names)
        .start();
    running.wait_for_output_in(sandbox.root());
    // It gets no further until the signals are there.
    running.signal(Signal::STOP);
    (originals, running)
}

fn names_in(sandbox: &Sandbox) -> Vec<String> {
    let mut names = names_below(sandbox.root());
    names.retain(|name| !name.starts_with(".runtime"));
    names
}

#[test]
fn an_interrupt_finishes_what_is_in_flight_and_leaves_the_rest() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let sandbox = Sandbox::new();
        let (originals, running) = begin(&sandbox, &["a", "b", "c"]);
        running.signal(signal);
        running.signal(Signal::CONT);
        let output = running.wait_exit().expect_code(code);
        let report = output.report();
        assert_eq!((report.compressed, report.failed, report.left), (1, 0, 2), "{output}");
        assert_eq!(output.stderr, "");
        assert_eq!(names_in(&sandbox), ["a.gz", "b", "c"]);
        assert_gz_of(&sandbox.path("a.gz"), &originals[0]);
    }
}

#[test]
fn an_interrupt_that_leaves_nothing_is_done() {
    let sandbox = Sandbox::new();
    let (originals, running) = begin(&sandbox, &["a"]);
    running.signal(Signal::INT);
    running.signal(Signal::CONT);
    let output = running.wait_exit().expect_code(0);
    assert_eq!(output.report().compressed, 1, "{output}");
    assert_gz_of(&sandbox.path("a.gz"), &originals[0]);
}

#[test]
fn a_second_signal_gives_up_what_is_in_flight_without_a_trace() {
    let sandbox = Sandbox::new();
    let (originals, running) = begin(&sandbox, &["a", "b", "c"]);
    // Two kinds, since equal ones that wait for a stopped process become one (signal(7)).
    running.signal(Signal::INT);
    running.signal(Signal::TERM);
    running.signal(Signal::CONT);
    let output = running.wait_exit();
    assert!(matches!(output.status.code(), Some(130 | 143)), "{output}");
    let report = output.report();
    assert_eq!((report.compressed, report.failed, report.left), (0, 0, 3), "{output}");
    assert_eq!(names_in(&sandbox), ["a", "b", "c"]);
    for original in &originals {
        assert!(fs::read(sandbox.path(&original.name)).unwrap() == original.content);
    }
}

/// There is then no chance to clean up, and none is needed: the unfinished output never had a name.
#[test]
fn killed_it_leaves_the_originals_and_nothing_else() {
    let sandbox = Sandbox::new();
    let (originals, running) = begin(&sandbox, &["a", "b"]);
    running.signal(Signal::KILL);
    assert!(!running.wait_exit().status.success());
    assert_eq!(names_in(&sandbox), ["a", "b"]);
    assert!(fs::read(sandbox.path("a")).unwrap() == originals[0].content);
}

#[test]
fn there_is_a_bar_on_a_terminal_only() {
    needs!(tool "script");
    let sandbox = Sandbox::new();
    let mut data = Data::from_seed(41);
    let mut run = |options: &str, on_terminal: bool| {
        sandbox.file("f", data.random_bytes(1 << 20));
        let line = format!("\"$DWINDLE\" compress {options} f 2>&1");
        let script = if on_terminal {
            format!("script -qec '{line}' /dev/null </dev/null")
        } else {
            line
        };
        let output = Dwindle::in_shell(&sandbox, &script)
            .env("TERM", "xterm")
            .finish()
            .expect_code(0);
        fs::remove_file(sandbox.path("f.gz")).unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("Compressed 1 file: 1.00 MiB"), "{text:?}");
        text.contains('\x1b')
    };
    assert!(run("", true));
    assert!(!run("-q", true));
    assert!(!run("", false));
}
