//! How the agent ends: by signals, by itself after one pass, or before it has begun.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::gz::read_with_flate2;
use crate::support::inbox::{names_with_gz_of, state_below};
use crate::support::run::{Output, Running};
use crate::support::skip::present;
use crate::support::{Arrival, Data, Dwindle, Inbox, Sandbox, names_below, needs};

#[test]
fn a_signal_finishes_what_is_known() {
    for (seed, signal) in [(400, Signal::TERM), (401, Signal::INT)] {
        let inbox = Inbox::new();
        let files = small_files(seed, 500);
        let keys = "settle = \"3s\"\ndurable = false";
        let mut running = inbox.dwindle_with("shutdown-timeout = \"10m\"", keys).start();
        running.wait_for_text("watching");
        put(&inbox, &files);
        // The kernel tells of it after all of them, so that they are known; none is quiet yet, but for the first ones on a slow machine.
        running.wait_until_watched(&inbox.sandbox.folder("inbox/last"));
        running.signal(signal);
        running.wait_exit().expect_compressed(500);
        assert_eq!(compressed_in(&inbox.path), 500);
        assert_eq!(names_below(&inbox.path).len(), 501);
        check_all(&inbox, &files);
    }
}

/// Files keep on coming while it stops: each is either compressed or untouched, and the report counts the former.
#[test]
fn row_52_a_signal_among_500_arrivals_loses_none() {
    let inbox = Inbox::new();
    let files = small_files(402, 500);
    let mut running = inbox.watch("settle = \"300ms\"\ndurable = false");
    let output = thread::scope(|scope| {
        scope.spawn(|| put(&inbox, &files));
        running.wait_for("half of the files", || names_below(&inbox.path).len() >= 250);
        running.signal(Signal::TERM);
        running.wait_exit().expect_code(0)
    });
    let report = output.report();
    let compressed = compressed_in(&inbox.path);
    assert_eq!(report.compressed, compressed as u64, "{output}");
    assert_eq!((report.failed, report.skipped), (0, 0), "{output}");
    assert!(report.left <= (500 - compressed) as u64, "{output}");
    assert_eq!(names_below(&inbox.path).len(), 500, "each file has one name");
    check_all(&inbox, &files);
    one_pass(&inbox).expect_compressed(500 - compressed);
    check_all(&inbox, &files);
    assert_eq!(compressed_in(&inbox.path), 500);
}

#[test]
fn a_signal_when_there_is_nothing_to_do() {
    let inbox = Inbox::new();
    let running = inbox.watch("");
    running.signal(Signal::TERM);
    let output = running.wait_exit().expect_compressed(0);
    assert_eq!(output.report().skipped, 0);
}

#[test]
fn row_53_a_drain_that_takes_too_long_leaves_the_rest_to_the_next_start() {
    let (inbox, files) = large_files(403);
    let mut running = begin(&inbox, "shutdown-timeout = \"100ms\"");
    wait_until_begun(&mut running, &inbox);
    running.signal(Signal::TERM);
    let output = running.wait_exit().expect_code(0);
    let report = output.report();
    let compressed = compressed_in(&inbox.path) as u64;
    assert_eq!((report.compressed, report.failed), (compressed, 0), "{output}");
    assert_eq!(report.compressed + report.left, files.len() as u64, "{output}");
    assert!(report.left > 0, "the files are too small for this machine: {output}");
    assert_eq!(names_below(&inbox.path).len(), files.len(), "{output}");
    check_all(&inbox, &files);

    one_pass(&inbox).expect_compressed(usize::try_from(report.left).unwrap());
    check_all(&inbox, &files);
    assert_eq!(names_below(&inbox.path), names_of_gz(&files));
}

#[test]
fn row_54_a_second_signal_aborts_and_leaves_nothing_half_done() {
    for (seed, signal, code) in [(404, Signal::TERM, 143), (405, Signal::INT, 130)] {
        let (inbox, files) = large_files(seed);
        let mut running = begin(&inbox, "");
        wait_until_begun(&mut running, &inbox);
        running.signal(signal);
        running.wait_for_text("stopping:");
        running.signal(signal);
        let output = running.wait_exit().expect_code(code);
        let report = output.report();
        assert_eq!(report.compressed, compressed_in(&inbox.path) as u64, "{output}");
        assert_eq!(report.compressed + report.left, files.len() as u64, "{output}");
        assert!(report.left > 0, "the files are too small for this machine: {output}");
        assert_eq!(names_below(&inbox.path).len(), files.len(), "{output}");
        check_all(&inbox, &files);
    }
}

