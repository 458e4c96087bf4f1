//! CRC-32 and length: by what contents and outputs are compared, whatever their format.

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
}
