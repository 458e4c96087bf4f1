//! Rows 52 to 58: what a service lives through. How it ends is held in `stopping` (52 to 54), a job that panics in `conformance` (58). More
//! of what a service manager is told is in `service`, and of reloading in `reloading`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use super::at_work::{AT_ONCE, contents_below, large_content};
use crate::support::inbox::state_below;
use crate::support::notify::Notified;
use crate::support::run::Running;
use crate::support::systemd::Systemd;
use crate::support::{Dwindle, Inbox, Sandbox, needs};

/// Stopped in the middle of a file it does not say that it lives; ended for that, and started again, it has lost nothing.
#[test]
fn row_55_a_an_agent_that_hangs_says_nothing_and_the_next_one_goes_on() {
    const LIMIT: Duration = Duration::from_millis(200);
    let inbox = Inbox::new();
    let manager = Notified::at_path(&inbox.sandbox);
    let content = large_content(55);
    inbox.sandbox.file("inbox/F", &content);
    let dwindle = inbox.dwindle_with("workers = 1\nlevel = 9", AT_ONCE);
    let mut running = manager.watching(dwindle, LIMIT).start();
    running.wait_for_output_in(&inbox.path);
    running.signal(Signal::STOP);
    manager.expect_silence_of(5 * LIMIT);
    running.signal(Signal::CONT);
    let is_alive = |message: &str| message == "WATCHDOG=1\n";
    manager.wait_for("a sign of life", is_alive);

    running.signal(Signal::ABORT);
    let output = running.wait_exit();
    assert!(!output.status.success(), "{output}");
    manager.drain();
    assert_eq!(contents_below(&inbox.path), std::slice::from_ref(&content));
    let mut next = manager.watching(inbox.dwindle(AT_ONCE), LIMIT).start();
    manager.wait_for("the start", |message| message.starts_with("READY=1\n"));
    next.wait_for_names(&inbox.path, ["F.gz"]);
    manager.wait_for("a sign of life", is_alive);
    assert_eq!(contents_below(&inbox.path), [content]);
    next.signal(Signal::TERM);
    next.wait_exit().expect_code(0);
}

/// The shipped unit, under a real systemd.
#[test]
fn row_55_b_systemd_kills_what_hangs_and_starts_it_again() {
    needs!(systemd);
    let sandbox = Sandbox::new();
    let inbox = sandbox.folder("srv/inbox");
    sandbox.file("dwindle/config.toml", config("inbox", ""));
    let systemd = Systemd::boot(&sandbox);
    let unit = systemd.dwindle();
    unit.edit("WatchdogSec=5s\nRestartSec=100ms");
    assert!(unit.control("start"));
    let status = unit.property("StatusText");
    assert_eq!(status, "Compressed 0 files; 0 skipped, 0 failed, 0 pending; 1 folder");
    let first = unit.property("MainPID");
    unit.signal("STOP");
    sandbox.file("srv/inbox/F", "text");
    unit.wait_for("NRestarts", |count| count != "0" && !count.is_empty());
    unit.wait_for_compressed(1);
    assert_ne!(unit.property("MainPID"), first);
    assert_eq!(contents_below(&inbox), [b"text"]);
    unit.wait_for_journal("Watchdog timeout");
    assert!(unit.control("stop"));
    assert_eq!(unit.property("Result"), "success");
}

/// As `ProtectSystem=strict` without its `ReadWritePaths=`.
#[test]
fn row_56_a_a_folder_that_the_sandbox_makes_read_only() {
    needs!(root);
    needs!(tool "unshare");
    let inbox = Inbox::new();
    let denied = inbox.sandbox.folder("denied");
    inbox.sandbox.file("denied/F", "text");
    let before = state_below(&denied);
    let mut running = sandboxed(
        &inbox,
        &denied,
        "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\"",
    )
    .start();
    running.wait_for_text("Read-only file system");
    expect_that_the_other_folder_goes_on(&inbox, &mut running);
    assert_eq!(state_below(&denied), before);
    ends_with_one_failure(running, &denied);
}

/// As `InaccessiblePaths=`: something else is there, which nobody may open. It does not start on half of what it was told to watch.
#[test]
fn row_56_b_a_folder_that_the_sandbox_hides() {
    needs!(root);
    needs!(tool "unshare");
    needs!(tool "setpriv");
    let inbox = Inbox::new();
    let denied = inbox.sandbox.folder("denied");
    inbox.sandbox.file("denied/F", "text");
    inbox.sandbox.file("inbox/F", "text");
    let before = (state_below(&denied), state_below(&inbox.path));
    let output = sandboxed(&inbox, &denied, "mount -t tmpfs -o mode=0000,ro tmpfs \"$1\"")
        .finish()
        .expect_code(75);
    let names_it = output.stderr.contains(&denied.display().to_string());
    assert!(names_it && output.stderr.contains("Permission denied"), "{output}");
    assert_eq!((state_below(&denied), state_below(&inbox.path)), before);
}

