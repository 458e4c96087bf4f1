//! Over HTTP.

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;

use rustix::process::Signal;

use super::{WATCHES, agent, assert_counted, configure, is_done, of, stop, work};
use crate::support::metrics::{address_of, ask, connect, promtool_says_of, scrape, value};
use crate::support::{Dwindle, Inbox, Sandbox, needs};

#[test]
fn what_is_done_is_counted_for_each_watch() {
    let inbox = Inbox::new();
    let mut running = agent(&inbox, &WATCHES).start();
    let address = address_of(&mut running);
    let metrics = scrape(address);
    assert_eq!(
        value(&metrics, &of("dwindle_files_compressed_total", &inbox.path, "")),
        Some(0.0)
    );
    assert_eq!(value(&metrics, "dwindle_watches{mode=\"native\"}"), Some(1.0));
    assert_eq!(value(&metrics, "dwindle_watches{mode=\"poll\"}"), Some(1.0));
    work(&inbox);
    running.wait_for("all counts", || is_done(&scrape(address), &inbox));
    assert_counted(&scrape(address), &inbox);
    let output = stop(running);
    assert_eq!(output.report().compressed, 3, "{output}");
}

#[test]
fn each_is_given_the_format_that_it_asks_for() {
    let inbox = Inbox::new();
    let mut running = agent(&inbox, &WATCHES).start();
    let address = address_of(&mut running);
    let text = ask(address, "GET /metrics HTTP/1.1").unwrap();
    assert!(
        text.head
            .contains("content-type: text/plain; version=0.0.4; charset=utf-8"),
        "{text:?}"
    );
    assert!(
        text.body.contains("\n# TYPE dwindle_input_bytes_total counter\n"),
        "{}",
        text.body
    );

    let head = "GET /metrics HTTP/1.1\nAccept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
    let open_metrics = ask(address, head).unwrap();
    let content_type = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert!(open_metrics.head.contains(content_type), "{open_metrics:?}");
    assert!(
        open_metrics
            .body
            .contains("\n# TYPE dwindle_input_bytes counter\n# UNIT dwindle_input_bytes bytes\n")
    );
    assert!(open_metrics.body.ends_with("\n# EOF\n"), "{}", open_metrics.body);

    let without_body = ask(address, "HEAD /metrics HTTP/1.1").unwrap();
    assert_eq!(
        (without_body.status(), &*without_body.body),
        (200, ""),
        "{without_body:?}"
    );
    assert!(without_body.head.contains("content-length: "), "{without_body:?}");
    assert!(!without_body.head.contains("content-length: 0"), "{without_body:?}");

    let elsewhere = ask(address, "GET / HTTP/1.0").unwrap();
    assert_eq!(
        (elsewhere.status(), &*elsewhere.body),
        (404, "There is only /metrics here.\n")
    );
    let other_method = ask(address, "DELETE /metrics HTTP/1.1").unwrap();
    assert_eq!(other_method.status(), 405, "{other_method:?}");
    assert!(other_method.head.contains("allow: GET, HEAD"), "{other_method:?}");
    stop(running);
}

#[test]
fn promtool_finds_nothing_to_say_whatever_a_folder_is_called() {
    needs!(tool "promtool");
    let inbox = Inbox::new();
    let name = "odd \"name\" \\ of\nlines ä {}";
    let mut running = agent(&inbox, &[("inbox", ""), (name, "")]).start();
    let address = address_of(&mut running);
    work(&inbox);
    inbox.sandbox.file(format!("{name}/F"), "text");
    // As the log has it, escaped once more.
    let label = format!(
        "dwindle_files_compressed_total{{watch=\"{}/odd \\\"name\\\" \\\\\\\\ of\\\\nlines ä {{}}\"}}",
        inbox.sandbox.root().display()
    );
    running.wait_for("the count", || value(&scrape(address), &label) == Some(1.0));
    let page = inbox.sandbox.file("page", scrape(address));
    assert_eq!(promtool_says_of(&page), "");
    stop(running);
}

#[test]
fn the_other_family_of_addresses_is_as_good() {
    let inbox = Inbox::new();
    if TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    configure(&inbox, "[::1]:0", &[("inbox", "")]);
    let mut running = Dwindle::new(&inbox.sandbox).args(["run", "-c", "dwindle.toml"]).start();
    let address = address_of(&mut running);
    assert!(address.is_ipv6());
    assert!(scrape(address).contains("dwindle_build_info"));
    stop(running);
}

