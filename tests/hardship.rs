//! What happens around the program and must not stop it: folders replaced, clocks that are wrong, logs that nobody reads, limits.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use rustix::process::Signal;

use crate::support::{Data, Dwindle, Inbox, Original, Sandbox, assert_gz_of, names_below, needs};

const QUICK: &str = "settle = \"200ms\"";

#[test]
fn an_output_folder_that_is_removed_is_made_again() {
    let inbox = Inbox::new();
    let mut running = inbox.watch(&format!("{QUICK}\noutput-dir = \"archive\""));
    inbox.sandbox.file("inbox/one", "1");
    running.wait_for_names(&inbox.path, ["archive/", "archive/one.gz"]);
    fs::remove_dir_all(inbox.path.join("archive")).unwrap();
    inbox.sandbox.file("inbox/two", "2");
    running.wait_for_names(&inbox.path, ["archive/", "archive/two.gz"]);
    fs::rename(inbox.path.join("archive"), inbox.sandbox.path("elsewhere")).unwrap();
    inbox.sandbox.file("inbox/three", "3");
    running.wait_for_names(&inbox.path, ["archive/", "archive/three.gz"]);
    running.signal(Signal::TERM);
    assert_eq!(running.wait_exit().expect_code(0).report().compressed, 3);
}

#[test]
fn a_file_from_the_future_is_compressed() {
    let inbox = Inbox::new();
    let path = inbox.sandbox.file("inbox/f", "text");
    let tomorrow = SystemTime::now() + Duration::from_secs(24 * 60 * 60);
    File::options()
        .append(true)
        .open(&path)
        .unwrap()
        .set_modified(tomorrow)
        .unwrap();
    let original = Original::of(&path);
    let output = Dwindle::new(&inbox.sandbox).args(["run", "--once", "inbox"]).finish();
    assert_eq!(output.expect_code(0).report().compressed, 1);
    assert_gz_of(&original.gz_in(&inbox.path), &original);
}

#[test]
fn one_watch_full_of_waiting_files_does_not_hold_up_another() {
    let sandbox = Sandbox::with_room_for(64 << 20);
    let (waiting, other) = (sandbox.folder("waiting"), sandbox.folder("other"));
    for number in 0..20_000 {
        fs::write(waiting.join(number.to_string()), "x").unwrap();
    }
    let config = format!(
        "[[watch]]\npath = \"{}\"\nsettle = \"1h\"\n[[watch]]\npath = \"{}\"\n{QUICK}\n",
        waiting.display(),
        other.display()
    );
    sandbox.file("config.toml", config);
    let mut running = Dwindle::new(&sandbox).args(["run", "-c", "config.toml"]).start();
    running.wait_for_text("watching");
    sandbox.file("other/f", "text");
    sandbox.folder("other/sub");
    sandbox.file("other/sub/g", "text");
    running.wait_for_names(&other, ["f.gz", "sub/", "sub/g.gz"]);
    running.signal(Signal::TERM);
    assert_eq!(running.wait_exit().expect_code(0).report().compressed, 2);
}

#[test]
fn a_log_that_nobody_reads_does_not_stop_it() {
    let sandbox = Sandbox::new();
    let inbox = sandbox.folder("inbox");
    for number in 0..2000 {
        fs::write(inbox.join(number.to_string()), "x").unwrap();
    }
    // A pipe with a reader that never reads: it holds 64 KiB, far less than is logged.
    sandbox.file(
        "config.toml",
        format!("[[watch]]\npath = \"{}\"\ndurable = false\n{QUICK}\n", inbox.display()),
    );
    let script = "mkfifo log; exec 3<>log; exec \"$DWINDLE\" run --once -c config.toml 2>log";
    let output = Dwindle::in_shell(&sandbox, script).finish().expect_code(0);
    assert_eq!(output.report().compressed, 2000);
}

#[test]
fn a_file_larger_than_files_may_be_fails_alone() {
    let sandbox = Sandbox::new();
    let data = &mut Data::from_seed(900);
    let large = sandbox.file("inbox/large", data.random_bytes(3_000_000));
    sandbox.file("inbox/small", "text");
    let script = "ulimit -f 512; \"$DWINDLE\" compress inbox/large inbox/small";
    let output = Dwindle::in_shell(&sandbox, script).finish().expect_code(1);
    assert_eq!((output.report().compressed, output.report().failed), (1, 1), "{output}");
    assert!(output.stderr.contains("File too large"), "{output}");
    assert_eq!(large.metadata().unwrap().len(), 3_000_000);
    assert_eq!(names_below(&sandbox.path("inbox")), ["large", "small.gz"]);
}

#[test]
fn a_folder_that_one_pass_cannot_go_through_is_a_failure() {
    needs!(root);
    needs!(tool "setpriv");
    let sandbox = Sandbox::new();
    sandbox.file("inbox/f", "text");
    let closed = sandbox.folder("inbox/closed");
    fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    let line = ["run", "--once", "inbox"];
    let output = Dwindle::new(&sandbox)
        .args(line)
        .bound_by_modes()
        .finish()
        .expect_code(1);
    assert_eq!((output.report().compressed, output.report().failed), (1, 1), "{output}");
}

#[test]
fn two_files_of_one_name_never_meet_in_one_output_folder() {
    let sandbox = Sandbox::new();
    sandbox.file("a/x", "AAA");
    sandbox.file("b/x", "BBB");
    for flags in ["-o", "-fo"] {
        let line = ["compress", "-j", "1", flags, "out", "a/x", "b/x"];
        let output = Dwindle::new(&sandbox).args(line).finish().expect_code(1);
        assert_eq!((output.report().compressed, output.report().failed), (1, 1), "{output}");
        let kept = [("a/x", "AAA"), ("b/x", "BBB")];
        let kept: Vec<_> = kept.iter().filter(|(path, _)| sandbox.path(path).exists()).collect();
        assert_eq!(kept.len(), 1);
        for (path, content) in kept {
            assert_eq!(fs::read_to_string(sandbox.path(path)).unwrap(), *content);
        }
        sandbox.file("a/x", "AAA");
        sandbox.file("b/x", "BBB");
        fs::remove_dir_all(sandbox.path("out")).unwrap();
    }
}

#[test]
fn folders_that_lie_in_one_another_are_refused() {
    let sandbox = Sandbox::new();
    sandbox.folder("inbox/sub");
    for folders in [
        ["inbox", "inbox"],
        ["inbox", "inbox/sub"],
        ["inbox/sub", "inbox/../inbox"],
    ] {
        let output = Dwindle::new(&sandbox).args(["run", "--once"]).args(folders).finish();
        let output = output.expect_code(2);
        assert!(output.stderr.contains("is watched already"), "{output}");
    }
}
