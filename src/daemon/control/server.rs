//! The thread that serves the control socket.

use std::io::{self, ErrorKind};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use async_channel::Receiver;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tracing::debug;

use super::claim::Socket;
use super::connection::Connection;
use super::ledger::Ledger;
use super::responder::{Question, Responder};
use crate::agent::Agent;
use crate::model::Escaped;

/// So many are connected at a time; one more, and the one that has done least goes.
const MOST_CONNECTIONS: usize = 16;

/// A client that sends no whole request, or does not read its answer, for so long is left.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where no connection can be taken for want of descriptors or memory, it is tried again after this.
const PAUSE: Duration = Duration::from_secs(1);

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
        let (responder, questions) = Responder::new(Arc::clone(&ledger));
        debug!("control socket: {}", Escaped(socket.path()));
        let server = Server {
            socket,
            stopped,
            patience,
            responder,
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

#[cfg(test)]
mod tests;
