//! Compression of a stream into one member.

use std::io::{self, Read, Write};

use super::STEP;
use super::engine::{Best, Engine};
use super::kept::{self, Lent};
use super::member::{Digest, DigestBuilder, Header};
use super::pipeline::{Helpers, Piece, Pipeline};
use crate::model::Level;

/// Why a compression ended early. What was written by then is worth nothing.
#[derive(Debug)]
pub(crate) enum CompressError<E> {
    /// The source could not be read.
    Read(io::Error),
    /// The output could not be written.
    Write(io::Error),
    /// The deflate library failed, or what it made was not what was read: what is wrong, to complete "the output is wrong: …".
    Wrong(&'static str),
    /// `check` said to stop.
    Stopped(E),
}

/// What was compressed and what it became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packed {
    /// Of what was read.
    pub(crate) content: Digest,
    /// Of what was written before the trailer. Not of the trailer too, which would hide much: the checksum of bytes followed by their own
    /// checksum is always the same.
    pub(crate) data: Digest,
}

impl Packed {
    /// Of the whole member, in bytes.
    pub(crate) fn length(&self) -> u64 {
        self.data.length + self.content.trailer().len() as u64
    }
}

/// Reads `source` to its end and writes it to `output` as one gzip member. Every block was decompressed and compared with what had been
/// read before it was written.
///
/// `check` is called after each step of at most 256 KiB with the number of bytes read so far; its error stops the work. `output` gets
/// large writes only, the whole member in one where it is small. Its bytes depend on the content, the header and the level alone: not on
/// the `helpers` that a content of more than one block (2 MiB) finds. For each thread at work a few blocks are in memory. Blocks as source and
/// output do.
pub(crate) fn compress<E>(
    source: impl Read,
    output: impl Write,
    header: &Header<'_>,
    level: Level,
    helpers: &dyn Helpers,
    check: impl FnMut(u64) -> Result<(), E>,
) -> Result<Packed, CompressError<E>> {
    compress_with::<Best, E>(source, output, header, level, helpers, check)
}

/// The same with an engine of one's choice.
pub(super) fn compress_with<N: Engine, E>(
    source: impl Read,
    output: impl Write,
    header: &Header<'_>,
    level: Level,
    helpers: &dyn Helpers,
    mut check: impl FnMut(u64) -> Result<(), E>,
) -> Result<Packed, CompressError<E>> {
    let mut pipeline = Pipeline::<N, _>::new(source, level, helpers);
    let mut member = MemberWriter::new(output, &header.encode(level));
    while let Some(piece) = pipeline.next(&mut check)? {
        member.append(&piece).map_err(CompressError::Write)?;
    }
    member.finish().map_err(CompressError::Write)
}

/// Writes a member, and digests of it.
struct MemberWriter<W> {
    output: W,
    pending: Lent<Vec<u8>>,
    content: DigestBuilder,
    data: DigestBuilder,
}

impl<W: Write> MemberWriter<W> {
    fn new(output: W, header: &[u8]) -> Self {
        let mut pending = kept::buffer();
        pending.extend_from_slice(header);
        let mut data = DigestBuilder::default();
        data.update(header);
        MemberWriter {
            output,
            pending,
            content: DigestBuilder::default(),
            data,
        }
    }

    fn append(&mut self, piece: &Piece) -> io::Result<()> {
        let data = &piece.data;
        self.content.append(piece.proven.content);
        self.data.append(piece.proven.data);
        if self.pending.len() + data.len() > STEP {
            self.output.write_all(&self.pending)?;
            self.pending.clear();
        }
        if data.len() > STEP {
            return self.output.write_all(data);
        }
        self.pending.extend_from_slice(data);
        Ok(())
    }

    fn finish(mut self) -> io::Result<Packed> {
        let content = self.content.digest();
        let trailer = content.trailer();
        self.pending.extend(trailer);
        self.output.write_all(&self.pending)?;
        self.output.flush()?;
        Ok(Packed {
            content,
            data: self.data.digest(),
        })
    }
}

#[cfg(test)]
mod tests;
