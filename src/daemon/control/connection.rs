//! One client: what it has sent, what it is still to be sent, and how long it may take over that.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use super::protocol::{LONGEST_REQUEST, error_line};

/// A client that sends more than it is answered gives way to the others after so many answers.
const MOST_AT_ONCE: usize = 4;

/// A connection that never blocks.
pub(super) struct Connection {
    stream: UnixStream,
    /// What has come and was not answered yet, no more than a request.
    received: Vec<u8>,
    answer: Arc<[u8]>,
    /// So much of the answer is sent.
    sent: usize,
    /// Nothing more is read.
    is_last: bool,
    /// It was answered at least once.
    was_served: bool,
    /// Since when the client is waited for.
    since: Instant,
}

/// The connection is over.
#[derive(Debug)]
pub(super) struct Over;

impl Connection {
    /// # Errors
    ///
    /// When the stream cannot be made one that does not block.
    pub(super) fn new(stream: UnixStream, now: Instant) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Connection {
            stream,
            received: Vec::new(),
            answer: Arc::new([]),
            sent: 0,
            is_last: false,
            was_served: false,
            since: now,
        })
    }

    /// What has to happen before it can go on.
    pub(super) fn waits_for(&self) -> PollFlags {
        if self.is_answering() {
            PollFlags::OUT
        } else {
            PollFlags::IN
        }
    }

    /// It could go on at once.
    pub(super) fn is_ready(&self) -> bool {
        !self.is_answering() && self.end_of_request().is_some()
    }

    /// When it has to have gone on.
    pub(super) fn deadline(&self, patience: Duration) -> Option<Instant> {
        self.since.checked_add(patience)
    }

    /// Of two, the one with the smaller worth has to go when there are too many.
    pub(super) fn worth(&self) -> (bool, Instant) {
        (self.was_served, self.since)
    }

    /// Reads, has answered, and writes, until that would block; not for ever, if the client always has more.
    ///
    /// # Errors
    ///
    /// When it is over: the client has gone, or has said what cannot be answered.
    pub(super) fn advance(&mut self, now: Instant, respond: &mut dyn FnMut(&[u8]) -> Arc<[u8]>) -> Result<(), Over> {
        for _ in 0..MOST_AT_ONCE {
            if !self.send(now)? {
                return Ok(());
            }
            if self.is_last {
                return Err(Over);
            }
            while self.end_of_request().is_none() {
                if self.received.len() >= LONGEST_REQUEST {
                    self.is_last = true;
                    self.begin_answer(
                        error_line("a request has at most 4096 bytes, the line break included"),
                        now,
                    );
                    break;
                }
                if !self.receive()? {
                    return Ok(());
                }
            }
            if let Some(end) = self.end_of_request().filter(|_| !self.is_last) {
                let answer = respond(&self.received[..end]);
                self.received.drain(..=end);
                self.begin_answer(answer, now);
            }
        }
        Ok(())
    }

    fn is_answering(&self) -> bool {
        self.sent < self.answer.len()
    }

    fn end_of_request(&self) -> Option<usize> {
        self.received.iter().position(|&byte| byte == b'\n')
    }

    fn begin_answer(&mut self, answer: Arc<[u8]>, now: Instant) {
        self.answer = answer;
        self.sent = 0;
        self.since = now;
    }

    /// Whether the answer is out.
    fn send(&mut self, now: Instant) -> Result<bool, Over> {
        while self.is_answering() {
            match (&self.stream).write(&self.answer[self.sent..]) {
                Ok(0) => return Err(Over),
                Ok(length) => self.sent += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Over),
            }
        }
        if self.sent > 0 {
            // Not kept for a client that only waits.
            self.answer = Arc::new([]);
            self.sent = 0;
            self.was_served = true;
            self.since = now;
        }
        Ok(true)
    }

    /// Whether something came.
    fn receive(&mut self) -> Result<bool, Over> {
        let mut buffer = [0; LONGEST_REQUEST];
        let room = LONGEST_REQUEST.saturating_sub(self.received.len());
        match (&self.stream).read(&mut buffer[..room]) {
            Ok(0) => Err(Over),
            Ok(length) => {
                self.received.extend_from_slice(&buffer[..length]);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(true),
            Err(_) => Err(Over),
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
