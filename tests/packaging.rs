//! What is shipped beside the program.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use crate::support::{Dwindle, Original, Sandbox, assert_gz_of, needs, programs};

const SERVICE: &str = include_str!("../packaging/systemd/dwindle.service");
const INSTANCE: &str = include_str!("../packaging/systemd/dwindle@.service");

/// The unit under a name that is no template, with the program that was just built, since systemd wants it to be there.
fn unit_for_systemd(sandbox: &Sandbox, name: &str, unit: &str) -> PathBuf {
    assert!(
        unit.contains("ExecStart=/usr/bin/dwindle run"),
        "the unit starts something else"
    );
    sandbox.file(name, unit.replace("/usr/bin/dwindle", env!("CARGO_BIN_EXE_dwindle")))
}

#[test]
fn systemd_accepts_the_units_without_a_warning() {
    needs!(tool "systemd-analyze");
    let sandbox = Sandbox::new();
    for (name, unit) in [("dwindle.service", SERVICE), ("dwindle@logs.service", INSTANCE)] {
        let path = unit_for_systemd(&sandbox, name, unit);
        let mut verify = Command::new("systemd-analyze");
        let output = programs::output(verify.args(["verify", "--man=no"]).arg(&path)).expect("systemd-analyze starts");
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && !complaints.contains("dwindle"),
            "{}\n{complaints}",
            output.status
        );
    }
}

/// The threshold is in tenths, and systemd fails where the unit is above it.
#[test]
fn systemd_finds_the_units_exposed_to_no_more_than_1_1() {
    needs!(tool "systemd-analyze");
    let sandbox = Sandbox::new();
    for (name, unit) in [("dwindle.service", SERVICE), ("dwindle@logs.service", INSTANCE)] {
        let path = unit_for_systemd(&sandbox, name, unit);
        let assess = |threshold: &str| {
            let mut security = Command::new("systemd-analyze");
            security
                .args(["security", "--offline=yes", "--no-pager"])
                .arg(format!("--threshold={threshold}"));
            programs::output(security.arg(&path)).expect("systemd-analyze starts")
        };
        let output = assess("11");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        assert!(!assess("1").status.success(), "the threshold does not count");
    }
}

/// What is hardened in one is hardened in the other.
#[test]
fn an_instance_is_the_service_but_for_its_names() {
    let settings = |unit: &'static str| -> Vec<&'static str> {
        let lines = unit.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.collect()
    };
    let (service, instance) = (settings(SERVICE), settings(INSTANCE));
    let only_in = |these: &[&'static str], those: &[&'static str]| -> Vec<&'static str> {
        these.iter().copied().filter(|line| !those.contains(line)).collect()
    };
    assert_eq!(
        only_in(&service, &instance),
        [
            "Description=Turn finished files in watched folders into FILE.gz",
            "ExecStart=/usr/bin/dwindle run",
            "ExecReload=/usr/bin/dwindle check",
            "RuntimeDirectory=dwindle",
        ]
    );
    assert_eq!(
        only_in(&instance, &service),
        [
            "Description=Turn finished files in watched folders into FILE.gz (%i)",
            "ExecStart=/usr/bin/dwindle run -c /etc/dwindle/%i.toml",
            "ExecReload=/usr/bin/dwindle check -c /etc/dwindle/%i.toml",
            "RuntimeDirectory=dwindle-%i",
            // Where the locks are that all share.
            "ReadWritePaths=-/run/dwindle",
        ]
    );
}

/// Whoever reads the unit finds why something usual is missing.
#[test]
fn what_the_unit_does_not_restrict_has_its_reason() {
    for key in ["RestrictSUIDSGID=", "PrivateUsers=", "RootDirectory=", "DynamicUser="] {
        assert!(!SERVICE.lines().any(|line| line.starts_with(key)), "{key}");
        let reason = format!("#   {key} ");
        for unit in [SERVICE, INSTANCE] {
            assert!(unit.lines().any(|line| line.starts_with(&reason)), "{key}");
        }
    }
}

#[test]
fn the_user_and_the_runtime_directory_are_made_as_the_unit_expects_them() {
    needs!(root);
    needs!(tool "systemd-sysusers");
    needs!(tool "systemd-tmpfiles");
    let sandbox = Sandbox::new();
    sandbox.folder("root/etc");
    let root = format!("--root={}", sandbox.path("root").display());
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
    let run = |tool: &str, option: Option<&str>, file: &str| {
        let mut command = Command::new(tool);
        command.arg(&root).args(option).arg(packaging.join(file));
        let output = programs::output(&mut command).expect("it starts");
        assert!(output.status.success(), "{output:?}");
    };
    // Twice: an upgrade does it again.
    for _ in 0..2 {
        run("systemd-sysusers", None, "sysusers.d/dwindle.conf");
        run("systemd-tmpfiles", Some("--create"), "tmpfiles.d/dwindle.conf");
    }
    let read = |name: &str| fs::read_to_string(sandbox.path(name)).expect("it was made");
    let users = read("root/etc/passwd");
    let [user] = users.lines().collect::<Vec<_>>()[..] else {
        panic!("{users}")
    };
    let fields: Vec<_> = user.split(':').collect();
    assert_eq!((fields[0], fields[6]), ("dwindle", "/usr/sbin/nologin"));
    let group = format!("dwindle:x:{}:\n", fields[3]);
    assert_eq!(read("root/etc/group"), group);
    let directory = fs::metadata(sandbox.path("root/run/dwindle")).expect("it was made");
    let expected = [fields[2], fields[3]].map(|number| number.parse::<u32>().expect("a number"));
    assert_eq!([directory.uid(), directory.gid()], expected);
    assert_eq!(directory.mode() & 0o7777, 0o750);
    for line in [
        "User=dwindle",
        "Group=dwindle",
        "RuntimeDirectory=dwindle",
        "RuntimeDirectoryMode=0750",
    ] {
        assert!(SERVICE.lines().any(|found| found == line), "{line}");
    }
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

/// With one that the service's stop removes, the locks of agents that root started by hand would be gone.
#[test]
fn the_runtime_directory_stays_when_the_service_stops() {
    for unit in [SERVICE, INSTANCE] {
        assert!(unit.lines().any(|line| line == "RuntimeDirectoryPreserve=yes"));
    }
}
