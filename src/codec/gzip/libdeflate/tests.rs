//! That a stream is made one that goes on, or refused, whatever it is.

use super::super::super::samples::{noise, text};
use super::super::prove::compress_block;
use super::super::scan::LastBlock;
use super::super::stored::store;
use super::*;

fn engine(level: u8) -> Libdeflate {
    Libdeflate::new(Level::new(level).unwrap())
}

/// What the library makes of it at one of its own levels.
fn stream(level: i32, bytes: &[u8]) -> Vec<u8> {
    let mut compressor = Compressor::new(CompressionLvl::new(level).unwrap());
    let mut data = vec![0; compressor.deflate_compress_bound(bytes.len())];
    let length = compressor.deflate_compress(bytes, &mut data).unwrap();
    data.truncate(length);
    data
}

/// What a reader who knows nothing of us makes of data that goes on.
fn read(data: &[u8], content: usize) -> Option<Vec<u8>> {
    let mut content = Vec::with_capacity(content + 64);
    let mut decompress = flate2::Decompress::new(false);
    let whole = [data, &END].concat();
    let status = decompress.decompress_vec(&whole, &mut content, flate2::FlushDecompress::Finish);
    let ended = matches!(status, Ok(flate2::Status::StreamEnd)) && decompress.total_in() == whole.len() as u64;
    ended.then_some(content)
}

/// Contents that bring about blocks of every kind: stored, of the fixed code, of codes of their own; long code words, one symbol alone.
fn contents() -> Vec<Vec<u8>> {
    let mut contents = vec![
        vec![],
        vec![b'a'],
        vec![0; 70_000],
        noise(100),
        noise(200_000),
        text(400_000),
    ];
    for length in 2..40 {
        contents.push(text(length * length * 7));
    }
    contents.push([text(90_000), noise(150_000), vec![7; 9_000], text(50_000)].concat());
    // Each symbol is half as frequent as the one before it, so that their code words get as long as they may.
    let mut random = fastrand::Rng::with_seed(3);
    let skewed = (0..300_000).map(|_| (random.u32(..).trailing_zeros() * 11).to_le_bytes()[0]);
    contents.push(skewed.collect());
    // Distances of all sizes.
    let unit = noise(300);
    contents.push(
        (1..120)
            .flat_map(|gap| [unit.clone(), noise(gap * gap * 3)].concat())
            .collect(),
    );
    contents
}

#[test]
fn every_stream_of_every_level_can_go_on() {
    let mut scanner = Scanner::default();
    for content in contents() {
        for level in 0..=12 {
            let mut data = stream(level, &content);
            let length = data.len();
            reopen(&mut scanner, &mut data).unwrap_or_else(|| panic!("level {level}, {} bytes", content.len()));
            let back = read(&data, content.len());
            assert!(
                back.as_ref() == Some(&content),
                "level {level}, {} bytes",
                content.len()
            );
            assert!(data.len() <= length + 5);
        }
    }
}

/// The other library's streams, which hold blocks of the fixed code and empty ones.
#[test]
fn streams_of_others_can_go_on() {
    let mut scanner = Scanner::default();
    for content in contents() {
        for level in [0, 1, 6, 9] {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(level));
            for part in content.chunks(content.len() / 3 + 1) {
                std::io::Write::write_all(&mut encoder, part).unwrap();
                std::io::Write::flush(&mut encoder).unwrap();
            }
            let mut data = encoder.finish().unwrap();
            reopen(&mut scanner, &mut data).unwrap_or_else(|| panic!("level {level}, {} bytes", content.len()));
            assert!(read(&data, content.len()).as_ref() == Some(&content), "level {level}");
        }
    }
}

#[test]
fn data_that_goes_on_is_left_as_it_is() {
    let mut data = Vec::new();
    store(&noise(70_000), false, &mut data);
    let before = data.clone();
    reopen(&mut Scanner::default(), &mut data).unwrap();
    assert_eq!(data, before);
}

#[test]
fn the_last_block_is_found_by_its_bits() {
    let mut scanner = Scanner::default();
    // A stored block of one byte, then an empty one of the fixed code: 1, 01, 0000000.
    let data = [0, 1, 0, 0xfe, 0xff, b'a', 0b011, 0];
    assert_eq!(scanner.last_block(&data), Some(LastBlock { begin: 48, end: 58 }));
    assert_eq!(scanner.last_block(&data[..6]), Some(LastBlock { begin: 0, end: 48 }));
    assert_eq!(scanner.last_block(&data[..7]), None);
    assert_eq!(scanner.last_block(&data[..5]), None);
    assert_eq!(scanner.last_block(&[]), None);
    // There is no block of type 3.
    assert_eq!(scanner.last_block(&[0b111, 0, 0]), None);
}

