//! The shipped units on a real systemd: what an admin does with them, and what the sandbox does to the work.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::time::Instant;

use rustix::fs::{XattrFlags, setxattr};

use crate::support::programs::while_none_is_started;
use crate::support::systemd::Systemd;
use crate::support::{Data, Original, Sandbox, assert_gz_of, names_below, needs, programs};

const AT_ONCE: &str = "settle = \"0s\"";

/// A configuration that watches a folder, with these keys.
fn config(folder: &str, keys: &str) -> String {
    format!("[[watch]]\npath = \"{folder}\"\n{AT_ONCE}\n{keys}\n")
}

/// Someone's file, put into the folder whole; what its output must be.
fn deliver(folder: &Path, name: &str, (user, group): (u32, u32), mode: u32, change: impl FnOnce(&Path)) -> Original {
    let path = folder.with_file_name(name);
    let content = Data::from_seed(u64::from(user)).log_text(20_000);
    while_none_is_started(|| fs::write(&path, content)).expect("a new file");
    setxattr(&path, "user.origin", name.as_bytes(), XattrFlags::empty()).expect("an attribute");
    chown(&path, Some(user), Some(group)).expect("as root");
    fs::set_permissions(&path, Permissions::from_mode(mode)).expect("as root");
    change(&path);
    let original = Original::of(&path);
    fs::rename(&path, folder.join(name)).expect("the same file system");
    original
}

/// Installed, three lines of configuration, started: everybody's files become theirs, and the stop says how many.
#[test]
fn the_service_keeps_everybody_s_files_theirs_and_says_how_many_it_compressed() {
    needs!(systemd);
    needs!(tool "setfacl");
    let sandbox = Sandbox::new();
    let inbox = sandbox.folder("srv/inbox");
    sandbox.file(
        "dwindle/config.toml",
        "[[watch]]\npath = \"/srv/inbox\"\npreset = \"inbox\"\n",
    );
    // As in /tmp, only the owner of a file, or CAP_FOWNER, may remove it.
    fs::set_permissions(&inbox, Permissions::from_mode(0o1777)).unwrap();
    let systemd = Systemd::boot(&sandbox);
    let unit = systemd.dwindle();
    assert!(unit.control("start"));
    let owner = systemd.text_of(&["stat", "-c", "%U:%G %a", "/run/dwindle"]);
    assert_eq!(owner, "dwindle:dwindle 750\n");
    let process = unit.property("MainPID");
    let status = systemd.text_of(&["cat", &format!("/proc/{process}/status")]);
    assert!(
        status.contains("NoNewPrivs:\t1\n") && status.contains("Seccomp:\t2\n"),
        "{status}"
    );

    let with_list = |path: &Path| {
        let mut setfacl = std::process::Command::new("setfacl");
        let status = programs::status(setfacl.args(["-m", "u:4242:r"]).arg(path));
        assert!(status.expect("setfacl starts").success());
    };
    let originals = [
        deliver(&inbox, "root.csv", (0, 0), 0o644, |_| ()),
        deliver(&inbox, "alice.csv", (4242, 4300), 0o600, |_| ()),
        deliver(&inbox, "bob.csv", (4243, 4300), 0o640, with_list),
        deliver(&inbox, "nobody.csv", (65_534, 0), 0o000, |_| ()),
    ];
    unit.wait_for_compressed(4);
    for original in &originals {
        assert_gz_of(&original.gz_in(&inbox), original);
    }
    assert_eq!(names_below(&inbox).len(), 4, "the originals are gone");
    assert!(unit.control("stop"));
    assert_eq!(unit.property("Result"), "success");
    let journal = unit.wait_for_journal("Deactivated successfully");
    assert!(journal.contains("\nCompressed 4 files: 78.1"), "{journal}");
    let warnings = [
        "journalctl",
        "-o",
        "cat",
        "-p",
        "warning",
        "_SYSTEMD_UNIT=dwindle.service",
    ];
    assert_eq!(systemd.run(&warnings).stdout, b"", "{journal}");
}

