//! logrotate rotates and removes what is too old, dwindle compresses. Its entries are as packages ship them, with `compress delaycompress`.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use rustix::process::Signal;

use super::{
    Peer, assert_each_once, configure, lines_below, only_outputs_but, run, wait_for_a_later_file, watch_as_in,
};
use crate::support::programs::while_none_is_started;
use crate::support::run::Running;
use crate::support::{Inbox, Sandbox, names_below, needs};

/// As an admin writes it.
const BESIDE: &str = "[[watch]]\npath = \"@FOLDER@/logs\"\npreset = \"rotated-logs\"\nsettle = \"50ms\"\n";

/// Of three rotations one comes while the agent stands still, so that logrotate compresses the last log itself; one while the original is on
/// its way out, so that logrotate renames the `.gz` of that moment; and one when all is done.
#[test]
fn twenty_numbered_rotations_lose_no_line_and_keep_as_many_as_logrotate_says() {
    const ROTATIONS: usize = 20;
    needs!(tool "logrotate");
    let sandbox = Sandbox::new();
    let logs = sandbox.folder("logs");
    let config = configure(&sandbox, "logrotate.conf", include_str!("logrotate/numbered.conf"));
    let mut running = watch_as_in(&sandbox, &configure(&sandbox, "dwindle.toml", BESIDE));
    let daemons = ["app", "other"].map(|name| Daemon::start(&sandbox, name));
    for rotation in 0..ROTATIONS {
        running.wait_for("lines", || daemons.iter().all(Daemon::has_written));
        run(&mut logrotate(&sandbox, &config));
        for daemon in &daemons {
            running.wait_for("a new log", || daemon.has_reopened());
        }
        match rotation % 3 {
            0 => running.signal(Signal::STOP),
            1 => {
                running.signal(Signal::CONT);
                running.wait_for("outputs", || daemons.iter().all(Daemon::is_compressed));
            }
            _ => running.wait_for("nothing to be done", || {
                only_outputs_but(&logs, &["app.log", "other.log"])
            }),
        }
    }
    running.signal(Signal::CONT);
    let written = daemons.map(Daemon::end);
    let outputs = |name: &'static str, count| (1..=count).map(move |number| format!("{name}.{number}.gz"));
    let live = ["app.log", "other.log"].map(str::to_owned);
    let names = live
        .into_iter()
        .chain(outputs("app.log", ROTATIONS))
        .chain(outputs("other.log", 5));
    running.wait_for_names(&logs, names);
    end(running);

    let lines = lines_below(&logs);
    assert_each_once(
        &only(&lines, "app"),
        (1..=written[0]).map(|number| format!("app {number}")),
    );
    // What was removed with the older outputs are the first lines, and no others.
    let kept = only(&lines, "other");
    let removed = written[1] - kept.len() as u64;
    assert!(removed > 0, "{written:?}");
    assert_each_once(
        &kept,
        (removed + 1..=written[1]).map(|number| format!("other {number}")),
    );
}

