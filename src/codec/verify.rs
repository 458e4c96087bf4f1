//! Proof that a member holds what it should: against a digest, or against the bytes themselves.

use std::io::{self, Read};

use super::BLOCK;
use super::compress::read;
use super::kept::buffer;
use super::member::Digest;
use super::unpack::{UnpackError, Unpacker};

/// Why a member was not found to be right.
#[derive(Debug)]
pub(crate) enum VerifyError<E> {
    /// It could not be read.
    Read(io::Error),
    /// It is not one sound member of the expected content; what is wrong with it, to complete "the output is wrong: …".
    Wrong(&'static str),
    /// `check` said to stop.
    Stopped(E),
}

/// Decompresses `member` and succeeds where it is exactly one gzip member, with nothing behind it, whose content has the digest
/// `expected`. `check` is called as in [`compress`](super::compress()), with the number of decompressed bytes.
pub(crate) fn verify<E>(
    member: impl Read,
    expected: Digest,
    mut check: impl FnMut(u64) -> Result<(), E>,
) -> Result<(), VerifyError<E>> {
    let mut unpacker = Unpacker::new(member);
    let mut length = 0;
    while let Some(block) = unpacker.next_block().map_err(|error| match error {
        UnpackError::Read(error) => VerifyError::Read(error),
        UnpackError::Malformed(what) => VerifyError::Wrong(what),
    })? {
        length += block.len() as u64;
        if length > expected.length {
            break;
        }
        check(length).map_err(VerifyError::Stopped)?;
    }
    if unpacker.digest() == expected {
        Ok(())
    } else {
        Err(VerifyError::Wrong("its content is not what was read"))
    }
}

/// Why two streams could not be compared.
#[derive(Debug)]
pub(crate) enum HoldsError<E> {
    /// The gzip file could not be read.
    Gzip(io::Error),
    /// The source could not be read.
    Source(io::Error),
    /// `check` said to stop.
    Stopped(E),
}

/// Whether `gzip` is exactly one gzip member whose content is `source`, byte for byte. Stops at the first difference.
/// `check` is called as in [`verify`].
pub(crate) fn holds<E>(
    gzip: impl Read,
    mut source: impl Read,
    mut check: impl FnMut(u64) -> Result<(), E>,
) -> Result<bool, HoldsError<E>> {
    let mut unpacker = Unpacker::new(gzip);
    let mut other = buffer();
    other.resize(BLOCK, 0);
    let mut length = 0;
    loop {
        let block = match unpacker.next_block() {
            Ok(Some(block)) => block,
            Ok(None) => break,
            Err(UnpackError::Malformed(_)) => return Ok(false),
            Err(UnpackError::Read(error)) => return Err(HoldsError::Gzip(error)),
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
    let behind = read(&mut source, &mut other).map_err(HoldsError::Source)?;
    Ok(behind == 0)
}

#[cfg(test)]
mod tests {
    use super::super::{Header, compress};
    use super::*;
    use crate::model::Level;

    #[allow(clippy::unnecessary_wraps)] // what a check looks like
    fn go_on(_: u64) -> Result<(), ()> {
        Ok(())
    }

    fn pack(bytes: &[u8]) -> (Vec<u8>, Digest) {
        let mut member = Vec::new();
        let header = Header {
            name: b"name",
            modified: 1,
        };
        let digest = compress(bytes, &mut member, &header, Level::default(), go_on).unwrap();
        (member, digest)
    }

    fn text() -> Vec<u8> {
        (0..30_000u32)
            .flat_map(|line| format!("line {line} of the log\n").into_bytes())
            .collect()
    }

    fn refused(member: &[u8], expected: Digest) -> bool {
        matches!(verify(member, expected, go_on), Err(VerifyError::Wrong(_)))
    }

    #[test]
    fn every_byte_that_is_wrong_is_noticed_or_harmless() {
        let bytes = b"a short text, a short text, and its end".repeat(3);
        let (member, digest) = pack(&bytes);
        for at in 0..member.len() {
            for flip in [1, 0x10, 0x80, 0xff] {
                let mut bad = member.clone();
                bad[at] ^= flip;
                // mtime, extra flags, operating system and name carry no content.
                let says_nothing = (4..10).contains(&at) || (10..14).contains(&at);
                assert!(
                    says_nothing || refused(&bad, digest) || holds(&bad[..], &bytes[..], go_on).unwrap(),
                    "byte {at} xor {flip}"
                );
            }
        }
    }

    #[test]
    fn a_sound_member_of_other_content_is_refused() {
        let (_, digest) = pack(b"what was read");
        let (garbage, other) = pack(b"what it wrote");
        assert_eq!(digest.length, other.length);
        assert!(refused(&garbage, digest));
        let (longer, _) = pack(&text());
        assert!(refused(&longer, digest));
    }

    #[test]
    fn cut_off_doubled_or_followed_by_anything_is_refused() {
        let bytes = text();
        let (member, digest) = pack(&bytes);
        for cut in [
            0,
            1,
            9,
            10,
            12,
            20,
            member.len() / 2,
            member.len() - 8,
            member.len() - 1,
        ] {
            assert!(refused(&member[..cut], digest), "cut to {cut}");
        }
        assert!(refused(&[&member[..], b"\0"].concat(), digest));
        assert!(refused(&[&member[..], &member[..]].concat(), digest));
    }

    #[test]
    fn reads_every_optional_header_field() {
        let (member, digest) = pack(b"text");
        let mut rich = member[..10].to_vec();
        rich[3] = EXTRA_NAME_COMMENT_CRC;
        rich.extend(b"\x03\x00abcname\0comment\0\x12\x34");
        rich.extend(&member[15..]);
        verify(&rich[..], digest, go_on).unwrap();
    }
    const EXTRA_NAME_COMMENT_CRC: u8 = 0b1_1110;

    #[test]
    fn holds_says_whether_the_bytes_are_the_same() {
        let bytes = text();
        let (member, _) = pack(&bytes);
        let same = |source: &[u8]| holds(&member[..], source, go_on).unwrap();
        assert!(same(&bytes));
        assert!(!same(&bytes[..bytes.len() - 1]));
        assert!(!same(&[&bytes[..], b"x"].concat()));
        assert!(!same(b""));
        let mut last = bytes.clone();
        *last.last_mut().unwrap() ^= 1;
        assert!(!same(&last));
        assert!(!holds(&b"no gzip"[..], &bytes[..], go_on).unwrap());
        let (nothing, _) = pack(b"");
        assert!(holds(&nothing[..], &b""[..], go_on).unwrap());
    }

    #[test]
    fn check_stops_both() {
        let bytes = text();
        let (member, digest) = pack(&bytes);
        let stop = |_| Err("enough");
        assert!(matches!(
            verify(&member[..], digest, stop),
            Err(VerifyError::Stopped("enough"))
        ));
        assert!(matches!(
            holds(&member[..], &bytes[..], stop),
            Err(HoldsError::Stopped("enough"))
        ));
    }
}
