//! Where the log goes, and that nobody waits for it. In a mount namespace of its own, where a test is the journal.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use crate::support::run::Output;
use crate::support::skip::present;
use crate::support::wait::{DEADLINE, poll};
use crate::support::{Dwindle, Inbox, needs};

/// Arguments of sh(1) behind unshare(1): the folder that is to be the journal's, then the program and its arguments.
const WITH_JOURNAL: &str = r#"
set -e
mount --make-rprivate /
mkdir -p /run/systemd/journal
mount --bind "$1" /run/systemd/journal
shift
exec "$@"
"#;

/// The same, and standard error is said to be the journal's.
const READ_BY_JOURNAL: &str = r#"
set -e
mount --make-rprivate /
mkdir -p /run/systemd/journal
mount --bind "$1" /run/systemd/journal
shift
JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2)
export JOURNAL_STREAM
exec "$@"
"#;

fn beside_journal(dwindle: Dwindle, script: &str, journal: &Path) -> Dwindle {
    let journal = journal.to_str().expect("a path in a sandbox");
    dwindle.started_by(["unshare", "--mount", "sh", "-c", script, "sh", journal])
}

fn once(inbox: &Inbox) -> Dwindle {
    inbox.dwindle("settle = \"0s\"").args(["--once"])
}

/// Those entries that a journal got, by their messages' first words.
fn entries(socket: &UnixDatagram) -> Vec<BTreeMap<String, String>> {
    socket.set_nonblocking(true).unwrap();
    let mut buffer = vec![0; 65536];
    let mut entries = Vec::new();
    while let Ok(length) = socket.recv(&mut buffer) {
        let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
        let fields = text.lines().filter_map(|line| line.split_once('='));
        entries.push(
            fields
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        );
    }
    entries
}

fn expect_compressed_entry(socket: &UnixDatagram, inbox: &Inbox) {
    let entries = entries(socket);
    let is_it =
        |entry: &&BTreeMap<String, String>| entry.get("DWINDLE_EVENT").is_some_and(|event| event == "compressed");
    let entry = entries.iter().find(is_it).unwrap_or_else(|| panic!("{entries:?}"));
    let path = inbox.path.join("a.csv").display().to_string();
    for (name, value) in [
        ("MESSAGE", "compressed a.csv -> a.csv.gz"),
        ("PRIORITY", "6"),
        ("SYSLOG_IDENTIFIER", "dwindle"),
        ("DWINDLE_SOURCE", &path),
        ("DWINDLE_BYTES_IN", "4"),
    ] {
        assert_eq!(entry[name], value, "{entry:?}");
    }
    assert_eq!(entry["MESSAGE_ID"].len(), 32);
    let last = entries.last().expect("one at least");
    assert!(last["MESSAGE"].starts_with("Compressed 1 file"), "{last:?}");
}

fn expect_nothing_said(output: Output) {
    let output = output.expect_compressed(1);
    assert_eq!(output.stderr, "", "{output}");
}

#[test]
fn the_journal_gets_each_field_on_its_own_by_option_by_key_and_where_it_reads_standard_error() {
    needs!(root);
    needs!(tool "unshare");
    for how in ["option", "key", "auto"] {
        let inbox = Inbox::new();
        inbox.sandbox.file("inbox/a.csv", "text");
        let journal = inbox.sandbox.folder("journal");
        let socket = UnixDatagram::bind(journal.join("socket")).unwrap();
        let (dwindle, script) = match how {
            "option" => (once(&inbox).args(["--log-format", "journald"]), WITH_JOURNAL),
            "key" => {
                let log = "[log]\nformat = \"journald\"";
                (
                    inbox.dwindle_with(log, "settle = \"0s\"").args(["--once"]),
                    WITH_JOURNAL,
                )
            }
            _ => (once(&inbox), READ_BY_JOURNAL),
        };
        expect_nothing_said(beside_journal(dwindle, script, &journal).finish());
        expect_compressed_entry(&socket, &inbox);
    }
}

#[test]
fn without_a_journal_the_log_is_text_and_says_so_once() {
    needs!(root);
    needs!(tool "unshare");
    for (format, script) in [("journald", WITH_JOURNAL), ("auto", READ_BY_JOURNAL)] {
        let inbox = Inbox::new();
        inbox.sandbox.file("inbox/a.csv", "text");
        let nobody = inbox.sandbox.folder("journal");
        let dwindle = once(&inbox).args(["--log-format", format]);
        let output = beside_journal(dwindle, script, &nobody).finish().expect_compressed(1);
        let said = output.stderr.matches("the journal cannot be reached").count();
        assert_eq!(said, 1, "{output}");
        assert!(
            output.stderr.contains("INFO compressed a.csv -> a.csv.gz source="),
            "{output}"
        );
    }
}

