//! `--shard I/N`: agents that share a folder, each with its part of the files.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use dwindle::Shard;
use rustix::process::Signal;

use crate::support::gz::content_of;
use crate::support::run::{Output, Running};
use crate::support::{Data, Dwindle, Inbox, Sandbox, names_below};

const SETTLE: &str = "settle = \"0s\"";

/// The shard, of so many, that a file falls to.
fn shard_of(relative: impl AsRef<Path>, of: u32) -> u32 {
    let has = |index: &u32| Shard::new(*index, of).unwrap().has(relative.as_ref());
    (1..=of).find(has).expect("every file has one")
}

/// The first of the names that are numbered by `name` which falls to the shard.
fn name_in(index: u32, of: u32, name: impl Fn(u32) -> String) -> String {
    let mut names = (1..).map(name);
    names.find(|name| shard_of(name, of) == index).unwrap()
}

fn sharded(dwindle: Dwindle, index: u32, of: u32) -> Dwindle {
    dwindle.args([format!("--shard={index}/{of}")])
}

/// One pass over the inbox for each shard, at once.
fn passes(inbox: &Inbox, keys: &str, of: u32) -> Vec<Output> {
    // Each writes the configuration, which is to be there when the first one starts.
    let passes: Vec<Dwindle> = (1..=of)
        .map(|index| sharded(inbox.dwindle(keys).args(["--once"]), index, of))
        .collect();
    let running: Vec<Running> = passes.into_iter().map(Dwindle::start).collect();
    running
        .into_iter()
        .map(|pass| pass.wait_exit().expect_code(0))
        .collect()
}

/// Files with all sorts of names, by their paths: of other bytes than UTF-8, with line feeds, in folders.
fn odd_files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut data = Data::from_seed(0x5aad);
    let mut paths: Vec<PathBuf> = (0..40).map(|number| format!("part-{number}.csv").into()).collect();
    for name in [
        &b"caf\xe9.csv"[..],
        b"\xff\xfe/\xff.csv",
        b"a\nb.csv",
        b"-r",
        b" ",
        b"deep/er/\xf0\x9f\x92\xbe",
        b"deep/a",
        b"{name}",
    ] {
        paths.push(OsStr::from_bytes(name).into());
    }
    let mut files = BTreeMap::new();
    for path in paths {
        let content = data.log_text(2000);
        let whole = folder.join(&path);
        fs::create_dir_all(whole.parent().unwrap()).unwrap();
        fs::write(whole, &content).unwrap();
        files.insert(path, content);
    }
    files
}

/// Each is there once, as its output and nothing else.
fn expect_each_once(folder: &Path, files: &BTreeMap<PathBuf, Vec<u8>>) {
    for (path, content) in files {
        let mut output = folder.join(path).into_os_string();
        output.push(".gz");
        let found = content_of(Path::new(&output));
        assert!(found.as_ref() == Some(content), "{}", path.display());
    }
    let names = names_below(folder);
    let found = names.iter().filter(|name| !name.ends_with('/')).count();
    assert_eq!(found, files.len(), "{names:#?}");
}

#[test]
fn passes_of_all_shards_at_once_take_every_file_once() {
    for of in [1, 3, 16] {
        let inbox = Inbox::new();
        let files = odd_files(&inbox.path);
        let passes = passes(&inbox, SETTLE, of);
        for (index, pass) in (1..).zip(&passes) {
            let own = files.keys().filter(|path| shard_of(path, of) == index).count();
            let report = pass.report();
            assert_eq!(
                (report.compressed, report.failed),
                (own as u64, 0),
                "{index}/{of}: {pass}"
            );
        }
        expect_each_once(&inbox.path, &files);
    }
}

