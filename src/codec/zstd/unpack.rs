//! The way back: one frame, a block at a time.

use std::io::Read;

use zstd_safe::{DCtx, InBuffer, OutBuffer};

use super::super::STEP;
use super::super::kept::{Lent, Room, buffer, room};
use super::super::source::read;
use super::super::unpack::{Unpack, UnpackError};
use super::codec::decompressor;
use super::mark::is_mark;

/// Decompresses exactly one frame. One that needs a window of more than 8 MiB, which no level of ours makes, is refused as malformed.
pub(in crate::codec) struct Unpacker<R> {
    reader: R,
    decompress: DCtx<'static>,
    input: Lent<Room>,
    start: usize,
    end: usize,
    block: Lent<Vec<u8>>,
    is_over: bool,
}

impl<R: Read> Unpack for Unpacker<R> {
    fn next_block(&mut self) -> Result<Option<&[u8]>, UnpackError> {
        self.block.clear();
        while !self.is_over && self.block.is_empty() {
            self.step()?;
        }
        Ok((!self.block.is_empty()).then_some(&self.block))
    }
}

impl<R: Read> Unpacker<R> {
    pub(in crate::codec) fn new(reader: R) -> Self {
        Unpacker {
            reader,
            decompress: decompressor(),
            input: room(),
            start: 0,
            end: 0,
            block: buffer(),
            is_over: false,
        }
    }

    /// Decompresses what there is room for in `block`, which is empty.
    fn step(&mut self) -> Result<(), UnpackError> {
        let is_at_end = self.fill()? == 0;
        let mut input = InBuffer::around(&self.input.bytes()[self.start..self.end]);
        let mut output = OutBuffer::around(&mut *self.block);
        let left = self.decompress.decompress_stream(&mut output, &mut input);
        let left = left.map_err(|_| UnpackError::Malformed)?;
        self.start += input.pos();
        if left == 0 {
            self.is_over = true;
            return self.check_end();
        }
        // What is held back comes out before more is asked for.
        if is_at_end && self.block.is_empty() {
            return Err(UnpackError::Malformed);
        }
        Ok(())
    }

    /// Nothing is behind the frame but, perhaps, whose output it is.
    fn check_end(&mut self) -> Result<(), UnpackError> {
        let mut behind = Vec::new();
        while self.fill()? > 0 {
            behind.extend_from_slice(&self.input.bytes()[self.start..self.end]);
            self.start = self.end;
            if behind.len() > STEP {
                return Err(UnpackError::Malformed);
            }
        }
        if behind.is_empty() || is_mark(&behind) {
            Ok(())
        } else {
            Err(UnpackError::Malformed)
        }
    }

    /// How many bytes of the input wait to be used, after reading some where there were none; 0 only at its end.
    fn fill(&mut self) -> Result<usize, UnpackError> {
        if self.start == self.end {
            self.start = 0;
            self.end = read(&mut self.reader, self.input.of(STEP)).map_err(UnpackError::Read)?;
        }
        Ok(self.end - self.start)
    }
}
