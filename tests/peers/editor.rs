//! An editor at a file of the inbox: vim, with its swap file and its backup.

use std::fs;
use std::io::Write;
use std::process::Command;

use rustix::process::Signal;

use super::{Peer, SETTLE, assert_contents, only_outputs_but};
use crate::support::{Inbox, needs};

/// Swap and backup files have names in progress. What is written again after it was taken is a new file to the inbox, as it is to everybody
/// who looks at it.
#[test]
fn what_is_saved_is_compressed_once_for_each_time_it_was_quiet() {
    needs!(tool "vim");
    let inbox = Inbox::new();
    let mut running = inbox.watch(SETTLE);
    let mut vim = Vim::open(&inbox);
    vim.type_in("call append(0, 'first')\nw");
    running.wait_for_names(&inbox.path, [".note.txt.swp", "note.txt.gz"]);
    // Two saves with nothing between them are one.
    vim.type_in("call append(1, 'second')\nw\ncall append(2, 'third')\nw");
    running.wait_for("the next output", || inbox.path.join("note.txt.~1~.gz").exists());
    running.wait_for("the end of the work", || {
        only_outputs_but(&inbox.path, &[".note.txt.swp", "note.txt~"])
    });
    vim.type_in("q");
    assert!(vim.peer.end(None).0.success());
    let left = ["note.txt.gz", "note.txt.~1~.gz", "note.txt~"];
    running.wait_for_names(&inbox.path, left);
    running.signal(Signal::TERM);
    running.wait_exit().expect_compressed(2);
    fs::remove_file(inbox.path.join("note.txt~")).unwrap();
    assert_contents(
        &inbox.path,
        &[
            ("note.txt.gz", b"first\n\n"),
            ("note.txt.~1~.gz", b"first\nsecond\nthird\n\n"),
        ],
    );
}

/// In ex mode it takes its commands from its standard input.
struct Vim {
    peer: Peer,
}

impl Vim {
    fn open(inbox: &Inbox) -> Self {
        let mut vim = Command::new("vim");
        vim.args([
            "-u",
            "NONE",
            "-N",
            "-es",
            "-c",
            "set backup backupdir=. directory=. backupskip=",
        ]);
        Vim {
            peer: Peer::start(vim.arg("note.txt").current_dir(&inbox.path)),
        }
    }

    fn type_in(&mut self, commands: &str) {
        let stdin = self.peer.child.stdin.as_mut().expect("piped");
        writeln!(stdin, "{commands}").expect("vim reads");
    }
}