/// What is left of a file is told where the sandbox takes it away.
#[test]
fn what_only_more_privileges_could_copy_is_told_and_left_out_and_a_drop_in_grants_them() {
    needs!(systemd);
    let sandbox = Sandbox::new();
    let inbox = sandbox.folder("srv/inbox");
    sandbox.file("dwindle/config.toml", config("/srv/inbox", ""));
    let systemd = Systemd::boot(&sandbox);
    let unit = systemd.dwindle();
    assert!(unit.control("start"));
    let set = |path: &Path| {
        for name in ["security.dwindle", "trusted.dwindle"] {
            setxattr(path, name, b"1", XattrFlags::empty()).expect("as root");
        }
    };
    let attributes = |name: &str| {
        let mut list = [0; 256];
        let length = rustix::fs::listxattr(inbox.join(name), &mut list[..]).expect("the output");
        String::from_utf8_lossy(&list[..length]).into_owned()
    };
    deliver(&inbox, "a", (4242, 4242), 0o644, set);
    unit.wait_for_compressed(1);
    unit.wait_for_journal("/srv/inbox/a: the extended attribute security.dwindle could not be kept");
    assert_eq!(attributes("a.gz"), "user.origin\0");

    unit.edit("CapabilityBoundingSet=CAP_SYS_ADMIN\nAmbientCapabilities=CAP_SYS_ADMIN");
    assert!(unit.control("restart"));
    deliver(&inbox, "b", (4242, 4242), 0o644, set);
    unit.wait_for_compressed(1);
    for name in ["security.dwindle", "trusted.dwindle", "user.origin"] {
        assert!(attributes("b.gz").contains(name), "{:?}", attributes("b.gz"));
    }
}

/// Outside of what the unit may write to: it does not start, says which lines would help, and these help.
#[test]
fn a_folder_that_the_sandbox_denies_is_told_with_the_lines_that_allow_it() {
    needs!(systemd);
    let sandbox = Sandbox::new();
    sandbox.folder("opt/in box");
    sandbox.folder("home/alice/upload");
    sandbox.folder("srv/inbox");
    sandbox.folder("opt/metrics");
    let metrics = "[metrics]\ntextfile = \"/opt/metrics/dwindle.prom\"\n";
    let both = [config("/opt/in box", ""), config("/home/alice/upload", "")].concat();
    sandbox.file("dwindle/config.toml", metrics.to_owned() + &both);
    let systemd = Systemd::boot(&sandbox);
    let unit = systemd.dwindle();
    unit.edit("RestartSec=100ms");
    assert!(!unit.control("start"));
    let journal = unit.wait_for_journal("/home/alice/upload is hidden from dwindle.service by its sandbox");
    for words in [
        "/opt/in box is read-only for dwindle.service: its sandbox",
        "write there, a line each, [Service], ReadWritePaths=\"/opt/in box\", and say",
        "write there, a line each, [Service], ProtectHome=read-only, ReadWritePaths=/home/alice/upload, and say",
        "status=75",
    ] {
        assert!(journal.contains(words), "{words}: {journal}");
    }

    let settings = "ReadWritePaths=\"/opt/in box\"\nProtectHome=read-only\nReadWritePaths=/home/alice/upload\n";
    unit.edit(settings);
    assert!(unit.control("restart"));
    sandbox.file("opt/in box/F", "text");
    sandbox.file("home/alice/upload/F", "text");
    unit.wait_for_compressed(2);
    // For metrics alone nothing is held up.
    let no_metrics = "/opt/metrics/dwindle.prom: Read-only file system (os error 30). /opt/metrics is read-only for dwindle.service: ";
    unit.wait_for_journal(no_metrics);

    // A reload that adds such a folder fails, and changes nothing; nor does the signal alone.
    sandbox.folder("opt/more");
    sandbox.file("dwindle/conf.d/more.toml", config("/opt/more", ""));
    assert!(!unit.control("reload"));
    let journal = unit.wait_for_journal("dwindle: /opt/more is read-only for dwindle.service: its sandbox");
    let warned = "dwindle: the metrics' `textfile` cannot be written: /opt/metrics is read-only for dwindle.service: ";
    assert!(journal.contains(warned), "{journal}");
    unit.signal("HUP");
    unit.wait_for("StatusText", |status| {
        status.starts_with("Reload refused: /opt/more is read-only for dwindle.service")
            && status.ends_with("; 2 folders")
    });
    // Only to be read there, to be written elsewhere.
    let read_only = config("/opt/more", "keep-original = true\noutput-dir = \"/srv/out\"");
    sandbox.file("dwindle/conf.d/more.toml", read_only);
    assert!(unit.control("reload"));
    sandbox.file("opt/more/G", "text");
    unit.wait_for_compressed(3);
    assert_eq!(names_below(&sandbox.path("srv/out")), ["G.gz"]);

    // One that is still to be made, where nothing can be.
    sandbox.file(
        "dwindle/conf.d/more.toml",
        config("/srv/inbox", "output-dir = \"/opt/later/out\""),
    );
    assert!(!unit.control("reload"));
    unit.wait_for_journal(
        "dwindle: /opt/later/out is not there, and cannot be made: its place is read-only for dwindle.service",
    );
    sandbox.folder("opt/later/out");
    unit.edit(&(settings.to_owned() + "ReadWritePaths=/opt/later/out"));
    assert!(unit.control("restart"));
    sandbox.file("srv/inbox/H", "text");
    unit.wait_for_compressed(1);
    assert_eq!(names_below(&sandbox.path("opt/later/out")), ["H.gz"]);
}

