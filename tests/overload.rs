//! More at once than there is room for: in the kernel's queue of events, in the agent's inbox and table, in the limits of inotify(7).
//! Nothing is lost, memory stays bounded, and the log says what happened.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::gz::read_with_flate2;
use crate::support::run::Running;
use crate::support::skip::present;
use crate::support::{Dwindle, Inbox, Sandbox, names_below, needs};

/// The program's largest resident size, in KiB. Found in a debug build with 50,000 files: 32 MiB, most of them the program itself and
/// what its workers compress with; known files have a share of about 4 MiB.
const MOST_MEMORY: u64 = 64 * 1024;

/// Between rounds the agent is stopped, so that the queue overflows on every machine, and then has to work while the next round comes.
#[test]
fn more_events_than_the_kernels_queue_holds() {
    const ROUNDS: [usize; 3] = [20_000, 15_000, 15_000]; // 50,000
    if !queue_overflows_at(2 * ROUNDS[2]) {
        return;
    }
    let inbox = large_inbox();
    let mut running = start(&inbox);
    let mut made = 0;
    for count in ROUNDS {
        running.signal(Signal::STOP);
        make_files(&inbox.path, made..made + count);
        running.signal(Signal::CONT);
        running.wait_for("some of this round", || {
            let name = format!("{}.gz", made + count / 10);
            inbox.path.join(name).exists()
        });
        made += count;
    }
    let stderr = expect_all(&inbox, running, made);
    assert!(stderr.contains("events lost"), "{stderr}");
}

#[test]
fn more_files_at_once_than_the_agent_knows() {
    const FILES: usize = 20_000;
    let inbox = large_inbox();
    let running = start(&inbox);
    thread::scope(|scope| {
        for part in 0..4 {
            let folder = &inbox.path;
            scope.spawn(move || make_files(folder, part * FILES / 4..(part + 1) * FILES / 4));
        }
    });
    expect_all(&inbox, running, FILES);
}

/// The overflow swallows that one folder went and another one of its name came, whose events would then be waited for in vain.
#[test]
fn a_folder_replaced_while_events_are_lost_is_watched_again() {
    const FILES: usize = 10_000;
    if !queue_overflows_at(2 * FILES) {
        return;
    }
    let inbox = large_inbox();
    let sub = inbox.path.join("sub");
    fs::create_dir(&sub).unwrap();
    let mut running = start(&inbox);
    let compressed = |name: &str| sub.join(name).exists();
    fs::write(sub.join("first"), "first").unwrap();
    running.wait_for("the first .gz", || compressed("first.gz"));

    running.signal(Signal::STOP);
    make_files(&inbox.path, 0..FILES);
    fs::rename(&sub, inbox.outside.join("sub")).unwrap();
    fs::create_dir(&sub).unwrap();
    fs::write(sub.join("second"), "second").unwrap();
    running.signal(Signal::CONT);
    running.wait_for("the second .gz", || compressed("second.gz"));
    running.wait_for("one of the others", || inbox.path.join("0.gz").exists());
    fs::write(sub.join("third"), "third").unwrap();
    running.wait_for("the third .gz", || compressed("third.gz") && !compressed("third"));
    running.signal(Signal::TERM);
    running.wait_exit().expect_compressed(FILES + 3);
}

#[test]
fn more_folders_than_may_be_watched_are_polled() {
    needs!(tool "unshare");
    let inbox = Inbox::new();
    inbox.sandbox.file("inbox/a/b/c/d/there-before", "there before");
    let Some(mut running) = start_with_limit(&inbox, "max_inotify_watches", 4) else {
        return;
    };
    running.wait_for_text("the limit of watched folders is reached");
    running.wait_for_text("polling");
    inbox.sandbox.file("inbox/a/b/c/d/e/f/arrived", "arrived");
    inbox.sandbox.file("inbox/arrived", "arrived");
    let folders = ["a/", "a/b/", "a/b/c/", "a/b/c/d/", "a/b/c/d/e/", "a/b/c/d/e/f/"];
    let files = ["a/b/c/d/there-before.gz", "a/b/c/d/e/f/arrived.gz", "arrived.gz"];
    running.wait_for_names(&inbox.path, folders.into_iter().chain(files));
    running.signal(Signal::TERM);
    running.wait_exit().expect_compressed(3);
}

