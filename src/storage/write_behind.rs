//! Writing that has the disk begin early: of a long output little is left to be waited for when it is made durable.

use std::fs::File;
use std::io::{self, Write};

use super::c_calls::begin_writing;

/// So much at a time. What is shorter altogether goes in one when it is made durable.
const PORTION: u64 = 1 << 20;

/// Writes to a new file from its beginning on.
pub(super) struct WriteBehind<'a> {
    file: &'a File,
    written: u64,
    /// What is on its way to the disk.
    begun: u64,
    is_wanted: bool,
}

impl<'a> WriteBehind<'a> {
    /// Of a file that will be made durable, if it is; otherwise it just writes.
    pub(super) fn of(file: &'a File, is_wanted: bool) -> Self {
        WriteBehind {
            file,
            written: 0,
            begun: 0,
            is_wanted,
        }
    }
}

impl WriteBehind<'_> {
    fn begin(&mut self) {
        begin_writing(self.file, self.begun, self.written - self.begun);
        self.begun = self.written;
    }
}

impl Write for WriteBehind<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.file.write(bytes)?;
        self.written += length as u64;
        if self.is_wanted && self.written - self.begun >= PORTION {
            self.begin();
        }
        Ok(length)
    }

    /// Called at the end, after which it takes a while until the file is made durable: it is read back before.
    fn flush(&mut self) -> io::Result<()> {
        if self.begun > 0 {
            self.begin();
        }
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek};

    #[test]
    fn what_is_written_is_what_is_there() {
        let piece: Vec<u8> = (0..=255).cycle().take(300_000).collect();
        for is_wanted in [false, true] {
            let mut file = tempfile::tempfile().unwrap();
            let mut writer = WriteBehind::of(&file, is_wanted);
            for _ in 0..9 {
                writer.write_all(&piece).unwrap();
            }
            let in_portions = if is_wanted { 8 * piece.len() as u64 } else { 0 };
            assert_eq!((writer.written, writer.begun), (9 * piece.len() as u64, in_portions));
            writer.flush().unwrap();
            let at_the_end = if is_wanted { writer.written } else { 0 };
            assert_eq!(writer.begun, at_the_end);
            file.rewind().unwrap();
            let mut content = Vec::new();
            file.read_to_end(&mut content).unwrap();
            assert!(content == piece.repeat(9));
        }
    }
}