#[test]
fn killed_at_any_moment_it_loses_nothing_and_the_next_start_finishes() {
    let inbox = Inbox::new();
    let files = small_files(406, 150);
    put(&inbox, &files);
    for round in 1..=4 {
        let mut running = inbox.watch("settle = \"0s\"");
        running.wait_for("some more .gz", || compressed_in(&inbox.path) >= round * 20);
        running.signal(Signal::KILL);
        drop(running);
        check_all(&inbox, &files);
    }
    let output = one_pass(&inbox).expect_code(0);
    assert_eq!(output.report().failed, 0, "{output}");
    check_all(&inbox, &files);
    assert_eq!(names_below(&inbox.path), names_of_gz(&files));
}

#[test]
fn killed_in_the_middle_of_a_large_file_it_leaves_no_trace() {
    let (inbox, files) = large_files(407);
    let before = state_below(&inbox.path);
    let mut running = begin(&inbox, "");
    wait_until_begun(&mut running, &inbox);
    running.signal(Signal::KILL);
    drop(running);
    if compressed_in(&inbox.path) == 0 {
        assert_eq!(state_below(&inbox.path), before);
    }
    check_all(&inbox, &files);
}

#[test]
fn one_pass_waits_for_what_is_not_quiet_yet() {
    let inbox = Inbox::new();
    let files = small_files(408, 5);
    put(&inbox, &files);
    let output = inbox.dwindle("settle = \"1s\"").args(["--once"]).finish();
    output.expect_compressed(5);
    check_all(&inbox, &files);
}

#[test]
fn one_pass_leaves_what_is_written_for_ever() {
    let inbox = Inbox::new();
    let files = small_files(409, 3);
    put(&inbox, &files);
    let path = inbox.path.join("endless.log");
    let stop = AtomicBool::new(false);
    let output = thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = File::create(&path).unwrap();
            while !stop.load(Ordering::Relaxed) {
                file.write_all(b"another line\n").unwrap();
                thread::sleep(Duration::from_millis(20));
            }
        });
        let dwindle = inbox.dwindle_with("shutdown-timeout = \"3s\"", "settle = \"1s\"");
        // Ends the writer also when this panics.
        let result = std::panic::catch_unwind(|| dwindle.args(["--once"]).finish());
        stop.store(true, Ordering::Relaxed);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    let report = output.expect_code(0).report();
    assert_eq!((report.compressed, report.failed, report.left), (3, 0, 1));
    assert!(path.exists());
    check_all(&inbox, &files);
}

#[test]
fn one_pass_that_fails_on_a_file_exits_with_1_and_does_the_rest() {
    needs!(tool "setpriv");
    let inbox = Inbox::new();
    for name in ["first.csv", "second.csv", "third.csv"] {
        inbox.sandbox.file(Path::new("inbox").join(name), "anybody may");
    }
    let secret = inbox.sandbox.file("inbox/secret.csv", "nobody may read this");
    let mode = |mode| fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    mode(0o000);
    let dwindle = inbox.dwindle("settle = \"200ms\"\ndurable = false").args(["--once"]);
    let output = dwindle.bound_by_modes().finish().expect_code(1);
    let report = output.report();
    assert_eq!((report.compressed, report.failed, report.left), (3, 1, 0), "{output}");
    assert!(output.stderr.contains("secret.csv"), "{output}");
    mode(0o600);
    assert_eq!(fs::read(secret).unwrap(), b"nobody may read this");
}

#[test]
fn one_pass_over_nothing() {
    let output = one_pass(&Inbox::new());
    output.expect_compressed(0);
}

#[test]
fn a_signal_ends_one_pass_too() {
    let (inbox, files) = large_files(411);
    let dwindle = inbox.dwindle_with(
        "shutdown-timeout = \"100ms\"\nworkers = 1\nlevel = 9",
        "settle = \"0s\"",
    );
    let mut running = dwindle.args(["--once"]).start();
    wait_until_begun(&mut running, &inbox);
    running.signal(Signal::TERM);
    let report = running.wait_exit().expect_code(0).report();
    assert_eq!(report.compressed + report.left, files.len() as u64);
    check_all(&inbox, &files);
}

