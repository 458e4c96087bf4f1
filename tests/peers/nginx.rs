//! nginx is rotated as its documentation says: a rename, then USR1. Until its workers have heard of that they write to the renamed log.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::{Peer, assert_each_once, configure, has_bytes, lines_below, watch_as_in};
use crate::support::{Sandbox, needs};

const CLIENTS: usize = 2;

const ROTATIONS: usize = 6;

const WATCH: &str = "[[watch]]\npath = \"@FOLDER@/logs\"\npreset = \"rotated-logs\"\nsettle = \"50ms\"\n";

#[test]
fn each_request_that_nginx_answers_is_in_the_logs_once() {
    needs!(tool "nginx");
    let sandbox = Sandbox::new();
    let logs = sandbox.folder("logs");
    let config = configure(&sandbox, "nginx.conf", include_str!("nginx.conf"));
    let mut running = watch_as_in(&sandbox, &configure(&sandbox, "dwindle.toml", WATCH));
    let mut nginx = Command::new("nginx");
    nginx
        .arg("-p")
        .arg(sandbox.root())
        .arg("-c")
        .arg(config)
        .args(["-e", "error.log"]);
    let nginx = Peer::start(&mut nginx);
    let socket = sandbox.path("nginx.socket");
    running.wait_for("nginx", || UnixStream::connect(&socket).is_ok());

    let stop = AtomicBool::new(false);
    let (stop, socket) = (&stop, &socket);
    let answered: BTreeSet<String> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| scope.spawn(move || ask_until(stop, socket, client)))
            .collect();
        let _stops = StopOnDrop(stop);
        let log = logs.join("access.log");
        for rotation in 1..=ROTATIONS {
            running.wait_for("requests", || has_bytes(&log, 10_000));
            std::fs::rename(&log, logs.join(format!("access.log.{rotation}"))).unwrap();
            nginx.signal(Signal::USR1);
            if rotation % 2 == 0 {
                running.wait_for("an output", || logs.join(format!("access.log.{rotation}.gz")).exists());
            }
        }
        stop.store(true, Ordering::Relaxed);
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let (status, _) = nginx.end(Some(Signal::QUIT));
    assert!(status.success(), "{status}");
    let outputs = (1..=ROTATIONS).map(|rotation| format!("access.log.{rotation}.gz"));
    running.wait_for_names(&logs, outputs.chain(["access.log".to_owned()]));
    running.signal(Signal::TERM);
    running.wait_exit().expect_compressed(ROTATIONS);
    assert_each_once(&lines_below(&logs), answered);
}

/// So that a failing test does not wait for its clients.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// One request after the other on one connection; the paths that were asked for and answered.
fn ask_until(stop: &AtomicBool, socket: &Path, client: usize) -> Vec<String> {
    let mut connection = UnixStream::connect(socket).expect("nginx listens");
    let mut answered = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let path = format!("/{client}/{}", answered.len());
        write!(connection, "GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").expect("a connection");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut buffer = [0; 1024];
            let length = connection.read(&mut buffer).expect("a connection");
            assert!(length > 0, "the connection ended");
            answer.extend_from_slice(&buffer[..length]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 204"));
        answered.push(path);
        // What a client does with an answer.
        thread::sleep(Duration::from_micros(200));
    }
    answered
}
