//! `dwindle run` with `on-success` and `on-failure`: what is run, with what, and what becomes of the file.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::inbox::copy;
use crate::support::run::Output;
use crate::support::wait;
use crate::support::{Arrival, Data, Dwindle, Inbox, names_below, needs};

const SETTLE: &str = "settle = \"300ms\"\n";

/// A hook that is a script for sh(1); `$0` is the folder for what it writes, `$1` and so on are its arguments.
fn shell(inbox: &Inbox, key: &str, script: &str, arguments: &[&str]) -> String {
    let mut words = vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()];
    words.push(inbox.outside.display().to_string());
    words.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    format!("{key} = {words:?}\n")
}

fn once(inbox: &Inbox, keys: &str) -> Output {
    inbox.dwindle(&format!("{SETTLE}{keys}")).args(["--once"]).finish()
}

fn lines(path: impl AsRef<Path>) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn a_hook_has_its_arguments_and_variables_and_each_file_has_one() {
    let inbox = Inbox::new();
    let files = deliver(&inbox, 800, &["a.csv", "sub/b c.csv"]);
    let script =
        "echo \"$1|$2|$3|$4|$DWINDLE_SOURCE|$DWINDLE_OUTPUT|$DWINDLE_BYTES_IN|$DWINDLE_BYTES_OUT\" >> \"$0/log\"";
    let arguments = ["--from={source}", "{output}", "{bytes_in}", "{bytes_out}{x}"];
    let output = once(&inbox, &shell(&inbox, "on-success", script, &arguments)).expect_code(0);
    assert!(output.stderr.contains("hooks: 2 run"), "{output}");
    assert!(
        output.stderr.contains("`{x}` in `on-success` stands for nothing"),
        "{output}"
    );
    let expected: Vec<String> = files
        .iter()
        .map(|file| {
            let source = file.path_in(&inbox.path);
            let gz = PathBuf::from(format!("{}.gz", source.display()));
            let (bytes_in, bytes_out) = (file.original.content.len(), fs::metadata(&gz).unwrap().len());
            let (source, gz) = (source.display(), gz.display());
            format!("--from={source}|{gz}|{bytes_in}|{bytes_out}{{x}}|{source}|{gz}|{bytes_in}|{bytes_out}")
        })
        .collect();
    assert_eq!(lines(inbox.outside.join("log")), expected);
}

#[test]
fn names_reach_a_hook_as_the_bytes_they_are() {
    let inbox = Inbox::new();
    let names: [&[u8]; 3] = [b"two\nlines", b"caf\xe9; rm -rf $HOME", b"{output}`id`"];
    let data = &mut Data::from_seed(801);
    let files: Vec<Arrival> = names.map(|name| Arrival::new(data, OsStr::from_bytes(name))).into();
    put(&inbox, &files);
    // A copy of what the argument leads to, so that a name which was changed on its way is missed.
    let script = "cp \"$1\" \"$0/$2\" && [ \"$2\" = \"$DWINDLE_OUTPUT\" ]";
    let arguments = ["{output}", "{output}"];
    let script = script.replace("$0/$2", "$0/$(basename \"$2\")x");
    once(&inbox, &shell(&inbox, "on-success", &script, &arguments)).expect_code(0);
    let copies = fs::read_dir(&inbox.outside).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.as_bytes().ends_with(b".gzx")
    });
    assert_eq!(copies.count(), 3);
}

#[test]
fn output_goes_to_the_log_line_by_line_escaped_and_bounded() {
    let inbox = Inbox::new();
    deliver(&inbox, 802, &["a.csv"]);
    let script = "printf 'one\\033[31m\\ntwo' >&2; echo; i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); done; \
                  head -c 5000 /dev/zero | tr '\\0' x";
    let output = once(&inbox, &shell(&inbox, "on-success", script, &[])).expect_code(0);
    assert!(output.stderr.contains("on-success: one\\u{1b}[31m"), "{output}");
    assert!(output.stderr.contains("on-success: two hook="), "{output}");
    assert!(output.stderr.contains("on-success: line 97 "), "{output}");
    assert!(!output.stderr.contains("line 98 "), "{output}");
    assert!(output.stderr.contains("(203 more lines)"), "{output}");
    assert!(!output.stderr.contains("xxx"), "{output}");
}

