//! Answers to requests: the agent is asked what it knows, and the ledger has the rest.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender, TrySendError};

use super::ledger::Ledger;
use super::protocol::{Request, error_line, parse, status_line};
use crate::agent::Snapshot;

/// The agent's task answers in microseconds, unless something is wrong.
const PATIENCE_WITH_AGENT: Duration = Duration::from_secs(3);

/// An answer is good for so long, so that the agent's task does not hear of how often clients ask.
const FRESH: Duration = Duration::from_millis(100);

/// Wants a snapshot.
pub(super) type Question = SyncSender<Snapshot>;

/// Answers requests.
pub(super) struct Responder {
    ask: Sender<Question>,
    ledger: Arc<Ledger>,
    last: Option<(Instant, Arc<[u8]>)>,
}

impl Responder {
    /// With the other end of its questions.
    pub(super) fn new(ledger: Arc<Ledger>) -> (Self, Receiver<Question>) {
        let (ask, questions) = async_channel::bounded(1);
        let responder = Responder {
            ask,
            ledger,
            last: None,
        };
        (responder, questions)
    }

    /// The answer, or the error, as a line. Waits for the agent, for some seconds at most.
    pub(super) fn respond(&mut self, request: &[u8]) -> Arc<[u8]> {
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
