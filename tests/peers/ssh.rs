//! scp and sftp write to the final name from the first byte on, and a client that goes away leaves what it has sent.

use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use super::{
    Peer, SETTLE, assert_contents, configure, expect_one_output_beside_the_later_one, has_bytes, inbox_and_file, run,
    wait_for_a_later_file,
};
use crate::support::wait::{DEADLINE, poll};
use crate::support::{Inbox, Sandbox, names_below, needs};

/// Bits a second, in thousands, at which a client is caught in the middle.
const SLOW: &str = "2000";

macro_rules! needs_ssh {
    () => {
        needs!(tool "sshd");
        needs!(tool "sftp");
        needs!(tool "ssh-keygen");
        if rustix::process::geteuid().is_root() {
            // For /run/sshd, which sshd asks of root.
            needs!(mounts);
            needs!(tool "unshare");
        }
    };
}

#[test]
fn files_that_are_slow_to_come_are_compressed_once() {
    needs_ssh!();
    let (inbox, file, content) = inbox_and_file(420);
    let server = Server::new(&inbox.sandbox);
    let mut running = inbox.watch(SETTLE);
    run(server
        .scp()
        .args(["-l", "12000"])
        .arg(&file)
        .arg(at_server(&inbox, "by-scp")));
    server.batch(&format!(
        "put {} {}",
        file.display(),
        inbox.path.join("by-sftp").display()
    ));
    running.wait_for_names(&inbox.path, ["by-scp.gz", "by-sftp.gz"]);
    running.signal(Signal::TERM);
    running.wait_exit().expect_compressed(2);
    assert_contents(&inbox.path, &[("by-scp.gz", &content), ("by-sftp.gz", &content)]);
}

#[test]
fn an_upload_that_was_interrupted_is_taken_up_under_a_name_in_progress_and_compressed_once() {
    needs_ssh!();
    let (inbox, file, content) = inbox_and_file(421);
    let server = Server::new(&inbox.sandbox);
    let mut running = inbox.watch(SETTLE);
    let (file, part, whole) = (file.display(), inbox.path.join("F.part"), inbox.path.join("F"));
    server.interrupt(&format!("put {file} {}", part.display()), &part);
    wait_for_a_later_file(&mut running, &inbox.path, "later");
    assert_eq!(names_below(&inbox.path), ["F.part", "later.gz"]);
    let (part, whole) = (part.display(), whole.display());
    server.batch(&format!("reput {file} {part}\nrename {part} {whole}"));
    expect_one_output_beside_the_later_one(running, &inbox, &content);
}

#[test]
fn an_upload_that_was_interrupted_is_taken_up_before_its_marker_and_compressed_once() {
    needs_ssh!();
    let (inbox, file, content) = inbox_and_file(422);
    let server = Server::new(&inbox.sandbox);
    let mut running = inbox.watch(&format!("{SETTLE}\nmarker = \"{{name}}.done\""));
    let marker = inbox.sandbox.file("outside/F.done", "");
    let (file, whole) = (file.display(), inbox.path.join("F"));
    server.interrupt(&format!("put {file} {}", whole.display()), &whole);
    inbox.sandbox.file("inbox/later.done", "");
    wait_for_a_later_file(&mut running, &inbox.path, "later");
    assert_eq!(names_below(&inbox.path), ["F", "later.gz"]);
    let (marker, whole) = (marker.display(), whole.display());
    server.batch(&format!("reput {file} {whole}\nput {marker} {whole}.done"));
    expect_one_output_beside_the_later_one(running, &inbox, &content);
}

/// Nothing tells a part that nobody writes to any more from a whole.
#[test]
fn an_upload_that_was_interrupted_is_taken_as_it_stands_and_the_whole_gets_a_number() {
    needs_ssh!();
    let (inbox, file, content) = inbox_and_file(423);
    let server = Server::new(&inbox.sandbox);
    let mut running = inbox.watch(SETTLE);
    let whole = inbox.path.join("F");
    let scp = Peer::start(server.scp().args(["-l", SLOW]).arg(&file).arg(at_server(&inbox, "F")));
    interrupt(scp, &whole);
    running.wait_for_names(&inbox.path, ["F.gz"]);
    // There is nothing that could be taken up.
    let reput = format!("reput {} {}", file.display(), whole.display());
    assert!(!server.sftp(&reput).0);
    run(server.scp().arg(&file).arg(at_server(&inbox, "F")));
    running.wait_for_names(&inbox.path, ["F.gz", "F.~1~.gz"]);
    running.signal(Signal::TERM);
    running.wait_exit().expect_compressed(2);
    let part = crate::support::gz::content_of(&inbox.path.join("F.gz")).unwrap();
    assert!(part.len() < content.len() && content.starts_with(&part));
    assert_contents(&inbox.path, &[("F.gz", &part), ("F.~1~.gz", &content)]);
}

/// A host key, a user's key, and what both sides are told.
struct Server<'a> {
    sandbox: &'a Sandbox,
}

impl<'a> Server<'a> {
    fn new(sandbox: &'a Sandbox) -> Self {
        for key in ["host-key", "user-key"] {
            run(Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(sandbox.path(key)));
        }
        for (name, template) in [
            ("sshd_config", include_str!("sshd_config")),
            ("ssh_config", include_str!("ssh_config")),
            ("sshd.sh", include_str!("sshd.sh")),
        ] {
            configure(sandbox, name, template);
        }
        Server { sandbox }
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-q").arg("-F").arg(self.sandbox.path("ssh_config"));
        command
    }

    fn scp(&self) -> Command {
        self.client("scp")
    }

    /// Runs sftp's commands; whether all of them succeeded, and what was said.
    fn sftp(&self, commands: &str) -> (bool, String) {
        let batch = self.sandbox.file("batch", format!("{commands}\n"));
        let mut sftp = self.client("sftp");
        sftp.arg("-b").arg(batch).arg("inbox");
        let output = crate::support::programs::output(&mut sftp).expect("sftp starts");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    fn batch(&self, commands: &str) {
        let (success, said) = self.sftp(commands);
        assert!(success, "{said}");
    }

    /// Ends a slow sftp when something of the upload has arrived.
    fn interrupt(&self, commands: &str, upload: &Path) {
        let batch = self.sandbox.file("batch", format!("{commands}\n"));
        let sftp = Peer::start(self.client("sftp").args(["-l", SLOW, "-b"]).arg(batch).arg("inbox"));
        interrupt(sftp, upload);
    }
}

fn interrupt(client: Peer, upload: &Path) {
    let begun = poll(DEADLINE, || has_bytes(upload, 1).then_some(()));
    assert!(begun.is_some(), "no upload to {}", upload.display());
    let (status, _) = client.end(Some(Signal::TERM));
    assert!(!status.success(), "the upload was not interrupted");
}

fn at_server(inbox: &Inbox, name: &str) -> String {
    format!("inbox:{}", inbox.path.join(name).display())
}