#[test]
fn of_a_thousand_shards_each_has_its_own_and_the_others_have_nothing_to_do() {
    let inbox = Inbox::new();
    let files = odd_files(&inbox.path);
    let having: BTreeSet<u32> = files.keys().map(|path| shard_of(path, 1000)).collect();
    let idle = (1..=1000).find(|index| !having.contains(index)).unwrap();
    for index in having.iter().copied().chain([idle]) {
        let own = files.keys().filter(|path| shard_of(path, 1000) == index).count();
        let pass = sharded(inbox.dwindle(SETTLE).args(["--once"]), index, 1000).finish();
        assert_eq!(pass.expect_code(0).report().compressed, own as u64, "{index}");
    }
    expect_each_once(&inbox.path, &files);
}

#[test]
fn a_dry_run_of_each_shard_lists_its_own_files() {
    let inbox = Inbox::new();
    let files = odd_files(&inbox.path);
    inbox.sandbox.file("inbox/app.gz", "text");
    let mut listed = Vec::new();
    for index in 1..=3 {
        let output = sharded(inbox.dwindle(SETTLE).args(["--dry-run"]), index, 3)
            .finish()
            .expect_code(0);
        let text = String::from_utf8(output.stdout).unwrap();
        let own = files.keys().filter(|path| shard_of(path, 3) == index).count();
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("compress ")).collect();
        assert_eq!(lines.len(), own, "{text}");
        listed.extend(lines.into_iter().map(str::to_owned));
        // What no shard takes is told by all of them, as without shards.
        assert!(
            text.contains("skip     ") && text.contains("app.gz: compressed already"),
            "{text}"
        );
        let last = format!("; {} fall to other shards", files.len() - own);
        assert!(text.trim_end().ends_with(&last), "{text}");
    }
    let names: BTreeSet<&String> = listed.iter().collect();
    assert_eq!((listed.len(), names.len()), (files.len(), files.len()));
}

#[test]
fn compress_shares_a_folder_by_paths_from_the_one_that_is_named_on() {
    let sandbox = Sandbox::new();
    let folder = sandbox.folder("mounted/share");
    let files = odd_files(&folder);
    // As other hosts may have it.
    let elsewhere = sandbox.path("mounted/../mounted/share");
    let mut compressed = 0;
    for (index, path) in [
        (1, folder.clone()),
        (2, folder.join(".")),
        (3, elsewhere),
        (4, PathBuf::from("mounted//share/")),
    ] {
        let dwindle = Dwindle::new(&sandbox).args(["compress", "-qr"]).args([&path]);
        let output = sharded(dwindle, index, 4).finish().expect_code(0);
        let own = files.keys().filter(|path| shard_of(path, 4) == index).count();
        assert_eq!(output.report().compressed, own as u64, "{}: {output}", path.display());
        compressed += own;
    }
    assert_eq!(compressed, files.len());
    expect_each_once(&folder, &files);
}

#[test]
fn files_that_are_named_beside_folders_fall_to_one_shard_by_their_names() {
    let sandbox = Sandbox::new();
    let path = sandbox.file("some/where/a.csv", "text");
    let own = shard_of("a.csv", 2);
    for (index, expected) in [(3 - own, 0), (own, 1)] {
        let dwindle = Dwindle::new(&sandbox).args(["compress", "-r"]).args([&path]);
        sharded(dwindle, index, 2).finish().expect_compressed(expected);
    }
}

#[test]
fn the_variable_says_the_shard_and_an_option_counts_more() {
    let inbox = Inbox::new();
    let [one, two] = [1, 2].map(|index| name_in(index, 2, |number| format!("{number}.csv")));
    for name in [&one, &two] {
        inbox.sandbox.file(format!("inbox/{name}"), "text");
    }
    let pass = || inbox.dwindle(SETTLE).args(["--once"]);
    pass()
        .env("DWINDLE_SHARD", "2/2")
        .args(["--shard", "1/2"])
        .finish()
        .expect_compressed(1);
    assert!(!inbox.path.join(&one).exists() && inbox.path.join(&two).exists());
    let wrong = pass().env("DWINDLE_SHARD", "3/2").finish().expect_code(2);
    assert!(wrong.stderr.contains("the variable DWINDLE_SHARD says so"), "{wrong}");
    // For who names one file, in a shell of a fleet, the variable says nothing.
    let named = Dwindle::new(&inbox.sandbox).env("DWINDLE_SHARD", "1/2");
    named
        .args(["compress".into(), inbox.path.join(&two)])
        .finish()
        .expect_compressed(1);
    inbox.sandbox.file(format!("inbox/{one}"), "more");
    // Set to nothing, it is not set.
    pass().env("DWINDLE_SHARD", "").finish().expect_compressed(1);
}

