//! What behaviour tests stand on. A test makes a [`Sandbox`], fills it from [`Data`], starts the program with [`Dwindle`], waits
//! for what must come true, and compares each `.gz` with the [`Original`] it remembers.

pub(crate) mod blocking;
pub(crate) mod clock;
pub(crate) mod data;
pub(crate) mod files;
pub(crate) mod gz;
pub(crate) mod host;
pub(crate) mod inbox;
pub(crate) mod memory;
pub(crate) mod metrics;
pub(crate) mod mounts;
pub(crate) mod notify;
pub(crate) mod programs;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod sandbox;
pub(crate) mod simulator;
pub(crate) mod skip;
pub(crate) mod source;
pub(crate) mod strace;
pub(crate) mod systemd;
pub(crate) mod tokio;
pub(crate) mod tracer;
pub(crate) mod wait;

pub(crate) use data::Data;
pub(crate) use files::{Original, names_below};
pub(crate) use gz::assert_gz_of;
pub(crate) use inbox::{Arrival, Inbox};
pub(crate) use run::Dwindle;
pub(crate) use sandbox::Sandbox;
pub(crate) use skip::needs;

// For `simulator`, which takes them from its parent: it is also part of the library's own tests.
use dwindle::Runtime;
use dwindle::runtime::BoxFuture;
