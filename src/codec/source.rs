//! A reader's content in blocks, of which each knows whether it is the last.

use std::io::{self, Read};

use super::compress::CompressError;
use super::kept::{self, Lent, Room};
use super::{BLOCK, STEP};

/// Reads blocks, and a little ahead where it takes that to know whether there is another one.
pub(super) struct Blocks<R> {
    source: R,
    /// How much of what comes before a block it shall know.
    window: usize,
    /// The next block as far as it is read; none behind the last.
    next: Option<Input>,
    /// How much is read in all.
    read: u64,
}

/// A part of the content.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block<'a> {
    /// What comes before it in the content, as much as is wanted at most.
    pub(super) before: &'a [u8],
    pub(super) bytes: &'a [u8],
    pub(super) last: bool,
}

/// A block that owns its bytes.
pub(super) struct Input {
    room: Lent<Room>,
    /// How much of `room` comes before the block.
    before: usize,
    length: usize,
    last: bool,
}

impl Input {
    pub(super) fn block(&self) -> Block<'_> {
        let (before, bytes) = self.room.bytes().split_at(self.before);
        Block {
            before,
            bytes: &bytes[..self.length],
            last: self.last,
        }
    }

    /// An empty block that comes after `window`.
    fn after(window: &[u8]) -> Self {
        let mut room = kept::room();
        room.of(window.len()).copy_from_slice(window);
        Input {
            room,
            before: window.len(),
            length: 0,
            last: false,
        }
    }

    /// The next bytes to be read into: a step, or less where that fills the block.
    fn space(&mut self) -> &mut [u8] {
        let begin = self.before + self.length;
        let end = self.before + BLOCK.min(self.length + STEP);
        &mut self.room.of(end)[begin..]
    }
}

impl<R: Read> Blocks<R> {
    pub(super) fn new(source: R, window: usize) -> Self {
        Blocks {
            source,
            window,
            next: Some(Input::after(&[])),
            read: 0,
        }
    }

    /// The next block, until there is none; of an empty source one that is empty. `check` is called after each step with what is read by then.
    pub(super) fn next<E>(
        &mut self,
        check: &mut impl FnMut(u64) -> Result<(), E>,
    ) -> Result<Option<Input>, CompressError<E>> {
        let Some(mut input) = self.next.take() else {
            return Ok(None);
        };
        while input.length < BLOCK {
            if !self.step(&mut input, check)? {
                input.last = true;
                return Ok(Some(input));
            }
        }
        let bytes = input.block().bytes;
        let mut after = Input::after(&bytes[bytes.len().saturating_sub(self.window)..]);
        self.step(&mut after, check)?;
        if after.length == 0 {
            input.last = true;
        } else {
            self.next = Some(after);
        }
        Ok(Some(input))
    }

    /// Reads a step; false where the source is at its end.
    fn step<E>(
        &mut self,
        input: &mut Input,
        check: &mut impl FnMut(u64) -> Result<(), E>,
    ) -> Result<bool, CompressError<E>> {
        let space = input.space();
        let wanted = space.len();
        let length = fill(&mut self.source, space).map_err(CompressError::Read)?;
        input.length += length;
        self.read += length as u64;
        check(self.read).map_err(CompressError::Stopped)?;
        Ok(length == wanted)
    }
}

/// Reads until the buffer is full or the source at its end; how much that was.
pub(super) fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match read(source, rest)? {
            0 => break,
            length => filled += length,
        }
    }
    Ok(filled)
}

/// One read(2), again where a signal interrupted it.
pub(super) fn read(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
