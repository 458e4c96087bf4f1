//! Writing that has the disk begin early: of a long output little is left to be waited for when it is made durable.

use std::fs::File;
use std::io::{self, Write};

use super::c_calls::begin_writing;

/// So much at a time.
const PORTION: u64 = 1 << 20;

/// With which files the disk begins early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Early {
    None,
    /// What is shorter than a portion goes to the disk together with others, when they are made durable.
    Long,
    All,
}

/// Writes to a new file from its beginning on.
pub(super) struct WriteBehind<'a> {
    file: &'a File,
    written: u64,
    /// What is on its way to the disk.
    begun: u64,
    early: Early,
}

impl<'a> WriteBehind<'a> {
    pub(super) fn of(file: &'a File, early: Early) -> Self {
        WriteBehind {
            file,
            written: 0,
            begun: 0,
            early,
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
        if self.early != Early::None && self.written - self.begun >= PORTION {
            self.begin();
        }
        Ok(length)
    }

    /// Called at the end, after which it takes a while until the file is made durable: it is read back before.
    fn flush(&mut self) -> io::Result<()> {
        if self.begun > 0 || self.early == Early::All {
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
        let (all, long) = (9 * piece.len() as u64, 8 * piece.len() as u64);
        for (early, pieces, in_portions, at_the_end) in [
            (Early::None, 9, 0, 0),
            (Early::Long, 9, long, all),
            (Early::All, 9, long, all),
            (Early::Long, 1, 0, 0),
            (Early::All, 1, 0, piece.len() as u64),
        ] {
            let mut file = tempfile::tempfile().unwrap();
            let mut writer = WriteBehind::of(&file, early);
            for _ in 0..pieces {
                writer.write_all(&piece).unwrap();
            }
            assert_eq!(writer.begun, in_portions, "{early:?}, {pieces} pieces");
            writer.flush().unwrap();
            assert_eq!(writer.begun, at_the_end, "{early:?}, {pieces} pieces");
            file.rewind().unwrap();
            let mut content = Vec::new();
            file.read_to_end(&mut content).unwrap();
            assert!(content == piece.repeat(pieces));
        }
    }
}
