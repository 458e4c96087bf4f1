//! The framing of a gzip member: header, trailer, and what the trailer says of the content (RFC 1952, section 2.3).

use std::io;

use super::super::digest::Digest;
use super::super::header::Header;
use crate::model::Level;

/// ID1, ID2 and the only compression method there is, deflate.
pub(in crate::codec) const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];

/// Bits of the header's flag byte.
const TEXT: u8 = 1;
pub(super) const HEADER_CRC: u8 = 1 << 1;
pub(super) const EXTRA: u8 = 1 << 2;
pub(super) const NAME: u8 = 1 << 3;
pub(super) const COMMENT: u8 = 1 << 4;
pub(super) const RESERVED: u8 = 0b1110_0000;

/// The operating system byte for Unix.
const UNIX: u8 = 3;

/// No member is shorter: header, an empty deflate block, trailer.
const SHORTEST: u64 = 20;

/// See [`may_hold`](super::super::may_hold).
pub(in crate::codec) fn may_hold(
    size: u64,
    length: u64,
    digest: Option<Digest>,
    mut read_at: impl FnMut(&mut [u8], u64) -> io::Result<()>,
) -> io::Result<bool> {
    if size < SHORTEST {
        return Ok(false);
    }
    let mut trailer = [0; 8];
    read_at(&mut trailer, size - 8)?;
    Ok(match digest {
        Some(digest) => trailer == digest.trailer(),
        None => trailer[4..] == stored_length(length),
    })
}

impl Header<'_> {
    /// The header's bytes, as gzip writes them.
    pub(super) fn encode(&self, level: Level) -> Vec<u8> {
        let name = self.name.split(|&byte| byte == 0).next().unwrap_or_default();
        let flags = if name.is_empty() { 0 } else { NAME } | if self.follows { TEXT } else { 0 };
        let extra_flags = match level.number() {
            9 => 2,
            1 => 4,
            _ => 0,
        };
        let mut bytes = Vec::with_capacity(11 + name.len());
        bytes.extend(MAGIC);
        bytes.push(flags);
        bytes.extend(self.modified.to_le_bytes());
        bytes.extend([extra_flags, UNIX]);
        if !name.is_empty() {
            bytes.extend(name);
            bytes.push(0);
        }
        bytes
    }
}

/// See [`mark_of`](super::super::mark_of).
pub(in crate::codec) fn mark_of(
    name: &[u8],
    mut read_at: impl FnMut(&mut [u8], u64) -> io::Result<()>,
) -> io::Result<Option<u32>> {
    let mut start = vec![0; length_of_mark(name)];
    read_at(&mut start, 0)?;
    Ok(marked_for(name, &start))
}

/// How many bytes tell whose a member is that goes the way of an original of this name.
fn length_of_mark(name: &[u8]) -> usize {
    10 + name.len() + 1
}

/// Whether a member that begins so was marked as going the way of an original of this name, by a [`Header`] as we write it; then the
/// mtime in it.
fn marked_for(name: &[u8], start: &[u8]) -> Option<u32> {
    let (fixed, rest) = start.split_first_chunk::<10>()?;
    let [a, b, c, flags, m0, m1, m2, m3, _, system] = *fixed;
    let is_ours = [a, b, c] == MAGIC && flags == NAME | TEXT && system == UNIX;
    let has_name = rest.strip_prefix(name).and_then(<[u8]>::first) == Some(&0);
    (is_ours && has_name && !name.is_empty()).then_some(u32::from_le_bytes([m0, m1, m2, m3]))
}

impl Digest {
    /// The trailer's bytes: CRC-32, then the length modulo 2^32.
    pub(super) fn trailer(self) -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&self.crc32.to_le_bytes());
        bytes[4..].copy_from_slice(&stored_length(self.length));
        bytes
    }
}

/// A length as the trailer's last four bytes hold it (ISIZE).
fn stored_length(length: u64) -> [u8; 4] {
    let [a, b, c, d, ..] = length.to_le_bytes();
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(number: u8) -> Level {
        Level::new(number).unwrap()
    }

    #[test]
    fn a_header_is_the_one_gzip_writes() {
        let header = Header {
            name: b"a.txt",
            modified: 0x0102_0304,
            length: None,
            follows: false,
        };
        assert_eq!(
            header.encode(level(6)),
            b"\x1f\x8b\x08\x08\x04\x03\x02\x01\x00\x03a.txt\x00"
        );
        assert_eq!(header.encode(level(9))[8], 2);
        assert_eq!(header.encode(level(1))[8], 4);
        assert_eq!(
            Header::default().encode(level(6)),
            b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"
        );
    }

    #[test]
    fn a_member_that_follows_its_original_is_known_again_and_no_other() {
        let mut header = Header {
            name: b"a.txt",
            modified: 0x0102_0304,
            follows: true,
            length: None,
        };
        let start = header.encode(level(9));
        assert_eq!(start.len(), length_of_mark(b"a.txt"));
        assert_eq!(marked_for(b"a.txt", &start), Some(0x0102_0304));
        for name in [&b"a.tx"[..], b"a.txt.", b"b.txt", b""] {
            assert_eq!(marked_for(name, &start), None);
        }
        assert_eq!(marked_for(b"a.txt", &start[..start.len() - 1]), None);
        header.follows = false;
        assert_eq!(marked_for(b"a.txt", &header.encode(level(9))), None);
    }

    #[test]
    fn the_trailer_holds_the_length_modulo_32_bits() {
        let digest = Digest {
            crc32: 0x0403_0201,
            length: (7 << 32) + 5,
        };
        assert_eq!(digest.trailer(), [1, 2, 3, 4, 5, 0, 0, 0]);
    }
}