/// Each day has lines of its own, so that what is kept can be told.
#[test]
fn after_a_month_of_rotations_what_is_kept_is_what_logrotate_was_told_to_keep() {
    const DAYS: u64 = 30;
    needs!(tool "logrotate");
    needs!(tool "faketime");
    let logs = [
        "numbered",
        "dated",
        "aged",
        "hourly",
        "suffixed",
        "truncated",
        "moved",
        "moved-and-dated",
    ];
    let sandbox = Sandbox::with_room_for(16 << 20);
    let (folder, old) = (sandbox.folder("logs"), sandbox.folder("old"));
    let config = configure(&sandbox, "logrotate.conf", include_str!("logrotate/month.conf"));
    let watches = configure(&sandbox, "dwindle.toml", include_str!("logrotate/month.toml"));
    let mut running = watch_as_in(&sandbox, &watches);
    running.wait_for_text("/old");
    let live: Vec<String> = logs.iter().map(|name| format!("{name}.log")).collect();
    let live: Vec<&str> = live.iter().map(String::as_str).collect();
    // copytruncate is for a daemon that never opens its log anew. It writes nothing while logrotate copies and truncates: what it wrote in
    // between would be gone, with or without a program beside.
    let truncated = || {
        File::options()
            .append(true)
            .create(true)
            .open(folder.join("truncated.log"))
    };
    let mut truncated = while_none_is_started(truncated).unwrap();
    for day in 1..=DAYS {
        for name in logs {
            let text = format!("{name} {day}\n");
            if name == "truncated" {
                truncated.write_all(text.as_bytes()).unwrap();
            } else {
                write_log(&folder.join(format!("{name}.log")), &text, day);
            }
        }
        let clock = format!("2025-03-{day:02} 06:25:00");
        let mut rotate = Command::new("faketime");
        rotate
            .arg(clock)
            .args(logrotate_words(&sandbox, &config))
            .env("NO_FAKE_STAT", "1")
            .env("TZ", "UTC");
        run(&mut rotate);
        running.wait_for("the day's outputs", || {
            only_outputs_but(&folder, &live) && only_outputs_but(&old, &[])
        });
    }
    end(running);

    // Seven days and a part of one are more than seven to some versions of logrotate.
    let is_strict = !folder.join("aged.log-20250323.gz").exists();
    let oldest = if is_strict { 24 } else { 23 };
    let numbers = |name: &str| {
        (1..=14)
            .map(|number| format!("{name}.log.{number}.gz"))
            .collect::<Vec<_>>()
    };
    let dates = |first: u64, name: &dyn Fn(u64) -> String| (first..=DAYS).map(name).collect::<Vec<_>>();
    let mut names = [
        numbers("numbered"),
        numbers("truncated"),
        dates(17, &|day| format!("dated.log-202503{day:02}.gz")),
        dates(oldest, &|day| format!("aged.log-202503{day:02}.gz")),
        dates(17, &|day| format!("hourly.log-202503{day:02}06.gz")),
        dates(17, &|day| format!("suffixed-202503{day:02}.log.gz")),
        live.iter().map(|name| (*name).to_owned()).collect(),
    ]
    .concat();
    names.sort();
    assert_eq!(names_below(&folder), names);
    let mut names = [
        numbers("moved"),
        dates(17, &|day| format!("moved-and-dated.log-202503{day:02}.gz")),
    ]
    .concat();
    names.sort();
    assert_eq!(names_below(&old), names);
    let lines = lines_below(&folder).into_iter().chain(lines_below(&old)).collect();
    let kept = |name: &&str| if *name == "aged" { oldest..=DAYS } else { 17..=DAYS };
    let expected = logs
        .iter()
        .flat_map(|name| kept(name).map(move |day| format!("{name} {day}")));
    assert_each_once(&lines, expected);
}

/// logrotate reads what it compresses, and so does nothing that a lease would notice.
#[test]
fn what_logrotate_is_compressing_itself_is_left_to_it() {
    needs!(tool "logrotate");
    let inbox = Inbox::new();
    let sandbox = &inbox.sandbox;
    let logs = sandbox.folder("logs");
    let config = configure(sandbox, "logrotate.conf", include_str!("logrotate/at-once.conf"));
    let slow = configure(sandbox, "slow-gzip", include_str!("logrotate/slow-gzip.sh"));
    fs::set_permissions(slow, fs::Permissions::from_mode(0o755)).unwrap();
    let go_on = sandbox.path("go-on");
    rustix::fs::mknodat(rustix::fs::CWD, &go_on, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let mut running = watch_as_in(sandbox, &configure(sandbox, "dwindle.toml", BESIDE));
    let text = "one line of a thousand\n".repeat(1000);
    sandbox.file("logs/app.log", &text);
    let rotating = Peer::start(&mut logrotate(sandbox, &config));
    running.wait_for("half of an output", || sandbox.path("begun").exists());
    wait_for_a_later_file(&mut running, &logs, "later.log.1");
    assert_eq!(
        names_below(&logs),
        ["app.log", "app.log.1", "app.log.1.gz", "later.log.1.gz"],
    );
    File::options().write(true).open(&go_on).unwrap();
    let (status, _) = rotating.end(None);
    assert!(status.success(), "{status}");
    running.wait_for_names(&logs, ["app.log", "app.log.1.gz", "later.log.1.gz"]);
    end(running);
    assert_eq!(
        fs::read_to_string(logs.join("app.log.1.gz")).unwrap(),
        text,
        "the slow one copies"
    );
}

/// It counts names without `.gz` then, finds none, and rotates to a name that is free.
#[test]
fn with_nocompress_logrotate_loses_sight_of_the_outputs_and_no_line_is_lost() {
    needs!(tool "logrotate");
    let sandbox = Sandbox::new();
    let logs = sandbox.folder("logs");
    let config = configure(&sandbox, "logrotate.conf", include_str!("logrotate/nocompress.conf"));
    let mut running = watch_as_in(&sandbox, &configure(&sandbox, "dwindle.toml", BESIDE));
    for rotation in 0..4 {
        sandbox.file("logs/app.log", format!("line {rotation}\n"));
        run(&mut logrotate(&sandbox, &config));
        running.wait_for("an output", || only_outputs_but(&logs, &["app.log"]));
    }
    end(running);
    let names = [
        "app.log",
        "app.log.1.gz",
        "app.log.1.~1~.gz",
        "app.log.1.~2~.gz",
        "app.log.1.~3~.gz",
    ];
    assert_eq!(names_below(&logs), names);
    assert_each_once(&lines_below(&logs), (0..4).map(|rotation| format!("line {rotation}")));
}

/// A daemon with a log of numbered lines, which opens it anew at USR1.
struct Daemon<'a> {
    peer: Peer,
    sandbox: &'a Sandbox,
    name: &'static str,
}

