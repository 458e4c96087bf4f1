//! Floor 1: bytes in, one gzip member (RFC 1952) out, and the way back. No paths, no files: readers and writers.
//!
//! The framing is ours and so is the digest that verification compares; an [`Engine`](engine::Engine) does the middle, block by block.

mod compress;
mod engine;
mod flate;
mod kept;
#[cfg(feature = "libdeflate")]
mod libdeflate;
mod member;
mod pipeline;
mod prove;
#[cfg(test)]
mod samples;
#[cfg(feature = "libdeflate")]
mod scan;
mod source;
mod stored;
mod unpack;
mod verify;

pub(crate) use compress::{CompressError, Packed, compress};
pub(crate) use member::{Digest, Header, length_of_mark, marked_for, stored_length};
pub(crate) use pipeline::{Alone, Help, Helpers};
pub(crate) use verify::{HoldsError, VerifyError, holds, verify};

/// How much is read at a time at most, and so how often the caller is asked whether to go on.
const STEP: usize = 256 * 1024;

/// How much is compressed at a time. What comes before a block may be unknown to its engine, which costs output, the more the smaller the
/// block; memory is a few of them.
const BLOCK: usize = 8 * STEP;
