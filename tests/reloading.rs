//! `dwindle run`: SIGHUP, and the configuration that is read again then.

use std::fs;
use std::path::Path;

use rustix::process::Signal;

use crate::support::gz::{put_gz, read_with_flate2};
use crate::support::inbox::names_with_gz_of;
use crate::support::notify::Notified;
use crate::support::run::{Output, Running};
use crate::support::{Arrival, Data, Dwindle, Inbox, names_below};

const AT_ONCE: &str = "settle = \"0s\"";

const TAKEN_OVER: &str = "configuration read again";

/// Says that these folders are watched, with these keys each.
fn configure(inbox: &Inbox, general: &str, watches: &[(&Path, &str)]) {
    let watches = watches
        .iter()
        .map(|(path, keys)| format!("[[watch]]\npath = \"{}\"\n{AT_ONCE}\n{keys}\n", path.display()));
    let text = format!("{general}\n{}", watches.collect::<String>());
    inbox.sandbox.file("dwindle.toml", text);
}

fn agent(inbox: &Inbox) -> Dwindle {
    Dwindle::new(&inbox.sandbox).args(["run", "-c", "dwindle.toml"])
}

/// Has it read again, and waits for the answer, the `count`th of this text.
fn reload(running: &mut Running, answer: &str, count: usize) {
    running.signal(Signal::HUP);
    running.wait_for_log(answer, |log| log.matches(answer).count() == count);
}

fn stop(running: Running) -> Output {
    running.signal(Signal::TERM);
    running.wait_exit().expect_code(0)
}

#[test]
fn a_folder_comes_another_goes_and_a_third_has_other_rules() {
    let inbox = Inbox::new();
    let [going, coming, changing] = ["going", "coming", "changing"].map(|name| inbox.sandbox.folder(name));
    configure(&inbox, "", &[(&going, ""), (&changing, ""), (&inbox.path, "")]);
    inbox.sandbox.file("coming/before", "text");
    let mut running = agent(&inbox).start();
    running.wait_for_line("the last folder", |line| {
        line.contains("watching") && line.contains("/inbox")
    });
    configure(
        &inbox,
        "",
        &[(&coming, ""), (&changing, "exclude = [\"*.txt\"]"), (&inbox.path, "")],
    );
    reload(&mut running, TAKEN_OVER, 1);
    running.wait_for_text("1 new, 1 changed, 1 removed");

    inbox.sandbox.file("going/F", "text");
    inbox.sandbox.file("changing/F.txt", "text");
    for folder in ["coming", "changing", "inbox"] {
        inbox.sandbox.file(format!("{folder}/F"), "text");
    }
    running.wait_for_names(&coming, ["F.gz", "before.gz"]);
    running.wait_for_names(&changing, ["F.gz", "F.txt"]);
    running.wait_for_names(&inbox.path, ["F.gz"]);
    assert_eq!(names_below(&going), ["F"]);

    // What is watched no more is anybody's, and what is watched now is not.
    let other = |name: &str| Dwindle::new(&inbox.sandbox).args(["run", "--once", name]);
    running.wait_for("the lock's end", || {
        let output = other("going").finish();
        output.status.code() == Some(0)
    });
    other("coming").finish().expect_code(75);
    stop(running).expect_compressed(4);
}

#[test]
fn what_cannot_change_while_it_runs_is_said_and_the_rest_is_taken_over() {
    let inbox = Inbox::new();
    configure(&inbox, "workers = 1", &[(&inbox.path, "")]);
    let mut running = agent(&inbox).start();
    running.wait_for_text("watching");
    configure(
        &inbox,
        "workers = 2\nlevel = 1\nshutdown-timeout = \"1s\"\n[log]\nlevel = \"error\"",
        &[(&inbox.path, "")],
    );
    reload(&mut running, TAKEN_OVER, 1);
    let log = running.stderr();
    assert!(
        log.contains("`workers` has changed: that takes effect at the next start"),
        "{log}"
    );
    assert!(
        log.contains("[log] has changed: that takes effect at the next start"),
        "{log}"
    );
    // By its level it is another watch.
    assert!(log.contains("0 new, 1 changed, 0 removed"), "{log}");
    stop(running);
}

#[test]
fn a_folder_that_cannot_be_had_changes_nothing() {
    let inbox = Inbox::new();
    let (free, held) = (inbox.sandbox.folder("free"), inbox.sandbox.folder("held"));
    let missing = inbox.sandbox.path("missing");
    configure(&inbox, "", &[(&inbox.path, "")]);
    let mut running = agent(&inbox).start();
    running.wait_for_text("watching");
    let mut holder = Dwindle::new(&inbox.sandbox).args(["run", "held"]).start();
    holder.wait_for_text("watching");
    for (count, folder, words) in [(1, &missing, "is not there"), (2, &held, "another agent watches")] {
        configure(&inbox, "", &[(&free, ""), (folder, "")]);
        reload(&mut running, "was not taken over", count);
        assert!(running.stderr().contains(words), "{}", running.stderr());
    }
    // Neither watched nor locked.
    let output = Dwindle::new(&inbox.sandbox).args(["run", "--once", "free"]).finish();
    output.expect_code(0);
    inbox.sandbox.file("inbox/F", "text");
    running.wait_for_names(&inbox.path, ["F.gz"]);
    stop(holder);
    stop(running).expect_compressed(1);
}

