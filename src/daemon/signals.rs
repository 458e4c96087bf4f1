//! SIGINT, SIGTERM and SIGHUP, as something to await.

use std::fs;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use async_channel::Receiver;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::{Handle, Signals as Arriving};

/// A request to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM: from a service manager, or `kill`.
    Terminate,
    /// SIGHUP, where it is one: the terminal is gone.
    HangUp,
}

/// What SIGHUP is to mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnHangUp {
    /// Whatever it meant when the process was started; by default, its end.
    Unchanged,
    /// A request to stop; but nothing where it is ignored, as by nohup(1).
    Stop,
    /// To read the configuration again: see [`Signals::next_reload`].
    Reload,
}

impl Signal {
    /// The signal's number, see signal(7).
    pub(crate) fn number(self) -> u8 {
        match self {
            Signal::HangUp => 1,
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
            SIGHUP => Some(Signal::HangUp),
            _ => None,
        }
    }
}

/// Receives the process's signals from [`listen`](Self::listen) on.
///
/// Dropping it ends its thread. From then on they do nothing at all, so drop it last.
pub(crate) struct Signals {
    arrived: Receiver<Signal>,
    reloads: Receiver<()>,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Signals {
    /// Takes over SIGINT, SIGTERM and, as `on_hang_up` says, SIGHUP, with a thread that waits for them.
    ///
    /// # Errors
    ///
    /// Where the process may not open two more descriptors, or start a thread.
    pub(crate) fn listen(on_hang_up: OnHangUp) -> io::Result<Self> {
        // Writing beyond the limit of a file's size (RLIMIT_FSIZE) is to fail with EFBIG, which concerns one file, not to end the process.
        signal_hook::flag::register(SIGXFSZ, Arc::default())?;
        let mut taken = vec![SIGINT, SIGTERM];
        let takes_hang_up = match on_hang_up {
            OnHangUp::Unchanged => false,
            OnHangUp::Stop => !is_ignored(SIGHUP),
            OnHangUp::Reload => true,
        };
        if takes_hang_up {
            taken.push(SIGHUP);
        }
        let mut arriving = Arriving::new(taken)?;
        let handle = arriving.handle();
        let (sender, arrived) = async_channel::bounded(8);
        // One that comes before the one before it was answered asks for the same.
        let (reload, reloads) = async_channel::bounded(1);
        let forward = move || {
            for signal in arriving.forever().filter_map(Signal::from_raw) {
                if signal == Signal::HangUp && on_hang_up == OnHangUp::Reload {
                    let _ = reload.try_send(());
                } else {
                    // More than the second one says nothing new.
                    let _ = sender.try_send(signal);
                }
            }
        };
        let thread = thread::Builder::new().name("signals".to_owned()).spawn(forward)?;
        Ok(Signals {
            arrived,
            reloads,
            handle,
            thread: Some(thread),
        })
    }

    /// The next request to stop. Cancel-safe: a signal that nobody awaits is kept.
    pub(crate) async fn next(&self) -> Signal {
        next_of(&self.arrived).await
    }

    /// The next request to read the configuration again. Cancel-safe; those that come while nobody awaits one are one.
    pub(crate) async fn next_reload(&self) {
        next_of(&self.reloads).await;
    }
}

async fn next_of<T>(channel: &Receiver<T>) -> T {
    match channel.recv().await {
        Ok(signal) => signal,
        // The thread lives as long as there is somebody to await it; had it ended, no signal would ever come.
        Err(_) => std::future::pending().await,
    }
}

/// Whether whoever started the process had it ignore the signal; `SigIgn` of `proc_pid_status(5)`.
fn is_ignored(number: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (number - 1) & 1 == 1)
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
    fn forwards_signals_and_ends_when_dropped() {
        let may_hang_up = !is_ignored(SIGHUP);
        let signals = Signals::listen(OnHangUp::Stop).unwrap();
        for (raw, signal, arrives) in [
            (SIGTERM, Signal::Terminate, true),
            (SIGINT, Signal::Interrupt, true),
            (SIGHUP, Signal::HangUp, may_hang_up),
        ] {
            if !arrives {
                continue;
            }
            signal_hook::low_level::raise(raw).unwrap();
            assert_eq!(next(&signals), Some(signal));
        }
        drop(signals);

        let again = Signals::listen(OnHangUp::Reload).unwrap();
        signal_hook::low_level::raise(SIGHUP).unwrap();
        again.reloads.recv_blocking().unwrap();
        signal_hook::low_level::raise(SIGINT).unwrap();
        assert_eq!(next(&again), Some(Signal::Interrupt));
    }

    #[test]
    fn exit_codes_are_the_shells() {
        assert_eq!(Signal::Interrupt.exit_code(), 130);
        assert_eq!(Signal::Terminate.exit_code(), 143);
        assert_eq!(i32::from(Signal::HangUp.number()), SIGHUP);
        assert_eq!(i32::from(Signal::Interrupt.number()), SIGINT);
        assert_eq!(i32::from(Signal::Terminate.number()), SIGTERM);
    }
}