#[test]
fn row_57_a_a_broken_configuration_is_told_with_its_place_and_changes_nothing() {
    let inbox = Inbox::new();
    let added = inbox.sandbox.folder("added");
    inbox.sandbox.file("added/F", "text");
    let before = state_below(&added);
    let mut running = inbox.watch(AT_ONCE);
    let config = inbox.sandbox.path("dwindle.toml");
    let good = fs::read_to_string(&config).unwrap();
    let with_added = format!("{good}[[watch]]\npath = \"{}\"\n{AT_ONCE}\n", added.display());
    let refused = "the configuration was not taken over: everything goes on as before";
    let broken = [
        (
            format!("{with_added}levle = 1\n"),
            "dwindle.toml:8:1: unknown key `levle`",
        ),
        (format!("{with_added}["), "dwindle.toml:8:"),
        ("level = 6\n".to_owned(), "there is nothing to watch"),
    ];
    for (count, (text, words)) in broken.into_iter().enumerate() {
        fs::write(&config, text).unwrap();
        running.signal(Signal::HUP);
        running.wait_for_log(refused, |log| log.matches(refused).count() == count + 1);
        assert!(running.stderr().contains(words), "{words}: {}", running.stderr());
    }
    fs::remove_file(&config).unwrap();
    running.signal(Signal::HUP);
    running.wait_for_log(refused, |log| log.matches(refused).count() == 4);

    inbox.sandbox.file("inbox/F", "text");
    running.wait_for_names(&inbox.path, ["F.gz"]);
    assert_eq!(state_below(&added), before);
    fs::write(&config, with_added).unwrap();
    running.signal(Signal::HUP);
    running.wait_for_names(&added, ["F.gz"]);
    running.signal(Signal::TERM);
    running.wait_exit().expect_compressed(2);
}

/// The shipped unit, under a real systemd: a reload that cannot be is one that failed, and the service goes on.
#[test]
fn row_57_b_systemctl_reload_fails_where_the_configuration_is_broken() {
    needs!(systemd);
    let sandbox = Sandbox::new();
    let inbox = sandbox.folder("srv/inbox");
    sandbox.folder("srv/other");
    sandbox.file("dwindle/config.toml", config("inbox", ""));
    let systemd = Systemd::boot(&sandbox);
    let unit = systemd.dwindle();
    assert!(unit.control("start"));
    let first = unit.property("MainPID");
    sandbox.file("dwindle/config.toml", config("inbox", &config("other", "")));
    assert!(unit.control("reload"));
    unit.wait_for("StatusText", |status| status.ends_with("; 2 folders"));

    sandbox.file("dwindle/config.toml", config("inbox", "levle = 1\n"));
    assert!(!unit.control("reload"));
    assert_eq!(unit.property("ActiveState"), "active");
    // Past the check it is the agent itself that refuses.
    unit.signal("HUP");
    unit.wait_for("StatusText", |status| {
        status.starts_with("Reload refused: /etc/dwindle/config.toml:4:1: unknown key `levle`")
            && status.ends_with("; 2 folders")
    });
    sandbox.file("srv/inbox/F", "text");
    unit.wait_for("StatusText", |status| status.contains("Compressed 1 file: "));
    assert_eq!(contents_below(&inbox), [b"text"]);
    assert_eq!(unit.property("MainPID"), first);
    assert!(unit.control("stop"));
    assert_eq!(unit.property("Result"), "success");
    assert_eq!(unit.property("NRestarts"), "0");
}

/// A configuration that watches the folder of this name in `/srv`, and goes on with `more`.
fn config(folder: &str, more: &str) -> String {
    format!("[[watch]]\npath = \"/srv/{folder}\"\n{AT_ONCE}\n{more}")
}

/// The agent with two watches, one of them on `denied`, in a mount namespace in which the script denies it.
fn sandboxed(inbox: &Inbox, denied: &Path, script: &str) -> Dwindle {
    let watches = [&inbox.path, denied].map(|path| format!("[[watch]]\npath = \"{}\"\n{AT_ONCE}\n", path.display()));
    let config = inbox.sandbox.file("two.toml", watches.concat());
    let script = format!("{script} && shift && exec \"$@\"");
    let denied = denied.to_str().expect("a path of ASCII");
    let dwindle = Dwindle::new(&inbox.sandbox).args(["run", "-c"]).args([config]);
    dwindle
        .bound_by_modes()
        .started_by(["unshare", "--mount", "sh", "-c", &script, "sh", denied])
}

fn expect_that_the_other_folder_goes_on(inbox: &Inbox, running: &mut Running) {
    inbox.sandbox.file("inbox/other", "other");
    running.wait_for_names(&inbox.path, ["other.gz"]);
    assert_eq!(contents_below(&inbox.path), [b"other"]);
}

fn ends_with_one_failure(running: Running, denied: &Path) {
    running.signal(Signal::TERM);
    let output = running.wait_exit().expect_code(0);
    let report = output.report();
    assert_eq!((report.compressed, report.failed), (1, 1), "{output}");
    assert!(output.stderr.contains(&denied.display().to_string()), "{output}");
    assert_eq!(fs::read(denied.join("F")).unwrap(), b"text");
}
