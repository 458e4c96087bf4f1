//! The control socket: how a person or a program asks a running agent how it gets on. `docs/control-socket.md` is the contract.
//!
//! One thread serves all connections. It sleeps in poll(2), for ever while nobody is connected, and everything that a client can make it
//! keep, or wait for, has a limit.

mod claim;
mod client;
mod connection;
mod failures;
mod ledger;
mod protocol;
mod rate;
mod responder;
mod server;
mod status;

pub(crate) use claim::{Socket, Unavailable};
pub(crate) use client::{Client, Unanswered};
pub(crate) use ledger::Ledger;
pub(crate) use server::Control;
pub(crate) use status::{Counters, Failed, InWork, Mode, State, Status, WatchCondition, WatchStatus};

/// What the socket is called in the runtime directory.
pub(crate) const FILE_NAME: &str = "control.sock";
