//! The engine of the program: libdeflate, the fastest there is for its output's size. It compresses a buffer at a time into a stream that is
//! final and ends at any bit; so each block is compressed alone, and [`reopen`] makes its stream one that goes on.

use super::super::digest::Digest;
use super::super::header::Header;
use super::super::kept::{Reusable, Room};
use super::engine::{Block, END, Engine, Fault};
use super::flate::Flate;
use super::scan::Scanner;
use crate::model::Level;
use libdeflater::{CompressionLvl, Compressor, Decompressor};

/// How one of our levels is made.
struct Mapping {
    /// The library's level: the fastest whose outputs are smaller than gzip's on logs (docs/performance.md).
    level: i32,
    /// From how many times smaller on a block is very redundant, and the level for it. The fast levels take the first long match for good,
    /// which costs much where most are long.
    redundant: Option<(usize, i32)>,
}

const fn mapping(level: i32, redundant: Option<(usize, i32)>) -> Mapping {
    Mapping { level, redundant }
}

const MAPPINGS: [Mapping; 9] = [
    mapping(1, Some((18, 3))),
    mapping(1, Some((18, 3))),
    mapping(1, Some((18, 3))),
    mapping(3, None),
    mapping(5, None),
    mapping(5, Some((20, 7))),
    mapping(6, Some((20, 7))),
    mapping(7, Some((20, 8))),
    mapping(8, None),
];

/// Blocks shorter than this the library may store, whatever is in them; the other engine takes them.
const TINY: usize = 56;

pub(super) struct Libdeflate {
    level: Level,
    compressor: Compressor,
    /// The one for what is very redundant, made when it is needed.
    stronger: Option<Compressor>,
    decompressor: Decompressor,
    scanner: Scanner,
    /// Made when it is needed.
    flate: Option<Flate>,
    /// Where the library writes to.
    room: Room,
    /// A block's data made a member.
    member: Vec<u8>,
}

impl Reusable for Libdeflate {
    fn new(level: Level) -> Self {
        Libdeflate {
            level,
            compressor: compressor(of(level).level),
            stronger: None,
            decompressor: Decompressor::new(),
            scanner: Scanner::default(),
            flate: None,
            room: Room::default(),
            member: Vec::new(),
        }
    }
}

impl Engine for Libdeflate {
    const WINDOW: usize = 0;

    fn deflate(&mut self, block: &Block<'_>, output: &mut Vec<u8>) -> Result<(), Fault> {
        if block.bytes.len() < TINY && block.last {
            return self.deflate_otherwise(block, output);
        }
        let mut length = compress(&mut self.compressor, block.bytes, &mut self.room)?;
        if let Some((times, stronger)) = of(self.level).redundant
            && length * times < block.bytes.len()
        {
            let stronger = self.stronger.get_or_insert_with(|| compressor(stronger));
            length = compress(stronger, block.bytes, &mut self.room)?;
        }
        output.extend_from_slice(self.room.bytes().get(..length).ok_or("the compressor fails")?);
        Ok(())
    }

    fn inflate(
        &mut self,
        block: &Block<'_>,
        expected: Digest,
        data: &mut Vec<u8>,
        content: &mut [u8],
    ) -> Result<usize, Fault> {
        if !block.last && reopen(&mut self.scanner, data).is_none() {
            self.deflate_otherwise(block, data)?;
        }
        // The fast decompressor does not tell where a stream ended. But before that which follows in a member, checksum and length, it must.
        self.member.clear();
        self.member.extend(Header::default().encode(Level::default()));
        self.member.extend_from_slice(data);
        if !block.last {
            self.member.extend(END);
        }
        self.member.extend(expected.trailer());
        let made = self.decompressor.gzip_decompress(&self.member, content);
        made.map_err(|_| "corrupt deflate data, or it is not what was read")
    }
}

impl Libdeflate {
    /// Has the other engine do it.
    fn deflate_otherwise(&mut self, block: &Block<'_>, output: &mut Vec<u8>) -> Result<(), Fault> {
        output.clear();
        let flate = self.flate.get_or_insert_with(|| Flate::new(self.level));
        flate.deflate(block, output)
    }
}

fn compressor(level: i32) -> Compressor {
    Compressor::new(CompressionLvl::new(level).unwrap_or_default())
}

fn of(level: Level) -> &'static Mapping {
    &MAPPINGS[usize::from(level.number() - 1)]
}

/// How many bytes at the room's beginning it makes.
fn compress(compressor: &mut Compressor, bytes: &[u8], room: &mut Room) -> Result<usize, Fault> {
    let room = room.of(compressor.deflate_compress_bound(bytes.len()));
    let length = compressor.deflate_compress(bytes, room);
    length.map_err(|_| "the compressor fails")
}

/// Makes `data`, a whole stream, one that another can follow: its final block becomes one that is not, and an empty stored block brings it
/// to a byte boundary (RFC 1951, sections 3.2.3 and 3.2.4). None where it is no deflate data or something follows it.
fn reopen(scanner: &mut Scanner, data: &mut Vec<u8>) -> Option<()> {
    let last = scanner.last_block(data)?;
    if last.end.div_ceil(8) != data.len() {
        return None;
    }
    *data.get_mut(last.begin / 8)? &= !(1 << (last.begin % 8));
    close(last.end % 8, data);
    Some(())
}

/// Brings data of whose last byte `used` bits are used, or all where that is 0, to a byte boundary with an empty stored block. Its header's
/// three bits are zero, and so are those up to the next byte.
fn close(used: usize, data: &mut Vec<u8>) {
    let Some(last) = data.last_mut().filter(|_| used > 0) else {
        return;
    };
    *last &= (1 << used) - 1;
    if 8 - used < 3 {
        data.push(0);
    }
    data.extend([0, 0, 0xff, 0xff]);
}

#[cfg(test)]
mod tests;
