//! One block, compressed and proven.

use super::super::digest::Digest;
use super::super::kept;
use super::engine::{Block, Engine, Fault};
use super::stored::{store, stored_size};

/// What a block became.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proven {
    /// Of the block.
    pub(super) content: Digest,
    /// Of its deflate data.
    pub(super) data: Digest,
}

/// The most that an engine adds to a block that is not the last when it closes it.
const CLOSING: usize = 5;

/// Compresses the block to `output`, which was empty; stores it where that is no longer. What is in `output` then has been decompressed
/// and was the block, byte for byte.
pub(super) fn compress_block(
    engine: &mut impl Engine,
    block: &Block<'_>,
    output: &mut Vec<u8>,
) -> Result<Proven, Fault> {
    // Before anything else: a bit that flips in memory later is in both of what is compared at the end, but not in this.
    let content = Digest::of(block.bytes);
    engine.deflate(block, output)?;
    let closing = if block.last { 0 } else { CLOSING };
    if output.len() + closing > stored_size(block.bytes.len()) {
        output.clear();
        store(block.bytes, block.last, output);
    }
    let mut room = kept::room();
    let room = room.of(block.bytes.len() + 1);
    let made = engine.inflate(block, content, output, room)?;
    if room.get(..made) != Some(block.bytes) {
        return Err("its content is not what was read");
    }
    Ok(Proven {
        content,
        data: Digest::of(output),
    })
}
