//! Of two agents on one folder the second does not start.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::support::run::{Output, Running};
use crate::support::{Dwindle, Inbox, Sandbox, names_below, needs};

const SETTLE: &str = "settle = \"100ms\"";

const NOBODY: Option<u32> = Some(65_534);

/// The agent on folders named on the command line.
fn by_hand(inbox: &Inbox, folder: &Path) -> Dwindle {
    Dwindle::new(&inbox.sandbox).args([Path::new("run"), folder])
}

/// Locks on folders that are held, or that a killed agent left.
fn locks(sandbox: &Sandbox) -> Vec<PathBuf> {
    let runtime = sandbox.path(".runtime");
    let mut names = names_below(&runtime);
    names.retain(|name| name.starts_with("watch-"));
    names.iter().map(|name| runtime.join(name)).collect()
}

/// One that an agent left when it was killed, its lock's path.
fn killed(inbox: &Inbox) -> PathBuf {
    let running = inbox.watch(SETTLE);
    running.signal(Signal::KILL);
    drop(running);
    let [lock] = locks(&inbox.sandbox).try_into().expect("one lock for one folder");
    lock
}

fn expect_refused_by(holder: &Running, output: Output) -> Output {
    let output = output.expect_code(75);
    let process = format!("already: process {}, since 2", holder.process_id());
    assert!(output.stderr.contains(&process), "{output}");
    assert_eq!(output.stdout, b"", "there is nothing to report");
    output
}

fn stop(running: Running) -> Output {
    running.signal(Signal::TERM);
    running.wait_exit().expect_code(0)
}

#[test]
fn a_second_agent_on_a_configuration_is_told_who_has_the_folder_and_the_first_goes_on() {
    let inbox = Inbox::new();
    let mut first = inbox.watch(SETTLE);
    let [lock] = locks(&inbox.sandbox).try_into().expect("one lock for one folder");
    for options in [&[][..], &["--once"]] {
        let output = inbox.dwindle(SETTLE).args(options).finish();
        let output = expect_refused_by(&first, output);
        for path in [&inbox.path, &inbox.sandbox.path("dwindle.toml"), &lock] {
            let path = path.canonicalize().unwrap();
            assert!(output.stderr.contains(path.to_str().unwrap()), "{output}");
        }
    }
    assert_eq!(locks(&inbox.sandbox), [lock], "what was refused left nothing");
    inbox.sandbox.file("inbox/file.csv", "text");
    first.wait_for_names(&inbox.path, ["file.csv.gz"]);
    stop(first);
    assert_eq!(
        locks(&inbox.sandbox),
        [""; 0].map(PathBuf::from),
        "the end leaves nothing"
    );
    inbox.dwindle(SETTLE).args(["--once"]).finish().expect_code(0);
}

#[test]
fn what_only_looks_and_what_takes_single_files_is_not_refused() {
    let inbox = Inbox::new();
    // Left alone by the agent for as long as the test takes.
    let file = inbox.sandbox.file("inbox/file.csv", "text");
    let first = inbox.watch("settle = \"1h\"");
    inbox.dwindle(SETTLE).args(["--dry-run"]).finish().expect_code(0);
    let compress = Dwindle::new(&inbox.sandbox).args([Path::new("compress"), &file]);
    compress.finish().expect_compressed(1);
    stop(first);
}

#[test]
fn a_folder_is_the_same_however_it_is_named() {
    let inbox = Inbox::new();
    let link = inbox.sandbox.path("link");
    symlink(&inbox.path, &link).unwrap();
    let configured = inbox.watch(SETTLE);
    for folder in [&inbox.path, &link] {
        expect_refused_by(&configured, by_hand(&inbox, folder).finish());
    }
    stop(configured);
    let mut named = by_hand(&inbox, &link).start();
    named.wait_for_text("watching");
    let output = expect_refused_by(&named, inbox.dwindle(SETTLE).finish());
    assert!(output.stderr.contains("configured by the command line"), "{output}");
    stop(named);
}

#[test]
fn one_that_was_killed_is_in_nobodys_way() {
    let inbox = Inbox::new();
    let lock = killed(&inbox);
    let mut next = inbox.watch(SETTLE);
    let content = fs::read_to_string(&lock).unwrap();
    let process = format!("process {}, since 2", next.process_id());
    assert!(content.starts_with(&process), "{content}");
    inbox.sandbox.file("inbox/file.csv", "text");
    next.wait_for_names(&inbox.path, ["file.csv.gz"]);
    stop(next);
}

