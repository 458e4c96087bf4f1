//! What is shipped beside the program.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Sandbox, needs};

#[test]
fn systemd_accepts_the_unit_without_a_warning() {
    needs!(tool "systemd-analyze");
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd/dwindle.service");
    let unit = fs::read_to_string(unit).expect("the unit file");
    let installed = "ExecStart=/usr/bin/dwindle run\n";
    assert!(unit.contains(installed), "the unit starts something else");
    // Checked with the program that was just built, since systemd wants it to be there.
    let built = format!("ExecStart={} run\n", env!("CARGO_BIN_EXE_dwindle"));
    let sandbox = Sandbox::new();
    let path = sandbox.file("dwindle.service", unit.replace(installed, &built));

    let mut verify = Command::new("systemd-analyze");
    let output = verify
        .args(["verify", "--man=no"])
        .arg(&path)
        .output()
        .expect("systemd-analyze starts");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && !complaints.contains("dwindle.service"),
        "{}\n{complaints}",
        output.status
    );
}