#[test]
fn a_shard_that_there_is_not_is_refused_with_a_sentence() {
    let inbox = Inbox::new();
    for (shard, sentence) in [
        ("0/4", "shards are counted from 1"),
        ("5/4", "there is no shard 5 of 4"),
        ("a/b", "two whole numbers, I/N, such as 1/4"),
        ("3", "two whole numbers"),
    ] {
        for arguments in [
            &["run", "inbox"][..],
            &["run", "--once", "inbox"],
            &["run", "--dry-run", "inbox"],
            &["compress", "-r", "inbox"],
        ] {
            let dwindle = Dwindle::new(&inbox.sandbox).args(arguments).args(["--shard", shard]);
            let output = dwindle.finish().expect_code(2);
            assert!(
                output.stderr.contains(sentence) && output.stderr.contains("--shard <I/N>"),
                "{output}"
            );
        }
    }
}

#[test]
fn agents_of_different_shards_run_side_by_side_and_no_others() {
    let inbox = Inbox::new();
    let start = |index| {
        let mut agent = sharded(inbox.dwindle(SETTLE), index, 2).start();
        agent.wait_for_text("watching");
        agent
    };
    let (mut one, two) = (start(1), start(2));
    let again = sharded(inbox.dwindle(SETTLE), 2, 2).finish().expect_code(75);
    let holder = format!("process {}, shard 2/2, since", two.process_id());
    assert!(again.stderr.contains(&holder), "{again}");
    let whole = inbox.dwindle(SETTLE).finish().expect_code(75);
    assert!(
        whole.stderr.contains(" already: process ") && whole.stderr.contains("/2, since"),
        "{whole}"
    );
    let files: Vec<String> = (0..20).map(|number| format!("file-{number}.csv")).collect();
    for name in &files {
        inbox.sandbox.file(format!("inbox/{name}"), "text");
    }
    let names = files.iter().map(|name| format!("{name}.gz"));
    one.wait_for_names(&inbox.path, names);
    two.signal(Signal::TERM);
    one.signal(Signal::TERM);
    let done: u64 = [one, two]
        .map(|agent| agent.wait_exit().expect_code(0).report().compressed)
        .iter()
        .sum();
    assert_eq!(done, 20);
    let mut whole = inbox.watch(SETTLE);
    let shard = sharded(inbox.dwindle(SETTLE), 1, 2).finish().expect_code(75);
    assert!(
        shard.stderr.contains(&format!("process {}, since", whole.process_id())),
        "{shard}"
    );
    whole.wait_for_names(&inbox.path, files.iter().map(|name| format!("{name}.gz")));
    let mut locks = names_below(&inbox.sandbox.path(".runtime"));
    locks.retain(|name| name.starts_with("watch-"));
    assert_eq!(locks.len(), 1);
}

#[test]
fn what_stands_beside_a_rotated_file_counts_whatever_shard_it_is_of() {
    let inbox = Inbox::new();
    let names: Vec<String> = (10..30).map(|day| format!("app.log-202611{day}")).collect();
    for name in &names {
        inbox.sandbox.file(format!("inbox/{name}"), "text");
    }
    let keys = format!("preset = \"rotated-logs\"\nleave-newest = 3\n{SETTLE}");
    for pass in passes(&inbox, &keys, 4) {
        assert_eq!(pass.report().failed, 0, "{pass}");
    }
    let expected = names[..17]
        .iter()
        .map(|name| format!("{name}.gz"))
        .chain(names[17..].iter().cloned());
    assert_eq!(names_below(&inbox.path), expected.collect::<Vec<_>>());
}

