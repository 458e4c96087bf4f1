//! `dwindle status`: what an agent says of itself through its control socket, to whom, and how it is shown.

/// `status --watch` on a terminal.
mod screen;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::run::{Output, Running};
use crate::support::{Data, Dwindle, Inbox, Sandbox, names_below, needs};

const AT_ONCE: &str = "settle = \"0s\"";

fn socket(sandbox: &Sandbox) -> PathBuf {
    sandbox.path(".runtime/control.sock")
}

/// The command, for the agents of this sandbox.
fn status(sandbox: &Sandbox, options: &str) -> Dwindle {
    Dwindle::new(sandbox).args(["status"]).args(options.split_whitespace())
}

fn json(sandbox: &Sandbox) -> Value {
    let output = status(sandbox, "--json").finish().expect_code(0);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output}"))
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn stop(running: Running) -> Output {
    running.signal(Signal::TERM);
    running.wait_exit().expect_code(0)
}

fn connect(sandbox: &Sandbox) -> BufReader<UnixStream> {
    let stream = UnixStream::connect(socket(sandbox)).expect("an agent");
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    BufReader::new(stream)
}

fn ask(stream: &mut BufReader<UnixStream>, request: &str) -> Value {
    stream.get_mut().write_all(request.as_bytes()).expect("it listens");
    let mut line = String::new();
    stream.read_line(&mut line).expect("it answers");
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

/// Waits until the agent has told itself of the one file that is compressed.
fn wait_until_counted(running: &mut Running, inbox: &Inbox) {
    running.wait_for("an agent that has counted", || {
        let status = json(&inbox.sandbox);
        (&status["counters"]["compressed"], &status["pending"]) == (&1.into(), &0.into())
    });
}

/// Numbers and the sandbox's folder differ from run to run.
fn without_numbers(text: &str, sandbox: &Sandbox) -> String {
    let root = sandbox.root().canonicalize().unwrap().display().to_string();
    let text = text
        .replace(&root, "ROOT")
        .replace(&sandbox.root().display().to_string(), "ROOT");
    let mut result = String::new();
    for character in text.chars() {
        match character {
            '0'..='9' if result.ends_with('#') => {}
            '0'..='9' => result.push('#'),
            character => result.push(character),
        }
    }
    result.replace("#.# KiB", "# KiB").replace("#.#%", "#%")
}

#[test]
fn an_agent_tells_what_it_watches_and_has_done() {
    let inbox = Inbox::new();
    let polled = inbox.sandbox.folder("polled");
    let keys = format!(
        "{AT_ONCE}\n[[watch]]\npath = \"{}\"\nwatcher = \"poll\"",
        polled.display()
    );
    let mut running = inbox.dwindle_with("workers = 2", &keys).start();
    inbox.sandbox.file("inbox/F", "text\n".repeat(1000));
    running.wait_for_names(&inbox.path, ["F.gz"]);
    wait_until_counted(&mut running, &inbox);
    let output = status(&inbox.sandbox, "").finish().expect_code(0);
    let expected = "\
dwindle #.#.# running, up # s, process #
configured by ROOT/dwindle.toml

Compressed # file: # KiB -> # B (#% smaller)
# skipped, # failed
Nothing to do for # workers

Watches
  native  ROOT/inbox
  poll    ROOT/polled
";
    let shown = without_numbers(&text(&output), &inbox.sandbox);
    assert_eq!(shown, expected, "{output}");

    let status = json(&inbox.sandbox);
    assert_eq!(status["pid"], running.process_id());
    assert_eq!((&status["state"], &status["workers"]), (&"running".into(), &2.into()));
    assert_eq!(status["counters"]["compressed"], 1);
    assert_eq!(status["counters"]["bytes_in"], 5000);
    assert_eq!(status["watches"][0]["mode"], "native");
    assert_eq!(status["watches"][1]["mode"], "poll");
    stop(running);
    assert_eq!(
        names_below(&inbox.sandbox.path(".runtime")),
        [""; 0],
        "the end leaves nothing"
    );
}

#[test]
fn a_file_in_work_is_told_with_its_progress() {
    let inbox = Inbox::new();
    let mut data = Data::from_seed(71);
    inbox.sandbox.file("inbox/F", data.tedious_text(12_000_000));
    let mut running = inbox.dwindle_with("workers = 1\nlevel = 9", AT_ONCE).start();
    let mut seen = Value::Null;
    running.wait_for("a file that is half done", || {
        // The socket is there before the file is begun.
        let output = status(&inbox.sandbox, "--json").finish();
        seen = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let file = &seen["files"][0];
        let done = file["bytes_done"].as_u64().unwrap_or(0);
        done > 0 && Some(done) < file["bytes"].as_u64()
    });
    let file = &seen["files"][0];
    assert_eq!(file["path"], inbox.path.join("F").display().to_string());
    assert_eq!(file["bytes"], 12_000_000);
    assert!(file["bytes_per_second"].as_u64().is_some_and(|rate| rate > 0), "{file}");
    assert_eq!((&seen["pending"], &seen["in_flight"]), (&1.into(), &1.into()));
    assert!(seen["bytes_per_second"].as_u64().is_some_and(|rate| rate > 0), "{seen}");
}

#[test]
fn a_failure_is_told_with_its_reason_and_odd_names_cannot_drive_a_terminal() {
    needs!(tool "setpriv");
    let inbox = Inbox::new();
    let secret = inbox.sandbox.file("inbox/se\x1b[31m\ncret", "text");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    let mut running = inbox.dwindle(AT_ONCE).bound_by_modes().start();
    running.wait_for_text("watching");
    running.wait_for("a failure", || {
        !json(&inbox.sandbox)["failures"].as_array().unwrap().is_empty()
    });
    let told = json(&inbox.sandbox);
    let failure = &told["failures"][0];
    let name = format!("{}/se\\u{{1b}}[31m\\ncret", inbox.path.display());
    assert_eq!(failure["path"], name);
    assert_eq!(failure["watch"], inbox.path.display().to_string());
    assert_eq!(
        (&failure["step"], &failure["errno"], &failure["class"]),
        (&"open".into(), &13.into(), &"permanent".into())
    );
    assert_eq!(told["counters"]["failed"], 1);
    let output = status(&inbox.sandbox, "--color always").finish().expect_code(0);
    let shown = text(&output);
    assert!(
        shown.contains(&format!("cannot open {name}: Permission denied (os error 13)")),
        "{output}"
    );
    assert!(shown.contains("\x1b[31m1 failed\x1b[0m"), "{output}");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    // Nobody tells the agent of that; so the file comes anew.
    fs::rename(&secret, inbox.outside.join("F")).unwrap();
    fs::rename(inbox.outside.join("F"), &secret).unwrap();
    running.wait_for("the failure's end", || {
        json(&inbox.sandbox)["failures"].as_array().unwrap().is_empty()
    });
    stop(running);
}

#[test]
fn the_socket_is_for_its_user_and_group() {
    let inbox = Inbox::new();
    let mut running = inbox.dwindle_with("control-socket = \"agent.sock\"", AT_ONCE).start();
    let path = inbox.sandbox.path("agent.sock");
    running.wait_for("the socket", || path.exists());
    let metadata = fs::symlink_metadata(&path).unwrap();
    assert!(metadata.file_type().is_socket());
    // While it is made, nobody at all is let in.
    running.wait_for("its mode", || {
        fs::symlink_metadata(&path).unwrap().mode() & 0o7777 == 0o660
    });
    assert!(!socket(&inbox.sandbox).exists());
    let output = status(&inbox.sandbox, "-c dwindle.toml").finish().expect_code(0);
    assert!(text(&output).contains("running"), "{output}");
    status(&inbox.sandbox, "--socket agent.sock").finish().expect_code(0);
    let output = status(&inbox.sandbox, "").finish().expect_code(75);
    assert!(output.stderr.contains("no agent answers at"), "{output}");
    stop(running);
}

#[test]
fn an_agent_that_cannot_have_the_socket_says_so_or_goes_without() {
    let inbox = Inbox::new();
    let [second, third] = ["second", "third"].map(|name| inbox.sandbox.folder(name));
    let running = inbox.watch(AT_ONCE);
    let first = json(&inbox.sandbox)["pid"].clone();
    let configured = |general: &str| {
        let text = format!("{general}\n[[watch]]\npath = \"{}\"", second.display());
        let file = inbox.sandbox.file("second.toml", text);
        Dwindle::new(&inbox.sandbox).args(["run", "-c"]).args([file])
    };
    let output = configured("").finish().expect_code(75);
    assert!(
        output.stderr.contains("another agent answers on the control socket"),
        "{output}"
    );
    assert!(output.stderr.contains("control-socket = PATH"), "{output}");
    configured("").args(["--once"]).finish().expect_code(0);
    let mut by_hand = Dwindle::new(&inbox.sandbox).args(["run"]).args([&third]).start();
    by_hand.wait_for_text("watching");
    assert_eq!(json(&inbox.sandbox)["pid"], first);
    stop(by_hand);
    let mut other = configured("control-socket = \"missing/s\"").start();
    other.wait_for_text("Going on without");
    other.wait_for_text("watching");
    stop(other);
    let mut other = configured("control-socket = \"other.sock\"").start();
    other.wait_for("its socket", || {
        status(&inbox.sandbox, "--socket other.sock").finish().status.success()
    });
    // Of two, the one that reads the file is asked.
    stop(other);
    let output = status(&inbox.sandbox, "-c dwindle.toml --json").finish().expect_code(0);
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap()["pid"], first);
    configured("");
    let output = status(&inbox.sandbox, "-c second.toml").finish().expect_code(75);
    assert!(output.stderr.contains("no agent that is configured by"), "{output}");
    stop(running);
}

