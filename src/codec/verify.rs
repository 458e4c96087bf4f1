//! Proof that a file holds what it should: what was written, or certain content.

use std::io::{self, Read};

use super::STEP;
use super::compress::Packed;
use super::digest::{Digest, DigestBuilder};
use super::gzip;
use super::kept::room;
use super::source::{fill, read};
use super::unpack::{Unpack, UnpackError};
#[cfg(feature = "zstd")]
use super::zstd;
use crate::model::Format;

/// Why a file was not found to be right.
#[derive(Debug)]
pub(crate) enum VerifyError<E> {
    /// It could not be read.
    Read(io::Error),
    /// It is not what was written; what is wrong with it, to complete "the output is wrong: …".
    Wrong(&'static str),
    /// `check` said to stop.
    Stopped(E),
}

/// Succeeds where `output` is what [`compress`](super::compress()) wrote, and nothing more. That this decompresses to what was read was
/// proven before it was written, so that here the compressed bytes are enough, which are few. `check` is called after each step of at
/// most 256 KiB with the number of bytes so far.
pub(crate) fn verify<E>(
    mut output: impl Read,
    written: &Packed,
    mut check: impl FnMut(u64) -> Result<(), E>,
) -> Result<(), VerifyError<E>> {
    let trailer = written.trailer();
    let mut found = DigestBuilder::default();
    let mut room = room();
    loop {
        let left = written.data.length - found.digest().length;
        let step = usize::try_from(left).map_or(STEP, |left| left.min(STEP));
        let is_last = step as u64 == left;
        // The trailer, and the byte that must not be there, come with the last step.
        let end = if is_last { trailer.len() + 1 } else { 0 };
        let bytes = room.of(step + end);
        let length = fill(&mut output, bytes).map_err(VerifyError::Read)?;
        let (data, behind) = bytes[..length].split_at(step.min(length));
        found.update(data);
        check(found.digest().length).map_err(VerifyError::Stopped)?;
        if is_last || data.len() < step {
            let is_right = found.digest() == written.data && *behind == *trailer;
            return is_right
                .then_some(())
                .ok_or(VerifyError::Wrong("it is not what was written"));
        }
    }
}

/// Why two streams could not be compared.
#[derive(Debug)]
pub(crate) enum HoldsError<E> {
    /// The output could not be read.
    Output(io::Error),
    /// The source could not be read.
    Source(io::Error),
    /// `check` said to stop.
    Stopped(E),
}

/// Whether an output may hold a content, by its ends alone: the cheap question before [`holds`]. `size` is the output's, `length` and, where
/// that is known, `digest` the content's; `read_at` fills a buffer with what is in the output from an offset on.
///
/// # Errors
///
/// Those of `read_at`, except that the output ends before the buffer is full: then it is shorter than it was said to be, and holds nothing.
pub(crate) fn may_hold(
    format: Format,
    size: u64,
    length: u64,
    digest: Option<Digest>,
    read_at: impl FnMut(&mut [u8], u64) -> io::Result<()>,
) -> io::Result<bool> {
    unless_too_short(match format {
        Format::Gzip => gzip::may_hold(size, length, digest, read_at),
        #[cfg(feature = "zstd")]
        Format::Zstd => zstd::may_hold(size, length, read_at),
    })
}

/// Whether an output of this format may begin with these bytes, of which there are eight or more.
pub(crate) fn begins_as(format: Format, head: &[u8]) -> bool {
    match format {
        Format::Gzip => head.starts_with(&gzip::MAGIC),
        #[cfg(feature = "zstd")]
        Format::Zstd => head.starts_with(&zstd::MAGIC),
    }
}

/// The original's mtime as an output of this size says it that was marked as going the way of an original of this name, see
/// [`Header::follows`](super::Header::follows); nothing where it is anything else.
///
/// # Errors
///
/// As with [`may_hold`].
pub(crate) fn mark_of(
    format: Format,
    original: &[u8],
    size: u64,
    read_at: impl FnMut(&mut [u8], u64) -> io::Result<()>,
) -> io::Result<Option<u32>> {
    let _ = size; // gzip's is at the beginning
    unless_too_short(match format {
        Format::Gzip => gzip::mark_of(original, read_at),
        #[cfg(feature = "zstd")]
        Format::Zstd => zstd::mark_of(original, size, read_at),
    })
}

/// What ends before it was said to is not what was asked for.
fn unless_too_short<T: Default>(answer: io::Result<T>) -> io::Result<T> {
    match answer {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(T::default()),
        answer => answer,
    }
}

/// Whether `output` is exactly one gzip member, or one Zstandard frame, whose content is `source`, byte for byte;
/// behind a frame our own mark may stand. Stops at the first
/// difference. `check` is called as in [`verify`].
pub(crate) fn holds<E>(
    format: Format,
    output: impl Read,
    source: impl Read,
    check: impl FnMut(u64) -> Result<(), E>,
) -> Result<bool, HoldsError<E>> {
    match format {
        Format::Gzip => is_same(gzip::Unpacker::new(output), source, check),
        #[cfg(feature = "zstd")]
        Format::Zstd => is_same(zstd::Unpacker::new(output), source, check),
    }
}

fn is_same<E>(
    mut unpacker: impl Unpack,
    mut source: impl Read,
    mut check: impl FnMut(u64) -> Result<(), E>,
) -> Result<bool, HoldsError<E>> {
    let mut room = room();
    let other = room.of(STEP);
    let mut length = 0;
    loop {
        let block = match unpacker.next_block() {
            Ok(Some(block)) => block,
            Ok(None) => break,
            Err(UnpackError::Malformed) => return Ok(false),
            Err(UnpackError::Read(error)) => return Err(HoldsError::Output(error)),
        };
        let mut rest = block;
        while !rest.is_empty() {
            let wanted = rest.len().min(other.len());
            let got = read(&mut source, &mut other[..wanted]).map_err(HoldsError::Source)?;
            let (now, later) = rest.split_at(got.min(wanted));
            if got == 0 || now != &other[..now.len()] {
                return Ok(false);
            }
            rest = later;
        }
        length += block.len() as u64;
        check(length).map_err(HoldsError::Stopped)?;
    }
    let behind = read(&mut source, other).map_err(HoldsError::Source)?;
    Ok(behind == 0)
}

#[cfg(test)]
mod tests {
    use super::super::{Alone, Header, compress};
    use super::*;
    use crate::model::Level;

