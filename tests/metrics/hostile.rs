//! Those who ask for metrics and mean no good, or are only slow.

use std::collections::VecDeque;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::{agent, of, stop};
use crate::support::Inbox;
use crate::support::metrics::{address_of, ask, connect, scrape, value};
use crate::support::run::Running;

/// So many of the test's own connections are open at once: more than the agent holds, and few enough for a process that may have 1,024 files
/// open.
const AT_ONCE: usize = 200;
/// So many the agent holds, by its documentation.
const HELD: usize = 32;

#[test]
fn a_thousand_connections_hold_up_neither_a_file_nor_a_scrape() {
    let inbox = Inbox::new();
    let mut running = agent(&inbox, &[("inbox", "")]).start();
    let address = address_of(&mut running);
    let before = sockets(&running);
    let mut open = VecDeque::new();
    for turn in 0..1000 {
        if open.len() == AT_ONCE {
            open.pop_front();
        }
        open.extend(nuisance(address, turn));
    }
    inbox.sandbox.file("inbox/F", "text");
    running.wait_for_names(&inbox.path, ["F.gz"]);
    let compressed = of("dwindle_files_compressed_total", &inbox.path, "");
    running.wait_for("the count", || value(&scrape(address), &compressed) == Some(1.0));
    let held = sockets(&running) - before;
    assert!(held <= HELD, "{held} connections");
    drop(open);
    stop(running);
}

/// How many the agent has open, whatever for.
fn sockets(running: &Running) -> usize {
    let descriptors = fs::read_dir(format!("/proc/{}/fd", running.process_id())).unwrap();
    let links = descriptors.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    links
        .filter(|link| link.to_string_lossy().starts_with("socket:"))
        .count()
}

/// A connection on which something is wrong; none where the agent did not take it, or took it no longer.
fn nuisance(address: SocketAddr, turn: usize) -> Option<TcpStream> {
    let mut stream = connect(address).ok()?;
    let sent: &[u8] = match turn % 5 {
        // Silent.
        0 => b"",
        // Never done with its request.
        1 => b"GET /metrics HTTP/1.1\r\nX-Sl",
        // Never reads the answer.
        2 => b"GET /metrics HTTP/1.1\r\n\r\n",
        // No HTTP.
        3 => b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        // A body that never comes.
        _ => b"POST /metrics HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n",
    };
    stream.write_all(sent).ok()?;
    Some(stream)
}

#[test]
fn a_head_without_end_is_refused() {
    let inbox = Inbox::new();
    let mut running = agent(&inbox, &[("inbox", "")]).start();
    let address = address_of(&mut running);
    let mut stream = connect(address).unwrap();
    let line = format!("X-Header: {}\r\n", "x".repeat(1000));
    let sent = stream.write_all(b"GET /metrics HTTP/1.1\r\n");
    let sent = (0..100_000).try_fold(sent, |_, _| {
        Some(stream.write_all(line.as_bytes())).filter(Result::is_ok)
    });
    assert!(sent.is_none(), "100 MB were taken");
    // Within the bound all is well.
    let large = format!("GET /metrics HTTP/1.1\nX-Header: {}", "x".repeat(4000));
    assert_eq!(ask(address, &large).unwrap().status(), 200);
    let too_large = format!("GET /metrics HTTP/1.1\nX-Header: {}", "x".repeat(9000));
    match ask(address, &too_large) {
        Ok(answer) => assert_eq!(answer.status(), 431, "{answer:?}"),
        // What was sent and not read ends the connection with an error.
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
    stop(running);
}

#[test]
fn whoever_says_nothing_is_left() {
    let inbox = Inbox::new();
    let mut running = agent(&inbox, &[("inbox", "")]).start();
    let address = address_of(&mut running);
    let mut silent = connect(address).unwrap();
    let mut slow = connect(address).unwrap();
    slow.write_all(b"GET /metr").unwrap();
    let mut rest = Vec::new();
    assert_eq!(silent.read_to_end(&mut rest).unwrap(), 0);
    assert_eq!(slow.read_to_end(&mut rest).unwrap(), 0);
    // And what is asked in between is answered.
    assert!(scrape(address).contains("dwindle_build_info"));
    stop(running);
}

/// An agent that is told to stop does not wait for those who are connected.
#[test]
fn nobody_who_is_connected_holds_up_the_stop() {
    let inbox = Inbox::new();
    let mut running = agent(&inbox, &[("inbox", "")]).start();
    let address = address_of(&mut running);
    let _open: Vec<_> = (0..HELD).map(|turn| nuisance(address, turn)).collect();
    let report = stop(running).report();
    assert_eq!(report.compressed, 0);
}
