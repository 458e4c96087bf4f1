//! System calls that fail: each is told of with its path and step, costs nobody a byte, and is overcome when its cause has passed.

use std::path::Path;

use rustix::process::Signal;

use super::scene::{Layout, Scene};
use crate::support::mounts::{Disk, Mount};
use crate::support::strace::Strace;
use crate::support::{Arrival, Data, Sandbox, needs};

const READS: &str = "read,pread64,readv,preadv,preadv2";
const SYNCS: &str = "fsync,fdatasync,syncfs";

#[test]
fn row_10_no_space_for_an_outputs_name() {
    needs!(tool "strace");
    fails_and_passes(
        "linkat:error=ENOSPC",
        |_, strace| strace,
        "publish",
        "No space left on device",
    );
    fails_for_good(
        "linkat:error=ENOSPC",
        |_, strace| strace,
        "publish",
        "No space left on device",
    );
}

#[test]
fn row_11_an_original_that_cannot_be_read_for_a_while() {
    needs!(tool "strace");
    let of_one = |scene: &Scene<'_>, strace: Strace| strace.on(&scene.original("plain"));
    fails_and_passes(&format!("{READS}:error=EIO"), of_one, "read", "Input/output error");
}

#[test]
fn row_11_an_original_that_can_never_be_read_is_kept_and_the_others_are_done() {
    needs!(tool "strace");
    let sandbox = Sandbox::new();
    let scene = scene(&sandbox);
    let strace = Strace::inject(&sandbox, &format!("{READS}:error=EIO")).on(&scene.original("plain"));
    let mut running = scene.agent().under(&strace).start();
    scene.wait_until_said(&mut running, "read", "Input/output error");
    running.wait_for("the others' outputs", || {
        scene.outputs_missing() == [Path::new("plain.gz")]
    });
    running.signal(Signal::TERM);
    running.wait_exit().expect_code(0);
    assert!(scene.original("plain").exists());
    scene.expect_nothing_lost();
    scene.expect_that_a_pass_ends_well();
}

#[test]
fn row_12_an_output_that_cannot_be_synced_is_written_anew() {
    needs!(tool "strace");
    let sandbox = Sandbox::new();
    let scene = scene(&sandbox);
    let strace = Strace::inject(&sandbox, &format!("{SYNCS}:error=EIO:when=1..2"))
        .and_log("close,linkat,rename,renameat,renameat2");
    let mut running = scene.agent().under(&strace).start();
    scene.wait_until_said(&mut running, "sync", "Input/output error");
    scene.expect_nothing_lost_meanwhile();
    scene.wait_until_done(running);
    expect_that_no_file_was_synced_again(&strace.log());
}

#[test]
fn row_12_where_nothing_can_be_synced_nothing_is_removed() {
    needs!(tool "strace");
    fails_for_good(
        &format!("{SYNCS}:error=EIO"),
        |_, strace| strace,
        "sync",
        "Input/output error",
    );
}

/// Nobody can say whose bytes it was that did not reach the disk, so all whose outputs were to be made durable together are done again.
#[test]
fn row_13_where_a_whole_file_system_cannot_be_synced_all_who_asked_for_it_are_done_again() {
    needs!(root);
    needs!(tool "strace");
    needs!(tool "mkfs.ext4");
    let data = &mut Data::from_seed(130);
    let sandbox = Sandbox::new();
    let mount = Mount::of_disk(&sandbox, Disk::Ext4);
    let mut scene = Scene::lay_out(&sandbox, mount.path(), Layout::Beside, data);
    for mut original in Arrival::several(data, 40) {
        original.original.content.truncate(5_000);
        scene.add(original);
    }
    // Whoever comes alone is made durable alone, and each time that takes long enough for others to gather.
    let strace = Strace::inject(&sandbox, "syncfs:error=EIO:when=1")
        .and_inject("fsync:delay_enter=500000:when=1+")
        .and_log("close,linkat,rename,renameat,renameat2");
    let mut running = scene.agent().under(&strace).start();
    scene.wait_until_said(&mut running, "sync", "Input/output error");
    scene.expect_nothing_lost_meanwhile();
    let output = scene.wait_until_done(running);
    let failed = output.stderr.matches("cannot sync").count();
    assert!(failed >= 4, "{failed} files failed\n{output}");
    expect_that_no_file_was_synced_again(&strace.log());
}

#[test]
fn row_14_where_a_folder_cannot_be_synced_nothing_is_removed() {
    needs!(tool "strace");
    let of_folders = |scene: &Scene<'_>, strace: Strace| strace.on(scene.folder()).on(&scene.original("deep/er"));
    let injection = format!("{SYNCS}:error=EIO");
    fails_and_passes(&injection, of_folders, "sync", "Input/output error");
    fails_for_good(&injection, of_folders, "sync", "Input/output error");
}

