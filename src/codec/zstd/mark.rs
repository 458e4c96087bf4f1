//! Whose output a frame is, where it goes the way of its original. A frame has no place for that, so a skippable frame behind it says it
//! (RFC 8878, section 3.1.2), which every reader passes over.

use std::io;

use super::super::header::Header;

/// Of the sixteen magic numbers for skippable frames one that no other program known to us uses.
const MAGIC: [u8; 4] = 0x184D_2A5B_u32.to_le_bytes();

/// What distinguishes ours among those of that number.
const WHO: &[u8] = b"dwindle\0";

/// Magic number, size, who, the original's mtime.
const FIXED: usize = 4 + 4 + WHO.len() + 4;

/// A file's name is no longer.
const LONGEST: usize = FIXED + 255;

/// The skippable frame for an output that says so much of its original.
pub(super) fn mark(header: &Header<'_>) -> Vec<u8> {
    let size = u32::try_from(FIXED - 8 + header.name.len()).unwrap_or(u32::MAX);
    [
        &MAGIC,
        &size.to_le_bytes()[..],
        WHO,
        &header.modified.to_le_bytes(),
        header.name,
    ]
    .concat()
}

/// Whether all of `bytes` is one of ours.
pub(super) fn is_mark(bytes: &[u8]) -> bool {
    let Some((fixed, name)) = bytes.split_first_chunk::<FIXED>() else {
        return false;
    };
    let size = u32::from_le_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
    bytes.len() <= LONGEST
        && fixed.starts_with(&MAGIC)
        && fixed[8..].starts_with(WHO)
        && u64::from(size) == (FIXED - 8 + name.len()) as u64
}

/// See [`mark_of`](super::super::mark_of).
pub(in crate::codec) fn mark_of(
    name: &[u8],
    size: u64,
    mut read_at: impl FnMut(&mut [u8], u64) -> io::Result<()>,
) -> io::Result<Option<u32>> {
    let mut end = vec![0; FIXED + name.len()];
    let Some(begin) = size.checked_sub(end.len() as u64) else {
        return Ok(None);
    };
    read_at(&mut end, begin)?;
    let is_of_it = is_mark(&end) && end[FIXED..] == *name;
    let [.., a, b, c, d] = end[..FIXED] else {
        return Ok(None);
    };
    Ok(is_of_it.then_some(u32::from_le_bytes([a, b, c, d])))
}