#[test]
fn a_hook_that_fails_is_told_and_counted_and_the_file_is_done_once() {
    let inbox = Inbox::new();
    deliver(&inbox, 803, &["a.csv", "b.csv"]);
    let keys = shell(&inbox, "on-success", "echo x >> \"$0/log\"; exit 3", &[]);
    let output = once(&inbox, &keys).expect_compressed(2);
    assert!(output.stderr.contains("failed: exit status: 3"), "{output}");
    assert!(
        output.stderr.contains("hooks: 2 run, 2 of them failed, 0 not run"),
        "{output}"
    );
    assert_eq!(names_below(&inbox.path), ["a.csv.gz", "b.csv.gz"]);
    // No second time: not by the hook's failure, nor by another run.
    once(&inbox, &keys).expect_compressed(0);
    assert_eq!(lines(inbox.outside.join("log")).len(), 2);

    deliver(&inbox, 804, &["c.csv"]);
    let output = once(&inbox, "on-success = [\"/nowhere/ship\", \"{output}\"]").expect_compressed(1);
    assert!(
        output.stderr.contains("cannot run the on-success hook /nowhere/ship"),
        "{output}"
    );
}

#[test]
fn a_hook_that_takes_too_long_is_ended_with_all_that_it_started() {
    let inbox = Inbox::new();
    deliver(&inbox, 805, &["a.csv"]);
    let script = "trap 'echo told' TERM; echo $$ > \"$0/pid\"; sleep 600 & sleep 600; sleep 600";
    let keys = format!("{}hook-timeout = \"1s\"", shell(&inbox, "on-success", script, &[]));
    let begun = Instant::now();
    let output = once(&inbox, &keys).expect_compressed(1);
    assert!(output.stderr.contains("not done within 1s"), "{output}");
    assert!(output.stderr.contains("on-success: told"), "{output}");
    assert!(begun.elapsed() < Duration::from_secs(100), "it was waited for");
    let group = fs::read_to_string(inbox.outside.join("pid")).unwrap();
    let none_left = || !processes().any(|(state, of)| of == group.trim() && state != "Z");
    assert!(
        wait::poll(wait::DEADLINE, || none_left().then_some(())).is_some(),
        "something of it is still there"
    );
}

/// State and process group of every process, by `/proc/PID/stat`.
fn processes() -> impl Iterator<Item = (String, String)> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| {
        let text = fs::read_to_string(entry.path().join("stat")).ok()?;
        let mut fields = text.rsplit_once(')')?.1.split_whitespace();
        Some((fields.next()?.to_owned(), fields.nth(1)?.to_owned()))
    })
}

