//! Floor 4: one thing of the outside world a file; none of them knows another.

#[cfg(feature = "cli")]
pub(crate) mod control;
#[cfg(feature = "cli")]
pub(crate) mod hooks;
#[cfg(feature = "cli")]
pub(crate) mod instance;
#[cfg(feature = "cli")]
pub(crate) mod logging;
#[cfg(feature = "cli")]
pub(crate) mod manager;
#[cfg(feature = "cli")]
pub(crate) mod metrics;
#[cfg(feature = "cli")]
pub(crate) mod sandbox;
#[cfg(feature = "cli")]
pub(crate) mod signals;
#[cfg(feature = "watch")]
mod watch;

#[cfg(feature = "watch")]
pub use watch::NotifyWatcher;
