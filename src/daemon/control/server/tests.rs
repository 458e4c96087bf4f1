use super::*;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use tempfile::TempDir;

use crate::runtime::{Smol, block_on, race};

/// Only a failing test waits so long.
const DEADLINE: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(200);
const STATUS: &str = "{\"version\":1,\"request\":\"status\"}\n";

struct Scene {
    _folder: TempDir,
    path: PathBuf,
    control: Control,
}

impl Scene {
    fn new(patience: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let ledger = Arc::new(Ledger::new(Path::new("a test"), 1));
        let control = Control::serve_with(Socket::claim(&path).unwrap(), ledger, patience).unwrap();
        Scene {
            _folder: folder,
            path,
            control,
        }
    }

    fn connect(&self) -> BufReader<UnixStream> {
        let stream = UnixStream::connect(&self.path).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        BufReader::new(stream)
    }
}

fn ask(stream: &mut BufReader<UnixStream>, request: &str) -> String {
    stream.get_mut().write_all(request.as_bytes()).unwrap();
    next(stream)
}

fn next(stream: &mut BufReader<UnixStream>) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    line
}

/// Whether the other side ends it.
fn ends(stream: &mut BufReader<UnixStream>) -> bool {
    stream.read_to_end(&mut Vec::new()).is_ok()
}

#[test]
fn each_request_is_answered_in_turn_however_it_is_cut() {
    let scene = Scene::new(DEADLINE);
    let mut client = scene.connect();
    for _ in 0..3 {
        assert!(ask(&mut client, "garbage\n").contains("an object of JSON"));
        assert!(ask(&mut client, "{\"version\":2}\n").contains("version 2 is not known"));
    }
    // More at once than are answered at once.
    let many = "garbage\n".repeat(40);
    assert!(ask(&mut client, &many).contains("error"));
    for _ in 1..40 {
        assert!(next(&mut client).contains("error"));
    }
    for part in ["{\"ver", "sion\":", "3}"] {
        client.get_mut().write_all(part.as_bytes()).unwrap();
    }
    assert!(ask(&mut client, "\n").contains("version 3 is not known"));
    // Who has said all there is to say is answered all the same.
    client.get_mut().write_all(b"garbage\n").unwrap();
    client.get_mut().shutdown(std::net::Shutdown::Write).unwrap();
    assert!(next(&mut client).contains("error"));
    assert!(ends(&mut client));
}

#[test]
fn a_request_without_an_end_is_refused_and_not_kept() {
    let scene = Scene::new(DEADLINE);
    let mut client = scene.connect();
    let endless = vec![b'x'; 1024 * 1024];
    // It is left before it has sent all.
    let _ = client.get_mut().write_all(&endless);
    let line = client.lines().next();
    // With so much unread, the system may discard the answer.
    assert!(line.is_none_or(|line| line.is_err() || line.unwrap().contains("at most 4096 bytes")));
    let mut client = scene.connect();
    assert!(ask(&mut client, &"x".repeat(4096)).contains("at most 4096 bytes"));
    assert!(ends(&mut client));
}

#[test]
fn who_says_nothing_or_reads_nothing_is_left() {
    let scene = Scene::new(SHORT);
    let mut silent = scene.connect();
    let mut slow = scene.connect();
    slow.get_mut().write_all(b"{\"version\":1,").unwrap();
    assert!(ends(&mut silent));
    assert!(ends(&mut slow));
    // Asks for ever, and reads nothing: the answers fill what the system keeps for it.
    let mut deaf = UnixStream::connect(&scene.path).unwrap();
    deaf.set_write_timeout(Some(DEADLINE)).unwrap();
    while deaf.write_all(b"garbage\n").is_ok() {}
    assert!(ask(&mut scene.connect(), "garbage\n").contains("error"));
}

#[test]
fn of_a_thousand_silent_ones_none_stands_in_the_way() {
    let scene = Scene::new(DEADLINE);
    let mut first = scene.connect();
    assert!(ask(&mut first, "garbage\n").contains("error"));
    // Fewer at a time than the system lets wait, so that this is no test of its queue.
    let mut crowd: Vec<_> = (0..1000).map(|_| scene.connect()).collect();
    let mut last = scene.connect();
    assert!(ask(&mut last, "garbage\n").contains("error"));
    // Those that were served are the last to go.
    assert!(ask(&mut first, "garbage\n").contains("error"));
    assert!(ends(&mut crowd[0]));
}

#[test]
fn a_status_comes_from_an_agent_and_is_refused_when_that_has_ended() {
    let scene = Scene::new(DEADLINE);
    let runtime = Arc::new(Smol::new().unwrap());
    let agent = block_on(Agent::builder().runtime(runtime).start()).unwrap();
    scene.control.running();
    let answered = std::thread::scope(|scope| {
        let (done, is_done) = async_channel::bounded::<()>(1);
        let asking = scope.spawn(|| {
            let done = done;
            let mut client = scene.connect();
            let lines: Vec<_> = (0..100).map(|_| ask(&mut client, STATUS)).collect();
            drop(done);
            lines
        });
        block_on(race::<()>(vec![
            Box::pin(scene.control.attend(&agent)),
            Box::pin(async {
                let _ = is_done.recv().await;
            }),
        ]));
        asking.join().unwrap()
    });
    for line in answered {
        let answer: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (&answer["version"], &answer["status"]["state"]),
            (&1.into(), &"running".into())
        );
    }
    scene.control.ended();
    // The last answer is good for a moment.
    let mut client = scene.connect();
    let until = Instant::now() + DEADLINE;
    while !ask(&mut client, STATUS).contains("the agent has ended") {
        assert!(Instant::now() < until);
    }
}

#[test]
fn an_agent_that_hangs_is_said_to_hang_and_its_end_is_not_waited_for() {
    let scene = Scene::new(DEADLINE);
    let mut client = scene.connect();
    // Nobody attends.
    assert!(ask(&mut client, STATUS).contains("does not answer"));
    let begun = Instant::now();
    drop(scene);
    assert!(ends(&mut client));
    assert!(begun.elapsed() < DEADLINE);
}

#[test]
fn nothing_wakes_the_server_while_nobody_is_connected() {
    let folder = tempfile::tempdir().unwrap();
    let (_stop, stopped) = UnixStream::pair().unwrap();
    let (responder, _questions) = Responder::new(Arc::new(Ledger::new(Path::new("a test"), 1)));
    let mut server = Server {
        socket: Socket::claim(&folder.path().join("s")).unwrap(),
        stopped,
        patience: PATIENCE,
        responder,
        connections: Vec::new(),
        pause: None,
    };
    assert_eq!(server.next_deadline(), None);
    let (_client, stream) = UnixStream::pair().unwrap();
    server
        .connections
        .push(Connection::new(stream, Instant::now()).unwrap());
    assert!(server.next_deadline().is_some_and(|deadline| deadline > Instant::now()));
}
