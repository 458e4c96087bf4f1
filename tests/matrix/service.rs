//! Rows 52 to 58: what a service lives through. How it ends is held in `stopping` (52 to 54), a job that panics in `conformance` (58); the
//! watchdog (55) and reloading (57) come with what they test.

use std::fs;
use std::path::Path;

use rustix::process::Signal;

use super::at_work::{AT_ONCE, contents_below};
use crate::support::inbox::state_below;
use crate::support::run::Running;
use crate::support::{Dwindle, Inbox, needs};

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