/// It is looked for all the time, by an agent that has its lock.
#[test]
fn a_watched_folder_that_is_gone_for_now_is_no_reason_to_refuse() {
    let inbox = Inbox::new();
    let second = inbox.sandbox.folder("second");
    configure(&inbox, "", &[(&inbox.path, ""), (&second, "")]);
    let mut running = agent(&inbox).start();
    running.wait_for_line("the folder", |line| {
        line.contains("watching") && line.contains("/second")
    });
    fs::remove_dir(&second).unwrap();
    let third = inbox.sandbox.folder("third");
    configure(&inbox, "", &[(&inbox.path, ""), (&second, ""), (&third, "")]);
    reload(&mut running, TAKEN_OVER, 1);
    running.wait_for_text("1 new, 0 changed, 0 removed");
    stop(running);
}

#[test]
fn a_manager_is_told_of_the_reload_and_of_its_end() {
    let inbox = Inbox::new();
    configure(&inbox, "", &[(&inbox.path, "")]);
    let manager = Notified::at_path(&inbox.sandbox);
    let running = manager.told_by(agent(&inbox)).start();
    assert!(manager.next().starts_with("READY=1\n"));
    let mut last = 0;
    for (text, status) in [
        ("", "STATUS=Compressed 0 files;"),
        ("levle = 1", "STATUS=Reload refused: "),
    ] {
        configure(&inbox, text, &[(&inbox.path, "")]);
        running.signal(Signal::HUP);
        let message = manager.next();
        let time = message.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").map(str::trim_end);
        let time: u64 = time
            .and_then(|time| time.parse().ok())
            .unwrap_or_else(|| panic!("{message:?}"));
        assert!(time > last, "{message:?}");
        last = time;
        let message = manager.next();
        assert!(message.starts_with(&format!("READY=1\n{status}")), "{message:?}");
    }
    stop(running);
}

/// Files arrive in folders that come, go and change all the while.
#[test]
fn reloads_under_load_lose_nothing() {
    const ROUNDS: usize = 8;
    let mut data = Data::from_seed(57);
    let inbox = Inbox::new();
    let second = inbox.sandbox.folder("second");
    let plain: [(&Path, &str); 2] = [(&inbox.path, ""), (&second, "")];
    let other: [(&Path, &str); 1] = [(&inbox.path, "level = 1")];
    configure(&inbox, "workers = 2", &plain);
    let mut running = agent(&inbox).start();
    running.wait_for_line("the folder", |line| {
        line.contains("watching") && line.contains("/second")
    });
    let mut originals = Vec::new();
    for round in 1..=ROUNDS {
        configure(&inbox, "workers = 2", if round % 2 == 0 { &plain } else { &other });
        let arrivals = Arrival::several(&mut data, 10);
        let (before, after) = arrivals.split_at(5);
        for arrival in before {
            arrive(&inbox, arrival, &inbox.path, &second);
        }
        running.signal(Signal::HUP);
        for arrival in after {
            arrive(&inbox, arrival, &inbox.path, &second);
        }
        running.wait_for_log("the answer", |log| log.matches(TAKEN_OVER).count() == round);
        originals.extend(arrivals);
    }
    for folder in [&inbox.path, &second] {
        running.wait_for_names(folder, names_with_gz_of(&originals, &[]));
        for Arrival { original, .. } in &originals {
            assert_eq!(read_with_flate2(&original.gz_in(folder)).content, original.content);
        }
    }
    let output = stop(running);
    let report = output.report();
    assert_eq!((report.failed, report.left), (0, 0), "{output}");
}

/// By a rename, into both.
fn arrive(inbox: &Inbox, arrival: &Arrival, first: &Path, second: &Path) {
    for folder in [first, second] {
        let path = arrival.path_in(&inbox.outside);
        arrival.write_to(&path);
        fs::rename(&path, arrival.path_in(folder)).unwrap();
    }
}

/// What is surplus in a folder that comes may be another's that comes after it.
#[test]
fn nothing_is_removed_before_all_watches_that_come_are_there() {
    let inbox = Inbox::new();
    let inner = inbox.sandbox.folder("inbox/inner");
    let between: Vec<_> = (0..30)
        .map(|number| inbox.sandbox.folder(format!("between-{number}")))
        .collect();
    for (name, days) in [("outer.csv.gz", 9), ("inner/inner.csv.gz", 9), ("newest.csv.gz", 1)] {
        put_gz(&inbox.path, name, days, 10);
    }
    configure(&inbox, "", &[(&inbox.outside, "")]);
    let mut running = agent(&inbox).start();
    running.wait_for_text("watching");
    let mut watches = vec![
        (inbox.outside.as_path(), ""),
        (inbox.path.as_path(), "keep-bytes = \"1B\""),
    ];
    watches.extend(between.iter().map(|folder| (folder.as_path(), "")));
    watches.push((&inner, ""));
    configure(&inbox, "", &watches);
    reload(&mut running, TAKEN_OVER, 1);
    running.wait_for_names(&inbox.path, ["inner/", "inner/inner.csv.gz", "newest.csv.gz"]);
    stop(running);
    assert_eq!(names_below(&inner), ["inner.csv.gz"]);
}
