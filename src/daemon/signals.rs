//! SIGINT and SIGTERM, as something to await.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use async_channel::Receiver;
use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::{Handle, Signals as Arriving};

/// A request to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM: from a service manager, or `kill`.
    Terminate,
}

impl Signal {
    /// The signal's number, see signal(7).
    pub(crate) fn number(self) -> u8 {
        match self {
            Signal::Interrupt => 2,
            Signal::Terminate => 15,
        }
    }

    /// How a shell would report a process that the signal ended: 128 and its number.
    pub(crate) fn exit_code(self) -> u8 {
        128 + self.number()
    }

    fn from_raw(number: i32) -> Option<Self> {
        match number {
            SIGINT => Some(Signal::Interrupt),
            SIGTERM => Some(Signal::Terminate),
            _ => None,
        }
    }
}

/// Receives the process's SIGINT and SIGTERM from [`listen`](Self::listen) on.
///
/// Dropping it ends its thread. From then on both signals do nothing at all, so drop it last.
pub(crate) struct Signals {
    arrived: Receiver<Signal>,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Signals {
    /// Takes over both signals, with a thread that waits for them.
    ///
    /// # Errors
    ///
    /// Where the process may not open two more descriptors, or start a thread.
    pub(crate) fn listen() -> io::Result<Self> {
        // Writing beyond the limit of a file's size (RLIMIT_FSIZE) is to fail with EFBIG, which concerns one file, not to end the process.
        signal_hook::flag::register(SIGXFSZ, Arc::default())?;
        let mut arriving = Arriving::new([SIGINT, SIGTERM])?;
        let handle = arriving.handle();
        let (sender, arrived) = async_channel::bounded(8);
        let forward = move || {
            for signal in arriving.forever().filter_map(Signal::from_raw) {
                // More than the second one says nothing new.
                let _ = sender.try_send(signal);
            }
        };
        let thread = thread::Builder::new().name("signals".to_owned()).spawn(forward)?;
        Ok(Signals {
            arrived,
            handle,
            thread: Some(thread),
        })
    }

    /// The next signal. Cancel-safe: a signal that nobody awaits is kept.
    pub(crate) async fn next(&self) -> Signal {
        match self.arrived.recv().await {
            Ok(signal) => signal,
            // The thread lives as long as `self`; had it ended, no signal would ever come.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed already.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(signals: &Signals) -> Option<Signal> {
        signals.arrived.recv_blocking().ok()
    }

    // One test, since signals belong to the whole process.
    #[test]
    fn forwards_both_signals_and_ends_when_dropped() {
        let signals = Signals::listen().unwrap();
        for (raw, signal) in [(SIGTERM, Signal::Terminate), (SIGINT, Signal::Interrupt)] {
            signal_hook::low_level::raise(raw).unwrap();
            assert_eq!(next(&signals), Some(signal));
        }
        drop(signals);

        let again = Signals::listen().unwrap();
        signal_hook::low_level::raise(SIGINT).unwrap();
        assert_eq!(next(&again), Some(Signal::Interrupt));
    }

    #[test]
    fn exit_codes_are_the_shells() {
        assert_eq!(Signal::Interrupt.exit_code(), 130);
        assert_eq!(Signal::Terminate.exit_code(), 143);
        assert_eq!(i32::from(Signal::Interrupt.number()), SIGINT);
        assert_eq!(i32::from(Signal::Terminate.number()), SIGTERM);
    }
}
