//! The library, asked for a frame block by block, and for the proof of each.

use zstd_safe::zstd_sys::ZSTD_EndDirective::{self, ZSTD_e_end, ZSTD_e_flush};
use zstd_safe::{CCtx, CParameter, DCtx, DParameter, InBuffer, OutBuffer, ResetDirective, compress_bound};

use super::super::kept::Reusable;
use super::super::source::Block;
use crate::model::Level;

/// What is wrong, to complete "the output is wrong: …".
pub(super) type Fault = &'static str;

/// No level reaches farther back than 8 MiB, and so no reader needs more memory for that.
const WINDOW_LOG: u32 = 23;

/// What takes more is given back after each file.
const LARGE: usize = 32 << 20;

/// Makes frames of one level, one after the other, and reads along what it makes.
pub(super) struct Codec {
    compress: CCtx<'static>,
    decompress: DCtx<'static>,
}

impl Reusable for Codec {
    fn new(level: Level) -> Self {
        let mut compress = CCtx::create();
        for parameter in [
            CParameter::CompressionLevel(i32::from(level.number())),
            CParameter::ContentSizeFlag(true),
            CParameter::ChecksumFlag(true),
        ] {
            let set = compress.set_parameter(parameter);
            set.expect("every level has a place on the library's scale");
        }
        Codec {
            compress,
            decompress: decompressor(),
        }
    }

    fn is_large(&self) -> bool {
        self.compress.sizeof() + self.decompress.sizeof() > LARGE
    }
}

impl Codec {
    /// Begins a frame of so long a content; one of unknown length does not say it.
    pub(super) fn begin(&mut self, length: Option<u64>) -> Result<(), Fault> {
        let begun = self
            .compress
            .reset(ResetDirective::SessionOnly)
            .and_then(|_| self.compress.set_pledged_src_size(length));
        begun.map_err(|_| "the compressor cannot begin")?;
        let begun = self.decompress.reset(ResetDirective::SessionOnly);
        begun.map(drop).map_err(|_| "the decompressor cannot begin")
    }

    /// Compresses the frame's next block to `output`, which is empty; whole, so that a reader has all of it when it has that.
    pub(super) fn compress(&mut self, block: &Block<'_>, output: &mut Vec<u8>) -> Result<(), Fault> {
        let end: ZSTD_EndDirective = if block.last { ZSTD_e_end } else { ZSTD_e_flush };
        // With as much room as it can need the library takes one way only, whatever room there happened to be.
        output.reserve(compress_bound(block.bytes.len()));
        let mut input = InBuffer::around(block.bytes);
        loop {
            let (taken, made) = (input.pos(), output.len());
            let mut room = OutBuffer::around_pos(output, made);
            let left = self.compress.compress_stream2(&mut room, &mut input, end);
            let left = left.map_err(|_| "the compressor fails")?;
            if left == 0 && input.pos() == block.bytes.len() {
                return Ok(());
            }
            if (input.pos(), output.len()) == (taken, made) {
                return Err("the compressor makes no progress");
            }
            output.reserve(left);
        }
    }

    /// Decompresses `data`, the frame's next, into `content`, which has room for more than the block, so that too much is noticed. `data`
    /// is proven to be all of the block and, where it is the last one, to end the frame with the right checksum.
    pub(super) fn prove(&mut self, block: &Block<'_>, data: &[u8], content: &mut [u8]) -> Result<(), Fault> {
        let mut input = InBuffer::around(data);
        let mut made = 0;
        let mut is_over = false;
        while !is_over {
            let (taken, had) = (input.pos(), made);
            let mut room = OutBuffer::around_pos(content, made);
            let left = self.decompress.decompress_stream(&mut room, &mut input);
            made = room.pos();
            is_over = left.map_err(|_| "corrupt Zstandard data")? == 0;
            if (input.pos(), made) == (taken, had) {
                break;
            }
        }
        if is_over != block.last || input.pos() != data.len() {
            return Err("it ends at the wrong place");
        }
        if content.get(..made) != Some(block.bytes) {
            return Err("its content is not what was read");
        }
        Ok(())
    }
}

/// A decompressor that takes no more memory than our own outputs ask for, whoever made what it reads.
pub(super) fn decompressor() -> DCtx<'static> {
    let mut decompressor = DCtx::create();
    let set = decompressor.set_parameter(DParameter::WindowLogMax(WINDOW_LOG));
    set.expect("the library knows windows of this size");
    decompressor
}
