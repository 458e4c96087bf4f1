//! Floor 0: plain values that every other module speaks in. No files, no clock, no async.

mod error;
mod escape;
mod fingerprint;
mod format;
mod level;
mod observe;
mod reason;
mod report;
mod surplus;

pub use error::{Class, Error, Step};
pub(crate) use escape::Escaped;
pub(crate) use fingerprint::{FileTime, Fingerprint};
pub use format::Format;
pub use level::Level;
pub use observe::{Failure, Observer, Success};
pub use reason::Reason;
pub use report::Report;
#[cfg(feature = "cli")]
pub(crate) use report::{Compressed, Size};
pub use surplus::Surplus;
