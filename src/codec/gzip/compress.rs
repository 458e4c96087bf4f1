//! Compression of a stream into one member.

use std::io::{self, Read, Write};

use super::super::STEP;
use super::super::compress::{CompressError, Packed};
use super::super::digest::DigestBuilder;
use super::super::header::Header;
use super::super::helpers::Helpers;
use super::super::kept::{self, Lent};
use super::engine::{Best, Engine};
use super::pipeline::{Piece, Pipeline};
use crate::model::Level;

/// Compresses with the engine that the features give.
pub(in crate::codec) fn compress<E>(
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
            trailer: Some(trailer),
        })
    }
}

#[cfg(test)]
mod tests;