#[test]
fn drop_ins_of_the_configuration_are_read_in_the_order_of_their_names_and_each_problem_names_its_file() {
    needs!(systemd);
    let sandbox = Sandbox::new();
    for name in ["a", "b", "c"] {
        sandbox.folder(format!("srv/{name}"));
    }
    sandbox.file("dwindle/config.toml", config("/srv/a", ""));
    let systemd = Systemd::boot(&sandbox);
    let unit = systemd.dwindle();
    assert!(unit.control("start"));
    sandbox.file(
        "dwindle/conf.d/20-c.toml",
        config("/srv/c", "") + "[log]\nformat = \"json\"\n",
    );
    sandbox.file("dwindle/conf.d/10-b.toml", config("/srv/b", ""));
    sandbox.file("dwindle/conf.d/README", "not a configuration");
    assert!(unit.control("reload"));
    unit.wait_for("StatusText", |status| status.ends_with("; 3 folders"));
    let journal = unit.journal();
    let names =
        "/etc/dwindle/config.toml, /etc/dwindle/conf.d/10-b.toml, /etc/dwindle/conf.d/20-c.toml: valid, 3 folders";
    assert!(journal.contains(names), "{journal}");
    for name in ["a", "b", "c"] {
        sandbox.file(format!("srv/{name}/F"), "text");
    }
    unit.wait_for_compressed(3);

    sandbox.file("dwindle/conf.d/10-b.toml", config("/srv/b", "levle = 9"));
    sandbox.file("dwindle/conf.d/20-c.toml", config("/srv/c", "min-size = \"much\""));
    assert!(!unit.control("reload"));
    let journal = unit.journal();
    for place in [
        "/etc/dwindle/conf.d/10-b.toml:4:1",
        "/etc/dwindle/conf.d/20-c.toml:4:12",
    ] {
        assert!(journal.contains(place), "{place}: {journal}");
    }
    fs::remove_file(sandbox.path("dwindle/conf.d/10-b.toml")).unwrap();
    fs::remove_file(sandbox.path("dwindle/conf.d/20-c.toml")).unwrap();
    assert!(unit.control("reload"));
    unit.wait_for("StatusText", |status| status.ends_with("; 1 folder"));
}

#[test]
fn a_folder_that_is_missing_at_the_start_is_waited_for() {
    needs!(systemd);
    let sandbox = Sandbox::new();
    sandbox.file("dwindle/config.toml", config("/srv/later", ""));
    let systemd = Systemd::boot(&sandbox);
    let unit = systemd.dwindle();
    unit.edit("RestartSec=100ms");
    assert!(!unit.control("start"));
    unit.wait_for_journal("/srv/later is not there, or is no folder: make it first (mkdir /srv/later)");
    sandbox.file("srv/later/F", "text");
    unit.wait_for_compressed(1);

    // What cannot get better by itself is not tried again.
    sandbox.file("dwindle/config.toml", "levle = 1\n");
    assert!(!unit.control("restart"));
    assert_eq!(unit.wait_for("ActiveState", |state| state != "activating"), "failed");
    assert_eq!(unit.property("ExecMainStatus"), "78");
}

