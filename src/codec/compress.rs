//! Compression of a stream into one member.

use std::io::{self, Read, Write};

use flate2::{Compress, FlushCompress, Status};

use super::BLOCK;
use super::kept::{self, Lent, buffer};
use super::member::{Digest, DigestBuilder, Header};
use crate::model::Level;

/// Why a compression ended early. What was written by then is worth nothing.
#[derive(Debug)]
pub(crate) enum CompressError<E> {
    /// The source could not be read.
    Read(io::Error),
    /// The output could not be written, or the deflate library failed.
    Write(io::Error),
    /// `check` said to stop.
    Stopped(E),
}

/// Reads `source` to its end and writes it to `output` as one gzip member; returns the digest of what was read.
///
/// `check` is called after each block of at most 256 KiB with the number of bytes read so far; its error stops the work. `output` gets
/// large writes only, the whole member in one where it is small. Blocks as source and output do.
pub(crate) fn compress<E>(
    mut source: impl Read,
    output: impl Write,
    header: &Header<'_>,
    level: Level,
    mut check: impl FnMut(u64) -> Result<(), E>,
) -> Result<Digest, CompressError<E>> {
    let mut writer = DeflateWriter::new(output, &header.encode(level), level);
    let mut digest = DigestBuilder::default();
    let mut block = buffer();
    block.resize(BLOCK, 0);
    loop {
        let length = fill(&mut source, &mut block).map_err(CompressError::Read)?;
        let bytes = block.get(..length).unwrap_or_default();
        let last = length < block.len();
        digest.update(bytes);
        writer.write_block(bytes, last).map_err(CompressError::Write)?;
        check(digest.length()).map_err(CompressError::Stopped)?;
        if last {
            break;
        }
    }
    let digest = digest.digest();
    writer.finish(digest).map_err(CompressError::Write)?;
    Ok(digest)
}

/// Reads until the buffer is full or the source at its end; how much that was.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
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

/// Deflates block after block. Each ends on a byte boundary, so that one which does not compress can be stored instead: at its fastest
/// the library would let it grow.
struct DeflateWriter<W> {
    output: W,
    pending: Lent<Vec<u8>>,
    deflate: Lent<(Level, Compress)>,
}

/// A stored block holds at most this many bytes (RFC 1951, section 3.2.4) and costs five more.
const STORED_MOST: usize = 0xffff;
const STORED_COST: usize = 5;

impl<W: Write> DeflateWriter<W> {
    fn new(output: W, header: &[u8], level: Level) -> Self {
        let mut pending = buffer();
        pending.extend_from_slice(header);
        DeflateWriter {
            output,
            pending,
            deflate: kept::compress(level),
        }
    }

    fn write_block(&mut self, bytes: &[u8], last: bool) -> io::Result<()> {
        let start = self.pending.len();
        let flush = if last {
            FlushCompress::Finish
        } else {
            FlushCompress::Sync
        };
        self.deflate(bytes, flush)?;
        let stored = bytes.len() + STORED_COST * bytes.len().div_ceil(STORED_MOST).max(1);
        if self.pending.len() - start > stored {
            self.pending.truncate(start);
            self.store(bytes, last);
        }
        if self.pending.len() >= BLOCK {
            self.output.write_all(&self.pending)?;
            self.pending.clear();
        }
        Ok(())
    }

    fn finish(mut self, digest: Digest) -> io::Result<()> {
        self.pending.extend(digest.trailer());
        self.output.write_all(&self.pending)?;
        self.output.flush()
    }

    fn deflate(&mut self, mut bytes: &[u8], flush: FlushCompress) -> io::Result<()> {
        loop {
            self.pending.reserve(bytes.len() + bytes.len() / 8 + 64);
            let (_, deflate) = &mut *self.deflate;
            let (taken, held) = (deflate.total_in(), self.pending.len());
            let status = deflate.compress_vec(bytes, &mut self.pending, flush)?;
            let consumed = usize::try_from(deflate.total_in() - taken).unwrap_or(usize::MAX);
            bytes = bytes.get(consumed..).unwrap_or_default();
            // Space left over means that the flush is complete (zlib.h, deflate()).
            let flushed = bytes.is_empty() && self.pending.len() < self.pending.capacity();
            if status == Status::StreamEnd || (flushed && flush == FlushCompress::Sync) {
                return Ok(());
            }
            if consumed == 0 && self.pending.len() == held {
                return Err(io::Error::other("the compressor makes no progress"));
            }
        }
    }

