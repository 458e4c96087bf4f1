//! `dwindle run` with `done-dir` and `failed-dir`: where originals go.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::process::Signal;

use crate::support::inbox::copy;
use crate::support::run::{Output, Running};
use crate::support::{Arrival, Data, Dwindle, Inbox, assert_gz_of, names_below, needs};

const SETTLE: &str = "settle = \"300ms\"\n";

#[test]
fn originals_go_to_done_dir_with_their_tree_and_are_not_taken_again() {
    let inbox = Inbox::new();
    let files = arrivals(700, &["flat.csv", "a/b/deep.csv"]);
    let mut running = watch(&inbox, "done-dir = \"done\"");
    deliver(&inbox, &files);
    let inode = inode_of(&inbox.path.join("flat.csv"));
    let names = [
        "a/",
        "a/b/",
        "done/",
        "done/a/",
        "done/a/b/",
        "done/a/b/deep.csv",
        "done/flat.csv",
    ];
    let outputs = ["a/b/deep.csv.gz", "flat.csv.gz"];
    running.wait_for_names(&inbox.path, names.into_iter().chain(outputs));
    assert_eq!(inode_of(&inbox.path.join("done/flat.csv")), inode);
    expect_originals(&inbox.path.join("done"), &files);
    // Neither what was moved there nor what somebody puts there is taken.
    inbox.sandbox.file("inbox/done/note.txt", "not to be compressed");
    let later = arrivals(701, &["flat.csv"]);
    deliver(&inbox, &later);
    running.wait_for("the second one of that name", || {
        inbox.path.join("done/flat.csv.~1~").exists()
    });
    stop(running).expect_compressed(3);
    expect_originals(&inbox.path.join("done"), &files);
    assert_eq!(
        fs::read(inbox.path.join("done/flat.csv.~1~")).unwrap(),
        later[0].original.content
    );
    assert_gz_of(&inbox.path.join("flat.csv.~1~.gz"), &later[0].original);
    assert!(inbox.path.join("done/note.txt").exists());
}

#[test]
fn done_dir_elsewhere_beside_an_output_folder() {
    let inbox = Inbox::new();
    let files = arrivals(702, &["sub/file.csv"]);
    deliver(&inbox, &files);
    let (done, out) = (inbox.sandbox.path("made/done"), inbox.sandbox.path("made/out"));
    let keys = format!(
        "{SETTLE}done-dir = \"{}\"\noutput-dir = \"{}\"",
        done.display(),
        out.display()
    );
    inbox.dwindle(&keys).args(["--once"]).finish().expect_compressed(1);
    assert_eq!(names_below(&inbox.path), ["sub/"]);
    expect_originals(&done, &files);
    assert_gz_of(&out.join("sub/file.csv.gz"), &files[0].original);
}

#[test]
fn names_of_any_bytes_are_moved() {
    let inbox = Inbox::new();
    let names: [&[u8]; 3] = [b"two\nlines", b"caf\xe9.csv", b"-rf"];
    let data = &mut Data::from_seed(703);
    let files: Vec<Arrival> = names.map(|name| Arrival::new(data, OsStr::from_bytes(name))).into();
    deliver(&inbox, &files);
    let keys = format!("{SETTLE}done-dir = \"done\"");
    inbox.dwindle(&keys).args(["--once"]).finish().expect_compressed(3);
    expect_originals(&inbox.path.join("done"), &files);
}

#[test]
fn folders_that_originals_cannot_go_to_are_refused_at_the_start() {
    let inbox = Inbox::new();
    let files = arrivals(704, &["file.csv"]);
    deliver(&inbox, &files);
    let before = names_below(&inbox.path);
    for key in ["done-dir", "failed-dir"] {
        // /dev/shm is another file system wherever the sandbox is, and /proc where it is not there.
        let foreign = if Path::new("/dev/shm").exists() {
            "/dev/shm"
        } else {
            "/proc"
        };
        let output = inbox
            .dwindle(&format!("{key} = \"{foreign}\""))
            .finish()
            .expect_code(75);
        assert!(output.stderr.contains("is on another file system"), "{output}");
        assert!(output.stderr.contains(foreign), "{output}");
        let config = inbox.sandbox.path("dwindle.toml");
        let check = Dwindle::new(&inbox.sandbox).args(["check", "-c"]).args([config]);
        let check = check.finish().expect_code(0);
        assert!(
            check.stderr.contains(&format!("`{key}` is on another file system")),
            "{check}"
        );
        // By a symbolic link it lies in the watched folder after all.
        fs::create_dir_all(inbox.path.join("real")).unwrap();
        let link = inbox.sandbox.path(key);
        std::os::unix::fs::symlink(inbox.path.join("real"), &link).unwrap();
        let output = inbox
            .dwindle(&format!("{key} = \"{}\"", link.display()))
            .finish()
            .expect_code(75);
        assert!(output.stderr.contains("files in it would be taken again"), "{output}");
        fs::remove_dir(inbox.path.join("real")).unwrap();
    }
    assert_eq!(names_below(&inbox.path), before);
}

#[test]
fn a_done_dir_that_is_removed_while_the_agent_runs_is_made_anew() {
    let inbox = Inbox::new();
    let mut running = watch(&inbox, "done-dir = \"done\"");
    for (seed, name) in [(705, "first.csv"), (706, "second.csv")] {
        let files = arrivals(seed, &[name]);
        deliver(&inbox, &files);
        running.wait_for("the original where it goes", || {
            inbox.path.join("done").join(name).exists()
        });
        expect_originals(&inbox.path.join("done"), &files);
        fs::remove_dir_all(inbox.path.join("done")).unwrap();
    }
    stop(running).expect_compressed(2);
}

