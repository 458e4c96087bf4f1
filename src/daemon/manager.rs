//! The service manager: what it is told, and how often it wants to hear that we are alive. The protocol is that of `sd_notify(3)`, which
//! systemd and others speak: a datagram of lines `NAME=value` to the socket that the variable `NOTIFY_SOCKET` names.
//!
//! Our own lines of code, since the crate for it cannot reach a socket in the abstract namespace, and waits for a manager that is stuck
//! without a limit.

use std::env;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A manager that takes nothing for so long is given up on, for this once.
const PATIENCE: Duration = Duration::from_secs(5);

/// A longer status helps nobody, and the datagram has to fit.
const LONGEST_STATUS: usize = 1024;

/// A service manager that has asked to be told.
#[derive(Debug)]
pub(crate) struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
    watchdog: Option<Duration>,
}

/// What it may be told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Word<'a> {
    /// Started, or done with reading the configuration again.
    Ready,
    /// The configuration is being read again.
    Reloading,
    Stopping,
    /// For people: one line.
    Status(&'a str),
    /// Where this is not said in time, the process is ended and started anew.
    Alive,
}

impl Manager {
    /// The manager that the environment names; none where nobody asks.
    ///
    /// # Errors
    ///
    /// Where there is one that cannot be spoken to.
    pub(crate) fn from_environment() -> io::Result<Option<Self>> {
        let Some(name) = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Ok(None);
        };
        let watchdog = watchdog(
            env::var("WATCHDOG_USEC").ok().as_deref(),
            env::var("WATCHDOG_PID").ok().as_deref(),
        );
        Manager::new(&name, watchdog).map(Some)
    }

    /// A manager at the socket of this name: a path, or `@` and a name in the abstract namespace (unix(7)).
    ///
    /// # Errors
    ///
    /// When the name is neither, is too long, or no socket can be had.
    pub(crate) fn new(name: &OsStr, watchdog: Option<Duration>) -> io::Result<Self> {
        let address = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
            [b'/', ..] => SocketAddr::from_pathname(name),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "NOTIFY_SOCKET is neither a path nor an abstract name",
            )),
        }?;
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Manager {
            socket,
            address,
            watchdog,
        })
    }

    /// Within this time it wants to hear [`Word::Alive`]; none where it does not care.
    pub(crate) fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Tells it, all in one message. Blocks for some seconds at most, where the manager is slow to listen.
    ///
    /// # Errors
    ///
    /// When the message could not be delivered: the manager is gone, or stuck.
    pub(crate) fn tell(&self, words: &[Word<'_>]) -> io::Result<()> {
        let message = message(words);
        self.socket.send_to_addr(message.as_bytes(), &self.address).map(drop)
    }
}

fn message(words: &[Word<'_>]) -> String {
    let mut message = String::new();
    for word in words {
        match word {
            Word::Ready => message.push_str("READY=1\n"),
            Word::Reloading => {
                // By this the manager tells this reload from an earlier one.
                let now = clock_gettime(ClockId::Monotonic);
                let microseconds = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
                let _ = writeln!(message, "RELOADING=1\nMONOTONIC_USEC={microseconds}");
            }
            Word::Stopping => message.push_str("STOPPING=1\n"),
            Word::Status(text) => {
                // A line break would end the value, and what follows be taken for another.
                let line = |character: char| if character.is_control() { ' ' } else { character };
                let line: String = text.chars().take(LONGEST_STATUS).map(line).collect();
                let _ = writeln!(message, "STATUS={line}");
            }
            Word::Alive => message.push_str("WATCHDOG=1\n"),
        }
    }
    message
}

/// `sd_watchdog_enabled(3)`: what is meant for another process is not for us.
fn watchdog(microseconds: Option<&str>, process: Option<&str>) -> Option<Duration> {
    let is_ours = process.is_none_or(|process| process.parse() == Ok(process::id()));
    let microseconds = microseconds.filter(|_| is_ours)?.parse().ok()?;
    (microseconds > 0).then(|| Duration::from_micros(microseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_line_that_nothing_can_follow() {
        let words = [Word::Ready, Word::Status("a\nWATCHDOG=trigger\r\u{1b}b"), Word::Alive];
        assert_eq!(message(&words), "READY=1\nSTATUS=a WATCHDOG=trigger  b\nWATCHDOG=1\n");
        let long = "é".repeat(5000);
        assert_eq!(
            message(&[Word::Status(&long)]).chars().count(),
            LONGEST_STATUS + "STATUS=\n".len()
        );
    }

    #[test]
    fn a_reload_says_when_it_began() {
        let text = message(&[Word::Reloading]);
        let (name, microseconds) = text.trim_end().rsplit_once('=').unwrap();
        assert_eq!(name, "RELOADING=1\nMONOTONIC_USEC");
        assert!(microseconds.parse::<u64>().unwrap() > 0);
    }

    #[test]
    fn the_watchdog_is_ours_or_nobodys() {
        let own = process::id().to_string();
        let minute = Some(Duration::from_secs(60));
        for (microseconds, process, expected) in [
            (Some("60000000"), Some(own.as_str()), minute),
            (Some("60000000"), None, minute),
            (Some("60000000"), Some("1"), None),
            (Some("0"), None, None),
            (Some("soon"), None, None),
            (None, Some(own.as_str()), None),
        ] {
            assert_eq!(
                watchdog(microseconds, process),
                expected,
                "{microseconds:?} {process:?}"
            );
        }
    }

    #[test]
    fn a_name_that_is_no_socket_is_refused_and_a_manager_that_is_gone_is_an_error() {
        let long = format!("/{}", "x".repeat(200));
        for name in ["vsock:2:1234", "relative", &long] {
            assert!(Manager::new(OsStr::new(name), None).is_err(), "{name}");
        }
        let manager = Manager::new(OsStr::new("@dwindle/nobody/listens/here"), None).unwrap();
        assert!(manager.tell(&[Word::Ready]).is_err());
    }
}
