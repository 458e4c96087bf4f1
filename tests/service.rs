//! `dwindle run` under a service manager: what it is told, and when.

use std::time::Duration;

use rustix::process::Signal;

use crate::support::notify::Notified;
use crate::support::{Dwindle, Inbox};

const AT_ONCE: &str = "settle = \"0s\"";

fn status_of(message: &str) -> Option<&str> {
    message.lines().find_map(|line| line.strip_prefix("STATUS="))
}

#[test]
fn it_is_told_of_the_start_the_work_and_the_end() {
    let inbox = Inbox::new();
    let manager = Notified::at_path(&inbox.sandbox);
    let mut running = manager.told_by(inbox.dwindle(AT_ONCE)).start();
    let first = manager.next();
    assert_eq!(
        first,
        "READY=1\nSTATUS=Compressed 0 files; 0 skipped, 0 failed, 0 pending; 1 folder\n"
    );
    inbox.sandbox.file("inbox/F", "text ".repeat(100));
    running.wait_for_names(&inbox.path, ["F.gz"]);
    let messages = manager.wait_for("a status", |message| {
        message.starts_with("STATUS=Compressed 1 file: 500 B -> ")
    });
    assert!(
        messages.iter().all(|message| status_of(message).is_some()),
        "{messages:?}"
    );
    running.signal(Signal::TERM);
    manager.wait_for("the word of the stop", |message| message.starts_with("STOPPING=1\n"));
    let output = running.wait_exit().expect_code(0);
    let line = String::from_utf8_lossy(&output.stdout).into_owned();
    manager.wait_for("the report", |message| status_of(message) == Some(line.trim_end()));
}

#[test]
fn it_is_found_in_the_abstract_namespace() {
    let inbox = Inbox::new();
    let manager = Notified::abstract_for(&inbox.sandbox);
    let running = manager.told_by(inbox.dwindle(AT_ONCE)).start();
    assert!(manager.next().starts_with("READY=1\n"));
    running.signal(Signal::TERM);
    running.wait_exit().expect_code(0);
}

#[test]
fn one_pass_is_told_of_too() {
    let inbox = Inbox::new();
    inbox.sandbox.file("inbox/F", "text");
    let manager = Notified::at_path(&inbox.sandbox);
    let output = manager.told_by(inbox.dwindle(AT_ONCE).args(["--once"])).finish();
    output.expect_compressed(1);
    assert!(manager.next().starts_with("READY=1\n"));
    manager.wait_for("the report", |message| {
        message.contains("STATUS=Compressed 1 file: 4 B")
    });
}

/// A status is no heartbeat: where nothing happens, nothing is said.
#[test]
fn nothing_is_said_while_nothing_happens() {
    let inbox = Inbox::new();
    let manager = Notified::at_path(&inbox.sandbox);
    let running = manager.told_by(inbox.dwindle(AT_ONCE)).start();
    assert!(manager.next().starts_with("READY=1\n"));
    assert_eq!(manager.within(Duration::from_millis(500)), None);
    running.signal(Signal::TERM);
    running.wait_exit().expect_code(0);
}

#[test]
fn one_that_is_gone_stops_nothing_and_is_logged() {
    let inbox = Inbox::new();
    for (name, words) in [
        ("@dwindle/nobody", "cannot tell the service manager"),
        ("vsock:2:1234", "NOTIFY_SOCKET is neither a path nor an abstract name"),
    ] {
        inbox.sandbox.file("inbox/F", "text");
        let output = inbox.dwindle(AT_ONCE).args(["--once"]).env("NOTIFY_SOCKET", name);
        let output = output.finish().expect_compressed(1);
        assert!(output.stderr.contains(words), "{output}");
        std::fs::remove_file(inbox.path.join("F.gz")).unwrap();
    }
}

/// Another process's watchdog, which a child inherits by its environment, is not fed.
#[test]
fn another_process_s_watchdog_is_left_alone() {
    let inbox = Inbox::new();
    let manager = Notified::at_path(&inbox.sandbox);
    let dwindle = manager.watching(inbox.dwindle(AT_ONCE), Duration::from_millis(50));
    let running = dwindle.env("WATCHDOG_PID", "1").start();
    assert!(manager.next().starts_with("READY=1\n"));
    assert_eq!(manager.within(Duration::from_millis(300)), None);
    running.signal(Signal::TERM);
    running.wait_exit().expect_code(0);
}

#[test]
fn without_a_configuration_a_hang_up_is_a_stop() {
    let inbox = Inbox::new();
    let mut running = Dwindle::new(&inbox.sandbox)
        .args(["run", "inbox"])
        .started_by(["env", "--default-signal=HUP"])
        .start();
    running.wait_for_text("watching");
    running.signal(Signal::HUP);
    running.wait_exit().expect_compressed(0);
}

/// As nohup(1) does.
#[test]
fn a_hang_up_that_is_ignored_stays_ignored() {
    let inbox = Inbox::new();
    let mut running = Dwindle::new(&inbox.sandbox)
        .args(["run", "inbox"])
        .started_by(["env", "--ignore-signal=HUP"])
        .start();
    running.wait_for_text("watching");
    running.signal(Signal::HUP);
    inbox.sandbox.file("inbox/F", "text");
    running.wait_for_names(&inbox.path, ["F.gz"]);
    running.signal(Signal::TERM);
    running.wait_exit().expect_compressed(1);
}
