//! Who asks.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::io::retry_on_intr;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::protocol::{Answer, LONGEST_ANSWER, STATUS_REQUEST};

/// An agent that answers later than this does not answer.
const PATIENCE: Duration = Duration::from_secs(6);

/// A connection to an agent.
pub(crate) struct Client {
    stream: BufReader<UnixStream>,
}

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    /// It has ended the connection.
    #[error("it has closed the connection")]
    Closed,
    #[error("it has not answered within {} seconds", PATIENCE.as_secs())]
    TooLate,
    /// Something that is no answer.
    #[error("what answers there does not speak as dwindle does")]
    Strange,
    /// In the agent's own words.
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Failed(#[from] io::Error),
}

impl Client {
    /// Connects. Blocks for some seconds at most.
    ///
    /// # Errors
    ///
    /// When nobody is there, or we may not speak to whoever is.
    pub(crate) fn connect(path: &Path) -> io::Result<Self> {
        let address = SocketAddrUnix::new(path)?;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        for timeout in [Timeout::Send, Timeout::Recv] {
            set_socket_timeout(&socket, timeout, Some(PATIENCE))?;
        }
        retry_on_intr(|| connect(&socket, &address))?;
        Ok(Client {
            stream: BufReader::new(UnixStream::from(socket)),
        })
    }

    /// Asks for the status, an object of JSON in one line, as the agent has written it. Blocks for some seconds at most.
    ///
    /// # Errors
    ///
    /// Each of [`Unanswered`].
    pub(crate) fn ask(&mut self) -> Result<String, Unanswered> {
        self.stream
            .get_mut()
            .write_all(STATUS_REQUEST.as_bytes())
            .map_err(reason)?;
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

fn reason(error: io::Error) -> Unanswered {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Unanswered::TooLate,
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => Unanswered::Closed,
        _ => Unanswered::Failed(error),
    }
}
