//! The file for `node_exporter`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use super::{TEXTFILE, WATCHES, agent, assert_counted, is_done, of, stop, textfile, work};
use crate::support::metrics::{promtool_says_of, value};
use crate::support::{Dwindle, Inbox, names_below, needs};

#[test]
fn it_is_there_from_the_start_and_has_the_last_numbers_at_the_end() {
    let inbox = Inbox::new();
    let mut running = agent(&inbox, &WATCHES).start();
    let compressed = of("dwindle_files_compressed_total", &inbox.path, "");
    running.wait_for("the file", || value(&textfile(&inbox), &compressed) == Some(0.0));
    assert_eq!(value(&textfile(&inbox), "dwindle_watches{mode=\"poll\"}"), Some(1.0));
    work(&inbox);
    running.wait_for("all counts, written while it runs", || {
        is_done(&textfile(&inbox), &inbox)
    });
    assert_counted(&textfile(&inbox), &inbox);
    stop(running);
    let last = textfile(&inbox);
    assert!(is_done(&last, &inbox), "{last}");
    assert_counted(&last, &inbox);
    // Whoever looks at a file that stays can tell that nothing is watched any more.
    for mode in ["native", "poll"] {
        assert_eq!(value(&last, &format!("dwindle_watches{{mode=\"{mode}\"}}")), Some(0.0));
    }
    let mode = fs::metadata(inbox.sandbox.path(TEXTFILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o644);
    let names = names_below(inbox.sandbox.root());
    let others: Vec<_> = names
        .iter()
        .filter(|name| name.contains(".prom") && *name != TEXTFILE)
        .collect();
    assert!(others.is_empty(), "{others:?}");
}

#[test]
fn promtool_finds_nothing_to_say() {
    needs!(tool "promtool");
    let inbox = Inbox::new();
    let mut running = agent(&inbox, &WATCHES).start();
    work(&inbox);
    running.wait_for_names(&inbox.path, ["a.gz", "b.gz", "empty"]);
    let path = inbox.sandbox.path(TEXTFILE);
    running.wait_for("the file", || path.exists());
    assert_eq!(promtool_says_of(&path), "");
    stop(running);
    assert_eq!(promtool_says_of(&path), "");
}

#[test]
fn one_pass_leaves_its_numbers() {
    let inbox = Inbox::new();
    let agent = agent(&inbox, &WATCHES);
    work(&inbox);
    let output = agent.args(["--once"]).finish().expect_code(1);
    assert_eq!(output.report().compressed, 3, "{output}");
    let metrics = textfile(&inbox);
    assert!(is_done(&metrics, &inbox), "{metrics}");
}

#[test]
fn hooks_and_removed_outputs_are_counted() {
    let inbox = Inbox::new();
    let keys = "keep-count = 1\non-success = [\"sh\", \"-c\", \"test $1 != $2\", \"sh\", \"{bytes_in}\", \"4\"]";
    let mut running = agent(&inbox, &[("inbox", keys)]).start();
    running.wait_for_text("watching");
    for (name, content) in [("app.1", "text"), ("app.2", "longer text")] {
        inbox.sandbox.file(format!("inbox/{name}"), content);
        running.wait_for_text(&format!("compressed {name}"));
    }
    stop(running);
    let metrics = textfile(&inbox);
    for (result, count) in [("succeeded", 1.0), ("failed", 1.0), ("not-run", 0.0)] {
        let series = format!("dwindle_hooks_total{{result=\"{result}\"}}");
        assert_eq!(value(&metrics, &series), Some(count), "{metrics}");
    }
}

#[test]
fn one_that_cannot_be_written_is_told_of_once_and_stops_nothing() {
    let inbox = Inbox::new();
    let general = format!(
        "[metrics]\ntextfile = \"{}\"",
        inbox.sandbox.path("later/dwindle.prom").display()
    );
    let mut running = inbox.dwindle_with(&general, "settle = \"0s\"").start();
    running.wait_for_text("no metrics for now");
    inbox.sandbox.file("inbox/F", "text");
    running.wait_for_names(&inbox.path, ["F.gz"]);
    let output = stop(running).expect_compressed(1);
    assert_eq!(output.stderr.matches("no metrics for now").count(), 1, "{output}");
    assert!(output.stderr.contains("later/dwindle.prom: No such file"), "{output}");

    let mut running = inbox.dwindle_with(&general, "settle = \"0s\"").start();
    running.wait_for_text("no metrics for now");
    let folder = inbox.sandbox.folder("later");
    let output = stop(running);
    assert!(output.stderr.contains("metrics are written to"), "{output}");
    assert_eq!(names_below(&folder), ["dwindle.prom"]);
}

/// Neither for the file nor for those who might ask.
#[test]
fn while_nothing_happens_nothing_wakes() {
    let inbox = Inbox::new();
    let mut running = agent(&inbox, &[("inbox", "")]).start();
    let path = inbox.sandbox.path(TEXTFILE);
    running.wait_for("the file of the start", || path.exists());
    let process = running.process_id();
    let mut last = (Instant::now(), voluntary_switches(process));
    running.wait_for("three seconds without a wake-up", || {
        let now = voluntary_switches(process);
        if now != last.1 {
            last = (Instant::now(), now);
        }
        last.0.elapsed() > Duration::from_secs(3)
    });
    stop(running);
}

/// How often any of its threads has gone to sleep; `proc_pid_status(5)`.
fn voluntary_switches(process: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{process}/task")).expect("it runs");
    let statuses = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("status")).ok());
    let count = |status: String| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.and_then(|count| count.trim().parse::<u64>().ok())
    };
    statuses.filter_map(count).sum()
}

#[test]
fn without_a_configuration_there_is_none() {
    let inbox = Inbox::new();
    inbox.sandbox.file("inbox/F", "text");
    let output = Dwindle::new(&inbox.sandbox).args(["run", "--once", "inbox"]).finish();
    output.expect_compressed(1);
    assert!(!inbox.sandbox.path(TEXTFILE).exists());
}
