//! A service manager's end of `sd_notify(3)`: a socket that the program is told of, and what the program says there.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use super::wait::DEADLINE;
use super::{Dwindle, Sandbox};

/// Bound, and listening until it is dropped.
pub(crate) struct Notified {
    socket: UnixDatagram,
    name: OsString,
}

impl Notified {
    /// At a path in the sandbox.
    pub(crate) fn at_path(sandbox: &Sandbox) -> Self {
        let path = sandbox.path("notify.socket");
        Notified {
            socket: UnixDatagram::bind(&path).expect("a new socket"),
            name: path.into(),
        }
    }

    /// At a name in the abstract namespace, which is as unique as the sandbox's path.
    pub(crate) fn abstract_for(sandbox: &Sandbox) -> Self {
        let mut name = OsString::from("@");
        name.push(sandbox.root());
        let address = SocketAddr::from_abstract_name(&name.as_bytes()[1..]).expect("a short name");
        Notified {
            socket: UnixDatagram::bind_addr(&address).expect("a new socket"),
            name,
        }
    }

    /// The program, to be started under this manager.
    pub(crate) fn told_by(&self, dwindle: Dwindle) -> Dwindle {
        dwindle.env("NOTIFY_SOCKET", &self.name)
    }

    /// The same under a manager that wants to hear within this time that it is alive.
    pub(crate) fn watching(&self, dwindle: Dwindle, limit: Duration) -> Dwindle {
        self.told_by(dwindle)
            .env("WATCHDOG_USEC", limit.as_micros().to_string())
    }

    /// The next message. Panics when none comes.
    pub(crate) fn next(&self) -> String {
        self.within(DEADLINE).expect("a message of the program")
    }

    /// The first message, of those that come, that the condition holds for; with those before it.
    pub(crate) fn wait_for(&self, what: &str, is_it: impl Fn(&str) -> bool) -> Vec<String> {
        let mut messages = Vec::new();
        loop {
            let message = self.within(DEADLINE);
            let message = message.unwrap_or_else(|| panic!("waiting for {what}: only {messages:#?}"));
            let found = is_it(&message);
            messages.push(message);
            if found {
                return messages;
            }
        }
    }

    /// The next message, should one come within the time.
    pub(crate) fn within(&self, time: Duration) -> Option<String> {
        let mut buffer = [0; 4096];
        self.socket.set_read_timeout(Some(time)).expect("our own socket");
        loop {
            match self.socket.recv(&mut buffer) {
                Ok(length) => return Some(String::from_utf8_lossy(&buffer[..length]).into_owned()),
                // A wait with a limit is interrupted when the process goes on after it was stopped, handlers or not (signal(7)).
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
    }

    /// Panics unless, but for what was on its way, nothing comes for that long.
    pub(crate) fn expect_silence_of(&self, time: Duration) {
        self.drain();
        let late = self.within(time);
        let next = late.as_ref().and_then(|_| self.within(time));
        assert_eq!(next, None, "after {late:?}");
    }

    /// What is there already and nobody has read.
    pub(crate) fn drain(&self) {
        while self.within(Duration::from_millis(1)).is_some() {}
    }
}
