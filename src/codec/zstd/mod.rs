//! Zstandard: one frame a file (RFC 8878), by the library of those who made the format. What a block means depends on all before it in its
//! frame, so one thread makes a frame, however large: the library could have several do it, but only with threads of its own.

mod codec;
mod compress;
mod frame;
mod mark;
mod unpack;

pub(super) use compress::compress;
pub(super) use frame::{MAGIC, may_hold};
pub(super) use mark::mark_of;
pub(super) use unpack::Unpacker;

#[cfg(test)]
mod tests;
