//! The way back, whatever the format.

use std::io;

/// Decompresses exactly one output, which must end where its input ends.
pub(super) trait Unpack {
    /// The next bytes of the content, a few hundred KiB at most and never none; `None` after the last, once the checksum has been found to
    /// agree with what came before it and nothing to follow it.
    fn next_block(&mut self) -> Result<Option<&[u8]>, UnpackError>;
}

/// Why an output could not be read.
#[derive(Debug)]
pub(super) enum UnpackError {
    /// The input could not be read.
    Read(io::Error),
    /// The input is not exactly one sound member or frame.
    Malformed,
}