#[test]
fn a_successor_of_another_shard_wakes_its_elder() {
    let inbox = Inbox::new();
    let keys = format!("preset = \"rotated-logs\"\n{SETTLE}");
    let elder = name_in(1, 2, |number| format!("app.log-202601{:02}", number % 28 + 1));
    // Newer, and not of the shard that runs.
    let newer = name_in(2, 2, |number| format!("app.log-202602{:02}", number % 28 + 1));
    inbox.sandbox.file(format!("inbox/{elder}"), "text");
    let mut agent = sharded(inbox.dwindle(&keys), 1, 2).args(["-v"]).start();
    agent.wait_for_text("may be the live file");
    inbox.sandbox.file(format!("inbox/{newer}"), "text");
    agent.wait_for_names(&inbox.path, [format!("{elder}.gz"), newer]);
}

#[test]
fn a_file_that_a_rename_brings_to_another_shard_is_that_ones() {
    let inbox = Inbox::new();
    let [here, there] = [1, 2].map(|index| name_in(index, 2, |number| format!("{number}.csv")));
    let mut agent = sharded(inbox.dwindle(SETTLE), 2, 2).start();
    agent.wait_for_text("watching");
    let path = inbox.sandbox.file(format!("inbox/{here}"), "text");
    fs::rename(path, inbox.path.join(&there)).unwrap();
    agent.wait_for_names(&inbox.path, [format!("{there}.gz")]);
}

/// Replaces nothing.
fn rename(from: &Path, to: &Path) -> rustix::io::Result<()> {
    rustix::fs::renameat_with(
        rustix::fs::CWD,
        from,
        rustix::fs::CWD,
        to,
        rustix::fs::RenameFlags::NOREPLACE,
    )
}

/// As a rotation does it, again and again, while two agents are at the files.
#[test]
fn renames_from_shard_to_shard_lose_nothing() {
    let inbox = Inbox::new();
    let keys = format!("preset = \"rotated-logs\"\n{SETTLE}");
    let mut agents: Vec<Running> = [1, 2]
        .map(|index| sharded(inbox.dwindle(&keys), index, 2))
        .map(Dwindle::start)
        .into();
    for agent in &mut agents {
        agent.wait_for_text("watching");
    }
    let mut data = Data::from_seed(0x707);
    let mut contents = Vec::new();
    for turn in 0..40 {
        for number in (1..=turn).rev() {
            for suffix in ["", ".gz"] {
                let path = |number| inbox.path.join(format!("app.log.{number}{suffix}"));
                let _ = rename(&path(number), &path(number + 1));
            }
        }
        let content = data.log_text(20_000);
        let live = inbox.sandbox.file("inbox/app.log", &content);
        if rename(&live, &inbox.path.join("app.log.1")).is_ok() {
            contents.push(content);
        }
    }
    fs::remove_file(inbox.path.join("app.log")).ok();
    for agent in &mut agents {
        agent.wait_for("nothing left to do", || {
            let names = names_below(&inbox.path);
            // A rotation that came at the worst moment has given an original's name to the next one.
            let is_output = |name: &String| Path::new(name).extension().is_some_and(|end| end == "gz");
            let is_in_the_end = |name: &String| is_output(name) || name.contains(".dwindle-conflict-");
            names.iter().all(is_in_the_end)
        });
    }
    for agent in agents {
        agent.signal(Signal::TERM);
        assert_eq!(agent.wait_exit().expect_code(0).report().failed, 0);
    }
    let found: BTreeSet<Vec<u8>> = names_below(&inbox.path)
        .into_iter()
        .filter_map(|name| content_of(&inbox.path.join(name)))
        .collect();
    assert_eq!(contents.iter().filter(|content| !found.contains(*content)).count(), 0);
    assert!(contents.len() > 10);
}