#[test]
fn a_limit_that_is_reached_later_is_told_when_it_is() {
    needs!(tool "unshare");
    let inbox = Inbox::new();
    let Some(mut running) = start_with_limit(&inbox, "max_inotify_watches", 4) else {
        return;
    };
    running.wait_for_text("watching");
    let mut names = Vec::new();
    for number in 0..6 {
        inbox.sandbox.file(format!("inbox/sub-{number}/file"), "file");
        names.extend([format!("sub-{number}/"), format!("sub-{number}/file.gz")]);
        running.wait_for_names(&inbox.path, &names);
    }
    running.wait_for_text("the limit of watched folders is reached");
    running.signal(Signal::TERM);
    running.wait_exit().expect_compressed(6);
}

#[test]
fn without_any_inotify_instance_left_folders_are_polled() {
    needs!(tool "unshare");
    let inbox = Inbox::new();
    let Some(mut running) = start_with_limit(&inbox, "max_inotify_instances", 0) else {
        return;
    };
    running.wait_for_text("too many inotify instances");
    inbox.sandbox.file("inbox/sub/arrived", "arrived");
    running.wait_for_names(&inbox.path, ["sub/", "sub/arrived.gz"]);
    running.signal(Signal::TERM);
    running.wait_exit().expect_compressed(1);
}

fn large_inbox() -> Inbox {
    Inbox::of(Sandbox::with_room_for(1024 * 1024 * 1024))
}

/// As for scratch data: the time goes into what is tested.
fn start(inbox: &Inbox) -> Running {
    let dwindle = inbox.dwindle_with("level = 1", "settle = \"500ms\"\ndurable = false");
    let mut running = dwindle.deadline(Duration::from_secs(180)).start();
    running.wait_for_text("watching");
    running
}

/// inotify's limits are those of a user namespace; in one of its own they can be set without anybody noticing. Nothing where such a
/// namespace cannot be had.
fn start_with_limit(inbox: &Inbox, limit: &str, value: u32) -> Option<Running> {
    let script = format!("echo {value} >/proc/sys/user/{limit} && exec \"$@\"");
    let namespace = ["unshare", "--user", "--map-root-user", "sh", "-c"];
    let status = std::process::Command::new("unshare")
        .args(&namespace[1..])
        .args([&script, "sh", "true"])
        .status();
    if !present("user namespaces", status.is_ok_and(|status| status.success())) {
        return None;
    }
    let [unshare, user, map, shell, command] = namespace;
    let wrapper = [unshare, user, map, shell, command, &script, "sh"];
    let dwindle: Dwindle = inbox.dwindle("settle = \"200ms\"\npoll-interval = \"300ms\"");
    Some(dwindle.started_by(wrapper).start())
}

fn make_files(folder: &Path, numbers: std::ops::Range<usize>) {
    for number in numbers {
        fs::write(folder.join(number.to_string()), content(number)).unwrap();
    }
}

fn content(number: usize) -> String {
    format!("file {number}\n").repeat(1 + number % 20)
}

/// Waits until so many are compressed, stops the agent, and checks each file, the count and the memory. Returns the log.
fn expect_all(inbox: &Inbox, mut running: Running, count: usize) -> String {
    // Each is looked at again until it is there: to list all of them again and again would take the time that the agent needs.
    let mut done = 0;
    running.wait_for("a .gz for each file", || {
        while done < count && inbox.path.join(format!("{done}.gz")).exists() {
            done += 1;
        }
        done == count
    });
    let most = most_memory(&running);
    running.signal(Signal::TERM);
    let output = running.wait_exit();
    let report = output.report();
    assert_eq!(
        (report.compressed, report.skipped, report.failed, report.left),
        (count as u64, 0, 0, 0)
    );
    assert_eq!(
        names_below(&inbox.path).len(),
        count,
        "each original is gone, and nothing else came"
    );
    for number in 0..count {
        let path = inbox.path.join(format!("{number}.gz"));
        assert_eq!(read_with_flate2(&path).content, content(number).as_bytes(), "{number}");
    }
    assert!(most <= MOST_MEMORY, "{most} KiB");
    output.stderr
}

/// The most memory that it ever had resident, in KiB.
fn most_memory(running: &Running) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", running.process_id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
    number.and_then(|number| number.parse().ok()).expect("a number of KiB")
}

fn queue_overflows_at(events: usize) -> bool {
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap_or_default();
    let limit: usize = limit.trim().parse().unwrap_or(usize::MAX);
    present(
        "fs.inotify.max_queued_events of at most 20,000",
        limit < events && limit <= 20_000,
    )
}
