//! Rows 36 to 42: events that are lost, come late or are never sent. More at once than there is room for, in the kernel's queue, in the agent's
//! inbox and table, in the limits of inotify(7); folders that come and go; an agent that was not there. Nothing is lost, memory stays
//! bounded, and the log says what happened.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::at_work::contents_below;
use crate::support::gz::read_with_flate2;
use crate::support::run::Running;
use crate::support::skip::present;
use crate::support::{Arrival, Data, Dwindle, Inbox, Sandbox, names_below, needs, programs};

/// Long enough for a test on a loaded machine to finish a file that it has begun.
const SETTLE: &str = "settle = \"1s\"";

/// The program's largest resident size, in KiB. Found in a debug build with 50,000 files: 32 MiB, most of them the program itself and
/// what its workers compress with; known files have a share of about 4 MiB.
const MOST_MEMORY: u64 = 64 * 1024;

/// Between rounds the agent is stopped, so that the queue overflows on every machine, and then has to work while the next round comes.
#[test]
fn row_36_a_more_events_than_the_kernels_queue_holds() {
    const ROUNDS: [usize; 3] = [12_000, 10_000, 10_000];
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

/// The overflow swallows that one folder went and another one of its name came, whose events would then be waited for in vain.
#[test]
fn row_36_b_a_folder_replaced_while_events_are_lost_is_watched_again() {
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
fn row_37_a_more_folders_than_may_be_watched_are_polled() {
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
fn row_37_b_a_limit_that_is_reached_later_is_told_when_it_is() {
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
fn row_37_c_without_any_inotify_instance_left_folders_are_polled() {
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

#[test]
fn row_38_trees_made_at_the_same_moment_as_the_files_in_them() {
    let data = &mut Data::from_seed(108);
    let inbox = Inbox::new();
    let trees: Vec<Vec<Arrival>> = (0..24)
        .map(|tree| {
            let depth = data.number(1..7);
            let mut folder = PathBuf::from(format!("tree-{tree}"));
            let mut files = Vec::new();
            for level in 0..depth {
                folder.push(format!("level-{level}"));
                files.push(Arrival::new(data, folder.join("first.csv")));
                files.push(Arrival::new(data, folder.join("second.csv")));
            }
            files
        })
        .collect();
    let mut running = inbox.watch(SETTLE);
    thread::scope(|scope| {
        let inbox = &inbox;
        for tree in &trees {
            scope.spawn(move || {
                for file in tree {
                    fs::create_dir_all(inbox.path.join(&file.folder)).unwrap();
                    file.write_to(&file.path_in(&inbox.path));
                }
            });
        }
    });
    let files: Vec<Arrival> = trees.into_iter().flatten().collect();
    inbox.wait_for_many_gz_of(&mut running, &files, &[]);
    running.signal(Signal::TERM);
    running.wait_exit().expect_compressed(files.len());
}

#[test]
fn row_39_a_files_in_a_folder_that_takes_the_watched_ones_place() {
    let data = &mut Data::from_seed(112);
    let inbox = Inbox::new();
    let mut running = inbox.watch(SETTLE);
    let mut compressed = 0;
    let elsewhere = inbox.sandbox.path("moved-away");
    let move_away = || fs::rename(&inbox.path, &elsewhere).unwrap();
    let remove = || fs::remove_dir_all(&inbox.path).unwrap();
    let ways: [&dyn Fn(); 2] = [&move_away, &remove];
    for (number, leave) in ways.into_iter().enumerate() {
        leave();
        fs::create_dir(&inbox.path).unwrap();
        // Those of the first moment, and some when it is certainly known.
        for round in 0..2 {
            let files = [Arrival::new(data, format!("sub-{number}-{round}/file.csv"))];
            fs::create_dir(inbox.path.join(&files[0].folder)).unwrap();
            files[0].write_to(&files[0].path_in(&inbox.path));
            inbox.wait_for_gz_of(&mut running, &files, &[]);
            compressed += 1;
            fs::remove_dir_all(inbox.path.join(&files[0].folder)).unwrap();
        }
    }
    running.signal(Signal::TERM);
    running.wait_exit().expect_compressed(compressed);
}

#[test]
fn row_39_b_files_in_a_folder_that_is_gone_for_a_while() {
    let data = &mut Data::from_seed(113);
    let inbox = Inbox::new();
    let mut running = inbox.watch(SETTLE);
    fs::remove_dir(&inbox.path).unwrap();
    running.wait_for_text("No such file or directory");
    fs::create_dir(&inbox.path).unwrap();
    let files = Arrival::several(data, 1);
    files[0].write_to(&files[0].path_in(&inbox.path));
    inbox.wait_for_gz_of(&mut running, &files, &[]);
    running.wait_for_text("is there again");
    running.signal(Signal::TERM);
    running.wait_exit().expect_compressed(1);
}

#[test]
fn row_39_c_files_in_a_folder_that_was_away_and_came_back() {
    let data = &mut Data::from_seed(117);
    let inbox = Inbox::new();
    fs::create_dir(inbox.path.join("sub")).unwrap();
    let away = inbox.sandbox.path("away");
    let mut running = inbox.watch(SETTLE);
    fs::rename(&inbox.path, &away).unwrap();
    running.wait_for_text("No such file or directory");
    fs::rename(&away, &inbox.path).unwrap();
    running.wait_for_text("is there again");
    let files = [Arrival::new(data, "file.csv"), Arrival::new(data, "sub/file.csv")];
    for file in &files {
        file.write_to(&file.path_in(&inbox.path));
    }
    inbox.wait_for_gz_of(&mut running, &files, &[]);
    running.signal(Signal::TERM);
    running.wait_exit().expect_compressed(2);
}

#[test]
fn row_39_d_files_in_a_folder_whose_parent_is_replaced() {
    let data = &mut Data::from_seed(118);
    let mut inbox = Inbox::new();
    inbox.path = inbox.sandbox.folder("parent/inbox");
    let mut running = inbox.watch(SETTLE);
    fs::rename(inbox.sandbox.path("parent"), inbox.sandbox.path("away")).unwrap();
    fs::create_dir_all(&inbox.path).unwrap();
    let files = Arrival::several(data, 2);
    for file in &files {
        file.write_to(&file.path_in(&inbox.path));
        inbox.wait_for_gz_of(&mut running, std::slice::from_ref(file), &[]);
        fs::remove_file(file.original.gz_in(&inbox.path)).unwrap();
    }
    running.signal(Signal::TERM);
    running.wait_exit().expect_compressed(2);
}

/// No event tells of it: the next look at the folder does.
///
/// The mount stays where it is for whoever has it open, and is gone from its name: what is mounted there next is what counts.
#[test]
fn row_40_unmounted_below_the_agent() {
    const POLLED: &str = "settle = \"1s\"\nwatcher = \"poll\"\npoll-interval = \"200ms\"";
    needs!(root);
    needs!(tool "nsenter");
    let inbox = Inbox::new();
    let (first, second) = (inbox.sandbox.folder("first"), inbox.sandbox.folder("second"));
    let path = inbox.path.display().to_string();
    // In a mount namespace of its own, which nobody else sees.
    let script = "mount --bind \"$1\" \"$2\" && shift 2 && exec \"$@\"";
    let first_path = first.display().to_string();
    let namespace = ["unshare", "--mount", "sh", "-c", script, "sh", &first_path, &path];
    let mut running = inbox.dwindle(POLLED).started_by(namespace).start();
    running.wait_for_text("polling");
    inbox.sandbox.file("first/one", "one");
    running.wait_for_names(&first, ["one.gz"]);

    inbox.sandbox.file("first/waiting", "waiting");
    in_namespace_of(&running, ["umount", "--lazy", &path]);
    inbox.sandbox.file("inbox/below", "what was hidden by the mount");
    running.wait_for_names(&inbox.path, ["below.gz"]);
    in_namespace_of(&running, ["mount", "--bind", &second.display().to_string(), &path]);
    inbox.sandbox.file("second/two", "two");
    running.wait_for_names(&second, ["two.gz"]);
    running.signal(Signal::TERM);
    running.wait_exit().expect_code(0);
    let kept = contents_below(&first);
    assert_eq!(kept, [&b"one"[..], b"waiting"]);
}

#[test]
fn row_41_files_finished_while_the_agent_was_down() {
    let data = &mut Data::from_seed(410);
    let inbox = Inbox::new();
    let mut compressed = Vec::new();
    for round in 0..2 {
        let files = [
            Arrival::new(data, format!("file-{round}")),
            Arrival::new(data, format!("sub-{round}/file")),
        ];
        fs::create_dir(inbox.path.join(&files[1].folder)).unwrap();
        for file in &files {
            file.write_to(&file.path_in(&inbox.path));
        }
        compressed.extend(files);
        let mut running = inbox.watch(SETTLE);
        inbox.wait_for_gz_of(&mut running, &compressed, &[]);
        running.signal(Signal::TERM);
        running.wait_exit().expect_compressed(2);
    }
}

#[test]
fn row_42_more_files_at_once_than_the_agent_knows() {
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

/// By a program of the host's tools, there where the agent sees its folders.
fn in_namespace_of<const N: usize>(running: &Running, command: [&str; N]) {
    let target = running.process_id().to_string();
    let mut nsenter = Command::new("nsenter");
    nsenter.args(["--target", &target, "--mount", "--"]).args(command);
    assert!(programs::status(&mut nsenter).unwrap().success(), "{nsenter:?}");
}

fn large_inbox() -> Inbox {
    Inbox::of(Sandbox::with_room_for(1024 * 1024 * 1024))
}

/// As for scratch data: the time goes into what is tested.
fn start(inbox: &Inbox) -> Running {
    let general = "level = 1\nshutdown-timeout = \"10m\"";
    let dwindle = inbox.dwindle_with(general, "settle = \"500ms\"\ndurable = false");
    let mut running = dwindle.deadline(Duration::from_secs(600)).start();
    running.wait_for_text("watching");
    running
}

/// inotify's limits are those of a user namespace; in one of its own they can be set without anybody noticing. Nothing where such a
/// namespace cannot be had.
fn start_with_limit(inbox: &Inbox, limit: &str, value: u32) -> Option<Running> {
    let script = format!("echo {value} >/proc/sys/user/{limit} && exec \"$@\"");
    let namespace = ["unshare", "--user", "--map-root-user", "sh", "-c"];
    let status = programs::status(
        Command::new("unshare")
            .args(&namespace[1..])
            .args([&script, "sh", "true"]),
    );
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