#[test]
fn the_report_as_json() {
    let inbox = Inbox::new();
    let files = small_files(412, 3);
    put(&inbox, &files);
    inbox.sandbox.file("inbox/empty", "");
    let output = inbox
        .dwindle("settle = \"100ms\"")
        .args(["--once", "--json"])
        .finish()
        .expect_code(0);
    let stdout = String::from_utf8(output.stdout).unwrap();
    let line = stdout.lines().last().unwrap();
    let report: serde_json::Value = serde_json::from_str(line).unwrap();
    let number = |key: &str| report[key].as_u64().unwrap_or_else(|| panic!("{key} in {line}"));
    let bytes_in: usize = files.iter().map(|file| file.original.content.len()).sum();
    let size = |file: &Arrival| fs::metadata(file.original.gz_in(&inbox.path)).unwrap().len();
    let bytes_out: u64 = files.iter().map(size).sum();
    assert_eq!(number("compressed"), 3);
    assert_eq!(number("bytes_in"), bytes_in as u64);
    assert_eq!(number("bytes_out"), bytes_out);
    assert_eq!(["skipped", "failed", "left"].map(number), [1, 0, 0]);
    assert!(report["seconds"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_dry_run_touches_nothing_and_has_a_line_for_each_file() {
    let inbox = Inbox::new();
    let files = small_files(413, 3);
    put(&inbox, &files);
    for (name, content) in [
        ("empty", ""),
        ("upload.part", "x"),
        ("a/.hidden", "x"),
        ("two\nlines", "x"),
    ] {
        inbox.sandbox.file(Path::new("inbox").join(name), content);
    }
    let keys = "settle = \"0s\"\noutput-dir = \"archive\"";
    let dwindle = inbox.dwindle(keys).args(["--dry-run"]);
    let before = state_below(inbox.sandbox.root());
    let output = dwindle.finish().expect_code(0);
    assert_eq!(state_below(inbox.sandbox.root()), before);
    let stdout = String::from_utf8(output.stdout.clone()).unwrap();
    let lines_with = |parts: [&str; 2]| {
        let has_both = |line: &&str| parts.iter().all(|part| line.contains(part));
        stdout.lines().filter(has_both).count()
    };
    for file in &files {
        let name = file.original.name.to_str().unwrap();
        let line = format!("inbox/{name} -> {}/archive/{name}.gz", inbox.path.display());
        assert_eq!(lines_with(["compress ", &line]), 1, "{output}");
    }
    assert_eq!(lines_with(["compress ", "two\\nlines"]), 1, "{output}");
    for name in ["empty", "upload.part", "a/.hidden"] {
        assert_eq!(lines_with(["skip ", name]), 1, "{name}: {output}");
    }
    assert_eq!(stdout.lines().count(), 3 + 1 + 3 + 1, "{output}");
    assert!(
        stdout.lines().last().unwrap().starts_with("Would compress 4 files of "),
        "{output}"
    );
}

#[test]
fn a_dry_run_says_what_it_would_wait_for() {
    let inbox = Inbox::new();
    inbox.sandbox.file("inbox/fresh.csv", "just now");
    let output = inbox
        .dwindle("settle = \"1h\"")
        .args(["--dry-run"])
        .finish()
        .expect_code(0);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains("wait ") && stdout.contains("fresh.csv"), "{output}");
}

#[test]
fn a_missing_folder_is_named_and_may_be_there_the_next_time() {
    let sandbox = Sandbox::new();
    sandbox.file("a-file", "");
    for arguments in [["run", "missing"], ["run", "a-file"]] {
        for more in [&[][..], &["--once"], &["--dry-run"]] {
            let output = Dwindle::new(&sandbox)
                .args(arguments)
                .args(more)
                .finish()
                .expect_code(75);
            assert!(
                output.stderr.contains(arguments[1]) && output.stderr.contains("mkdir"),
                "{output}"
            );
            assert_eq!(output.stdout, b"", "{output}");
        }
    }
    let config = sandbox.file("dwindle.toml", "[[watch]]\npath = \"/nowhere/at/all\"");
    let output = Dwindle::new(&sandbox)
        .args(["run", "-c"])
        .args([config])
        .finish()
        .expect_code(75);
    assert!(output.stderr.contains("/nowhere/at/all"), "{output}");
}

#[test]
fn without_a_configuration_it_says_what_to_do() {
    if !present("no /etc/dwindle", !Path::new("/etc/dwindle").exists()) {
        return;
    }
    let output = Dwindle::new(&Sandbox::new()).args(["run"]).finish().expect_code(78);
    assert!(output.stderr.contains("dwindle run DIR"), "{output}");
    assert!(output.stderr.contains("/etc/dwindle/config.toml"), "{output}");
}

#[test]
fn a_wrong_configuration_is_shown_with_a_caret_and_nothing_is_touched() {
    let inbox = Inbox::new();
    let files = small_files(414, 1);
    put(&inbox, &files);
    let before = state_below(&inbox.path);
    #[rustfmt::skip]
    let cases = [
        ("setle = \"1s\"",                   "dwindle.toml:4:1",  "did you mean `settle`?"),
        ("settle = \"soon\"",                "dwindle.toml:4:10", "^"),
        ("include = [\"*.csv\", \"[\"]",     "dwindle.toml:4:21", "^"),
        ("on-conflict = \"overwrite\"",      "dwindle.toml:4:15", "replace"),
        ("settle = ",                        "dwindle.toml:4:",   "^"),
    ];
    for (keys, place, hint) in cases {
        for more in [&[][..], &["--once"], &["--dry-run"]] {
            let output = inbox.dwindle(keys).args(more).finish().expect_code(78);
            for part in [place, hint, "^"] {
                assert!(output.stderr.contains(part), "{part:?} is missing: {output}");
            }
        }
    }
    let missing = Dwindle::new(&inbox.sandbox)
        .args(["run", "-c", "missing.toml"])
        .finish()
        .expect_code(78);
    assert!(missing.stderr.contains("missing.toml"), "{missing}");
    assert_eq!(state_below(&inbox.path), before);
}

/// Files of some lines.
fn small_files(seed: u64, count: usize) -> Vec<Arrival> {
    let data = &mut Data::from_seed(seed);
    let mut files = Arrival::several(data, count);
    for file in &mut files {
        let bytes = data.number(1..4000);
        file.original.content = data.log_text(bytes);
    }
    files
}

/// Four files, each of which one worker needs a second for at level 9.
fn large_files(seed: u64) -> (Inbox, Vec<Arrival>) {
    let data = &mut Data::from_seed(seed);
    let content = data.tedious_text(1_500_000);
    let mut files = Arrival::several(data, 4);
    for file in &mut files {
        file.original.content.clone_from(&content);
    }
    let inbox = Inbox::new();
    put(&inbox, &files);
    (inbox, files)
}

/// Into the folder, each by a rename.
fn put(inbox: &Inbox, files: &[Arrival]) {
    for file in files {
        let staged = inbox.outside.join(&file.original.name);
        file.write_to(&staged);
        fs::rename(staged, file.path_in(&inbox.path)).unwrap();
    }
}

/// The agent with one worker that takes its time.
fn begin(inbox: &Inbox, general: &str) -> Running {
    let general = format!("workers = 1\nlevel = 9\n{general}");
    inbox.dwindle_with(&general, "settle = \"0s\"").start()
}

/// Waits until a worker has one of the folder's files open.
fn wait_until_begun(running: &mut Running, inbox: &Inbox) {
    let descriptors = PathBuf::from(format!("/proc/{}/fd", running.process_id()));
    let is_source = |path: &Path| path.starts_with(&inbox.path) && path.extension().is_some_and(|csv| csv == "csv");
    running.wait_for("a file in work", || {
        let open = fs::read_dir(&descriptors).into_iter().flatten().flatten();
        open.filter_map(|entry| fs::read_link(entry.path()).ok())
            .any(|path| is_source(&path))
    });
}

/// One pass as fast as can be over what is left.
fn one_pass(inbox: &Inbox) -> Output {
    inbox
        .dwindle_with("level = 1", "settle = \"0s\"\ndurable = false")
        .args(["--once"])
        .finish()
}

fn compressed_in(folder: &Path) -> usize {
    let is_gz = |name: &&String| Path::new(name).extension().is_some_and(|suffix| suffix == "gz");
    names_below(folder).iter().filter(is_gz).count()
}

fn names_of_gz(files: &[Arrival]) -> Vec<String> {
    names_with_gz_of(files, &[]).into_iter().collect()
}

/// Every byte is under the original's name, or under that of a whole `.gz`, or, where a crash came in between, under both.
fn check_all(inbox: &Inbox, files: &[Arrival]) {
    for file in files {
        let gz = file.original.gz_in(&inbox.path);
        let path = file.path_in(&inbox.path);
        assert!(gz.exists() || path.exists(), "{} is lost", path.display());
        if gz.exists() {
            assert!(
                read_with_flate2(&gz).content == file.original.content,
                "{}",
                gz.display()
            );
        }
        if path.exists() {
            assert!(fs::read(&path).unwrap() == file.original.content, "{}", path.display());
        }
    }
}
