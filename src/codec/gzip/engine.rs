//! What is asked of a deflate library, and which one is asked.

use super::super::digest::Digest;
use super::super::kept::Reusable;
pub(super) use super::super::source::Block;

/// The engine that the features give: the faster one where it is built in.
#[cfg(feature = "libdeflate")]
pub(super) type Best = super::libdeflate::Libdeflate;
/// The engine that the features give: the faster one where it is built in.
#[cfg(not(feature = "libdeflate"))]
pub(super) type Best = super::flate::Flate;

/// An empty final block, and so the end of any stream that is at a byte boundary between two blocks.
pub(super) const END: [u8; 5] = [1, 0, 0, 0xff, 0xff];

/// What an engine finds wrong, to complete "the output is wrong: …".
pub(super) type Fault = &'static str;

/// Turns blocks into deflate data, and back for the proof that it did. The data of consecutive blocks, one behind the other, is one
/// deflate stream; that of one block depends on nothing but the block and the level.
pub(super) trait Engine: Reusable {
    /// How much of what comes before a block it wants to know.
    const WINDOW: usize;

    /// Appends the block's deflate data to `output`, which is empty. It may still end in any way that [`inflate`](Self::inflate) can mend.
    fn deflate(&mut self, block: &Block<'_>, output: &mut Vec<u8>) -> Result<(), Fault>;

    /// Decompresses `data` into `content` as a reader would, who comes to it after `block.before`; returns how much it was. Afterwards the
    /// data is proven to end on a byte boundary, between two deflate blocks, to be final exactly where the block is the last one, and to
    /// decompress to something that has the digest `expected`. `content` has room for more than the block, so that too much is noticed.
    fn inflate(
        &mut self,
        block: &Block<'_>,
        expected: Digest,
        data: &mut Vec<u8>,
        content: &mut [u8],
    ) -> Result<usize, Fault>;
}
