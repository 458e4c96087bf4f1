//! Floor 1: bytes in, one gzip member (RFC 1952) or Zstandard frame (RFC 8878) out, and the way back. No paths, no files: readers and
//! writers.
//!
//! A folder for each format; here is what they share, and the `match` that leads to them: [`compress()`], [`holds`], [`may_hold`],
//! [`mark_of`].
//! The digest that verification compares is ours, and no compression library's.

mod compress;
mod digest;
mod gzip;
mod header;
mod helpers;
mod kept;
#[cfg(test)]
mod samples;
mod source;
mod unpack;
mod verify;
#[cfg(feature = "zstd")]
mod zstd;

pub(crate) use compress::{CompressError, Packed, compress};
pub(crate) use digest::Digest;
pub(crate) use header::Header;
pub(crate) use helpers::{Alone, Help, Helpers};
#[cfg(feature = "cli")]
pub(crate) use kept::free_kept;
pub(crate) use verify::{HoldsError, VerifyError, begins_as, holds, mark_of, may_hold, verify};

/// How much is read at a time at most, and so how often the caller is asked whether to go on.
const STEP: usize = 256 * 1024;

/// How much is compressed at a time. What comes before a block may be unknown to its engine, which costs output, the more the smaller the
/// block; memory is a few of them.
const BLOCK: usize = 8 * STEP;