#[test]
fn what_a_killed_agent_left_is_replaced() {
    let inbox = Inbox::new();
    let running = inbox.watch(AT_ONCE);
    let first = json(&inbox.sandbox)["pid"].clone();
    running.signal(Signal::KILL);
    drop(running);
    assert!(socket(&inbox.sandbox).exists());
    let output = status(&inbox.sandbox, "").finish().expect_code(75);
    assert!(output.stderr.contains("no agent answers at"), "{output}");
    let running = inbox.watch(AT_ONCE);
    assert_ne!(json(&inbox.sandbox)["pid"], first);
    stop(running);
    let file = inbox.sandbox.file(".runtime/control.sock", "no socket");
    let mut running = inbox.watch(AT_ONCE);
    running.wait_for_text("something else than a socket has its name");
    stop(running);
    assert_eq!(fs::read(file).unwrap(), b"no socket");
}

#[test]
fn no_client_hurts_the_agent_or_another_client() {
    let inbox = Inbox::new();
    let mut running = inbox.watch(AT_ONCE);
    let mut patient = connect(&inbox.sandbox);
    assert_eq!(
        ask(&mut patient, "{\"version\":1,\"request\":\"status\"}\n")["version"],
        1
    );
    let silent: Vec<_> = (0..1000).map(|_| connect(&inbox.sandbox)).collect();
    let mut endless = connect(&inbox.sandbox);
    // It may be left before it has said all.
    let _ = endless.get_mut().write_all(&vec![b'x'; 1024 * 1024]);
    let mut garbage = connect(&inbox.sandbox);
    let error = ask(&mut garbage, "\0\x01{{{\n")["error"].clone();
    assert!(
        error.as_str().is_some_and(|text| text.contains("an object of JSON")),
        "{error}"
    );
    let mut gone = connect(&inbox.sandbox);
    gone.get_mut()
        .write_all(b"{\"version\":1,\"request\":\"status\"}\n")
        .unwrap();
    drop(gone);
    let deaf = connect(&inbox.sandbox);
    deaf.get_ref().set_nonblocking(true).unwrap();
    let requests = "{\"version\":1,\"request\":\"status\"}\n".repeat(1000);
    while deaf.get_ref().write(requests.as_bytes()).is_ok() {}
    inbox.sandbox.file("inbox/F", "text");
    running.wait_for_names(&inbox.path, ["F.gz"]);
    wait_until_counted(&mut running, &inbox);
    assert_eq!(
        ask(&mut patient, "{\"version\":1,\"request\":\"status\"}\n")["status"]["counters"]["compressed"],
        1
    );
    let descriptors = fs::read_dir(format!("/proc/{}/fd", running.process_id()))
        .unwrap()
        .count();
    assert!(descriptors < 100, "{descriptors}");
    drop((silent, endless, garbage, deaf));
    stop(running).expect_compressed(1);
    assert_eq!(patient.read(&mut [0; 1]).unwrap_or(0), 0);
}

