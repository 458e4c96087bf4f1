//! The plain ways: copies, moves from elsewhere, archives, and a program that opens its file for each line.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use super::{SETTLE, assert_contents, assert_each_once, inbox_and_file, lines_below, only_outputs_but, run};
use crate::support::skip::present;
use crate::support::{Inbox, Sandbox, names_below, needs};

#[test]
fn copies_and_archives_become_one_output_each() {
    needs!(tool "tar");
    needs!(tool "unzip");
    needs!(tool "python3");
    let (inbox, file, content) = inbox_and_file(440);
    let outside = &inbox.outside;
    for name in ["from-tar", "from-zip"] {
        fs::copy(&file, outside.join(name)).unwrap();
    }
    // Times of long ago come with what is unpacked.
    run(Command::new("touch")
        .args(["-d", "2020-02-02"])
        .args([outside.join("from-tar"), outside.join("from-zip")]));
    run(Command::new("tar")
        .args(["-cf", "archive.tar", "from-tar"])
        .current_dir(outside));
    run(Command::new("python3")
        .args(["-m", "zipfile", "-c", "archive.zip", "from-zip"])
        .current_dir(outside));
    let mut running = inbox.watch(SETTLE);
    let target = |name: &str| inbox.path.join(name);
    run(Command::new("cp")
        .arg("--reflink=auto")
        .arg(&file)
        .arg(target("from-cp")));
    run(Command::new("install")
        .args(["-m", "600"])
        .arg(&file)
        .arg(target("from-install")));
    let (input, output) = (
        format!("if={}", file.display()),
        format!("of={}", target("from-dd").display()),
    );
    run(Command::new("dd").args([&input, &output, "bs=10000", "status=none"]));
    run(Command::new("tar")
        .arg("-xf")
        .arg(outside.join("archive.tar"))
        .arg("-C")
        .arg(&inbox.path));
    run(Command::new("unzip")
        .arg("-q")
        .arg(outside.join("archive.zip"))
        .arg("-d")
        .arg(&inbox.path));
    let names = [
        "from-cp.gz",
        "from-dd.gz",
        "from-install.gz",
        "from-tar.gz",
        "from-zip.gz",
    ];
    running.wait_for_names(&inbox.path, names);
    running.signal(Signal::TERM);
    running.wait_exit().expect_compressed(names.len());
    assert_contents(&inbox.path, &names.map(|name| (name, content.as_slice())));
}

#[test]
fn files_moved_from_another_file_system_become_one_output_each() {
    let memory = Sandbox::with_room_for(16 << 20);
    let (inbox, file, content) = inbox_and_file(441);
    let device = |path: &Path| fs::metadata(path).unwrap().dev();
    if !present(
        "a temporary folder that is not in memory",
        device(memory.root()) != device(&inbox.path),
    ) {
        return;
    }
    let elsewhere = memory.path("F");
    fs::copy(&file, &elsewhere).unwrap();
    let mut running = inbox.watch(SETTLE);
    run(Command::new("mv").arg(elsewhere).arg(&inbox.path));
    run(Command::new("mv").arg(&file).arg(inbox.path.join("near")));
    running.wait_for_names(&inbox.path, ["F.gz", "near.gz"]);
    running.signal(Signal::TERM);
    running.wait_exit().expect_compressed(2);
    assert_contents(&inbox.path, &[("F.gz", &content), ("near.gz", &content)]);
}

/// As a shell script logs. With pauses shorter than `settle` it would be one output; here every pause is long enough.
#[test]
fn a_program_that_opens_the_file_for_each_line_loses_none_however_often_it_is_taken() {
    const LINES: usize = 300;
    let inbox = Inbox::new();
    let mut running = inbox.watch("settle = \"0s\"");
    let script = format!("for n in $(seq {LINES}); do echo line $n >>F; sleep 0.005; done");
    run(Command::new("sh").args(["-c", &script]).current_dir(&inbox.path));
    running.wait_for("the last output", || only_outputs_but(&inbox.path, &[]));
    running.signal(Signal::TERM);
    let output = running.wait_exit().expect_code(0);
    assert_eq!(output.report().failed, 0, "{output}");
    assert!(names_below(&inbox.path).len() > 1, "{output}");
    assert_each_once(
        &lines_below(&inbox.path),
        (1..=LINES).map(|number| format!("line {number}")),
    );
}
