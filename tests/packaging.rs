//! What is shipped beside the program.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::support::{Dwindle, Original, Sandbox, assert_gz_of, needs, programs};

#[test]
fn systemd_accepts_the_unit_without_a_warning() {
    needs!(tool "systemd-analyze");
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd/dwindle.service");
    let unit = fs::read_to_string(unit).expect("the unit file");
    assert!(
        unit.contains("ExecStart=/usr/bin/dwindle run\n"),
        "the unit starts something else"
    );
    // Checked with the program that was just built, since systemd wants it to be there.
    let built = unit.replace("/usr/bin/dwindle", env!("CARGO_BIN_EXE_dwindle"));
    let sandbox = Sandbox::new();
    let path = sandbox.file("dwindle.service", built);

    let mut verify = Command::new("systemd-analyze");
    let output = programs::output(verify.args(["verify", "--man=no"]).arg(&path)).expect("systemd-analyze starts");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && !complaints.contains("dwindle.service"),
        "{}\n{complaints}",
        output.status
    );
}

/// A copy of the shipped example that watches a folder of the sandbox.
fn copy_of_example(sandbox: &Sandbox) {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.toml");
    let example = fs::read_to_string(example).expect("the example");
    let path = "path = \"/srv/inbox\"";
    assert_eq!(example.matches(path).count(), 1, "the example watches something else");
    let here = format!("path = \"{}\"", sandbox.folder("inbox").display());
    sandbox.file("config.toml", example.replace(path, &here));
}

#[test]
fn the_example_configuration_passes_the_check() {
    let sandbox = Sandbox::new();
    copy_of_example(&sandbox);
    let output = Dwindle::new(&sandbox)
        .args(["check", "-c", "config.toml"])
        .finish()
        .expect_code(0);
    assert_eq!(output.stdout, b"config.toml: valid, 1 folder to watch\n", "{output}");
    assert_eq!(output.stderr, "");
}

#[test]
fn the_agent_starts_from_the_example_configuration() {
    let sandbox = Sandbox::new();
    copy_of_example(&sandbox);
    let original = Original::of(&sandbox.file("inbox/app.log", "text"));
    let mut running = Dwindle::new(&sandbox).args(["run", "-c", "config.toml"]).start();
    running.wait_for_names(&sandbox.path("inbox"), ["app.log.gz"]);
    running.signal(Signal::TERM);
    let output = running.wait_exit().expect_code(0);
    assert_eq!(output.report().compressed, 1, "{output}");
    assert_gz_of(&sandbox.path("inbox/app.log.gz"), &original);
}

/// The program refuses a runtime directory that others may write to; and with one that the service's stop removes, the locks of agents
/// that root started by hand would be gone.
#[test]
fn the_unit_has_a_runtime_directory_of_its_own_that_stays() {
    let unit = include_str!("../packaging/systemd/dwindle.service");
    for line in [
        "RuntimeDirectory=dwindle",
        "RuntimeDirectoryMode=0700",
        "RuntimeDirectoryPreserve=yes",
    ] {
        assert!(unit.lines().any(|found| found == line), "{line}");
    }
}

/// Both make openat2(2) fail, by which every watched file is opened.
#[test]
fn the_unit_forbids_no_call_that_the_program_needs() {
    let unit = include_str!("../packaging/systemd/dwindle.service");
    for key in ["RestrictSUIDSGID=", "SystemCallFilter="] {
        assert!(!unit.lines().any(|line| line.starts_with(key)), "{key}");
    }
}