#[test]
fn agents_on_different_folders_run_side_by_side() {
    let inbox = Inbox::new();
    let mut first = inbox.watch(SETTLE);
    let other = inbox.sandbox.folder("other");
    let text = format!("control-socket = \"other.sock\"\n[[watch]]\npath = {other:?}\n{SETTLE}\n");
    let config = inbox.sandbox.file("other.toml", text);
    let mut second = Dwindle::new(&inbox.sandbox).args(["run", "-c"]).args([config]).start();
    inbox.sandbox.file("inbox/a.csv", "text");
    inbox.sandbox.file("other/b.csv", "text");
    first.wait_for_names(&inbox.path, ["a.csv.gz"]);
    second.wait_for_names(&other, ["b.csv.gz"]);
    assert_eq!(locks(&inbox.sandbox).len(), 2);
    stop(first);
    stop(second);
}

/// One configuration may watch a folder twice, with rules that differ.
#[test]
fn an_agent_is_not_in_its_own_way() {
    let inbox = Inbox::new();
    let again = format!(
        "[[watch]]\npath = {:?}\ninclude = [\"*.csv\"]\n{SETTLE}\n",
        inbox.path.join("../inbox")
    );
    let keys = format!("include = [\"*.txt\"]\n{SETTLE}");
    inbox
        .dwindle_with(&again, &keys)
        .args(["--once"])
        .finish()
        .expect_code(0);
}

#[test]
fn where_no_lock_can_be_kept_only_folders_named_by_hand_are_watched() {
    needs!(tool "setpriv");
    let inbox = Inbox::new();
    let closed = inbox.sandbox.folder("closed");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).unwrap();
    for directory in [closed.clone(), closed.join("new"), inbox.sandbox.path("no/new")] {
        let bound = |dwindle: Dwindle| dwindle.env("RUNTIME_DIRECTORY", &directory).bound_by_modes();
        let output = bound(inbox.dwindle(SETTLE)).finish().expect_code(75);
        let complaint = format!("no lock can be kept in the runtime directory {}: ", directory.display());
        assert!(output.stderr.contains(&complaint), "{output}");
        assert!(output.stderr.contains("the variable RUNTIME_DIRECTORY"), "{output}");

        let output = bound(by_hand(&inbox, &inbox.path).args(["--once"]))
            .finish()
            .expect_code(0);
        assert!(
            output.stderr.contains(&complaint) && output.stderr.contains("WARN"),
            "{output}"
        );
        assert!(output.stderr.contains("Going on without"), "{output}");
    }
}

#[test]
fn a_symbolic_link_in_the_locks_place_is_refused() {
    let inbox = Inbox::new();
    let lock = killed(&inbox);
    let target = inbox.sandbox.file("target", "precious");
    fs::remove_file(&lock).unwrap();
    symlink(&target, &lock).unwrap();
    for dwindle in [inbox.dwindle(SETTLE), by_hand(&inbox, &inbox.path)] {
        let output = dwindle.finish().expect_code(75);
        let complaint = format!(
            "{} is no lock file of an agent here: it is a symbolic link",
            lock.display()
        );
        assert!(output.stderr.contains(&complaint), "{output}");
    }
    assert_eq!(fs::read(target).unwrap(), b"precious");
    assert!(lock.is_symlink());
}

#[test]
fn what_belongs_to_another_user_is_refused() {
    needs!(root);
    let inbox = Inbox::new();
    let lock = killed(&inbox);
    chown(&lock, NOBODY, NOBODY).unwrap();
    for dwindle in [inbox.dwindle(SETTLE), by_hand(&inbox, &inbox.path)] {
        let output = dwindle.finish().expect_code(75);
        assert!(
            output.stderr.contains("it belongs to another user. Look at it"),
            "{output}"
        );
    }
    let runtime = lock.parent().expect("the runtime directory");
    chown(runtime, NOBODY, NOBODY).unwrap();
    let output = inbox.dwindle(SETTLE).finish().expect_code(75);
    assert!(
        output.stderr.contains("it belongs to another user (uid 65534)"),
        "{output}"
    );
}