/// The output is there then, and the original with it.
#[test]
fn a_done_dir_that_may_not_be_written_to_is_named_and_nothing_is_lost() {
    needs!(tool "setpriv");
    let inbox = Inbox::new();
    let files = arrivals(710, &["file.csv"]);
    deliver(&inbox, &files);
    let done = inbox.sandbox.folder("inbox/done");
    fs::set_permissions(&done, Permissions::from_mode(0o555)).unwrap();
    let keys = format!("{SETTLE}done-dir = \"done\"");
    let once = || inbox.dwindle(&keys).args(["--once"]).bound_by_modes().finish();
    let output = once().expect_code(1);
    let expected = format!(
        "cannot move the original to {}: Permission denied",
        done.join("file.csv").display()
    );
    assert!(output.stderr.contains(&expected), "{output}");
    assert_eq!(names_below(&inbox.path), ["done/", "file.csv", "file.csv.gz"]);
    fs::set_permissions(&done, Permissions::from_mode(0o755)).unwrap();
    once().expect_compressed(1);
    assert_eq!(names_below(&inbox.path), ["done/", "done/file.csv", "file.csv.gz"]);
}

#[test]
fn a_file_that_may_not_be_read_goes_to_failed_dir_with_the_reason() {
    needs!(tool "setpriv");
    let inbox = Inbox::new();
    let files = arrivals(707, &["sub/secret.csv", "fine.csv"]);
    deliver(&inbox, &files);
    let secret = inbox.path.join("sub/secret.csv");
    fs::set_permissions(&secret, Permissions::from_mode(0o000)).unwrap();
    let keys = format!("{SETTLE}failed-dir = \"failed\"");
    let output = inbox
        .dwindle(&keys)
        .args(["--once"])
        .bound_by_modes()
        .finish()
        .expect_code(1);
    assert_eq!((output.report().compressed, output.report().failed), (1, 1), "{output}");
    assert!(output.stderr.contains("given up, and moved to"), "{output}");
    let names = [
        "failed/",
        "failed/sub/",
        "failed/sub/secret.csv",
        "failed/sub/secret.csv.reason",
        "fine.csv.gz",
        "sub/",
    ];
    assert_eq!(names_below(&inbox.path), names);
    let reason = fs::read_to_string(inbox.path.join("failed/sub/secret.csv.reason")).unwrap();
    for line in [
        "step: open",
        "errno: 13",
        "class: permanent",
        "tries: 1",
        "Permission denied",
        "when: 20",
    ] {
        assert!(reason.contains(line), "{reason}");
    }
    assert!(reason.starts_with(&format!("file: {}\n", secret.display())), "{reason}");
    // One of the same name is numbered, and neither file is replaced.
    deliver(&inbox, &arrivals(708, &["sub/secret.csv"]));
    fs::set_permissions(&secret, Permissions::from_mode(0o000)).unwrap();
    inbox
        .dwindle(&keys)
        .args(["--once"])
        .bound_by_modes()
        .finish()
        .expect_code(1);
    assert!(inbox.path.join("failed/sub/secret.csv.~1~").exists());
    assert!(inbox.path.join("failed/sub/secret.csv.~1~.reason").exists());
    assert!(inbox.path.join("failed/sub/secret.csv").exists());
}

#[test]
fn trouble_with_the_output_folder_moves_no_file() {
    needs!(tool "setpriv");
    let inbox = Inbox::new();
    let files = arrivals(709, &["file.csv"]);
    deliver(&inbox, &files);
    let out = inbox.sandbox.folder("out");
    fs::set_permissions(&out, Permissions::from_mode(0o555)).unwrap();
    let keys = format!("{SETTLE}failed-dir = \"failed\"\noutput-dir = \"{}\"", out.display());
    let output = inbox
        .dwindle(&keys)
        .args(["--once"])
        .bound_by_modes()
        .finish()
        .expect_code(1);
    assert!(output.stderr.contains("cannot create"), "{output}");
    assert_eq!(names_below(&inbox.path), ["failed/", "file.csv"]);
    fs::set_permissions(&out, Permissions::from_mode(0o755)).unwrap();
}

fn arrivals(seed: u64, paths: &[&str]) -> Vec<Arrival> {
    let data = &mut Data::from_seed(seed);
    paths.iter().map(|path| Arrival::new(data, path)).collect()
}

/// Each is written elsewhere, so that it is whole when it arrives.
fn deliver(inbox: &Inbox, files: &[Arrival]) {
    for file in files {
        let source = inbox.outside.join(&file.original.name);
        file.write_to(&source);
        let target = file.path_in(&inbox.path);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        copy(&[source], &target);
    }
}

fn expect_originals(folder: &Path, files: &[Arrival]) {
    for file in files {
        let path = file.path_in(folder);
        assert_eq!(fs::read(&path).unwrap(), file.original.content, "{}", path.display());
    }
}

fn inode_of(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

fn watch(inbox: &Inbox, keys: &str) -> Running {
    inbox.watch(&format!("{SETTLE}{keys}"))
}

fn stop(running: Running) -> Output {
    running.signal(Signal::TERM);
    running.wait_exit()
}
