//! Reading a file from its beginning without moving the position that its descriptor shares.

use std::fs::File;
use std::io::{self, Read};

use super::cache::Cache;

/// Reads a file from offset 0 by pread(2).
pub(super) struct FromStart<'a> {
    file: &'a File,
    offset: u64,
    /// Where the end should be, as far as that is known.
    end: Option<u64>,
    is_at_end: bool,
    cache: Cache,
}

impl<'a> FromStart<'a> {
    pub(super) fn new(file: &'a File) -> Self {
        FromStart {
            file,
            offset: 0,
            end: None,
            is_at_end: false,
            cache: Cache::Used,
        }
    }

    /// Of a file that should have this size, whose end need not be asked for twice.
    pub(super) fn sized(file: &'a File, size: u64) -> Self {
        FromStart {
            end: Some(size),
            ..Self::new(file)
        }
    }

    pub(super) fn with_cache(self, cache: Cache) -> Self {
        FromStart { cache, ..self }
    }
}

impl Read for FromStart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_at_end {
            return Ok(0);
        }
        let length = self.cache.read(self.file, buffer, self.offset)?;
        self.offset += length as u64;
        // A read that brings less than was asked for has come to the end, or was interrupted; this one got to where the end should be.
        self.is_at_end = length < buffer.len() && Some(self.offset) == self.end;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn everything_is_read_whatever_size_was_expected() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        for expected in [0, 4, 5, 9, 10, 11, 1000] {
            for step in [1, 3, 5, 10, 100] {
                let mut reader = FromStart::sized(&file, expected);
                let (mut found, mut buffer) = (Vec::new(), vec![0; step]);
                loop {
                    match reader.read(&mut buffer).unwrap() {
                        0 => break,
                        length => found.extend_from_slice(&buffer[..length]),
                    }
                }
                assert_eq!(found, b"0123456789", "{expected} expected, {step} at a time");
            }
        }
    }
}
