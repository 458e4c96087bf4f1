//! rsync writes to a name that is passed over and renames it, unless it is told `--inplace`.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use super::{Peer, SETTLE, assert_contents, has_bytes, inbox_and_file, run, wait_for_a_later_file};
use crate::support::{names_below, needs};

/// Each with the name that the file is to have, and none in place.
const WAYS: [(&str, &[&str]); 4] = [
    ("default", &[]),
    ("partial", &["--partial-dir=.rsync-partial"]),
    ("delayed", &["--delay-updates"]),
    ("both", &["--delay-updates", "--partial-dir=.rsync-partial"]),
];

#[test]
fn interrupted_and_taken_up_again_each_file_is_compressed_once() {
    needs!(tool "rsync");
    let (inbox, file, content) = inbox_and_file(410);
    let mut running = inbox.watch(SETTLE);
    for (name, options) in WAYS {
        let begun = interrupt(&file, &inbox.path.join(name), options, || hidden_bytes(&inbox.path) > 0);
        assert!(begun, "{name}");
    }
    // What the interrupted ones left would have been taken by then.
    wait_for_a_later_file(&mut running, &inbox.path, "later");
    let left = names_below(&inbox.path);
    assert!(
        left.len() > 1 && left.iter().all(|name| name == "later.gz" || name.starts_with('.')),
        "{left:?}"
    );
    for (name, options) in WAYS {
        run(Command::new("rsync")
            .args(options)
            .arg(&file)
            .arg(inbox.path.join(name)));
    }
    let mut outputs: Vec<_> = WAYS.iter().map(|(name, _)| format!("{name}.gz")).collect();
    outputs.push("later.gz".to_owned());
    running.wait_for_names(&inbox.path, &outputs);
    running.signal(Signal::TERM);
    running.wait_exit().expect_compressed(outputs.len());
    fs::remove_file(inbox.path.join("later.gz")).unwrap();
    let expected: Vec<_> = outputs[..WAYS.len()]
        .iter()
        .map(|name| (name.as_str(), content.as_slice()))
        .collect();
    assert_contents(&inbox.path, &expected);
}

/// It has the file open all the time.
#[test]
fn in_place_a_file_that_is_slow_to_come_is_compressed_once() {
    needs!(tool "rsync");
    let (inbox, file, content) = inbox_and_file(411);
    let mut running = inbox.watch(SETTLE);
    run(Command::new("rsync")
        .args(["--inplace", "--bwlimit=2000"])
        .arg(&file)
        .arg(&inbox.path));
    running.wait_for_names(&inbox.path, ["F.gz"]);
    running.signal(Signal::TERM);
    running.wait_exit().expect_compressed(1);
    assert_contents(&inbox.path, &[("F.gz", &content)]);
}

/// Nothing tells a part that nobody writes to any more from a whole.
#[test]
fn in_place_an_interrupted_file_is_taken_as_it_stands_and_the_whole_gets_a_number() {
    needs!(tool "rsync");
    let (inbox, file, content) = inbox_and_file(412);
    let mut running = inbox.watch(SETTLE);
    let target = inbox.path.join("F");
    assert!(interrupt(&file, &target, &["--inplace"], || has_bytes(&target, 1)));
    running.wait_for_names(&inbox.path, ["F.gz"]);
    run(Command::new("rsync").arg("--inplace").arg(&file).arg(&inbox.path));
    running.wait_for_names(&inbox.path, ["F.gz", "F.~1~.gz"]);
    running.signal(Signal::TERM);
    running.wait_exit().expect_compressed(2);
    let part = crate::support::gz::content_of(&inbox.path.join("F.gz")).unwrap();
    assert!(part.len() < content.len() && content.starts_with(&part));
    assert_contents(&inbox.path, &[("F.gz", &part), ("F.~1~.gz", &content)]);
}

/// Ends a slow rsync as Ctrl-C does, when the condition holds; whether it did before rsync's own end.
fn interrupt(from: &Path, to: &Path, options: &[&str], is_under_way: impl Fn() -> bool) -> bool {
    let mut rsync = Command::new("rsync");
    rsync.arg("--bwlimit=300").args(options).arg(from).arg(to);
    // It says that it was interrupted.
    let peer = Peer::start(rsync.stderr(Stdio::null()));
    let begun = crate::support::wait::poll(crate::support::wait::DEADLINE, || is_under_way().then_some(()));
    let (status, _) = peer.end(Some(Signal::INT));
    begun.is_some() && !status.success()
}

/// Of what is on its way to names at the top.
fn hidden_bytes(folder: &Path) -> u64 {
    let names = names_below(folder);
    let hidden = names.iter().filter(|name| name.starts_with('.') && !name.contains('/'));
    hidden
        .filter_map(|name| Some(fs::metadata(folder.join(name)).ok()?.len()))
        .sum()
}