/// Where nobody reads the socket, the kernel lets a sender wait.
#[test]
fn a_journal_that_is_stuck_holds_up_nobody() {
    needs!(root);
    needs!(tool "unshare");
    let inbox = Inbox::new();
    for number in 0..300 {
        inbox.sandbox.file(format!("inbox/{number}.csv"), "text");
    }
    let journal = inbox.sandbox.folder("journal");
    let stuck = UnixDatagram::bind(journal.join("socket")).unwrap();
    let dwindle = once(&inbox).args(["--log-format", "journald", "-vv"]);
    let running = beside_journal(dwindle, WITH_JOURNAL, &journal).start();
    running.wait_exit().expect_compressed(300);
    assert!(entries(&stuck).len() < 300, "it was not stuck");
}

/// Arguments: the folder for what the journal has in the end, then the program and its arguments.
const REAL_JOURNAL: &str = r#"
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journal
echo 0123456789abcdef0123456789abcdef > /run/machine-id
mount --bind /run/machine-id /etc/machine-id
mkdir -p /run/log/journal/0123456789abcdef0123456789abcdef
# Neither outlives this shell, which a test that fails kills.
env -u RUNTIME_DIRECTORY setpriv --pdeathsig KILL "$2" > "$1/journald.log" 2>&1 &
journald=$!
folder=$1
shift 2
turns=0
until [ -S /run/systemd/journal/socket ] || [ $turns = 300 ]; do
    turns=$((turns + 1))
    sleep 0.1
done
setpriv --pdeathsig KILL "$@"
# It writes what it has got before it ends.
kill -s TERM $journald
wait $journald || :
journalctl --directory=/run/log/journal --identifier=dwindle --output=json > "$folder/entries.json"
"#;

#[test]
fn a_real_journal_finds_events_by_kind_and_field() {
    const JOURNALD: &str = "/lib/systemd/systemd-journald";
    needs!(root);
    needs!(tool "unshare");
    needs!(tool "setpriv");
    needs!(tool "journalctl");
    if !present(JOURNALD, Path::new(JOURNALD).exists()) {
        return;
    }
    let inbox = Inbox::new();
    let name = "a\nb=c \u{e9}.csv";
    inbox.sandbox.file(Path::new("inbox").join(name), "text");
    let folder = inbox.sandbox.folder("journal");
    let wrapper = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        REAL_JOURNAL,
        "sh",
        folder.to_str().unwrap(),
        JOURNALD,
    ];
    let dwindle = once(&inbox).args(["--log-format", "journald"]).started_by(wrapper);
    expect_nothing_said(dwindle.finish());
    let entries = fs::read_to_string(folder.join("entries.json")).unwrap();
    let entries: Vec<serde_json::Value> = entries
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let compressed = entries.iter().find(|entry| entry["DWINDLE_EVENT"] == "compressed");
    let compressed = compressed.unwrap_or_else(|| panic!("{entries:?}"));
    assert_eq!(compressed["PRIORITY"], "6");
    assert_eq!(compressed["DWINDLE_BYTES_IN"], "4");
    assert_eq!(
        compressed["DWINDLE_SOURCE"],
        format!("{}/a\\nb=c \u{e9}.csv", inbox.path.display())
    );
    assert!(
        entries
            .iter()
            .all(|entry| entry["MESSAGE_ID"].as_str().is_some_and(|id| id.len() == 32)),
        "{entries:?}"
    );
}

/// It comes back while the agent runs.
#[test]
fn a_journal_that_is_started_anew_is_found() {
    needs!(root);
    needs!(tool "unshare");
    let inbox = Inbox::new();
    let journal = inbox.sandbox.folder("journal");
    let first = UnixDatagram::bind(journal.join("socket")).unwrap();
    let dwindle = inbox.dwindle("settle = \"0s\"").args(["--log-format", "journald"]);
    let mut running = beside_journal(dwindle, WITH_JOURNAL, &journal).start();
    let mut seen = Vec::new();
    let watches = poll(DEADLINE, || {
        seen.extend(entries(&first));
        seen.iter()
            .any(|entry| entry["MESSAGE"].starts_with("watching"))
            .then_some(())
    });
    assert!(watches.is_some(), "{seen:?}");
    drop(first);
    inbox.sandbox.file("inbox/a.csv", "text");
    running.wait_for_text("the journal cannot be reached");
    running.wait_for_text("compressed a.csv -> a.csv.gz");
    fs::remove_file(journal.join("socket")).unwrap();
    let second = UnixDatagram::bind(journal.join("socket")).unwrap();
    inbox.sandbox.file("inbox/b.csv", "text");
    running.wait_for_names(&inbox.path, ["a.csv.gz", "b.csv.gz"]);
    let found = poll(DEADLINE, || entries(&second).into_iter().next());
    assert_eq!(found.expect("an entry")["MESSAGE"], "compressed b.csv -> b.csv.gz");
}

#[test]
fn a_stream_that_a_child_did_not_inherit_is_not_the_journals() {
    let inbox = Inbox::new();
    inbox.sandbox.file("inbox/a.csv", "text");
    let output = once(&inbox).env("JOURNAL_STREAM", "1:1").finish().expect_compressed(1);
    assert!(output.stderr.contains(" INFO compressed a.csv"), "{output}");
}
