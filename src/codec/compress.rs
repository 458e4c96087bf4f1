//! Compression of a stream, whatever the format.

use std::io::{self, Read, Write};

use super::digest::Digest;
use super::gzip;
use super::header::Header;
use super::helpers::Helpers;
#[cfg(feature = "zstd")]
use super::zstd;
use crate::model::{Format, Level};

/// Why a compression ended early. What was written by then is worth nothing.
#[derive(Debug)]
pub(crate) enum CompressError<E> {
    /// The source could not be read.
    Read(io::Error),
    /// The output could not be written.
    Write(io::Error),
    /// The compression library failed, or what it made was not what was read: what is wrong, to complete "the output is wrong: …".
    Wrong(&'static str),
    /// The source is not as long as the header says.
    #[cfg_attr(not(feature = "zstd"), allow(dead_code))]
    Resized,
    /// `check` said to stop.
    Stopped(E),
}

/// What was compressed and what it became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packed {
    /// Of what was read.
    pub(crate) content: Digest,
    /// Of what was written before the trailer. Not of a gzip trailer too, which would hide much: the checksum of bytes followed by their
    /// own checksum is always the same.
    pub(super) data: Digest,
    pub(super) trailer: Option<[u8; 8]>,
}

impl Packed {
    /// Of the whole output, in bytes.
    pub(crate) fn length(&self) -> u64 {
        self.data.length + self.trailer().len() as u64
    }

    pub(super) fn trailer(&self) -> &[u8] {
        self.trailer.as_slice().as_flattened()
    }
}

/// Reads `source` to its end and writes it to `output`, in the format of the level: one gzip member or one Zstandard frame. Every block
/// was decompressed and compared with what had been read before it was written.
///
/// `check` is called after each step of at most 256 KiB with the number of bytes read so far; its error stops the work. `output` gets
/// large writes only, the whole of it in one where it is small. Its bytes depend on the content, the header and the level alone: not on
/// the `helpers` that a content of more than one block (2 MiB) finds, if its format can be made by several. For each thread at work a few
/// blocks are in memory, and what the library needs for the level. Blocks as source and output do.
pub(crate) fn compress<E>(
    source: impl Read,
    output: impl Write,
    header: &Header<'_>,
    level: Level,
    helpers: &dyn Helpers,
    check: impl FnMut(u64) -> Result<(), E>,
) -> Result<Packed, CompressError<E>> {
    match level.format() {
        Format::Gzip => gzip::compress(source, output, header, level, helpers, check),
        #[cfg(feature = "zstd")]
        Format::Zstd => zstd::compress(source, output, header, level, check),
    }
}