#[test]
fn what_follows_a_stream_is_noticed() {
    let mut data = stream(6, &text(5_000));
    data.push(0);
    assert_eq!(reopen(&mut Scanner::default(), &mut data), None);
}

/// Whatever the library might make: never a panic, and never accepted where it is not what was read.
#[test]
fn no_damage_is_accepted() {
    let seed = 5;
    let mut random = fastrand::Rng::with_seed(seed);
    let mut engine = engine(6);
    let content = [text(20_000), noise(500), text(3_000)].concat();
    let block = Block {
        before: &[],
        bytes: &content,
        last: false,
    };
    let streams: Vec<_> = [0, 1, 5, 7, 9, 12].map(|level| stream(level, &content)).into();
    let mut room = vec![0; content.len() + 1];
    let rounds = if std::env::var_os("DWINDLE_EXHAUSTIVE").is_some() {
        50_000
    } else {
        1_500
    };
    for round in 0..rounds {
        let mut data = streams[round % streams.len()].clone();
        damage(&mut random, &mut data);
        let damaged = data.clone();
        let reopened = reopen(&mut engine.scanner, &mut data);
        let mut data = damaged;
        let result = engine.inflate(&block, Digest::of(&content), &mut data, &mut room);
        let what = format!("seed {seed}, round {round}: {reopened:?}, {result:?}");
        match result {
            Ok(made) => assert!(
                room[..made] == content && read(&data, made).as_ref() == Some(&content),
                "{what}"
            ),
            // What can be gone through and is wrong is for the proof to find.
            Err(_) => assert!(reopened.is_some(), "{what}"),
        }
    }
}

fn damage(random: &mut fastrand::Rng, data: &mut Vec<u8>) {
    let at = random.usize(..data.len());
    match random.u8(..6) {
        0 => data.truncate(at),
        1 => data[at] ^= 1 << random.u8(..8),
        // The codes are at the beginning.
        2 => data[at % 80] ^= 1 << random.u8(..8),
        3 => data[at..].fill_with(|| random.u8(..)),
        4 => drop(data.drain(..at)),
        _ => *data = std::iter::repeat_with(|| random.u8(..)).take(at % 400).collect(),
    }
}

#[test]
fn what_cannot_be_gone_through_is_compressed_by_the_other_engine() {
    let content = text(30_000);
    let block = Block {
        before: &[],
        bytes: &content,
        last: false,
    };
    let mut data = b"\x07 no deflate data".to_vec();
    let mut room = vec![0; content.len() + 1];
    let made = engine(6).inflate(&block, Digest::of(&content), &mut data, &mut room);
    assert_eq!(made, Ok(content.len()));
    assert!(read(&data, content.len()) == Some(content));
}

#[test]
fn a_bit_that_flips_after_reading_is_noticed() {
    let content = text(30_000);
    for last in [false, true] {
        let mut flipped = content.clone();
        flipped[12_345] ^= 4;
        let block = Block {
            before: &[],
            bytes: &flipped,
            last,
        };
        let (mut data, mut room) = (Vec::new(), vec![0; content.len() + 1]);
        let mut engine = engine(6);
        compress_block(&mut engine, &block, &mut data).unwrap();
        data.clear();
        engine.deflate(&block, &mut data).unwrap();
        let result = engine.inflate(&block, Digest::of(&content), &mut data, &mut room);
        assert!(result.is_err(), "last: {last}");
    }
}

/// Lines of which each is the same but for a number.
fn alike(length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(5);
    let same = ".".repeat(length);
    let line = |_| format!("{same} {:05}\n", random.u32(..100_000)).into_bytes();
    (0..4000).flat_map(line).collect()
}

#[test]
fn what_is_very_redundant_is_compressed_by_a_slower_level() {
    let mut levels = std::collections::BTreeSet::new();
    for length in 0..100 {
        let content = alike(length);
        let times = content.len() / stream(5, &content).len();
        let expected = if times < 20 { 5 } else { 7 };
        let mut data = Vec::new();
        let block = Block {
            before: &[],
            bytes: &content,
            last: true,
        };
        engine(6).deflate(&block, &mut data).unwrap();
        assert!(
            data == stream(expected, &content),
            "{length} alike, {times} times smaller"
        );
        levels.insert(expected);
    }
    assert_eq!(levels.len(), 2);
}
