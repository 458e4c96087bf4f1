//! Space, inodes, sizes and descriptors run out, and the file system turns read-only: the agent says so, loses nothing, and does
//! everything by itself when there is room again.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use super::scene::{Layout, Scene};
use crate::support::mounts::Mount;
use crate::support::run::{Dwindle, Running};
use crate::support::{Data, Sandbox, needs, programs};

const ROOM: &str = "size=16m,nr_inodes=1000";

/// The agent begins nothing before the test has changed what is around it.
const LATE: &str = "6s";

#[test]
fn row_08_a_full_file_system() {
    needs!(mounts);
    let sandbox = Sandbox::new();
    let mount = Mount::in_memory(&sandbox, ROOM);
    let scene = scene(&sandbox, &mount);
    mount.leave_no_space();
    let mut running = scene.agent().start();
    scene.wait_until_said(&mut running, "write", "No space left on device");
    scene.expect_nothing_lost_meanwhile();
    mount.remount(ROOM);
    scene.wait_until_done(running);
}

#[test]
fn row_09_no_inode_left() {
    needs!(mounts);
    let sandbox = Sandbox::new();
    let mount = Mount::in_memory(&sandbox, ROOM);
    let scene = scene(&sandbox, &mount);
    mount.leave_no_inodes();
    let mut running = scene.agent().start();
    scene.wait_until_said(&mut running, "create", "No space left on device");
    running.wait_for_text("make room there, and it goes on by itself");
    scene.expect_nothing_lost_meanwhile();
    mount.remount(ROOM);
    scene.wait_until_done(running);
}

/// What makes room needs none.
#[test]
fn row_09_b_what_an_earlier_run_made_lets_its_original_go_where_no_inode_is_left() {
    needs!(mounts);
    let sandbox = Sandbox::new();
    let mount = Mount::in_memory(&sandbox, ROOM);
    let original = mount.path().join("F");
    fs::write(&original, Data::from_seed(401).log_text(3000)).unwrap();
    let compress = |options: &[&str]| {
        let command = Dwindle::new(&sandbox)
            .args(["compress"])
            .args(options)
            .args([&original]);
        command.finish().expect_code(0);
    };
    compress(&["--keep"]);
    mount.leave_no_inodes();
    compress(&[]);
    assert!(!original.exists() && mount.path().join("F.gz").exists());
}

#[test]
fn row_16_a_file_system_that_turns_read_only() {
    needs!(mounts);
    let sandbox = Sandbox::new();
    let mount = Mount::in_memory(&sandbox, ROOM);
    let scene = scene(&sandbox, &mount);
    let mut running = scene.agent_that_waits(LATE).start();
    running.wait_for_text("watching");
    mount.remount("ro");
    scene.wait_until_said(&mut running, "create", "Read-only file system");
    running.wait_for_text("mount it read-write, and it goes on by itself");
    scene.expect_nothing_lost_meanwhile();
    mount.remount("rw");
    scene.wait_until_done(running);
}

/// Only a person can change that limit, so the file waits for the next start; no other file does.
#[test]
fn row_17_an_output_larger_than_files_may_be() {
    needs!(tool "prlimit");
    let sandbox = Sandbox::new();
    let scene = scene_of(&sandbox, &sandbox.folder("inbox"));
    // What does not compress is in the way of nobody else.
    let large = sandbox.file("inbox/large", Data::from_seed(401).random_bytes(300_000));
    let mut running = scene.agent().started_by(["prlimit", "--fsize=100000", "--"]).start();
    scene.wait_until_said(&mut running, "write", "File too large");
    running.wait_for("the others' outputs", || scene.outputs_missing().is_empty());
    running.signal(Signal::TERM);
    running.wait_exit().expect_code(0);
    assert_eq!(fs::read(&large).unwrap(), Data::from_seed(401).random_bytes(300_000));
    assert!(!sandbox.path("inbox/large.gz").exists());
    fs::remove_file(large).unwrap();
    scene.expect_done();
}

#[test]
fn row_18_no_descriptor_left() {
    needs!(tool "prlimit");
    let sandbox = Sandbox::new();
    let scene = scene_of(&sandbox, &sandbox.folder("inbox"));
    let mut running = scene.agent_that_waits(LATE).start();
    running.wait_for_text("watching");
    limit(&running, "4");
    scene.wait_until_said(&mut running, "open", "Too many open files");
    scene.expect_nothing_lost_meanwhile();
    limit(&running, "1024");
    scene.wait_until_done(running);
}

/// How many descriptors it may have from now on. Those that are open stay so.
fn limit(running: &Running, descriptors: &str) {
    let process = running.process_id().to_string();
    let mut command = Command::new("prlimit");
    command.args(["--pid", &process, &format!("--nofile={descriptors}:")]);
    assert!(
        programs::status(&mut command).expect("prlimit starts").success(),
        "{command:?}"
    );
}

fn scene<'a>(sandbox: &'a Sandbox, mount: &Mount) -> Scene<'a> {
    scene_of(sandbox, &mount.path().join("inbox"))
}

fn scene_of<'a>(sandbox: &'a Sandbox, folder: &Path) -> Scene<'a> {
    Scene::lay_out(sandbox, folder, Layout::Beside, &mut Data::from_seed(400))
}
