//! The engine of the core: flate2 on zlib-rs, in pure Rust. A block knows what came before it through a preset dictionary, and ends on a byte
//! boundary through a sync flush.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::super::digest::Digest;
use super::super::kept::Reusable;
use super::engine::{Block, END, Engine, Fault};
use super::stored::stored_size;
use crate::model::Level;

/// The library's level for each of ours: the fastest whose output is no larger than gzip's, as measured (docs/performance.md).
const LEVELS: [u32; 9] = [2, 3, 3, 4, 5, 7, 7, 8, 8];

pub(super) struct Flate {
    level: Compression,
    compress: Compress,
    decompress: Decompress,
}

impl Reusable for Flate {
    fn new(level: Level) -> Self {
        let level = Compression::new(LEVELS[usize::from(level.number() - 1)]);
        Flate {
            level,
            compress: Compress::new(level, false),
            decompress: Decompress::new(false),
        }
    }
}

impl Engine for Flate {
    /// As far as deflate can refer back (RFC 1951, section 2).
    const WINDOW: usize = 32 * 1024;

    fn deflate(&mut self, block: &Block<'_>, output: &mut Vec<u8>) -> Result<(), Fault> {
        if block.before.is_empty() {
            self.compress.reset();
        } else {
            // With a dictionary the library's output depends on what a used state has left behind the dictionary (zlib-rs 0.6.8).
            self.compress = Compress::new(self.level, false);
            let set = self.compress.set_dictionary(block.before);
            set.map_err(|_| "the compressor refuses its dictionary")?;
        }
        let flush = if block.last {
            FlushCompress::Finish
        } else {
            FlushCompress::Sync
        };
        loop {
            let (taken, held) = (self.compress.total_in(), output.len());
            let rest = rest(block.bytes, taken);
            output.reserve(stored_size(rest.len()) + 64);
            let status = self.compress.compress_vec(rest, output, flush);
            let status = status.map_err(|_| "the compressor fails")?;
            let all = self.compress.total_in() == block.bytes.len() as u64;
            // Space left over means that the flush is complete (zlib.h, deflate()).
            let flushed = all && output.len() < output.capacity();
            if status == Status::StreamEnd || (flushed && !block.last) {
                return Ok(());
            }
            if self.compress.total_in() == taken && output.len() == held {
                return Err("the compressor makes no progress");
            }
        }
    }

    fn inflate(
        &mut self,
        block: &Block<'_>,
        expected: Digest,
        data: &mut Vec<u8>,
        content: &mut [u8],
    ) -> Result<usize, Fault> {
        self.decompress.reset(false);
        if !block.before.is_empty() {
            let set = self.decompress.set_dictionary(block.before);
            set.map_err(|_| "the decompressor refuses its dictionary")?;
        }
        let ended = self.feed(data, content)?;
        if ended != block.last {
            return Err("it ends at the wrong place");
        }
        if !block.last && !self.feed_end(data.len(), content)? {
            return Err("a block does not end on a byte boundary");
        }
        let made = usize::try_from(self.decompress.total_out()).map_err(|_| "it is too long")?;
        if content.get(..made).map(Digest::of) != Some(expected) {
            return Err("its content is not what was read");
        }
        Ok(made)
    }
}

impl Flate {
    /// Decompresses all of `data` into `content`; whether that was the stream's end.
    fn feed(&mut self, data: &[u8], content: &mut [u8]) -> Result<bool, Fault> {
        let status = self.step(data, content)?;
        match status {
            _ if self.decompress.total_in() != data.len() as u64 => Err("it holds too much"),
            Status::StreamEnd => Ok(true),
            _ => Ok(false),
        }
    }

    /// Goes on with [`END`] after `length` bytes; whether that was the stream's end, and brought no more content.
    fn feed_end(&mut self, length: usize, content: &mut [u8]) -> Result<bool, Fault> {
        let made = self.decompress.total_out();
        let status = self.step(&END, content)?;
        let all = self.decompress.total_in() == (length + END.len()) as u64;
        Ok(status == Status::StreamEnd && all && self.decompress.total_out() == made)
    }

    fn step(&mut self, input: &[u8], content: &mut [u8]) -> Result<Status, Fault> {
        let begin = self.decompress.total_in();
        loop {
            let (taken, made) = (self.decompress.total_in(), self.decompress.total_out());
            let made_before = usize::try_from(made).unwrap_or(usize::MAX);
            let room = content.get_mut(made_before..).unwrap_or_default();
            let status = self
                .decompress
                .decompress(rest(input, taken - begin), room, FlushDecompress::None)
                .map_err(|_| "corrupt deflate data")?;
            let moved = self.decompress.total_in() > taken || self.decompress.total_out() > made;
            if status == Status::StreamEnd || !moved {
                return Ok(status);
            }
        }
    }
}

fn rest(bytes: &[u8], taken: u64) -> &[u8] {
    let taken = usize::try_from(taken).unwrap_or(usize::MAX);
    bytes.get(taken..).unwrap_or_default()
}
