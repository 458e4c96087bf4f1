//! Floor 1: bytes in, one gzip member (RFC 1952) out, and the way back. No paths, no files: readers and writers.
//!
//! The framing is ours and so is the digest that verification compares; the deflate library does the middle.

mod compress;
mod kept;
mod member;
mod unpack;
mod verify;

pub(crate) use compress::{CompressError, compress};
pub(crate) use member::{Digest, Header, stored_length};
pub(crate) use verify::{HoldsError, VerifyError, holds, verify};

/// How much is read at a time at most, and so how often the caller is asked whether to go on.
const BLOCK: usize = 256 * 1024;
