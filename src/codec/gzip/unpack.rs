//! The way back: one member, a block at a time.

use std::io::Read;

use flate2::{Decompress, FlushDecompress, Status};

use super::super::STEP;
use super::super::digest::DigestBuilder;
use super::super::kept::{self, Lent, Room, buffer, room};
use super::super::source::read;
use super::super::unpack::{Unpack, UnpackError};
use super::member::{COMMENT, EXTRA, HEADER_CRC, MAGIC, NAME, RESERVED};

/// Decompresses exactly one gzip member, which must end where its input ends.
pub(in crate::codec) struct Unpacker<R> {
    input: Input<R>,
    inflate: Lent<Decompress>,
    digest: DigestBuilder,
    block: Lent<Vec<u8>>,
    stage: Stage,
}

enum Stage {
    Header,
    Blocks,
    End,
}

impl<R: Read> Unpack for Unpacker<R> {
    fn next_block(&mut self) -> Result<Option<&[u8]>, UnpackError> {
        if let Stage::Header = self.stage {
            self.skip_header()?;
            self.stage = Stage::Blocks;
        }
        self.block.clear();
        if let Stage::Blocks = self.stage {
            self.inflate_block()?;
        }
        Ok((!self.block.is_empty()).then_some(&self.block))
    }
}

impl<R: Read> Unpacker<R> {
    pub(in crate::codec) fn new(input: R) -> Self {
        Unpacker {
            input: Input::new(input),
            inflate: kept::decompress(),
            digest: DigestBuilder::default(),
            block: buffer(),
            stage: Stage::Header,
        }
    }

    fn skip_header(&mut self) -> Result<(), UnpackError> {
        let fixed = self.input.array::<10>()?;
        let flags = fixed[3];
        if !fixed.starts_with(&MAGIC) || flags & RESERVED != 0 {
            return Err(UnpackError::Malformed);
        }
        if flags & EXTRA != 0 {
            for _ in 0..u16::from_le_bytes(self.input.array()?) {
                self.input.array::<1>()?;
            }
        }
        for text in [NAME, COMMENT] {
            while flags & text != 0 && self.input.array()? != [0] {}
        }
        if flags & HEADER_CRC != 0 {
            self.input.array::<2>()?;
        }
        Ok(())
    }

    /// Fills `block`, as far as there is content.
    fn inflate_block(&mut self) -> Result<(), UnpackError> {
        while self.block.len() < STEP {
            let available = self.input.available()?;
            let (taken, made) = (self.inflate.total_in(), self.block.len());
            let status = self
                .inflate
                .decompress_vec(available, &mut self.block, FlushDecompress::None)
                .map_err(|_| UnpackError::Malformed)?;
            let consumed = self.inflate.total_in() - taken;
            self.input.consume(usize::try_from(consumed).unwrap_or(usize::MAX));
            if status == Status::StreamEnd {
                self.digest.update(&self.block);
                self.stage = Stage::End;
                return self.check_trailer();
            }
            if consumed == 0 && self.block.len() == made {
                return Err(UnpackError::Malformed);
            }
        }
        self.digest.update(&self.block);
        Ok(())
    }

    fn check_trailer(&mut self) -> Result<(), UnpackError> {
        if self.input.array()? != self.digest.digest().trailer() {
            return Err(UnpackError::Malformed);
        }
        if !self.input.available()?.is_empty() {
            return Err(UnpackError::Malformed);
        }
        Ok(())
    }
}

/// A reader and what was read of it and not yet used.
struct Input<R> {
    reader: R,
    room: Lent<Room>,
    start: usize,
    end: usize,
}

impl<R: Read> Input<R> {
    fn new(reader: R) -> Self {
        Input {
            reader,
            room: room(),
            start: 0,
            end: 0,
        }
    }

    /// Bytes not yet used; empty only at the end of the input.
    fn available(&mut self) -> Result<&[u8], UnpackError> {
        if self.start == self.end {
            self.start = 0;
            self.end = read(&mut self.reader, self.room.of(STEP)).map_err(UnpackError::Read)?;
        }
        Ok(&self.room.bytes()[self.start..self.end])
    }

    fn consume(&mut self, length: usize) {
        self.start = self.end.min(self.start.saturating_add(length));
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], UnpackError> {
        let mut bytes = [0; N];
        for byte in &mut bytes {
            let first = self.available()?.first();
            *byte = *first.ok_or(UnpackError::Malformed)?;
            self.consume(1);
        }
        Ok(bytes)
    }
}
