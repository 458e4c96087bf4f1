//! The thread that serves the control socket.

use std::io::{self, ErrorKind};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender, TrySendError};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tracing::debug;

use super::claim::Socket;
use super::connection::Connection;
use super::ledger::Ledger;
use super::protocol::{Request, error_line, parse, status_line};
use crate::agent::{Agent, Snapshot};
use crate::model::Escaped;

/// So many are connected at a time; one more, and the one that has done least goes.
const MOST_CONNECTIONS: usize = 16;

/// A client that sends no whole request, or does not read its answer, for so long is left.
const PATIENCE: Duration = Duration::from_secs(10);

/// The agent's task answers in microseconds, unless something is wrong.
const PATIENCE_WITH_AGENT: Duration = Duration::from_secs(3);

/// An answer is good for so long, so that the agent's task does not hear of how often clients ask.
const FRESH: Duration = Duration::from_millis(100);

/// Where no connection can be taken for want of descriptors or memory, it is tried again after this.
const PAUSE: Duration = Duration::from_secs(1);

/// Wants a snapshot.
type Question = SyncSender<Snapshot>;

/// A control socket that is being served. Dropped, the connections are closed, and the socket is gone.
pub(crate) struct Control {
    ledger: Arc<Ledger>,
    questions: Receiver<Question>,
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Control {
    /// Serves the socket, on a thread of its own. Clients are answered while [`attend`](Self::attend) is polled.
    ///
    /// # Errors
    ///
    /// Where the process may not have two more descriptors, or one more thread.
    pub(crate) fn serve(socket: Socket, ledger: Arc<Ledger>) -> io::Result<Self> {
        Self::serve_with(socket, ledger, PATIENCE)
    }

    fn serve_with(socket: Socket, ledger: Arc<Ledger>, patience: Duration) -> io::Result<Self> {
        let (stop, stopped) = UnixStream::pair()?;
        let (ask, questions) = async_channel::bounded(1);
        debug!("control socket: {}", Escaped(socket.path()));
        let server = Server {
            socket,
            stopped,
            patience,
            responder: Responder {
                ask,
                ledger: Arc::clone(&ledger),
                last: None,
            },
            connections: Vec::with_capacity(MOST_CONNECTIONS),
            pause: None,
        };
        let thread = thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || server.run())?;
        Ok(Control {
            ledger,
            questions,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The agent has opened its folders.
    pub(crate) fn running(&self) {
        self.ledger.running();
    }

    /// The agent goes by these files from now on.
    pub(crate) fn configured_by(&self, files: &Path) {
        self.ledger.configured_by(files);
    }

    /// Lets the server know what the agent knows. Never ends by itself.
    pub(crate) async fn attend<T>(&self, agent: &Agent) -> T {
        while let Ok(question) = self.questions.recv().await {
            // Where the agent has ended, the question is dropped, which says so.
            if let Ok(snapshot) = agent.snapshot().await {
                let _ = question.try_send(snapshot);
            }
        }
        std::future::pending().await
    }

    /// The agent has ended: who asks from now on is told.
    pub(crate) fn ended(&self) {
        self.questions.close();
        while self.questions.try_recv().is_ok() {}
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // Or the thread might wait for an answer.
        self.ended();
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed already.
            let _ = thread.join();
        }
    }
}

struct Server {
    socket: Socket,
    /// Readable when it is time to end.
    stopped: UnixStream,
    patience: Duration,
    responder: Responder,
    connections: Vec<Connection>,
    /// No connection is taken until then.
    pause: Option<Instant>,
}

impl Server {
    fn run(mut self) {
        loop {
            let Ok(Happened { stop, arrived, ready }) = self.wait() else {
                thread::sleep(PAUSE);
                continue;
            };
            if stop {
                return;
            }
            let now = Instant::now();
            self.advance(&ready, now);
            if arrived {
                self.accept(now);
            }
        }
    }

    /// Sleeps until something can be done, which may be never.
    fn wait(&self) -> Result<Happened, Errno> {
        let mut waited_for = vec![PollFd::new(&self.stopped, PollFlags::IN)];
        let listens = self.pause.is_none_or(|pause| pause <= Instant::now());
        let for_arrivals = if listens { PollFlags::IN } else { PollFlags::empty() };
        waited_for.push(PollFd::new(self.socket.listener(), for_arrivals));
        for connection in &self.connections {
            waited_for.push(PollFd::new(connection, connection.waits_for()));
        }
        loop {
            let left = self
                .next_deadline()
                .map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let left = left.map(|left| Timespec::try_from(left).unwrap_or_default());
            match poll(&mut waited_for, left.as_ref()) {
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        let mut happened = waited_for.iter().map(|waited| !waited.revents().is_empty());
        Ok(Happened {
            stop: happened.next().unwrap_or_default(),
            arrived: happened.next().unwrap_or_default(),
            ready: happened.collect(),
        })
    }

    fn next_deadline(&self) -> Option<Instant> {
        if self.connections.iter().any(Connection::is_ready) {
            return Some(Instant::now());
        }
        let deadlines = self
            .connections
            .iter()
            .filter_map(|connection| connection.deadline(self.patience));
        deadlines
            .chain(self.pause.filter(|pause| *pause > Instant::now()))
            .min()
    }

    /// Goes on with the connections that can; those that are over, or too slow, are closed.
    fn advance(&mut self, ready: &[bool], now: Instant) {
        let mut ready = ready.iter();
        let (patience, responder) = (self.patience, &mut self.responder);
        self.connections.retain_mut(|connection| {
            let ready = ready.next().is_some_and(|ready| *ready) || connection.is_ready();
            if ready
                && connection
                    .advance(now, &mut |request| responder.respond(request))
                    .is_err()
            {
                return false;
            }
            connection.deadline(patience).is_none_or(|deadline| deadline > now)
        });
    }

    /// Takes the connections that have arrived, and reads what is there of each: who asks at once is answered at once, however many
    /// others come and say nothing.
    fn accept(&mut self, now: Instant) {
        self.pause = None;
        for _ in 0..MOST_CONNECTIONS {
            let stream = match self.socket.listener().accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => continue,
                Err(error) => {
                    debug!("no connection can be taken on the control socket: {error}");
                    self.pause = now.checked_add(PAUSE);
                    return;
                }
            };
            let Ok(mut connection) = Connection::new(stream, now) else {
                continue;
            };
            let responder = &mut self.responder;
            if connection
                .advance(now, &mut |request| responder.respond(request))
                .is_err()
            {
                continue;
            }
            if self.connections.len() >= MOST_CONNECTIONS {
                let worths = self.connections.iter().enumerate();
                let least = worths.min_by_key(|(_, connection)| connection.worth());
                if let Some((at, _)) = least {
                    self.connections.remove(at);
                }
            }
            self.connections.push(connection);
        }
    }
}

/// What has happened.
struct Happened {
    stop: bool,
    arrived: bool,
    /// For each connection.
    ready: Vec<bool>,
}

/// Answers requests.
struct Responder {
    ask: Sender<Question>,
    ledger: Arc<Ledger>,
    last: Option<(Instant, Arc<[u8]>)>,
}

impl Responder {
    fn respond(&mut self, request: &[u8]) -> Arc<[u8]> {
        match parse(request) {
            Ok(Request::Status) => self.status(),
            Err(error) => error_line(&error),
        }
    }

    fn status(&mut self) -> Arc<[u8]> {
        if let Some((made, line)) = &self.last
            && made.elapsed() < FRESH
        {
            return Arc::clone(line);
        }
        let line = match self.ask() {
            Ok(snapshot) => status_line(&self.ledger.status(&snapshot)),
            Err(error) => error_line(error),
        };
        self.last = Some((Instant::now(), Arc::clone(&line)));
        line
    }

    fn ask(&self) -> Result<Snapshot, &'static str> {
        const ENDED: &str = "the agent has ended, and waits for the hooks that still run";
        const SILENT: &str =
            "the agent does not answer its control socket: it hangs, or the machine has no time for it";
        let (answer, answered) = sync_channel(1);
        match self.ask.try_send(answer) {
            Ok(()) => {}
            Err(TrySendError::Closed(_)) => return Err(ENDED),
            // Not even the question before this one was taken.
            Err(TrySendError::Full(_)) => return Err(SILENT),
        }
        answered.recv_timeout(PATIENCE_WITH_AGENT).map_err(|error| match error {
            RecvTimeoutError::Timeout => SILENT,
            RecvTimeoutError::Disconnected => ENDED,
        })
    }
}

#[cfg(test)]
mod tests {
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
        let (ask, _questions) = async_channel::bounded(1);
        let mut server = Server {
            socket: Socket::claim(&folder.path().join("s")).unwrap(),
            stopped,
            patience: PATIENCE,
            responder: Responder {
                ask,
                ledger: Arc::new(Ledger::new(Path::new("a test"), 1)),
                last: None,
            },
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
}