/// As many files as cannot be done in time: it is the program that ends, within its limit, and says what is left.
#[test]
fn a_stop_under_load_is_over_within_the_limit_and_says_what_is_left() {
    needs!(systemd);
    let sandbox = Sandbox::new();
    let inbox = sandbox.folder("srv/inbox");
    let general = "workers = 1\nlevel = 9\nshutdown-timeout = \"1s\"\n".to_owned();
    sandbox.file("dwindle/config.toml", general + &config("/srv/inbox", ""));
    let text = Data::from_seed(52).tedious_text(20_000_000);
    for number in 0..40 {
        sandbox.file(format!("srv/inbox/{number}"), &text);
    }
    let systemd = Systemd::boot(&sandbox);
    let unit = systemd.dwindle();
    assert!(unit.control("start"));
    unit.wait_for_compressed(1);
    let began = Instant::now();
    assert!(unit.control("stop"));
    let took = began.elapsed();
    // One that systemd had to end would have the result `timeout`.
    assert_eq!(unit.property("Result"), "success", "{took:?}");
    let journal = unit.wait_for_journal("Deactivated successfully");
    let report = journal
        .lines()
        .find(|line| line.starts_with("Compressed "))
        .expect("the report");
    let left: usize = report
        .rsplit(", ")
        .next()
        .and_then(|left| left.strip_suffix(" left")?.parse().ok())
        .expect("what is left");
    assert!(left > 0, "{report}");
    let names = names_below(&inbox);
    let originals = names.iter().filter(|name| !name.contains(".gz"));
    assert_eq!(originals.count(), left, "{report}: {names:?}");
}

/// A hook has what the service has, and is not ended by the service's stop before its time.
#[test]
fn hooks_live_in_the_sandbox_and_may_finish_at_the_stop() {
    needs!(systemd);
    needs!(tool "python3");
    let sandbox = Sandbox::new();
    sandbox.folder("srv/inbox");
    sandbox.folder("srv/out");
    let script = r#"
import os, pathlib, socket, sys, time
def tell(what, act):
    try: print(what, act())
    except OSError as error: print(what, error.strerror)
tell("user", lambda: f"{os.getuid()} of {pathlib.Path('/etc/passwd').owner()}")
tell("write beside it", lambda: pathlib.Path("/srv/out/begun").write_text("begun"))
tell("write elsewhere", lambda: pathlib.Path("/opt/file").write_text("x"))
tell("network", lambda: socket.socket(socket.AF_INET))
tell("other user", lambda: os.setuid(0))
tell("priority", lambda: os.setpriority(os.PRIO_PROCESS, 0, 12))
sys.stdout.flush()
while not os.path.exists("/srv/out/go"): time.sleep(0.01)
pathlib.Path("/srv/out/ended").write_text("ended")
"#;
    sandbox.file("srv/hook.py", script);
    let hook = "on-success = [\"python3\", \"/srv/hook.py\"]";
    sandbox.file("dwindle/config.toml", config("/srv/inbox", hook));
    let systemd = Systemd::boot(&sandbox);
    let unit = systemd.dwindle();
    assert!(unit.control("start"));
    sandbox.file("srv/inbox/F", "text");
    let journal = unit.wait_for_journal("on-success: priority");
    for line in [
        "hooks have no network in the sandbox of dwindle.service",
        "on-success: write beside it 5",
        "on-success: write elsewhere Read-only file system",
        "on-success: network Address family not supported by protocol",
        "on-success: other user Operation not permitted",
        "on-success: priority Operation not permitted",
    ] {
        assert!(journal.contains(line), "{line}: {journal}");
    }
    systemd.text_of(&["systemctl", "--no-block", "stop", "dwindle.service"]);
    unit.wait_for("ActiveState", |state| state == "deactivating");
    unit.wait_for("StatusText", |status| status.contains(" in "));
    sandbox.file("srv/out/go", "");
    unit.wait_for("ActiveState", |state| state == "inactive");
    assert_eq!(fs::read(sandbox.path("srv/out/ended")).unwrap(), b"ended");
    let journal = unit.wait_for_journal("Deactivated successfully");
    assert!(
        journal.contains("hooks: 1 run") && !journal.contains("failed:"),
        "{journal}"
    );
    let made = fs::metadata(sandbox.path("srv/out/begun")).unwrap();
    assert_eq!(made.mode() & 0o777, 0o600, "by the service's umask");
}