#[test]
fn row_15_an_original_that_cannot_be_removed() {
    needs!(tool "strace");
    let injection = "unlink,unlinkat:error=EIO";
    fails_and_passes(injection, |_, strace| strace, "remove", "Input/output error");
    fails_for_good(injection, |_, strace| strace, "remove", "Input/output error");
}

#[test]
fn row_19_interrupted_system_calls_are_made_again() {
    needs!(tool "strace");
    // Some are only followed on paths of the folder, since the program's loader does not expect it of them.
    let all = "pread64,read,openat,openat2,statx,getdents64,fsync,linkat,renameat2,unlinkat,fgetxattr,flistxattr";
    let outputs = "fsync,linkat,renameat,renameat2,unlinkat,fchmod,fchown,fsetxattr,utimensat,flock,mkdirat";
    for step in [2, 3] {
        let sandbox = Sandbox::new();
        let scene = scene(&sandbox);
        let strace = Strace::inject(&sandbox, &format!("{all}:error=EINTR:when=1+{step}"));
        let names = [
            "",
            "plain",
            "twin",
            "twin.gz",
            "other",
            "other.gz",
            "numbered",
            "numbered.gz",
            "deep/er",
            "deep/er/one",
        ];
        let strace = names
            .iter()
            .fold(strace, |strace, name| strace.on(&scene.original(name)));
        scene.pass().under(&strace).finish().expect_code(0);
        scene.expect_done();
        assert!(strace.log().iter().any(|line| line.contains("INJECTED")));

        let sandbox = Sandbox::new();
        let scene = self::scene(&sandbox);
        let strace = Strace::inject(&sandbox, &format!("{outputs}:error=EINTR:when=1+{step}"));
        scene.pass().under(&strace).finish().expect_code(0);
        scene.expect_done();
        assert!(strace.log().iter().any(|line| line.contains("INJECTED")));
    }
}

fn scene(sandbox: &Sandbox) -> Scene<'_> {
    Scene::lay_out(
        sandbox,
        &sandbox.folder("inbox"),
        Layout::Beside,
        &mut Data::from_seed(300),
    )
}

/// Fails at each thread's first call; the agent says so, and does everything without being started again.
fn fails_and_passes(injection: &str, on: impl Fn(&Scene<'_>, Strace) -> Strace, step: &str, why: &str) {
    let sandbox = Sandbox::new();
    let scene = scene(&sandbox);
    let strace = on(&scene, Strace::inject(&sandbox, &format!("{injection}:when=1")));
    let mut running = scene.agent().under(&strace).start();
    scene.wait_until_said(&mut running, step, why);
    scene.expect_nothing_lost_meanwhile();
    scene.wait_until_done(running);
}

/// Fails at every call; the agent says so, can still be ended, and no original is gone.
fn fails_for_good(injection: &str, on: impl Fn(&Scene<'_>, Strace) -> Strace, step: &str, why: &str) {
    let sandbox = Sandbox::new();
    let scene = scene(&sandbox);
    let strace = on(&scene, Strace::inject(&sandbox, injection));
    let mut running = scene.agent().under(&strace).start();
    scene.wait_until_said(&mut running, step, why);
    scene.expect_nothing_lost_meanwhile();
    running.signal(Signal::TERM);
    running.wait_exit().expect_code(0);
    scene.expect_nothing_lost();
    // The one whose output an earlier run has published may not need the call that fails.
    let removed = scene.originals_missing();
    assert!(removed.is_empty() || removed == [Path::new("twin")], "{removed:?}");
    scene.expect_that_a_pass_ends_well();
}

/// After a failed fsync(2) the next may succeed with the data gone: an output that was to be synced must be given up, by closing it.
fn expect_that_no_file_was_synced_again(log: &[String]) {
    let mut failed = 0;
    for (index, line) in log.iter().enumerate().filter(|(_, line)| line.contains("EIO")) {
        let (descriptor, path) = descriptor_of(line).expect("fsync(DESCRIPTOR<PATH>)");
        if Path::new(path).is_dir() {
            continue;
        }
        failed += 1;
        let link = format!("/proc/self/fd/{descriptor}\"");
        let is_use =
            |line: &&String| line.contains(&link) || descriptor_of(line).is_some_and(|(other, _)| other == descriptor);
        let next = log[index + 1..].iter().find(is_use);
        assert!(
            next.is_some_and(|line| line.contains(" close(")),
            "after {line}: {next:?}"
        );
    }
    assert!(failed > 0, "no file's fsync failed");
}

/// The first argument of a line such as `123 fsync(9</tmp/file>) = 0`.
fn descriptor_of(line: &str) -> Option<(&str, &str)> {
    let (descriptor, rest) = line.split_once('(')?.1.split_once('<')?;
    Some((descriptor, rest.split_once('>')?.0))
}