#[test]
fn without_an_agent_it_is_said_what_to_do() {
    let sandbox = Sandbox::new();
    let output = status(&sandbox, "").finish().expect_code(75);
    assert!(
        output.stderr.contains(&socket(&sandbox).display().to_string()),
        "{output}"
    );
    assert!(output.stderr.contains("systemctl status dwindle"), "{output}");
    for options in ["--json", "--watch", "--watch --json"] {
        let output = status(&sandbox, options).finish().expect_code(75);
        assert_eq!(output.stdout, b"", "{output}");
    }
    sandbox.file("broken.toml", "levle = 1");
    let output = status(&sandbox, "-c broken.toml").finish().expect_code(78);
    assert!(output.stderr.contains("unknown key `levle`"), "{output}");
}

#[test]
fn who_may_not_ask_is_told_how_to() {
    needs!(tool "setpriv");
    let inbox = Inbox::new();
    let running = inbox.watch(AT_ONCE);
    fs::set_permissions(socket(&inbox.sandbox), fs::Permissions::from_mode(0o000)).unwrap();
    let output = status(&inbox.sandbox, "").bound_by_modes().finish().expect_code(75);
    assert!(output.stderr.contains("usermod -aG dwindle"), "{output}");
    fs::set_permissions(socket(&inbox.sandbox), fs::Permissions::from_mode(0o660)).unwrap();
    stop(running);
}