/// With what the manual says: folders in /tmp and in fewer places, a network for hooks.
#[test]
fn drop_ins_open_the_sandbox_and_close_it_further() {
    needs!(systemd);
    needs!(tool "python3");
    let sandbox = Sandbox::new();
    sandbox.folder("srv/inbox");
    let hook =
        "on-success = [\"python3\", \"-c\", \"import socket; print(socket.socket(socket.AF_INET).family.name)\"]";
    let both = config("/srv/inbox", hook) + &config("/tmp/inbox", "");
    sandbox.file("dwindle/config.toml", both);
    let systemd = Systemd::boot(&sandbox);
    let unit = systemd.dwindle();
    systemd.text_of(&["mkdir", "-m", "755", "/tmp/inbox"]);
    unit.edit("Restart=no");
    assert!(!unit.control("start"));
    unit.wait_for_journal("[Service], PrivateTmp=no, ReadWritePaths=/tmp/inbox, and");
    let network = "PrivateNetwork=no\nRestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK\nIPAddressAllow=any";
    let places = "PrivateTmp=no\nReadWritePaths=/tmp/inbox";
    unit.edit(&format!("Restart=no\n{places}\n{network}"));
    assert!(unit.control("start"));
    sandbox.file("srv/inbox/F", "text");
    let journal = unit.wait_for_journal("on-success: AF_INET");
    assert!(!journal.contains("hooks have no network"), "{journal}");

    unit.edit("Restart=no\nPrivateTmp=no\nReadWritePaths=\nReadWritePaths=/tmp/inbox");
    assert!(!unit.control("restart"));
    unit.wait_for_journal("/srv/inbox is read-only for dwindle.service");
}

/// By root and the members of its group, and by nobody else.
#[test]
fn the_service_answers_its_group() {
    needs!(systemd);
    let sandbox = Sandbox::new();
    sandbox.folder("srv/inbox");
    sandbox.file("dwindle/config.toml", config("/srv/inbox", ""));
    let systemd = Systemd::boot(&sandbox);
    let unit = systemd.dwindle();
    assert!(unit.control("start"));
    let socket = systemd.text_of(&["stat", "-c", "%U:%G %a", "/run/dwindle/control.sock"]);
    assert_eq!(socket, "dwindle:dwindle 660\n");
    sandbox.file("srv/inbox/F", "text");
    unit.wait_for_compressed(1);
    let status_for = |groups: &str| {
        let person = ["setpriv", "--reuid=4242", "--regid=4242", groups, "--bounding-set=-all"];
        systemd.run(&[&person[..], &["dwindle", "status"]].concat())
    };
    let dwindle = systemd.text_of(&["getent", "group", "dwindle"]);
    let number = dwindle.split(':').nth(2).expect("a group has a number");
    let member = status_for(&format!("--groups={number}"));
    let said = String::from_utf8_lossy(&member.stdout);
    assert!(
        member.status.success() && said.contains("Compressed 1 file"),
        "{member:?}"
    );
    let other = status_for("--clear-groups");
    let said = String::from_utf8_lossy(&other.stderr);
    assert_eq!(other.status.code(), Some(75), "{other:?}");
    assert!(
        said.contains("/run/dwindle") && said.contains("usermod -aG dwindle"),
        "{said}"
    );
}

/// A start that the sandbox makes impossible says which lines would help, and these help.
#[test]
fn metrics_have_a_network_when_a_drop_in_gives_them_one() {
    needs!(systemd);
    let sandbox = Sandbox::new();
    sandbox.folder("srv/inbox");
    let metrics = "[metrics]\nlisten = \"127.0.0.1:0\"\ntextfile = \"/srv/dwindle.prom\"\n";
    sandbox.file("dwindle/config.toml", metrics.to_owned() + &config("/srv/inbox", ""));
    let systemd = Systemd::boot(&sandbox);
    let unit = systemd.dwindle();
    unit.edit("Restart=no");
    assert!(!unit.control("start"));
    let settings = [
        "PrivateNetwork=no",
        "RestrictAddressFamilies=AF_INET AF_INET6",
        "IPAddressAllow=localhost",
    ];
    unit.wait_for_journal(&format!(
        "write there, a line each, [Service], {}, and say",
        settings.join(", ")
    ));
    unit.edit(&settings.join("\n"));
    assert!(unit.control("start"));
    unit.wait_for_journal("metrics are at http://127.0.0.1:");
    let file = sandbox.path("srv/dwindle.prom");
    assert_eq!(
        fs::metadata(&file).expect("the metrics").permissions().mode() & 0o777,
        0o644
    );
    assert!(unit.control("stop"));
    let last = fs::read_to_string(file).expect("the metrics");
    assert!(last.contains("dwindle_build_info"), "{last}");
}

