//! `dwindle run` with metrics: what is counted, where it is published, and that nobody who asks does harm.

mod hostile;
mod http;
mod shipped;
mod textfile;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use rustix::process::Signal;

use crate::support::metrics::value;
use crate::support::run::{Output, Running};
use crate::support::{Dwindle, Inbox};

/// In the sandbox, beside `inbox` and `outside`.
const TEXTFILE: &str = "dwindle.prom";

/// An agent with both ways to its metrics and these watches: each a folder of the sandbox and its keys.
fn agent(inbox: &Inbox, watches: &[(&str, &str)]) -> Dwindle {
    configure(inbox, "127.0.0.1:0", watches);
    Dwindle::new(&inbox.sandbox).args(["run", "-c", "dwindle.toml"])
}

fn configure(inbox: &Inbox, listen: &str, watches: &[(&str, &str)]) {
    let mut text = format!("[metrics]\ntextfile = \"{TEXTFILE}\"\nlisten = \"{listen}\"\n");
    for (folder, keys) in watches {
        inbox.sandbox.folder(folder);
        writeln!(text, "[[watch]]\npath = {folder:?}\nsettle = \"0s\"\n{keys}").expect("strings take everything");
    }
    inbox.sandbox.file("dwindle.toml", text);
}

fn stop(running: Running) -> Output {
    running.signal(Signal::TERM);
    running.wait_exit().expect_code(0)
}

fn textfile(inbox: &Inbox) -> String {
    fs::read_to_string(inbox.sandbox.path(TEXTFILE)).unwrap_or_default()
}

/// The series with this folder as its `watch`, and these labels behind.
fn of(name: &str, folder: &Path, labels: &str) -> String {
    format!("{name}{{watch=\"{}\"{labels}}}", folder.display())
}

/// Three files that are compressed, one that is empty, and one whose output's folder cannot be made, in two watches.
fn work(inbox: &Inbox) {
    inbox.sandbox.file("archive/sub", "no folder");
    inbox.sandbox.file("inbox/a", "text ".repeat(100));
    inbox.sandbox.file("inbox/b", "text ".repeat(200));
    inbox.sandbox.file("inbox/empty", "");
    inbox.sandbox.file("other/c", "text ".repeat(300));
    inbox.sandbox.file("other/sub/d", "text");
}

const WATCHES: [(&str, &str); 2] = [
    ("inbox", ""),
    (
        "other",
        "output-dir = \"../archive\"\nwatcher = \"poll\"\npoll-interval = \"100ms\"",
    ),
];

/// Whether everything of [`work`] is done, by these metrics.
fn is_done(metrics: &str, inbox: &Inbox) -> bool {
    let other = inbox.sandbox.path("other");
    let counts = [
        (of("dwindle_files_compressed_total", &inbox.path, ""), 2.0),
        (of("dwindle_files_compressed_total", &other, ""), 1.0),
        (of("dwindle_files_given_up_total", &other, ""), 1.0),
    ];
    let skipped = of("dwindle_files_skipped_total", &inbox.path, ",reason=\"empty\"");
    let are_right = counts
        .iter()
        .all(|(series, count)| value(metrics, series) == Some(*count));
    // One that comes while the folder is scanned is looked at twice.
    are_right && value(metrics, &skipped).is_some_and(|count| count >= 1.0)
}

/// Everything that [`is_done`] does not ask for.
#[track_caller]
fn assert_counted(metrics: &str, inbox: &Inbox) {
    let (path, other) = (&inbox.path, inbox.sandbox.path("other"));
    let sizes = |names: &[&str]| -> u64 {
        let size = |name| fs::metadata(inbox.sandbox.path(name)).expect("an output").len();
        names.iter().map(size).sum()
    };
    let (in_inbox, in_other) = (sizes(&["inbox/a.gz", "inbox/b.gz"]), sizes(&["archive/c.gz"]));
    for (series, expected) in [
        (of("dwindle_input_bytes_total", path, ""), 1500),
        (of("dwindle_output_bytes_total", path, ""), in_inbox),
        (of("dwindle_input_bytes_total", &other, ""), 1500),
        (of("dwindle_output_bytes_total", &other, ""), in_other),
        (of("dwindle_compress_seconds_count", path, ""), 2),
        (of("dwindle_compress_seconds_count", &other, ""), 1),
        ("dwindle_wait_seconds_count".to_owned(), 3),
        ("dwindle_wait_seconds_bucket{le=\"+Inf\"}".to_owned(), 3),
        (of("dwindle_files_failed_total", path, ",class=\"transient\""), 0),
        (of("dwindle_files_failed_total", path, ",class=\"permanent\""), 0),
        (of("dwindle_files_given_up_total", path, ""), 0),
        (of("dwindle_outputs_removed_total", path, ",reason=\"keep-for\""), 0),
        ("dwindle_in_flight_files".to_owned(), 0),
        ("dwindle_queue_files".to_owned(), 0),
        ("dwindle_rescans_total{cause=\"events lost\"}".to_owned(), 0),
        ("dwindle_hooks_total{result=\"succeeded\"}".to_owned(), 0),
    ] {
        #[allow(clippy::cast_precision_loss)] // they are small
        let expected = expected as f64;
        assert_eq!(value(metrics, &series), Some(expected), "{series}\n{metrics}");
    }
    let failed = value(
        metrics,
        &of("dwindle_files_failed_total", &other, ",class=\"permanent\""),
    );
    assert!(failed.is_some_and(|tries| tries >= 1.0), "{metrics}");
    let version = format!("dwindle_build_info{{version=\"{}\",commit=", env!("CARGO_PKG_VERSION"));
    assert!(metrics.contains(&version), "{metrics}");
}