impl<'a> Daemon<'a> {
    fn start(sandbox: &'a Sandbox, name: &'static str) -> Self {
        let script = sandbox.file("daemon.sh", include_str!("daemon.sh"));
        let log = sandbox.path(format!("logs/{name}.log"));
        let reopened = sandbox.path(format!("{name}.reopened"));
        let peer = Peer::start(Command::new("sh").arg(script).arg(name).arg(log).arg(reopened));
        sandbox.file(format!("{name}.pid"), peer.child.id().to_string());
        Daemon { peer, sandbox, name }
    }

    fn has_written(&self) -> bool {
        super::has_bytes(&self.sandbox.path(format!("logs/{}.log", self.name)), 1)
    }

    fn has_reopened(&self) -> bool {
        fs::remove_file(self.sandbox.path(format!("{}.reopened", self.name))).is_ok()
    }

    /// The original may be in quarantine.
    fn is_compressed(&self) -> bool {
        let there = |end| self.sandbox.path(format!("logs/{}.log.1{end}", self.name)).exists();
        there(".gz") && !there("")
    }

    /// How many lines it wrote.
    fn end(self) -> u64 {
        let (status, text) = self.peer.end(Some(Signal::TERM));
        assert!(status.success(), "{status}");
        text.trim().parse().expect("a number")
    }
}

fn logrotate(sandbox: &Sandbox, config: &Path) -> Command {
    let words = logrotate_words(sandbox, config);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

/// Forced, with a state of its own.
pub(super) fn logrotate_words(sandbox: &Sandbox, config: &Path) -> [String; 5] {
    let state = sandbox.path("logrotate.state");
    [
        "logrotate",
        "-f",
        "-s",
        state.to_str().unwrap(),
        config.to_str().unwrap(),
    ]
    .map(str::to_owned)
}

/// Appends the line, at six in the morning of that day.
fn write_log(path: &Path, line: &str, day: u64) {
    const BEFORE_THE_FIRST: Duration = Duration::from_secs(1_740_722_400); // 2025-02-28T06:00Z
    while_none_is_started(|| {
        let mut log = File::options().append(true).create(true).open(path).unwrap();
        log.write_all(line.as_bytes()).unwrap();
        let time = SystemTime::UNIX_EPOCH + BEFORE_THE_FIRST + Duration::from_secs(day * 86_400);
        log.set_modified(time).unwrap();
    });
}

/// The lines of one daemon.
fn only(lines: &std::collections::BTreeMap<String, usize>, name: &str) -> std::collections::BTreeMap<String, usize> {
    let own = lines.iter().filter(|(line, _)| line.split(' ').next() == Some(name));
    own.map(|(line, count)| (line.clone(), *count)).collect()
}

fn end(running: Running) {
    running.signal(Signal::TERM);
    let output = running.wait_exit().expect_code(0);
    assert_eq!(output.report().failed, 0, "{output}");
    assert!(!output.stderr.contains("WARN"), "{output}");
}