#[test]
fn limits_are_about_the_outputs_of_all_shards_and_each_agent_removes_its_own() {
    let inbox = Inbox::new();
    let mut data = Data::from_seed(12);
    let names: Vec<String> = (1..=24).map(|number| format!("app.log.{number}")).collect();
    for name in &names {
        inbox.sandbox.file(format!("inbox/{name}"), data.log_text(500));
        // The highest number is the oldest, as logrotate has it.
        let age: u64 = name.rsplit('.').next().unwrap().parse().unwrap();
        let time = std::time::SystemTime::now() - std::time::Duration::from_secs(age * 3600);
        fs::File::open(inbox.path.join(name))
            .unwrap()
            .set_modified(time)
            .unwrap();
    }
    let keys = format!("keep-count = 5\n{SETTLE}");
    passes(&inbox, SETTLE, 4);
    let newest: Vec<String> = names[..5].iter().map(|name| format!("{name}.gz")).collect();
    for index in 1..=4 {
        let before: BTreeSet<String> = names_below(&inbox.path).into_iter().collect();
        sharded(inbox.dwindle(&keys).args(["--once"]), index, 4)
            .finish()
            .expect_code(0);
        let after: BTreeSet<String> = names_below(&inbox.path).into_iter().collect();
        let removed: Vec<&String> = before.difference(&after).collect();
        let own = names[5..].iter().filter(|name| shard_of(name, 4) == index);
        let expected: BTreeSet<String> = own.map(|name| format!("{name}.gz")).collect();
        assert!(removed.into_iter().eq(&expected), "{index}: {before:?} {after:?}");
    }
    let mut left = names_below(&inbox.path);
    left.sort();
    let mut expected = newest;
    expected.sort();
    assert_eq!(left, expected);
}

#[test]
fn a_web_files_output_goes_by_the_agent_that_its_original_falls_to() {
    let inbox = Inbox::new();
    let keys = format!("preset = \"static-assets\"\n{SETTLE}");
    let [one, two] = [1, 2].map(|index| name_in(index, 2, |number| format!("{number}.css")));
    for name in [&one, &two] {
        inbox.sandbox.file(format!("inbox/{name}"), "body {}".repeat(100));
    }
    passes(&inbox, &keys, 2);
    for name in [&one, &two] {
        fs::remove_file(inbox.path.join(name)).unwrap();
    }
    let pass = |index| {
        sharded(inbox.dwindle(&keys).args(["--once"]), index, 2)
            .finish()
            .expect_code(0)
    };
    pass(1);
    assert_eq!(names_below(&inbox.path), [format!("{two}.gz")]);
    pass(2);
    assert_eq!(names_below(&inbox.path), [""; 0]);
}

/// Where outputs have a folder of their own, an empty watched folder is rather a disk that is not there. One that only has files of other
/// shards is not empty.
#[test]
fn files_of_other_shards_show_that_the_disk_is_there() {
    let inbox = Inbox::new();
    let keys = format!("preset = \"static-assets\"\noutput-dir = \"../outside\"\n{SETTLE}");
    let [one, two] = [1, 2].map(|index| name_in(index, 2, |number| format!("{number}.css")));
    for name in [&one, &two] {
        inbox.sandbox.file(format!("inbox/{name}"), "body {}".repeat(100));
    }
    passes(&inbox, &keys, 2);
    fs::remove_file(inbox.path.join(&one)).unwrap();
    let dry = sharded(inbox.dwindle(&keys).args(["--dry-run"]), 1, 2)
        .finish()
        .expect_code(0);
    assert!(String::from_utf8_lossy(&dry.stdout).contains("remove "), "{dry}");
    sharded(inbox.dwindle(&keys).args(["--once"]), 1, 2)
        .finish()
        .expect_code(0);
    assert_eq!(names_below(&inbox.outside), [format!("{two}.gz")]);
}