    #[allow(clippy::unnecessary_wraps)] // what a check looks like
    fn go_on(_: u64) -> Result<(), ()> {
        Ok(())
    }

    fn pack(bytes: &[u8]) -> (Vec<u8>, Packed) {
        let mut member = Vec::new();
        let header = Header {
            name: b"name",
            modified: 1,
            length: None,
            follows: false,
        };
        let packed = compress(bytes, &mut member, &header, Level::default(), &Alone, go_on).unwrap();
        (member, packed)
    }

    fn text() -> Vec<u8> {
        (0..30_000u32)
            .flat_map(|line| format!("line {line} of the log\n").into_bytes())
            .collect()
    }

    /// Whether the member is found to be neither what was written nor one of that content.
    fn refused(member: &[u8], written: &Packed, content: &[u8]) -> bool {
        let wrong = matches!(verify(member, written, go_on), Err(VerifyError::Wrong(_)));
        wrong && !holds(Format::Gzip, member, content, go_on).unwrap()
    }

    #[test]
    fn every_byte_that_is_wrong_is_noticed() {
        let bytes = b"a short text, a short text, and its end".repeat(3);
        let (member, written) = pack(&bytes);
        verify(&member[..], &written, go_on).unwrap();
        for at in 0..member.len() {
            for flip in [1, 0x10, 0x80, 0xff] {
                let mut bad = member.clone();
                bad[at] ^= flip;
                let result = verify(&bad[..], &written, go_on);
                assert!(matches!(result, Err(VerifyError::Wrong(_))), "byte {at} xor {flip}");
                // A flag for text, mtime, extra flags, operating system and name carry no content; nor does all of a bit that only fills a byte.
                let says_nothing = (3..15).contains(&at);
                if !says_nothing && holds(Format::Gzip, &bad[..], &bytes[..], go_on).unwrap() {
                    assert_eq!(at, member.len() - 9, "byte {at} xor {flip}");
                }
            }
        }
    }

    #[test]
    fn a_sound_member_of_other_content_is_refused() {
        let (_, written) = pack(b"what was read");
        let (garbage, _) = pack(b"what it wrote");
        assert!(refused(&garbage, &written, b"what was read"));
        let (longer, _) = pack(&text());
        assert!(refused(&longer, &written, b"what was read"));
    }

    #[test]
    fn cut_off_doubled_or_followed_by_anything_is_refused() {
        let bytes = text();
        let (member, written) = pack(&bytes);
        let middle = member.len() / 2;
        for cut in [0, 1, 9, 10, 12, 20, middle, member.len() - 8, member.len() - 1] {
            assert!(refused(&member[..cut], &written, &bytes), "cut to {cut}");
        }
        assert!(refused(&[&member[..], b"\0"].concat(), &written, &bytes));
        assert!(refused(&[&member[..], &member[..]].concat(), &written, &bytes));
    }

    #[test]
    fn reads_every_optional_header_field() {
        let (member, _) = pack(b"text");
        let mut rich = member[..10].to_vec();
        rich[3] = EXTRA_NAME_COMMENT_CRC;
        rich.extend(b"\x03\x00abcname\0comment\0\x12\x34");
        rich.extend(&member[15..]);
        assert!(holds(Format::Gzip, &rich[..], &b"text"[..], go_on).unwrap());
    }
    const EXTRA_NAME_COMMENT_CRC: u8 = 0b1_1110;

    #[test]
    fn holds_says_whether_the_bytes_are_the_same() {
        let bytes = text();
        let (member, _) = pack(&bytes);
        let same = |source: &[u8]| holds(Format::Gzip, &member[..], source, go_on).unwrap();
        assert!(same(&bytes));
        assert!(!same(&bytes[..bytes.len() - 1]));
        assert!(!same(&[&bytes[..], b"x"].concat()));
        assert!(!same(b""));
        let mut last = bytes.clone();
        *last.last_mut().unwrap() ^= 1;
        assert!(!same(&last));
        assert!(!holds(Format::Gzip, &b"no gzip"[..], &bytes[..], go_on).unwrap());
        let (nothing, _) = pack(b"");
        assert!(holds(Format::Gzip, &nothing[..], &b""[..], go_on).unwrap());
    }

    #[test]
    fn check_stops_both() {
        let bytes = text();
        let (member, written) = pack(&bytes);
        let stop = |_| Err("enough");
        assert!(matches!(
            verify(&member[..], &written, stop),
            Err(VerifyError::Stopped("enough"))
        ));
        assert!(matches!(
            holds(Format::Gzip, &member[..], &bytes[..], stop),
            Err(HoldsError::Stopped("enough"))
        ));
    }
}
