//! The framing of a gzip member: header, trailer, and what the trailer says of the content (RFC 1952, section 2.3).

use crate::model::Level;

/// ID1, ID2 and the only compression method there is, deflate.
pub(super) const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];

/// Bits of the header's flag byte.
const TEXT: u8 = 1;
pub(super) const HEADER_CRC: u8 = 1 << 1;
pub(super) const EXTRA: u8 = 1 << 2;
pub(super) const NAME: u8 = 1 << 3;
pub(super) const COMMENT: u8 = 1 << 4;
pub(super) const RESERVED: u8 = 0b1110_0000;

/// The operating system byte for Unix.
const UNIX: u8 = 3;

/// What a member says of the file it was made from.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Header<'a> {
    /// The original's base name, without NUL; empty for none.
    pub(crate) name: &'a [u8],
    /// The original's mtime in seconds since the epoch; 0 for none, or for one that 32 bits cannot hold.
    pub(crate) modified: u32,
    /// Whether the member goes the way of its original. It is marked by FTEXT, "probably text", which gzip never sets and no reader
    /// asks for, so that it is known again on any file system, after any copy.
    pub(crate) follows: bool,
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

/// How many bytes tell whose a member is that goes the way of an original of this name.
pub(crate) fn length_of_mark(name: &[u8]) -> usize {
    10 + name.len() + 1
}

/// Whether a member that begins so was marked as going the way of an original of this name, by a [`Header`] as we write it; then the
/// mtime in it.
pub(crate) fn marked_for(name: &[u8], start: &[u8]) -> Option<u32> {
    let (fixed, rest) = start.split_first_chunk::<10>()?;
    let [a, b, c, flags, m0, m1, m2, m3, _, system] = *fixed;
    let is_ours = [a, b, c] == MAGIC && flags == NAME | TEXT && system == UNIX;
    let has_name = rest.strip_prefix(name).and_then(<[u8]>::first) == Some(&0);
    (is_ours && has_name && !name.is_empty()).then_some(u32::from_le_bytes([m0, m1, m2, m3]))
}

/// CRC-32 and length of some bytes. Computed apart from the deflate library, so that a fault there cannot hide in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digest {
    pub(crate) crc32: u32,
    pub(crate) length: u64,
}

impl Digest {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Digest {
            crc32: crc32fast::hash(bytes),
            length: bytes.len() as u64,
        }
    }

    /// The trailer's bytes: CRC-32, then the length modulo 2^32.
    pub(crate) fn trailer(self) -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&self.crc32.to_le_bytes());
        bytes[4..].copy_from_slice(&stored_length(self.length));
        bytes
    }
}

/// A length as the trailer's last four bytes hold it (ISIZE).
pub(crate) fn stored_length(length: u64) -> [u8; 4] {
    let [a, b, c, d, ..] = length.to_le_bytes();
    [a, b, c, d]
}

/// A [`Digest`] in the making.
#[derive(Clone, Debug, Default)]
pub(super) struct DigestBuilder {
    crc32: crc32fast::Hasher,
    length: u64,
}

impl DigestBuilder {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.crc32.update(bytes);
        self.length += bytes.len() as u64;
    }

    /// Goes on with bytes that have this digest.
    pub(super) fn append(&mut self, next: Digest) {
        let crc32 = crc32fast::Hasher::new_with_initial_len(next.crc32, next.length);
        self.crc32.combine(&crc32);
        self.length += next.length;
    }

    pub(super) fn digest(&self) -> Digest {
        Digest {
            crc32: self.crc32.clone().finalize(),
            length: self.length,
        }
    }
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
    fn digests_of_parts_make_that_of_the_whole() {
        let bytes: Vec<u8> = (0..=255).cycle().take(70_000).collect();
        let mut builder = DigestBuilder::default();
        for part in bytes.chunks(30_000) {
            builder.append(Digest::of(part));
        }
        builder.append(Digest::of(b""));
        assert_eq!(builder.digest(), Digest::of(&bytes));
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