/// Each has its configuration and its runtime directory; no two have the same folder, nor has an agent that root starts by hand.
#[test]
fn instances_run_side_by_side_and_no_folder_has_two_agents() {
    needs!(systemd);
    let sandbox = Sandbox::new();
    for name in ["a", "b"] {
        sandbox.folder(format!("srv/{name}"));
        sandbox.file(format!("dwindle/{name}.toml"), config(&format!("/srv/{name}"), ""));
    }
    sandbox.file("dwindle/config.toml", config("/srv/a", ""));
    let systemd = Systemd::boot(&sandbox);
    let (main, a, b) = (
        systemd.dwindle(),
        systemd.unit("dwindle@a.service"),
        systemd.unit("dwindle@b.service"),
    );
    main.edit("Restart=no");
    assert!(a.control("start") && b.control("start"));
    sandbox.file("srv/a/F", "text");
    sandbox.file("srv/b/F", "text");
    a.wait_for_compressed(1);
    b.wait_for_compressed(1);
    let owner = systemd.text_of(&["stat", "-c", "%U:%G %a", "/run/dwindle-a"]);
    assert_eq!(owner, "dwindle:dwindle 750\n");

    let holder = format!(
        "another agent watches /srv/a already: process {}, since ",
        a.property("MainPID")
    );
    assert!(!main.control("start"));
    main.wait_for_journal(&holder);
    let by_hand = ["dwindle", "run", "--once"];
    let output = systemd.run(&by_hand);
    assert_eq!(output.status.code(), Some(75));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&holder), "{output:?}");
    assert!(a.control("stop"));
    systemd.text_of(&by_hand);
    assert!(main.control("start"), "what root has left is in nobody's way");

    // Nor is what those leave that are killed, whoever's they are.
    main.signal("KILL");
    main.wait_for("ActiveState", |state| state == "failed");
    let is_lock = |name: &&str| name.starts_with("watch-");
    let locks = || systemd.text_of(&["ls", "/run/dwindle"]).lines().filter(is_lock).count();
    assert_eq!(locks(), 2, "its own, and that of the other instance");
    systemd.text_of(&by_hand);
    assert_eq!(locks(), 1);
    systemd.text_of(&["systemd-run", "--unit=by-hand", "dwindle", "run", "/srv/a"]);
    let by_hand = systemd.unit("by-hand.service");
    by_hand.wait_for_journal("watching /srv/a");
    assert!(!main.control("start"));
    main.wait_for_journal(&format!("already: process {}, since ", by_hand.property("MainPID")));
    by_hand.signal("KILL");
    by_hand.wait_for("ActiveState", |state| state == "failed");
    assert_eq!(locks(), 2);
    assert!(main.control("start"));
    assert!(b.control("stop") && main.control("stop"));
    assert_eq!(locks(), 0);
}

/// Of one person, with no capability at all.
#[test]
fn an_instance_can_be_a_person_s_own() {
    needs!(systemd);
    let sandbox = Sandbox::new();
    let inbox = sandbox.folder("srv/upload");
    sandbox.file("dwindle/alice.toml", config("/srv/upload", ""));
    let systemd = Systemd::boot(&sandbox);
    let people = "u alice 4242\ng team 4300\nm alice team\nu bob 4243\n";
    sandbox.file("opt/people", people);
    systemd.text_of(&["systemd-sysusers", "/opt/people"]);
    chown(&inbox, Some(4242), Some(4242)).unwrap();
    let unit = systemd.unit("dwindle@alice.service");
    unit.edit("User=alice\nGroup=alice\nCapabilityBoundingSet=\nAmbientCapabilities=");
    assert!(unit.control("start"));
    let owner = systemd.text_of(&["stat", "-c", "%U:%G %a", "/run/dwindle-alice"]);
    assert_eq!(owner, "alice:alice 750\n");
    let originals = [
        deliver(&inbox, "own", (4242, 4242), 0o600, |_| ()),
        deliver(&inbox, "shared", (4242, 4300), 0o640, |_| ()),
    ];
    unit.wait_for_compressed(2);
    for original in &originals {
        assert_gz_of(&original.gz_in(&inbox), original);
    }
    deliver(&inbox, "of-bob", (4243, 4243), 0o644, |_| ());
    unit.wait_for_journal("no lease can be had (Permission denied (os error 13)); give CAP_LEASE");
    assert_eq!(names_below(&inbox), ["of-bob", "own.gz", "shared.gz"]);
}
