//! What is never taken, in a folder that is watched: it stays as it is, to the last timestamp.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::support::inbox::{State, copy, state_below};
use crate::support::{Arrival, Data, Inbox, programs};

/// What stands at a name of the table.
enum Kind {
    /// A text that would be compressed under another name.
    Text,
    Empty,
    /// These first bytes, and many more.
    Beginning(&'static [u8]),
    /// A symbolic link to this.
    Link(&'static str),
    Fifo,
    Socket,
    /// A file with this second name.
    Linked(&'static str),
}
use Kind::{Beginning, Empty, Fifo, Link, Linked, Socket, Text};

#[rustfmt::skip]
const TABLE: &[(&str, Kind)] = &[
    // Dot-files, dot-folders, our own.
    (".hidden", Text),
    (".config/settings.json", Text),
    ("a/.git/objects/pack.log", Text),
    (".dwindle-0123456789abcdef", Text),
    (".app.log.dwindle-1a2b.q", Text),
    // Files that somebody writes.
    (".orders.csv.Xa81bQ", Text),
    (".~tmp~/orders.csv", Text),
    (".rsync-partial/orders.csv", Text),
    ("orders.csv.partial", Text),
    ("orders.csv.filepart", Text),
    ("orders.csv.part", Text),
    ("orders.csv.crdownload", Text),
    ("orders.csv.download", Text),
    ("orders.csv.opdownload", Text),
    ("orders.csv.aria2", Text),
    ("orders.csv.ytdl", Text),
    ("orders.csv.!qB", Text),
    ("orders.csv.!ut", Text),
    (".in.orders.csv.", Text),
    (".pureftpd-upload.5f1c.15.2.a", Text),
    ("orders.csv._COPYING_", Text),
    ("_temporary/0/part-00000", Text),
    ("orders.csv_.gstmp", Text),
    ("orders.tmp", Text),
    ("orders.temp", Text),
    ("orders.TMP", Text),
    ("orders.swp", Text),
    ("orders.txt~", Text),
    ("#orders.txt#", Text),
    ("~$orders.docm", Text),
    ("~syncthing~orders.csv.tmp", Text),
    (".nfs000000000001", Text),
    (".fuse_hidden0000001", Text),
    (".goutputstream-A1B2C3", Text),
    ("mail.camelLock", Text),
    ("Thumbs.db", Text),
    ("desktop.ini", Text),
    ("@eaDir/orders.csv", Text),
    ("__MACOSX/orders.csv", Text),
    // Compressed already, by name or by content.
    ("by-name.gz", Text),
    ("by-name.tgz", Text),
    ("by-name.zst", Text),
    ("by-name.jpg", Text),
    ("by-name.PNG", Text),
    ("by-name.mp4", Text),
    ("by-content-gzip", Beginning(b"\x1f\x8b\x08\x00")),
    ("by-content-zstd.log", Beginning(b"\x28\xb5\x2f\xfd")),
    ("by-content-xz.txt", Beginning(b"\xfd7zXZ\x00")),
    ("by-content-zip.csv", Beginning(b"PK\x03\x04")),
    ("by-content-png.dat", Beginning(b"\x89PNG\r\n\x1a\n")),
    // Kinds.
    ("empty", Empty),
    ("a/empty.log", Empty),
    ("link-to-file", Link("../outside/target/file.log")),
    ("link-to-folder", Link("../outside/target")),
    ("link-dangling", Link("nowhere")),
    ("link-to-itself", Link("link-to-itself")),
    ("fifo", Fifo),
    ("socket", Socket),
    ("linked-1", Linked("linked-2")),
    ("linked-inside", Linked("../outside/linked-outside")),
];

#[test]
fn what_arrives() {
    let inbox = Inbox::new();
    let data = &mut Data::from_seed(200);
    let mut running = inbox.watch("settle = \"500ms\"");
    make_all(&inbox, data);
    stays_untouched(&inbox, data, &mut running);
    running.signal(Signal::TERM);
    running.wait_exit().expect_compressed(1);
}

#[test]
fn what_was_there_before_the_start() {
    let inbox = Inbox::new();
    let data = &mut Data::from_seed(201);
    make_all(&inbox, data);
    let mut running = inbox.watch("settle = \"500ms\"");
    stays_untouched(&inbox, data, &mut running);
    running.signal(Signal::TERM);
    running.wait_exit().expect_compressed(1);
}

#[test]
fn what_one_pass_finds() {
    let inbox = Inbox::new();
    let data = &mut Data::from_seed(202);
    make_all(&inbox, data);
    let before = state_below(inbox.sandbox.root());
    let output = inbox.dwindle("settle = \"200ms\"").args(["--once"]).finish();
    output.expect_compressed(0);
    assert_eq!(state_of_what_was(&before, &inbox), before);
}

/// What the folder holds now is the same when a later file has been compressed.
fn stays_untouched(inbox: &Inbox, data: &mut Data, running: &mut crate::support::run::Running) {
    let before = state_below(inbox.sandbox.root());
    let later = Arrival::new(data, "later.csv");
    let staged = inbox.outside.join("later.csv");
    later.write_to(&staged);
    copy(&[staged], &inbox.path);
    let new = || {
        let mut names = crate::support::names_below(&inbox.path);
        names.retain(|name| !before.contains_key(&format!("inbox/{name}")));
        names
    };
    running.wait_for("the later file's .gz and nothing else", || new() == ["later.csv.gz"]);
    assert_eq!(state_of_what_was(&before, inbox), before);
}

/// The state now, without what was not there then, and without folders that get a new time with each new name.
fn state_of_what_was(before: &BTreeMap<String, State>, inbox: &Inbox) -> BTreeMap<String, State> {
    let mut now = state_below(inbox.sandbox.root());
    now.retain(|name, _| before.contains_key(name));
    for (name, state) in &mut now {
        if name.ends_with('/') {
            *state = before[name].clone();
        }
    }
    now
}

fn make_all(inbox: &Inbox, data: &mut Data) {
    let sandbox = &inbox.sandbox;
    sandbox.file("outside/target/file.log", data.log_text(1000));
    for (name, kind) in TABLE {
        let path = inbox.path.join(name);
        fs::create_dir_all(path.parent().expect("in the inbox")).unwrap();
        make(&path, kind, data);
    }
}

fn make(path: &Path, kind: &Kind, data: &mut Data) {
    match kind {
        Text => fs::write(path, data.log_text(1000)).unwrap(),
        Empty => fs::write(path, "").unwrap(),
        Beginning(bytes) => fs::write(path, [bytes, &data.log_text(1000)[..]].concat()).unwrap(),
        Link(target) => symlink(target, path).unwrap(),
        Fifo => assert!(programs::status(Command::new("mkfifo").arg(path)).unwrap().success()),
        Socket => drop(UnixListener::bind(path).unwrap()),
        Linked(other) => {
            fs::write(path, data.log_text(1000)).unwrap();
            fs::hard_link(path, path.with_file_name(OsStr::new(other))).unwrap();
        }
    }
}
