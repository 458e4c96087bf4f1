//! What reading a large file leaves in the page cache: nothing that was not there before, as far as the kernel lets us. A host keeps its
//! hot data there, and an original that is read once, to be removed or kept for others, is no reason to push that out.
//!
//! Linux 6.14 can read so (`RWF_DONTCACHE`, preadv2(2), by file system): what was cached is read from there and stays, the rest goes as soon as it
//! is read. Before, one can only ask for pages to go, whoever else reads them, and dirty ones are written to the disk for that. So
//! it is asked for only where the file is to be removed anyway, and has been quiet for long enough to have been written.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::time::{Duration, SystemTime};

use rustix::fs::{Advice, fadvise};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::status::Status;

/// From so many bytes on. What is smaller costs the cache little, and shall not cost a system call.
const LARGE: u64 = 1 << 20;

/// Dropped at a time.
const PORTION: u64 = 8 << 20;

/// By then the kernel has written what was dirty (`/proc/sys/vm/dirty_expire_centisecs`, and the interval at which it looks).
const WRITTEN: Duration = Duration::from_secs(60);

/// From the kernel's `linux/fs.h`, since rustix does not have it.
const RWF_DONTCACHE: ReadWriteFlags = ReadWriteFlags::from_bits_retain(0x80);

/// How a file is read from its beginning to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cache {
    /// As the kernel likes it.
    Used,
    /// Past it; where that can't be had, in the other way.
    Passed { or_dropped: bool },
    /// What is behind the reader is dropped; so far up to this offset.
    Dropped(u64),
}

impl Cache {
    /// For an original of this status.
    pub(super) fn of_original(status: &Status, is_kept: bool) -> Self {
        if status.fingerprint.size < LARGE {
            return Cache::Used;
        }
        let is_written = status.fingerprint.quiet_for(SystemTime::now()) >= WRITTEN;
        Cache::Passed {
            or_dropped: is_written && !is_kept,
        }
    }

    /// A read at the offset up to which the file has been read.
    pub(super) fn read(&mut self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if let Cache::Passed { or_dropped } = *self {
            match preadv2(file, &mut [IoSliceMut::new(buffer)], offset, RWF_DONTCACHE) {
                Ok(length) => return Ok(length),
                Err(Errno::INTR) => return Err(Errno::INTR.into()),
                // The kernel, the file system or a sandbox knows of no such thing. Where the file cannot be read, that is said below.
                Err(_) if or_dropped => *self = Cache::Dropped(offset),
                Err(_) => *self = Cache::Used,
            }
        }
        let length = file.read_at(buffer, offset)?;
        self.drop_behind(file, offset + length as u64, length < buffer.len());
        Ok(length)
    }

    fn drop_behind(&mut self, file: &File, read: u64, is_end: bool) {
        let Cache::Dropped(from) = self else { return };
        let length = read - *from;
        if length >= PORTION || is_end {
            // It is advice, and the file is read all the same.
            let _ = fadvise(file, *from, length.try_into().ok(), Advice::DontNeed);
            *from = read;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn every_way_brings_the_same_bytes() {
        let bytes: Vec<u8> = (0..3 * PORTION + 7).map(|at| (at % 251) as u8).collect();
        let file = file(&bytes);
        for mut cache in [
            Cache::Used,
            Cache::Passed { or_dropped: true },
            Cache::Passed { or_dropped: false },
            Cache::Dropped(0),
        ] {
            let (mut found, mut buffer) = (Vec::new(), vec![0; 256 * 1024]);
            loop {
                match cache.read(&file, &mut buffer, found.len() as u64).unwrap() {
                    0 => break,
                    length => found.extend_from_slice(&buffer[..length]),
                }
            }
            assert!(found == bytes, "{cache:?}");
        }
    }

    #[test]
    fn small_files_cost_nothing_and_only_what_is_written_and_goes_may_be_dropped() {
        let small = file(b"text");
        let large = file(b"");
        large.set_len(LARGE).unwrap();
        let of = |file: &File, is_kept| Cache::of_original(&Status::of(file).unwrap(), is_kept);
        assert_eq!(of(&small, false), Cache::Used);
        assert_eq!(of(&large, false), Cache::Passed { or_dropped: false });
        let mut status = Status::of(&large).unwrap();
        status.fingerprint.modified.seconds -= 100;
        status.fingerprint.changed.seconds -= 100;
        assert_eq!(Cache::of_original(&status, false), Cache::Passed { or_dropped: true });
        assert_eq!(Cache::of_original(&status, true), Cache::Passed { or_dropped: false });
    }
}