#[test]
fn an_address_that_cannot_be_had_ends_the_start_before_a_file_is_touched() {
    let inbox = Inbox::new();
    inbox.sandbox.file("inbox/F", "text");
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    // TEST-NET-1, which no machine has.
    for (address, what_to_do) in [
        (taken.as_str(), "another program listens there"),
        ("192.0.2.1:9713", "no interface of this machine"),
    ] {
        configure(&inbox, address, &[("inbox", "")]);
        let output = Dwindle::new(&inbox.sandbox)
            .args(["run", "-c", "dwindle.toml"])
            .finish()
            .expect_code(75);
        let sentence = format!("dwindle: cannot listen on {address} for metrics (`listen` in [metrics])");
        assert!(
            output.stderr.contains(&sentence) && output.stderr.contains(what_to_do),
            "{output}"
        );
    }
    drop(holder);
    assert_eq!(fs::read(inbox.path.join("F")).unwrap(), b"text");
}

/// Whoever asks is told at once that there is no agent any more, though the process stays for a while.
#[test]
fn while_hooks_come_to_their_ends_nobody_is_listened_to() {
    let inbox = Inbox::new();
    let hold = inbox.sandbox.file("hold", "");
    // Ended by a lost sandbox, too.
    let hook = format!(
        "on-success = [\"sh\", \"-c\", \"while [ -e {} ]; do sleep 0.05; done\"]",
        hold.display()
    );
    let mut running = agent(&inbox, &[("inbox", &hook)]).start();
    let address = address_of(&mut running);
    inbox.sandbox.file("inbox/F", "text");
    running.wait_for_names(&inbox.path, ["F.gz"]);
    running.signal(Signal::TERM);
    running.wait_for("a refusal", || {
        connect(address).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    });
    fs::remove_file(hold).unwrap();
    let output = running.wait_exit().expect_code(0);
    assert!(output.stderr.contains("hooks: 1 run"), "{output}");
}

#[test]
fn by_default_nobody_is_listened_to() {
    let inbox = Inbox::new();
    let mut running = inbox.watch("");
    running.wait_until_watched(&inbox.path);
    let process = running.process_id();
    let sockets = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let links = sockets.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    let listening: Vec<String> = fs::read_to_string(format!("/proc/{process}/net/tcp"))
        .unwrap()
        .lines()
        .filter(|line| line.split_whitespace().nth(3) == Some("0A"))
        .filter_map(|line| line.split_whitespace().nth(9).map(|inode| format!("socket:[{inode}]")))
        .collect();
    let ours: Vec<_> = links
        .filter(|link| listening.iter().any(|socket| link.as_os_str() == &**socket))
        .collect();
    assert!(ours.is_empty(), "{ours:?}");
    stop(running);
}

/// A folder that goes takes its series with it; when it comes back, its counts go on.
#[test]
fn the_series_are_those_of_the_folders_that_are_watched_now() {
    let inbox = Inbox::new();
    let mut running = agent(&inbox, &[("inbox", ""), ("other", "")]).start();
    let address = address_of(&mut running);
    let compressed = of("dwindle_files_compressed_total", &inbox.sandbox.path("other"), "");
    inbox.sandbox.file("other/a", "text");
    running.wait_for("the count", || value(&scrape(address), &compressed) == Some(1.0));

    let mut reloads = 0;
    let mut reload = |watches: &[(&str, &str)], running: &mut crate::support::run::Running| {
        configure(&inbox, "127.0.0.1:0", watches);
        running.signal(Signal::HUP);
        reloads += 1;
        running.wait_for_log("the reload", |log| {
            log.matches("configuration read again").count() == reloads
        });
    };
    reload(&[("inbox", "")], &mut running);
    assert_eq!(value(&scrape(address), &compressed), None);
    reload(&[("inbox", ""), ("other", "")], &mut running);
    assert_eq!(value(&scrape(address), &compressed), Some(1.0));
    stop(running);
}

#[test]
fn a_reload_changes_nothing_of_it_and_says_so() {
    let inbox = Inbox::new();
    let mut running = agent(&inbox, &[("inbox", "")]).start();
    let address = address_of(&mut running);
    configure(&inbox, "127.0.0.1:1", &[("inbox", "")]);
    running.signal(Signal::HUP);
    running.wait_for_text("[metrics] has changed: that takes effect at the next start");
    assert!(scrape(address).contains("dwindle_build_info"));
    stop(running);
}

#[test]
fn a_check_warns_of_an_address_that_others_reach() {
    let sandbox = Sandbox::new();
    sandbox.folder("inbox");
    sandbox.file(
        "dwindle.toml",
        "[metrics]\nlisten = \"0.0.0.0:9713\"\n[[watch]]\npath = \"inbox\"",
    );
    let output = Dwindle::new(&sandbox)
        .args(["check", "-c", "dwindle.toml"])
        .finish()
        .expect_code(0);
    assert!(output.stderr.contains("there is no authentication"), "{output}");
}
