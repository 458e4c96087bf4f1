//! Contents for tests, and what cannot be read or written.

use std::io::{self, Read, Write};

/// Bytes that do not compress, from a seed (xorshift64).
pub(super) fn noise(length: usize) -> Vec<u8> {
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

/// Lines that differ a little.
pub(super) fn text(length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 80);
    for (line, noise) in noise(length / 4).chunks(8).cycle().enumerate() {
        if bytes.len() >= length {
            break;
        }
        let line = format!(
            "2026-11-23 12:{:02} INFO worker {} did {:?}\n",
            line / 60 % 60,
            line % 17,
            &noise[..3]
        );
        bytes.extend(line.bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A reader that fails with EIO, and a writer that fails with ENOSPC.
pub(super) struct Broken;

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
