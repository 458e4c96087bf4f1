//! curl writes to the name it is told from the first byte on. The server sends half and waits until it is told to send the rest.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use rustix::process::Signal;

use super::{
    Peer, SETTLE, assert_contents, expect_one_output_beside_the_later_one, has_bytes, inbox_and_file, run,
    wait_for_a_later_file,
};
use crate::support::wait::{DEADLINE, poll};
use crate::support::{names_below, needs};

#[test]
fn a_download_that_stalls_is_compressed_once_and_whole() {
    needs!(tool "curl");
    let (inbox, _, content) = inbox_and_file(430);
    let server = Server::start(&content);
    let mut running = inbox.watch(SETTLE);
    let target = inbox.path.join("F");
    let curl = Peer::start(&mut server.curl(&target, &[]));
    wait_for_half(&target, &content);
    wait_for_a_later_file(&mut running, &inbox.path, "later");
    assert_eq!(names_below(&inbox.path), ["F", "later.gz"]);
    server.send_the_rest();
    assert!(curl.end(None).0.success());
    expect_one_output_beside_the_later_one(running, &inbox, &content);
}

#[test]
fn a_download_that_was_interrupted_is_taken_up_under_a_name_in_progress_and_compressed_once() {
    needs!(tool "curl");
    let (inbox, _, content) = inbox_and_file(431);
    let server = Server::start(&content);
    let mut running = inbox.watch(SETTLE);
    let part = inbox.path.join("F.part");
    let curl = Peer::start(&mut server.curl(&part, &[]));
    wait_for_half(&part, &content);
    curl.end(Some(Signal::INT));
    wait_for_a_later_file(&mut running, &inbox.path, "later");
    assert_eq!(names_below(&inbox.path), ["F.part", "later.gz"]);
    server.send_the_rest();
    run(&mut server.curl(&part, &["-C", "-"]));
    assert_eq!(server.last_offset(), content.len() / 2);
    fs::rename(&part, inbox.path.join("F")).unwrap();
    expect_one_output_beside_the_later_one(running, &inbox, &content);
}

/// Nothing tells a part that nobody writes to any more from a whole. What curl would go on with is gone, so it begins anew.
#[test]
fn a_download_that_was_interrupted_is_taken_as_it_stands_and_the_whole_gets_a_number() {
    needs!(tool "curl");
    let (inbox, _, content) = inbox_and_file(432);
    let server = Server::start(&content);
    let mut running = inbox.watch(SETTLE);
    let target = inbox.path.join("F");
    let curl = Peer::start(&mut server.curl(&target, &[]));
    wait_for_half(&target, &content);
    curl.end(Some(Signal::INT));
    running.wait_for_names(&inbox.path, ["F.gz"]);
    server.send_the_rest();
    run(&mut server.curl(&target, &["-C", "-"]));
    assert_eq!(server.last_offset(), 0);
    running.wait_for_names(&inbox.path, ["F.gz", "F.~1~.gz"]);
    running.signal(Signal::TERM);
    running.wait_exit().expect_compressed(2);
    let half = &content[..content.len() / 2];
    assert_contents(&inbox.path, &[("F.gz", half), ("F.~1~.gz", &content)]);
}

fn wait_for_half(path: &Path, content: &[u8]) {
    let half = (content.len() / 2) as u64;
    let there = poll(DEADLINE, || has_bytes(path, half).then_some(()));
    assert!(there.is_some(), "no half of {}", path.display());
}

/// Serves one content, by HTTP/1.1 with ranges (RFC 9110, 14.2). It ends with the test's process.
struct Server {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Until then each answer waits in its middle.
    goes_on: Mutex<bool>,
    told: Condvar,
    /// From which byte on it was asked last.
    offset: Mutex<usize>,
}

impl Server {
    fn start(content: &[u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let state = Arc::new(State::default());
        let (shared, content) = (Arc::clone(&state), content.to_vec());
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                // A client that is gone is what some tests are about.
                let _ = answer(&connection, &content, &shared);
            }
        });
        Server { address, state }
    }

    fn send_the_rest(&self) {
        *self.state.goes_on.lock().expect("no panic") = true;
        self.state.told.notify_all();
    }

    fn last_offset(&self) -> usize {
        *self.state.offset.lock().expect("no panic")
    }

    fn curl(&self, target: &Path, options: &[&str]) -> Command {
        let mut curl = Command::new("curl");
        // -N: what has come is written at once.
        curl.args(["-sSfN", "--max-time", "100"])
            .args(options)
            .arg("-o")
            .arg(target);
        curl.arg(format!("http://{}/F", self.address));
        curl
    }
}

fn answer(mut connection: &TcpStream, content: &[u8], state: &State) -> io::Result<()> {
    let mut offset = 0;
    for line in BufReader::new(connection).lines() {
        let line = line?.to_ascii_lowercase();
        if let Some(range) = line.strip_prefix("range: bytes=") {
            offset = range.trim_end_matches('-').parse().expect("a range to the end");
        }
        if line.is_empty() {
            break;
        }
    }
    *state.offset.lock().expect("no panic") = offset;
    let (length, end) = (content.len(), content.len() - 1);
    let status = if offset == 0 { "200 OK" } else { "206 Partial Content" };
    write!(
        connection,
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nContent-Range: bytes {offset}-{end}/{length}\r\nConnection: close\r\n\r\n",
        length - offset
    )?;
    let half = (length / 2).max(offset);
    connection.write_all(&content[offset..half])?;
    let waiting = state.goes_on.lock().expect("no panic");
    drop(state.told.wait_while(waiting, |goes_on| !*goes_on).expect("no panic"));
    connection.write_all(&content[half..])
}
