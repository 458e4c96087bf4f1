//! What the documentation of rotation and of inboxes promises, with the programs themselves: whatever rotates a log, no line of it is lost
//! and none is there twice; whatever drops a file, it becomes one `.gz` of the right content.
//!
//! Their configurations lie beside the tests; `@FOLDER@` in them is the test's folder. What a test does to a program in the middle of its
//! work it does when a condition holds, never after a time.

/// logrotate calls `dwindle compress -`.
mod compresscmd;
/// cp, mv, dd, tar, unzip, and a program that opens a file for each line.
mod copies;
/// curl.
mod downloads;
/// vim.
mod editor;
/// logrotate, and dwindle beside it.
mod logrotate;
/// nginx, rotated by rename and USR1 under load.
mod nginx;
/// Python's logging handlers.
mod python;
/// rsync.
mod rsync;
/// scp and sftp, through an sshd of the test's own.
mod ssh;

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::gz::contents_below;
use crate::support::run::Running;
use crate::support::wait::{DEADLINE, poll};
use crate::support::{Data, Dwindle, Inbox, Sandbox, names_below, programs};

/// So short that a test need not wait long, and longer than what a program does between its last write and the times and modes it sets by name.
const SETTLE: &str = "settle = \"500ms\"";

/// Writes a configuration into the sandbox, as everybody may read it and nobody else write it.
fn configure(sandbox: &Sandbox, name: &str, template: &str) -> PathBuf {
    let folder = sandbox.root().to_str().expect("a path of ASCII");
    let path = sandbox.file(name, template.replace("@FOLDER@", folder));
    fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("our own file");
    path
}

/// The agent with a configuration file of its own, watching.
fn watch_as_in(sandbox: &Sandbox, config: &Path) -> Running {
    let mut running = Dwindle::new(sandbox).args(["run", "-c"]).args([config]).start();
    running.wait_for_text("watching");
    running
}

/// Runs a program to its end, which has to be a good one. What it printed.
fn run(command: &mut Command) -> String {
    let output = programs::output(command).unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {}: {text}{complaint}",
        output.status
    );
    text
}

/// A program that goes on while the test does something else. Dropped, it is killed.
struct Peer {
    child: Child,
}

impl Peer {
    fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = programs::start(command).unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Peer { child }
    }

    fn signal(&self, signal: Signal) {
        // It is not waited for yet, so that the number is still its own even when it has ended.
        kill_process(Pid::from_child(&self.child), signal).expect("our own child");
    }

    /// Sends it the signal, if any, and waits for its end. What it printed is for short outputs.
    fn end(mut self, signal: Option<Signal>) -> (ExitStatus, String) {
        if let Some(signal) = signal {
            self.signal(signal);
        }
        drop(self.child.stdin.take());
        let status = poll(DEADLINE, || self.child.try_wait().expect("our own child")).expect("an end");
        let mut text = String::new();
        let stdout = self.child.stdout.as_mut().expect("piped");
        std::io::Read::read_to_string(stdout, &mut text).expect("text");
        (status, text)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Drops a file by an ordinary copy and waits until it is an output: whatever the agent was told before, it has looked at by then.
fn wait_for_a_later_file(running: &mut Running, folder: &Path, name: &str) {
    let path = folder.join(name);
    run(Command::new("cp")
        .arg(env!("CARGO_MANIFEST_DIR").to_owned() + "/Cargo.toml")
        .arg(&path));
    let output = format!("{name}.gz");
    running.wait_for(name, || {
        let names = names_below(folder);
        // Itself, what it has in quarantine, and its marker.
        names.contains(&output) && !names.iter().any(|other| other.contains(name) && *other != output)
    });
}

/// Waits until `F` is an output, too, ends the agent, and checks that it is the whole, once.
fn expect_one_output_beside_the_later_one(mut running: Running, inbox: &Inbox, content: &[u8]) {
    running.wait_for_names(&inbox.path, ["F.gz", "later.gz"]);
    running.signal(Signal::TERM);
    running.wait_exit().expect_compressed(2);
    fs::remove_file(inbox.path.join("later.gz")).expect("our own file");
    assert_contents(&inbox.path, &[("F.gz", content)]);
}

/// Whether every file below the folder is a `.gz`, but for the logs that are being written.
fn only_outputs_but(folder: &Path, live: &[&str]) -> bool {
    let is_output = |name: &str| Path::new(name).extension().is_some_and(|end| end == "gz");
    names_below(folder)
        .iter()
        .all(|name| live.contains(&name.as_str()) || is_output(name))
}

/// How often each line is there in the files below a folder, in `.gz` or plain.
fn lines_below(folder: &Path) -> BTreeMap<String, usize> {
    let mut lines = BTreeMap::new();
    for content in contents_below(folder) {
        for line in String::from_utf8_lossy(&content).lines() {
            *lines.entry(line.to_owned()).or_default() += 1;
        }
    }
    lines
}

/// Checks that these lines are there, once each, and no others.
fn assert_each_once(lines: &BTreeMap<String, usize>, expected: impl IntoIterator<Item = String>) {
    let expected: BTreeMap<String, usize> = expected.into_iter().map(|line| (line, 1)).collect();
    let wrong: Vec<_> = expected
        .iter()
        .filter(|(line, _)| lines.get(*line) != Some(&1))
        .collect();
    let wrong: Vec<_> = wrong.into_iter().map(|(line, _)| (line, lines.get(line))).collect();
    assert!(wrong.is_empty(), "lost, or there more than once: {wrong:?}");
    let others: Vec<_> = lines.keys().filter(|line| !expected.contains_key(*line)).collect();
    assert!(others.is_empty(), "not to be there: {others:?}");
}

/// Contents of the files below a folder, by name: those of a `.gz` decompressed.
fn assert_contents(folder: &Path, expected: &[(&str, &[u8])]) {
    let mut names: Vec<_> = expected.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    assert_eq!(names_below(folder), names);
    for (name, content) in expected {
        let found = crate::support::gz::content_of(&folder.join(name)).expect("a file");
        let same = found.iter().zip(*content).take_while(|(a, b)| a == b).count();
        assert!(
            found == *content,
            "{name}: {} bytes of {}, the same up to {same}",
            found.len(),
            content.len()
        );
    }
}

/// An inbox, and a file outside it that takes a while on its way.
fn inbox_and_file(seed: u64) -> (Inbox, PathBuf, Vec<u8>) {
    let inbox = Inbox::new();
    let content = Data::from_seed(seed).log_text(2_000_000);
    let file = inbox.sandbox.file("outside/F", &content);
    (inbox, file, content)
}

/// Whether the file is there with so many bytes at least.
fn has_bytes(path: &Path, bytes: u64) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.len() >= bytes)
}