#[test]
fn the_group_may_ask_and_others_may_not() {
    needs!(root);
    needs!(tool "setpriv");
    let inbox = Inbox::new();
    let sandbox = &inbox.sandbox;
    let running = inbox.watch(AT_ONCE);
    let group = fs::symlink_metadata(socket(sandbox)).unwrap().gid();
    // As systemd makes it, below.
    std::os::unix::fs::chown(sandbox.path(".runtime"), None, Some(group)).unwrap();
    fs::set_permissions(sandbox.root(), fs::Permissions::from_mode(0o755)).unwrap();
    for (groups, code) in [(group.to_string(), 0), ("4343".to_owned(), 75)] {
        let script = format!(
            "chmod 750 .runtime; cp \"$DWINDLE\" dwindle; setpriv --reuid 4242 --regid 4242 --groups {groups} ./dwindle status"
        );
        let output = Dwindle::in_shell(sandbox, &script).finish().expect_code(code);
        assert_eq!(output.stderr.contains("this user may not ask"), code != 0, "{output}");
    }
    stop(running);
}

#[test]
fn a_changed_socket_waits_for_the_next_start() {
    let inbox = Inbox::new();
    let mut running = inbox.watch(AT_ONCE);
    let configuration = fs::read_to_string(inbox.sandbox.path("dwindle.toml")).unwrap();
    inbox.sandbox.file(
        "dwindle.toml",
        format!("control-socket = \"other.sock\"\n{configuration}"),
    );
    running.signal(Signal::HUP);
    running.wait_for_text("`control-socket` has changed: that takes effect at the next start");
    running.wait_for_text("configuration read again");
    assert_eq!(json(&inbox.sandbox)["state"], "running");
    assert!(!inbox.sandbox.path("other.sock").exists());
    stop(running);
}

#[test]
fn the_files_that_a_reload_reads_are_the_ones_that_are_told() {
    let inbox = Inbox::new();
    let sandbox = &inbox.sandbox;
    let text = format!("[[watch]]\npath = \"{}\"\n{AT_ONCE}", inbox.path.display());
    let [old, new] = ["old.toml", "new.toml"].map(|name| sandbox.file(name, &text));
    let link = sandbox.path("current.toml");
    std::os::unix::fs::symlink(&old, &link).unwrap();
    let mut running = Dwindle::new(sandbox).args(["run", "-c"]).args([&link]).start();
    running.wait_for_text("watching");
    status(sandbox, "-c old.toml").finish().expect_code(0);
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&new, &link).unwrap();
    running.signal(Signal::HUP);
    running.wait_for_text("configuration read again");
    running.wait_for("the new file", || {
        let told = json(sandbox)["configured_by"].clone();
        told == new.canonicalize().unwrap().display().to_string()
    });
    for file in ["new.toml", "current.toml"] {
        status(sandbox, &format!("-c {file}")).finish().expect_code(0);
    }
    status(sandbox, "-c old.toml").finish().expect_code(75);
    stop(running);
}

#[test]
fn a_failure_is_told_no_more_when_its_file_is_gone() {
    needs!(tool "setpriv");
    let inbox = Inbox::new();
    let secret = inbox.sandbox.file("inbox/secret", "text");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    let mut running = inbox.dwindle(AT_ONCE).bound_by_modes().start();
    running.wait_for_text("watching");
    running.wait_for("a failure", || {
        json(&inbox.sandbox)["failures"][0]["path"] == secret.display().to_string()
    });
    fs::remove_file(&secret).unwrap();
    running.wait_for("the failure's end", || {
        json(&inbox.sandbox)["failures"].as_array().unwrap().is_empty()
    });
    stop(running);
}

#[test]
fn elsewhere_than_on_a_terminal_it_goes_on_in_lines_until_the_agent_stops() {
    let inbox = Inbox::new();
    let running = inbox.watch(AT_ONCE);
    let mut people = status(&inbox.sandbox, "--watch").start();
    people.wait_for_text("0 compressed, 0 skipped, 0 failed; 0 pending (0 in work, 0 queued); 0 B/s");
    let mut program = status(&inbox.sandbox, "--watch --json").start();
    program.wait_for_text("\n{");
    stop(running);
    for (watching, is_json) in [(people, false), (program, true)] {
        let output = watching.wait_exit().expect_code(75);
        assert!(output.stderr.contains("has stopped"), "{output}");
        assert!(!output.stdout.contains(&0x1b), "{output}");
        for line in text(&output).lines() {
            assert_eq!(
                serde_json::from_str::<Value>(line).is_ok_and(|value| value["pid"].is_u64()),
                is_json,
                "{line}"
            );
        }
    }
}

#[test]
fn a_pipe_that_is_closed_ends_it_well() {
    let inbox = Inbox::new();
    let running = inbox.watch(AT_ONCE);
    let script = "\"$DWINDLE\" status --watch --json 2>errors | head -1 >/dev/null; cat errors";
    let output = Dwindle::in_shell(&inbox.sandbox, script).finish().expect_code(0);
    assert_eq!(output.stdout, b"", "{output}");
    stop(running);
}
