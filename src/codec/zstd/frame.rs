//! What a frame's header says (RFC 8878, section 3.1.1).

use std::io;

/// `Magic_Number`, 0xFD2FB528.
pub(in crate::codec) const MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();

/// No frame is shorter: magic, a header of two bytes, an empty block.
const SHORTEST: u64 = 9;

/// The longest header, with the magic.
const LONGEST_HEADER: usize = 18;

/// See [`may_hold`](super::super::may_hold).
pub(in crate::codec) fn may_hold(
    size: u64,
    length: u64,
    mut read_at: impl FnMut(&mut [u8], u64) -> io::Result<()>,
) -> io::Result<bool> {
    if size < SHORTEST {
        return Ok(false);
    }
    let mut header = [0; LONGEST_HEADER];
    let length_read = usize::try_from(size).map_or(LONGEST_HEADER, |size| size.min(LONGEST_HEADER));
    let header = &mut header[..length_read];
    read_at(header, 0)?;
    Ok(match zstd_safe::get_frame_content_size(header) {
        Ok(Some(said)) => said == length,
        // One that was made of a stream does not say it.
        Ok(None) => true,
        Err(_) => false,
    })
}