#[test]
fn what_a_killed_agent_left_is_put_right_by_the_one_for_its_shard() {
    let inbox = Inbox::new();
    let quarantined = |name: &str| format!("inbox/.{name}.dwindle-1a2b3c4d.q");
    let [one, two] = [1, 2].map(|index| name_in(index, 2, |number| format!("{number}.csv")));
    for name in [&one, &two] {
        inbox.sandbox.file(quarantined(name), "text");
    }
    let temps: Vec<String> = (0..8).map(|number| format!(".dwindle-{number:016x}.tmp")).collect();
    for name in &temps {
        inbox.sandbox.file(format!("inbox/{name}"), "half");
    }
    let pass = |index| {
        sharded(inbox.dwindle(SETTLE).args(["--once"]), index, 2)
            .finish()
            .expect_compressed(1)
    };
    pass(1);
    let mut left: Vec<String> = temps.iter().filter(|name| shard_of(name, 2) == 2).cloned().collect();
    left.extend([format!(".{two}.dwindle-1a2b3c4d.q"), format!("{one}.gz")]);
    left.sort();
    assert_eq!(names_below(&inbox.path), left);
    pass(2);
    let mut expected = [&one, &two].map(|name| format!("{name}.gz"));
    expected.sort();
    assert_eq!(names_below(&inbox.path), expected);
}

#[test]
fn explain_asks_for_a_shard_where_one_is_given() {
    let inbox = Inbox::new();
    let name = name_in(2, 2, |number| format!("{number}.csv"));
    let path = inbox.sandbox.file(format!("inbox/{name}"), "text");
    inbox.dwindle(SETTLE);
    let explain = |shard: Option<&str>| {
        let dwindle = Dwindle::new(&inbox.sandbox)
            .args(["explain", "-c", "dwindle.toml"])
            .args([&path]);
        let shard: Vec<OsString> = shard
            .into_iter()
            .flat_map(|shard| ["--shard".into(), shard.into()])
            .collect();
        String::from_utf8(dwindle.args(shard).finish().expect_code(0).stdout).unwrap()
    };
    let other = explain(Some("1/2"));
    assert!(
        other.contains("left alone: it falls to shard 2/2, and this is 1/2"),
        "{other}"
    );
    assert!(other.contains("> NO    shard "), "{other}");
    let own = explain(Some("2/2"));
    assert!(
        own.contains("yes   shard ") && own.contains("at once: compressed to"),
        "{own}"
    );
    assert!(!explain(None).contains("shard"));
}

/// The command lines of `docs/operations.md`, with programs in the place of ssh(1) and sbatch(1) that run what they are given here.
#[test]
fn the_command_lines_for_a_backlog_do_what_they_are_for() {
    let docs = include_str!("../docs/operations.md");
    let line_with = |part: &str| {
        let line = docs
            .lines()
            .find(|line| line.contains(part) && line.contains("/srv/backlog"));
        line.unwrap_or_else(|| panic!("{part} is not in the docs"))
    };
    let kubernetes = line_with("JOB_COMPLETION_INDEX").rsplit_once("\"-c\", \"").unwrap().1;
    let kubernetes = kubernetes.strip_suffix("\"]").unwrap();
    let kubernetes =
        format!("for index in 0 1 2 3 4 5 6 7; do (JOB_COMPLETION_INDEX=$index; {kubernetes}) || exit; done");
    for line in [&*kubernetes, line_with("sbatch"), line_with("ssh ")] {
        let sandbox = Sandbox::new();
        let folder = sandbox.folder("backlog");
        let files = odd_files(&folder);
        let script = |name: &str, text: &str| {
            let path = sandbox.file(format!("bin/{name}"), format!("#!/bin/sh\n{text}\n"));
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        };
        script("dwindle", "exec \"$DWINDLE\" \"$@\"");
        script("ssh", "shift; exec \"$@\"");
        script(
            "sbatch",
            "for task in 1 2 3 4 5 6 7 8; do SLURM_ARRAY_TASK_ID=$task sh -c \"$3\" || exit; done",
        );
        let line = line.replace("/srv/backlog", "backlog");
        let line = format!("PATH=$PWD/bin:$PATH\n{line}");
        Dwindle::in_shell(&sandbox, &line).finish().expect_code(0);
        expect_each_once(&folder, &files);
    }
}