#[test]
fn no_more_than_four_run_at_once_and_none_is_forgotten() {
    let inbox = Inbox::new();
    let names: Vec<String> = (0..30).map(|number| format!("{number}.csv")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    deliver(&inbox, 806, &names);
    // Each says how many there are while it is there.
    let script = "mkdir \"$0/run.$$\"; ls -d \"$0\"/run.* | wc -l >> \"$0/log\"; sleep 0.05; rmdir \"$0/run.$$\"";
    let output = once(&inbox, &shell(&inbox, "on-success", script, &[])).expect_compressed(30);
    assert!(output.stderr.contains("hooks: 30 run"), "{output}");
    let counts = lines(inbox.outside.join("log"));
    assert_eq!(counts.len(), 30);
    assert!(
        counts.iter().all(|count| count.trim().parse::<u32>().unwrap() <= 4),
        "{counts:?}"
    );
}

#[test]
fn a_stop_waits_for_hooks_until_its_time_is_over() {
    let inbox = Inbox::new();
    deliver(&inbox, 807, &["a.csv", "b.csv", "c.csv", "d.csv", "e.csv", "f.csv"]);
    let keys = shell(&inbox, "on-success", "echo >> \"$0/begun\"; exec sleep 600", &[]);
    let mut running = inbox
        .dwindle_with(
            "shutdown-timeout = \"1s\"",
            &format!("{SETTLE}{keys}hook-timeout = \"1h\""),
        )
        .start();
    let begun = inbox.outside.join("begun");
    running.wait_for("four hooks", || lines(&begun).len() == 4);
    running.wait_for("the last file", || {
        names_below(&inbox.path).len() == 6 && inbox.path.join("f.csv.gz").exists()
    });
    running.wait_for("no original", || {
        names_below(&inbox.path)
            .iter()
            .all(|name| Path::new(name).extension() == Some(OsStr::new("gz")))
    });
    running.signal(Signal::TERM);
    let output = running.wait_exit().expect_compressed(6);
    assert!(output.stderr.contains("the agent ends"), "{output}");
    assert!(
        output.stderr.contains("hooks: 4 run, 4 of them failed, 2 not run"),
        "{output}"
    );
}

#[test]
fn a_second_signal_ends_hooks_at_once() {
    let inbox = Inbox::new();
    deliver(&inbox, 808, &["a.csv"]);
    let keys = shell(&inbox, "on-success", "echo begun; exec sleep 600", &[]);
    let mut running = inbox.watch(&format!("{SETTLE}{keys}hook-timeout = \"1h\""));
    running.wait_for_text("on-success: begun");
    running.signal(Signal::TERM);
    running.wait_for_text("Compressed 1 file");
    running.signal(Signal::TERM);
    let output = running.wait_exit().expect_code(143);
    assert!(
        output.stderr.contains("hooks: 1 run, 1 of them failed, 0 not run"),
        "{output}"
    );
}

#[test]
fn on_failure_is_run_once_for_a_file_that_is_given_up() {
    needs!(tool "setpriv");
    for failed_dir in ["", "failed-dir = \"failed\"\n"] {
        let inbox = Inbox::new();
        deliver(&inbox, 809, &["secret.csv", "fine.csv"]);
        fs::set_permissions(inbox.path.join("secret.csv"), Permissions::from_mode(0o000)).unwrap();
        let script = "echo \"$1|$2|$DWINDLE_SOURCE|$DWINDLE_STEP|$DWINDLE_ERROR\" >> \"$0/log\"";
        let hook = shell(&inbox, "on-failure", script, &["{source}", "{step}"]);
        let keys = format!("{SETTLE}{failed_dir}{hook}watcher = \"poll\"\npoll-interval = \"100ms\"");
        let mut running = inbox.dwindle(&keys).bound_by_modes().start();
        running.wait_for("the hook", || !lines(inbox.outside.join("log")).is_empty());
        // Some sweeps find it again where it stays.
        running.wait_for_text("compressed fine.csv");
        std::thread::yield_now();
        running.signal(Signal::TERM);
        running.wait_exit().expect_code(0);
        let place = if failed_dir.is_empty() {
            "secret.csv"
        } else {
            "failed/secret.csv"
        };
        let (source, path) = (inbox.path.join(place), inbox.path.join("secret.csv"));
        let (source, path) = (source.display(), path.display());
        let expected = format!("{source}|open|{source}|open|cannot open {path}: Permission denied (os error 13)");
        assert_eq!(lines(inbox.outside.join("log")), [expected]);
    }
}

#[test]
fn hooks_leak_no_descriptor_and_no_process_and_get_none_of_ours() {
    let inbox = Inbox::new();
    let script = "ls -l /proc/self/fd >> \"$0/log\"; echo \"$NOTIFY_SOCKET\" >> \"$0/env\"";
    let keys = shell(&inbox, "on-success", script, &[]);
    let mut running = inbox
        .dwindle(&format!("{SETTLE}{keys}"))
        .env("NOTIFY_SOCKET", "/nowhere")
        .start();
    running.wait_for_text("ing /");
    let descriptors = |id: u32| fs::read_dir(format!("/proc/{id}/fd")).unwrap().count();
    let mut first = None;
    for round in 0..3 {
        deliver(&inbox, 810 + round, &[&format!("{round}.csv")]);
        let count = usize::try_from(round).unwrap() + 1;
        running.wait_for("the hook", || lines(inbox.outside.join("env")).len() == count);
        let id = running.process_id();
        let first = *first.get_or_insert_with(|| descriptors(id) + 2);
        running.wait_for("no more descriptors than before", || descriptors(id) <= first);
        running.wait_for("no child", || {
            fs::read_to_string(format!("/proc/{id}/task/{id}/children"))
                .is_ok_and(|children| children.trim().is_empty())
        });
    }
    running.signal(Signal::TERM);
    running.wait_exit().expect_code(0);
    let open = lines(inbox.outside.join("log"));
    let root = inbox.sandbox.root().display().to_string();
    let is_ours = |line: &&String| line.contains(&root) && !line.contains("outside/log") || line.contains("inotify");
    assert_eq!(open.iter().find(is_ours), None, "{open:?}");
    assert!(lines(inbox.outside.join("env")).iter().all(String::is_empty));
}

#[test]
fn of_two_watches_on_one_folder_each_has_its_own() {
    let inbox = Inbox::new();
    let hook = |what: &str| {
        shell(
            &inbox,
            "on-success",
            &format!("echo {what} \"$1\" >> \"$0/log\""),
            &["{source}"],
        )
    };
    let path = inbox.path.display();
    let watch =
        |glob: &str, keys: &str| format!("[[watch]]\npath = \"{path}\"\ninclude = [\"{glob}\"]\n{SETTLE}{keys}");
    let text = watch("*.csv", &hook("csv")) + &watch("*.log", &hook("log")) + &watch("*.txt", "");
    let config = inbox.sandbox.file("dwindle.toml", text);
    deliver(&inbox, 822, &["a.csv", "b.log", "c.txt", "d.csv"]);
    let run = Dwindle::new(&inbox.sandbox)
        .args(["run", "--once", "-c"])
        .args([&config]);
    let output = run.finish().expect_compressed(4);
    assert!(output.stderr.contains("hooks: 3 run"), "{output}");
    let expected = [("csv", "a.csv"), ("csv", "d.csv"), ("log", "b.log")];
    let expected = expected.map(|(what, name)| format!("{what} {}", inbox.path.join(name).display()));
    assert_eq!(lines(inbox.outside.join("log")), expected);
}

#[test]
fn a_reload_changes_hooks() {
    let inbox = Inbox::new();
    let keys = |script: &str| format!("{SETTLE}{}", shell(&inbox, "on-success", script, &[]));
    let mut running = inbox.watch(&keys("echo old >> \"$0/log\""));
    deliver(&inbox, 820, &["a.csv"]);
    running.wait_for("the first hook", || lines(inbox.outside.join("log")) == ["old"]);
    drop(inbox.dwindle(&keys("echo new >> \"$0/log\"")));
    running.signal(Signal::HUP);
    running.wait_for_text("configuration read again");
    deliver(&inbox, 821, &["b.csv"]);
    running.wait_for("the second hook", || lines(inbox.outside.join("log")) == ["new", "old"]);
    running.signal(Signal::TERM);
    running.wait_exit().expect_compressed(2);
}

fn deliver(inbox: &Inbox, seed: u64, paths: &[&str]) -> Vec<Arrival> {
    let data = &mut Data::from_seed(seed);
    let files: Vec<Arrival> = paths.iter().map(|path| Arrival::new(data, path)).collect();
    put(inbox, &files);
    files
}

fn put(inbox: &Inbox, files: &[Arrival]) {
    let folder = inbox.sandbox.folder("elsewhere");
    for file in files {
        let source = folder.join(&file.original.name);
        file.write_to(&source);
        let target = file.path_in(&inbox.path);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        copy(&[source], &target);
    }
}
