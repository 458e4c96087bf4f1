//! gzip: the framing is ours, an [`Engine`](engine::Engine) does the middle, block by block, and several threads may.

mod compress;
mod engine;
mod flate;
#[cfg(feature = "libdeflate")]
mod libdeflate;
mod member;
mod pipeline;
mod prove;
#[cfg(feature = "libdeflate")]
mod scan;
mod stored;
mod unpack;

pub(super) use compress::compress;
pub(super) use member::{MAGIC, mark_of, may_hold};
pub(super) use unpack::Unpacker;
