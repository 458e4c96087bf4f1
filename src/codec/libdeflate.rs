//! The engine of the program: libdeflate, the fastest there is for its output's size. It compresses a buffer at a time into a stream that is
//! final and ends at any bit; so each block is compressed alone, and [`reopen`] makes its stream one that goes on.

use libdeflater::{CompressionLvl, Compressor, Decompressor};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{BlockBoundaryState, DecompressorOxide, decompress};

use super::engine::{Block, Engine, Fault};
use super::flate::Flate;
use super::kept::Room;
use super::member::{Digest, Header};
use crate::model::Level;

/// The library's level for each of ours: its outputs are smaller than gzip's on logs, and about as small on other data (docs/performance.md).
const LEVELS: [i32; 9] = [2, 3, 3, 4, 6, 7, 7, 8, 8];

/// Blocks shorter than this the library may store, whatever is in them; the other engine takes them.
const TINY: usize = 56;

pub(super) struct Libdeflate {
    level: Level,
    compressor: Compressor,
    decompressor: Decompressor,
    /// The decompressor that stops between deflate blocks.
    stopping: Box<DecompressorOxide>,
    /// Made when it is needed.
    for_tiny: Option<Flate>,
    /// Where the library writes to.
    room: Room,
    /// A block's data made a member.
    member: Vec<u8>,
}

impl Engine for Libdeflate {
    const WINDOW: usize = 0;

    fn new(level: Level) -> Self {
        let its_level = CompressionLvl::new(LEVELS[usize::from(level.number() - 1)]);
        Libdeflate {
            level,
            compressor: Compressor::new(its_level.unwrap_or_default()),
            decompressor: Decompressor::new(),
            stopping: Box::default(),
            for_tiny: None,
            room: Room::default(),
            member: Vec::new(),
        }
    }

    fn deflate(&mut self, block: &Block<'_>, output: &mut Vec<u8>) -> Result<(), Fault> {
        if block.bytes.len() < TINY && block.last {
            let flate = self.for_tiny.get_or_insert_with(|| Flate::new(self.level));
            return flate.deflate(block, output);
        }
        let bound = self.compressor.deflate_compress_bound(block.bytes.len());
        let room = self.room.of(bound);
        let length = self.compressor.deflate_compress(block.bytes, room);
        let length = length.map_err(|_| "the compressor fails")?;
        output.extend_from_slice(room.get(..length).ok_or("the compressor fails")?);
        Ok(())
    }

    fn inflate(&mut self, block: &Block<'_>, data: &mut Vec<u8>, content: &mut [u8]) -> Result<usize, Fault> {
        if block.last {
            self.inflate_final(block, data, content)
        } else {
            reopen(&mut self.stopping, data, content)
        }
    }
}

impl Libdeflate {
    /// The fast decompressor does not tell where a stream ended. But before that which follows in a member, the checksum and the length, it must.
    fn inflate_final(&mut self, block: &Block<'_>, data: &[u8], content: &mut [u8]) -> Result<usize, Fault> {
        self.member.clear();
        self.member.extend(Header::default().encode(Level::default()));
        self.member.extend_from_slice(data);
        self.member.extend(Digest::of(block.bytes).trailer());
        let made = self.decompressor.gzip_decompress(&self.member, content);
        made.map_err(|_| "corrupt deflate data, or it is not what was read")
    }
}

/// Decompresses `data`, a whole stream, into `content`, and makes it one that another can follow: its final block becomes one that is not,
/// and an empty stored block brings it to a byte boundary (RFC 1951, sections 3.2.3 and 3.2.4). What is decompressed is the data as it
/// will be, the added block included.
fn reopen(inflate: &mut DecompressorOxide, data: &mut Vec<u8>, content: &mut [u8]) -> Result<usize, Fault> {
    const FLAGS: u32 = TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF | TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY;
    let (mut taken, mut made) = (0, 0);
    let mut boundary = BlockBoundaryState::default();
    loop {
        if taken == data.len() {
            if boundary.num_bits == 0 {
                return Ok(made);
            }
            close(boundary.num_bits, data);
        }
        // The bits of the last byte taken are in the decompressor already.
        let unused = boundary.num_bits;
        let (at, bit) = if unused == 0 {
            (taken, 0)
        } else {
            (taken - 1, 8 - unused)
        };
        let byte = data.get_mut(at).ok_or("it ends early")?;
        *byte &= !(1 << bit);
        boundary.bit_buf &= !1;
        *inflate = DecompressorOxide::from_block_boundary_state(&boundary);

        let (status, consumed, produced) = decompress(inflate, &data[taken..], content, made, FLAGS);
        taken += consumed;
        made += produced;
        boundary = match (status, inflate.block_boundary_state()) {
            (TINFLStatus::BlockBoundary, Some(boundary)) => boundary,
            _ => return Err("corrupt deflate data"),
        };
    }
}

/// Appends an empty stored block to data whose last byte has `unused` bits left, all of them zero or not part of it. Its header's three bits
/// are zero, and so are those up to the next byte.
fn close(unused: u8, data: &mut Vec<u8>) {
    if let Some(last) = data.last_mut() {
        *last &= 0xff >> unused;
    }
    if unused < 3 {
        data.push(0);
    }
    data.extend([0, 0, 0xff, 0xff]);
}
