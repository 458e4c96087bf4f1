//! Who asks.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::{Errno, retry_on_intr};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::protocol::{Answer, LONGEST_ANSWER, STATUS_REQUEST};

/// An agent that answers later than this does not answer.
const PATIENCE: Duration = Duration::from_secs(6);

/// A connection to an agent.
pub(crate) struct Client {
    stream: BufReader<Patient>,
    patience: Duration,
}

/// A stream that is read until a moment, and not for so long each time: who sends a byte now and then is not waited for, either.
struct Patient {
    stream: UnixStream,
    until: Instant,
}

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    /// It has ended the connection.
    #[error("it has closed the connection")]
    Closed,
    #[error("it has not answered within {} seconds", PATIENCE.as_secs())]
    TooLate,
    /// It takes connections slower than they come.
    #[error("so many others wait for it that there was no place within {} seconds", PATIENCE.as_secs())]
    Crowded,
    /// Something that is no answer.
    #[error("what answers there does not speak as dwindle does")]
    Strange,
    /// In the agent's own words.
    #[error("{0}")]
    Refused(String),
    #[error("it cannot be asked: {0}")]
    Failed(#[from] io::Error),
}

impl Client {
    /// Connects. Blocks for six seconds at most.
    ///
    /// # Errors
    ///
    /// When nobody is there, or we may not speak to whoever is, or too many others want to.
    pub(crate) fn connect(path: &Path) -> Result<Self, Unanswered> {
        Self::connect_within(path, PATIENCE)
    }

    fn connect_within(path: &Path, patience: Duration) -> Result<Self, Unanswered> {
        let address = SocketAddrUnix::new(path).map_err(io::Error::from)?;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None);
        let socket = socket.map_err(io::Error::from)?;
        // For the place in the queue, too, and for the whole request, which is short.
        set_socket_timeout(&socket, Timeout::Send, Some(patience)).map_err(io::Error::from)?;
        retry_on_intr(|| connect(&socket, &address)).map_err(|errno| match errno {
            Errno::AGAIN => Unanswered::Crowded,
            errno => Unanswered::Failed(errno.into()),
        })?;
        let stream = Patient {
            stream: UnixStream::from(socket),
            until: Instant::now(),
        };
        Ok(Client {
            stream: BufReader::new(stream),
            patience,
        })
    }

    /// Asks for the status, an object of JSON in one line, as the agent has written it. Blocks for six seconds at most, and as long again
    /// where not even the request is taken.
    ///
    /// # Errors
    ///
    /// Each of [`Unanswered`].
    pub(crate) fn ask(&mut self) -> Result<String, Unanswered> {
        let inner = self.stream.get_mut();
        inner.until = Instant::now() + self.patience;
        inner.stream.write_all(STATUS_REQUEST.as_bytes()).map_err(reason)?;
        let mut line = Vec::new();
        let mut limited = (&mut self.stream).take(LONGEST_ANSWER);
        limited.read_until(b'\n', &mut line).map_err(reason)?;
        if line.last() != Some(&b'\n') {
            return Err(if line.len() as u64 == LONGEST_ANSWER {
                Unanswered::Strange
            } else {
                Unanswered::Closed
            });
        }
        let answer: Answer<'_> = serde_json::from_slice(&line).map_err(|_| Unanswered::Strange)?;
        match answer {
            Answer {
                status: Some(status), ..
            } => Ok(status.get().to_owned()),
            Answer { error: Some(error), .. } => Err(Unanswered::Refused(error)),
            Answer { .. } => Err(Unanswered::Strange),
        }
    }
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        self.stream.read(buffer)
    }
}

fn reason(error: io::Error) -> Unanswered {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Unanswered::TooLate,
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => Unanswered::Closed,
        _ => Unanswered::Failed(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::thread;

    const SHORT: Duration = Duration::from_millis(200);

    #[test]
    fn who_answers_byte_by_byte_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let mut client = Client::connect_within(&path, SHORT).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        // Never so long silent as the client is patient.
        let dripping = thread::spawn(move || {
            while stream.write_all(b" ").is_ok() {
                thread::sleep(SHORT / 20);
            }
        });
        assert!(matches!(client.ask(), Err(Unanswered::TooLate)));
        drop(client);
        dripping.join().unwrap();
    }

    #[test]
    fn a_queue_without_a_place_is_told_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        rustix::net::listen(&listener, 1).unwrap();
        let mut waiting = Vec::new();
        let refused = loop {
            match Client::connect_within(&path, SHORT) {
                Ok(client) => waiting.push(client),
                Err(error) => break error,
            }
            assert!(waiting.len() < 1000);
        };
        assert!(matches!(refused, Unanswered::Crowded), "{refused}");
        assert!(refused.to_string().starts_with("so many others wait for it"));
    }
}
