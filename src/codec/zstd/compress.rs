//! Compression of a stream into one frame.

use std::io::{Read, Write};

use super::super::compress::{CompressError, Packed};
use super::super::digest::{Digest, DigestBuilder};
use super::super::header::Header;
use super::super::kept::{self, Lent};
use super::super::source::{Blocks, Input};
use super::codec::{Codec, Fault};
use super::mark::mark;
use crate::model::Level;

/// See [`compress`](super::super::compress()).
pub(in crate::codec) fn compress<E>(
    source: impl Read,
    mut output: impl Write,
    header: &Header<'_>,
    level: Level,
    mut check: impl FnMut(u64) -> Result<(), E>,
) -> Result<Packed, CompressError<E>> {
    let mut blocks = Blocks::new(source, 0);
    let mut codec = kept::engine::<Codec>(level);
    let codec = &mut codec.engine;
    let (mut content, mut data) = (DigestBuilder::default(), DigestBuilder::default());
    let mut length = header.length;
    let mut is_begun = false;
    while let Some(input) = blocks.next(&mut check)? {
        let block = input.block();
        // Before anything else: a bit that flips in memory later is in both of what is compared in the end, but not in this.
        content.append(Digest::of(block.bytes));
        let so_far = content.digest().length;
        if length.is_none() && !is_begun && block.last {
            length = Some(so_far);
        }
        let fits = |length| if block.last { so_far == length } else { so_far < length };
        if !length.is_none_or(fits) {
            return Err(CompressError::Resized);
        }
        if !is_begun {
            codec.begin(length).map_err(CompressError::Wrong)?;
            is_begun = true;
        }
        let mut packed = pack(codec, &input).map_err(CompressError::Wrong)?;
        if block.last && header.follows {
            packed.extend(mark(header));
        }
        data.update(&packed);
        output.write_all(&packed).map_err(CompressError::Write)?;
    }
    output.flush().map_err(CompressError::Write)?;
    Ok(Packed {
        content: content.digest(),
        data: data.digest(),
        trailer: None,
    })
}

/// The block's part of the frame, proven.
fn pack(codec: &mut Codec, input: &Input) -> Result<Lent<Vec<u8>>, Fault> {
    let block = input.block();
    let mut data = kept::buffer();
    codec.compress(&block, &mut data)?;
    let mut room = kept::room();
    codec.prove(&block, &data, room.of(block.bytes.len() + 1))?;
    Ok(data)
}
