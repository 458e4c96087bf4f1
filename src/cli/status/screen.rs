//! A terminal's other screen, and the keys pressed at it. As it was is how the terminal is left, whatever the way out.
//!
//! Four control sequences that every terminal knows (ECMA-48, and xterm's for the other screen) do not need a library with an event loop and
//! signal handlers of its own.

use std::env;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook::flag;
use signal_hook::low_level::pipe;

use crate::daemon::signals::Signal;

/// The other screen, without a cursor, and lines cut off at its edge.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
const LEAVE: &[u8] = b"\x1b[?7h\x1b[?25h\x1b[?1049l";

const ESCAPE: u8 = 0x1b;
const NO_KEY: u8 = 0;

/// The terminal, taken over. Dropped, it is as it was.
pub(super) struct Screen {
    /// How its keys worked before; none where they are not ours to read.
    keys: Option<Termios>,
    resized: UnixStream,
    interrupted: UnixStream,
    terminated: UnixStream,
    hung_up: UnixStream,
}

/// Why a wait is over.
#[derive(Debug)]
pub(super) enum Event {
    Time,
    Resized,
    /// Somebody has seen enough.
    Left,
    Signal(Signal),
}

/// Columns and lines of the terminal on standard output, where it is one and knows.
pub(super) fn size() -> Option<(usize, usize)> {
    let stdout = io::stdout();
    let size = tcgetwinsize(stdout.as_fd()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col.into(), size.ws_row.into()))
}

impl Screen {
    /// Takes the terminal over; none where standard output is no terminal that could show more than lines.
    ///
    /// # Errors
    ///
    /// When it cannot be set up.
    pub(super) fn open() -> io::Result<Option<Self>> {
        let is_plain = env::var_os("TERM").is_none_or(|name| name.is_empty() || name == "dumb");
        if is_plain || !io::stdout().is_terminal() {
            return Ok(None);
        }
        let mut screen = Screen {
            keys: None,
            resized: on_signals(&[SIGWINCH])?,
            interrupted: on_signals(&[SIGINT, SIGQUIT])?,
            terminated: on_signals(&[SIGTERM])?,
            hung_up: on_signals(&[SIGHUP])?,
        };
        // Stopped from outside, it would leave a shell with another screen, and keys that are not shown: then rather not at all.
        flag::register(SIGTSTP, Arc::default())?;
        screen.keys = take_keys();
        write(ENTER)?;
        Ok(Some(screen))
    }

    /// As it is now. A terminal that does not know has the size of old ones.
    #[allow(clippy::unused_self)] // there is none without a screen
    pub(super) fn size(&self) -> Option<(usize, usize)> {
        size().or(Some((80, 24)))
    }

    /// Puts lines in the place of those that are there, no more than there is room for, and none wider.
    ///
    /// # Errors
    ///
    /// When the terminal is gone.
    #[allow(clippy::unused_self)] // there is none without a screen
    pub(super) fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        // To the beginning; each line up to its end; then everything below.
        let lines: Vec<String> = lines.iter().map(|line| format!("{line}\x1b[K")).collect();
        write(format!("\x1b[H{}\x1b[J", lines.join("\r\n")).as_bytes())
    }

    /// Waits for a key, a signal, another size, or the moment.
    pub(super) fn wait(&mut self, until: Instant) -> Event {
        let stdin = io::stdin();
        loop {
            let pipes = [&self.resized, &self.interrupted, &self.terminated, &self.hung_up];
            let mut waited_for: Vec<_> = pipes.iter().map(|pipe| PollFd::new(*pipe, PollFlags::IN)).collect();
            if self.keys.is_some() {
                waited_for.push(PollFd::new(&stdin, PollFlags::IN));
            }
            let left = Timespec::try_from(until.saturating_duration_since(Instant::now())).unwrap_or_default();
            match poll(&mut waited_for, Some(&left)) {
                Ok(0) => return Event::Time,
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(_) => return Event::Left,
            }
            let happened: Vec<bool> = waited_for.iter().map(|waited| !waited.revents().is_empty()).collect();
            match happened[..] {
                [_, _, true, ..] => return Event::Signal(Signal::Terminate),
                [_, _, _, true, ..] => return Event::Signal(Signal::HangUp),
                [_, true, ..] => return Event::Left,
                [true, ..] => {
                    empty(&mut self.resized);
                    return Event::Resized;
                }
                _ if is_leaving() => return Event::Left,
                _ => {}
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = write(LEAVE);
        if let Some(keys) = &self.keys {
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, keys);
        }
    }
}

/// Keys come one by one from now on and are not shown. Those that would stop or end us without a way back do nothing. None where standard
/// input is no terminal.
fn take_keys() -> Option<Termios> {
    let before = tcgetattr(io::stdin()).ok()?;
    let mut keys = before.clone();
    keys.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
    keys.special_codes[SpecialCodeIndex::VMIN] = 0;
    keys.special_codes[SpecialCodeIndex::VTIME] = 0;
    for code in [SpecialCodeIndex::VSUSP, SpecialCodeIndex::VQUIT] {
        keys.special_codes[code] = NO_KEY;
    }
    tcsetattr(io::stdin(), OptionalActions::Flush, &keys).ok()?;
    Some(before)
}

/// Whether the keys that were pressed say so, or there will be none any more.
fn is_leaving() -> bool {
    let mut keys = [0; 64];
    match rustix::io::read(io::stdin(), &mut keys) {
        Ok(0) => true,
        // An escape alone is the key; with more it is one that has no letter.
        Ok(length) => {
            matches!(&keys[..length], [ESCAPE]) || keys[..length].iter().any(|key| matches!(key, b'q' | b'Q'))
        }
        Err(errno) => !matches!(errno, Errno::INTR | Errno::AGAIN),
    }
}

/// Becomes readable when one of the signals comes, which do nothing else from now on.
fn on_signals(numbers: &[i32]) -> io::Result<UnixStream> {
    let (receiver, sender) = UnixStream::pair()?;
    receiver.set_nonblocking(true)?;
    for number in numbers {
        pipe::register(*number, sender.try_clone()?)?;
    }
    Ok(receiver)
}

fn empty(stream: &mut UnixStream) {
    let mut buffer = [0; 64];
    while matches!(stream.read(&mut buffer), Ok(1..)) {}
}

fn write(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}