    fn store(&mut self, bytes: &[u8], last: bool) {
        let mut chunks = bytes.chunks(STORED_MOST).peekable();
        while let Some(chunk) = chunks.next() {
            let [low, high, ..] = chunk.len().to_le_bytes();
            let end = last && chunks.peek().is_none();
            self.pending.extend([u8::from(end), low, high, !low, !high]);
            self.pending.extend(chunk);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::verify::verify;
    use super::*;

    #[allow(clippy::unnecessary_wraps)] // what a check looks like
    fn go_on(_: u64) -> Result<(), ()> {
        Ok(())
    }

    fn level(number: u8) -> Level {
        Level::new(number).unwrap()
    }

    /// Bytes that do not compress, from a seed (xorshift64).
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend(state.to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }

    #[test]
    fn every_length_around_a_block_comes_back_at_every_level() {
        let text: Vec<u8> = b"2026-11-23 INFO started worker 17\n".repeat(20_000);
        for length in [0, 1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 7] {
            for number in 1..=9 {
                let bytes = &text[..length];
                let mut member = Vec::new();
                let digest = compress(bytes, &mut member, &Header::default(), level(number), go_on).unwrap();
                assert_eq!(digest.length, length as u64);
                assert_eq!(digest.crc32, crc32fast::hash(bytes));
                verify(&member[..], digest, go_on)
                    .unwrap_or_else(|error| panic!("level {number}, {length} bytes: {error:?}"));
            }
        }
    }

    #[test]
    fn what_does_not_compress_costs_only_stored_blocks() {
        let bytes = noise(5 * BLOCK / 2);
        for number in 1..=9 {
            let mut member = Vec::new();
            compress(&bytes[..], &mut member, &Header::default(), level(number), go_on).unwrap();
            let cost = member.len() - bytes.len();
            assert!(cost <= 18 + bytes.len() / 1000, "level {number}: {cost} bytes more");
        }
    }

    #[test]
    fn stored_and_deflated_blocks_can_follow_each_other() {
        let mut bytes = Vec::new();
        for part in 1..4 {
            bytes.extend(noise(part * 100_000));
            bytes.extend(b"a line that compresses\n".repeat(part * 5_000));
            bytes.extend_from_within(..30_000);
        }
        for number in 1..=9 {
            let mut member = Vec::new();
            let digest = compress(&bytes[..], &mut member, &Header::default(), level(number), go_on).unwrap();
            verify(&member[..], digest, go_on).unwrap_or_else(|error| panic!("level {number}: {error:?}"));
        }
    }

    #[test]
    fn check_hears_of_every_block_and_stops_the_work() {
        let mut heard = Vec::new();
        let mut member = Vec::new();
        let result = compress(
            &noise(3 * BLOCK)[..],
            &mut member,
            &Header::default(),
            level(1),
            |bytes| {
                heard.push(bytes);
                if heard.len() == 2 { Err("enough") } else { Ok(()) }
            },
        );
        assert!(matches!(result, Err(CompressError::Stopped("enough"))));
        assert_eq!(heard, [BLOCK as u64, 2 * BLOCK as u64]);
    }

    #[test]
    fn errors_say_which_side_failed() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::from_raw_os_error(5))
            }
        }
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::Error::from_raw_os_error(28))
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let header = Header::default();
        let read = compress(Broken, Vec::new(), &header, level(6), go_on);
        assert!(matches!(read, Err(CompressError::Read(_))));
        let write = compress(&b"a"[..], Broken, &header, level(6), go_on);
        assert!(matches!(write, Err(CompressError::Write(_))));
    }

    #[test]
    fn interrupted_and_short_reads_are_no_matter() {
        struct Trickle<'a>(&'a [u8], bool);
        impl Read for Trickle<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.1 = !self.1;
                if self.1 {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                let length = self.0.len().min(7).min(buffer.len());
                let (now, later) = self.0.split_at(length);
                buffer[..length].copy_from_slice(now);
                self.0 = later;
                Ok(length)
            }
        }
        let bytes = noise(1000);
        let mut member = Vec::new();
        let digest = compress(Trickle(&bytes, false), &mut member, &Header::default(), level(6), go_on).unwrap();
        verify(Trickle(&member, false), digest, go_on).unwrap();
        assert_eq!(digest.crc32, crc32fast::hash(&bytes));
    }
}
