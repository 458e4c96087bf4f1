//! What is true of every level: what comes out is one frame that any reader brings back to what went in, and nothing else is taken for one.

use std::io::Read;

use zstd_safe::{CCtx, CParameter, DCtx};

use super::super::compress::{CompressError, Packed};
use super::super::digest::Digest;
use super::super::header::Header;
use super::super::kept::Reusable;
use super::super::samples::{Broken, noise, text};
use super::super::source::Block;
use super::super::verify::{VerifyError, holds, mark_of, may_hold, verify};
use super::super::{BLOCK, STEP};
use super::codec::Codec;
use super::compress;
use crate::model::{Format, Level};

#[allow(clippy::unnecessary_wraps)] // what a check looks like
fn go_on(_: u64) -> Result<(), ()> {
    Ok(())
}

fn level(number: u8) -> Level {
    Format::Zstd.level(number).unwrap()
}

/// Of a file, whose length is known.
fn pack(bytes: &[u8], level: Level) -> (Vec<u8>, Packed) {
    pack_said(bytes, level, Some(bytes.len() as u64))
}

fn pack_said(bytes: &[u8], level: Level, length: Option<u64>) -> (Vec<u8>, Packed) {
    let header = Header {
        length,
        ..Header::default()
    };
    let mut frame = Vec::new();
    let packed = compress(bytes, &mut frame, &header, level, go_on).expect("it is compressed");
    (frame, packed)
}

fn is_of(frame: &[u8], bytes: &[u8]) -> bool {
    holds(Format::Zstd, frame, bytes, go_on).unwrap()
}

fn may_be_of(frame: &[u8], bytes: &[u8]) -> bool {
    let read_at = |buffer: &mut [u8], offset: u64| (&frame[usize::try_from(offset).unwrap()..]).read_exact(buffer);
    may_hold(Format::Zstd, frame.len() as u64, bytes.len() as u64, None, read_at).unwrap()
}

/// Packs, and reads back all there is to read.
fn comes_back(bytes: &[u8], level: Level, length: Option<u64>) -> Vec<u8> {
    let what = format!("{level:?}, {} bytes, {length:?} said", bytes.len());
    let (frame, packed) = pack_said(bytes, level, length);
    assert_eq!(packed.content, Digest::of(bytes), "{what}");
    assert_eq!(packed.length(), frame.len() as u64, "{what}");
    verify(&frame[..], &packed, go_on).unwrap();
    assert!(is_of(&frame, bytes) && may_be_of(&frame, bytes), "{what}");
    // A reader that knows nothing of us, and takes exactly one frame.
    let one = zstd_safe::find_frame_compressed_size(&frame);
    assert_eq!(one, Ok(frame.len()), "{what}");
    let mut content = Vec::with_capacity(bytes.len() + 1);
    DCtx::create().decompress(&mut content, &frame).unwrap();
    assert!(content == bytes, "{what}");
    // Frame_Header_Descriptor, RFC 8878, section 3.1.1.1.1: Content_Checksum_flag.
    assert_eq!(frame[4] & 0b100, 0b100, "{what}");
    frame
}

fn said_length(frame: &[u8]) -> Option<u64> {
    zstd_safe::get_frame_content_size(frame).unwrap()
}

#[test]
fn every_level_brings_back_short_and_long() {
    let text = text(BLOCK + 70_000);
    for number in 1..=19 {
        // The upper ones take their time.
        let long = if number % 6 == 1 { BLOCK + 70_000 } else { 70_000 };
        for length in [0, 1, 2, 100, 5_000, long] {
            let frame = comes_back(&text[..length], level(number), Some(length as u64));
            assert_eq!(said_length(&frame), Some(length as u64));
        }
    }
}

#[test]
fn lengths_around_steps_and_blocks_come_back_whether_known_or_not() {
    let text = text(2 * BLOCK + 1);
    for around in [STEP, BLOCK, 2 * BLOCK] {
        for length in [around - 1, around, around + 1] {
            let known = Some(length as u64);
            comes_back(&text[..length], level(1), known);
            let frame = comes_back(&text[..length], level(1), None);
            // What fits into a block is known before any of it is written.
            assert_eq!(said_length(&frame), known.filter(|_| length <= BLOCK), "{length}");
        }
    }
}

#[test]
fn what_does_not_compress_costs_a_few_bytes() {
    let bytes = noise(BLOCK + BLOCK / 2);
    for number in [1, 3, 9, 19] {
        let frame = comes_back(&bytes, level(number), Some(bytes.len() as u64));
        let blocks = bytes.len().div_ceil(128 * 1024);
        assert!(
            frame.len() <= bytes.len() + 3 * blocks + 18 + 4,
            "level {number}: {}",
            frame.len()
        );
    }
}

/// A block knows what comes before it in the frame: what was compressed once costs nearly nothing again.
#[test]
fn blocks_know_those_before_them() {
    let bytes = noise(STEP);
    let (once, _) = pack(&bytes, level(3));
    let (often, _) = pack(&bytes.repeat(12), level(3));
    assert!(often.len() < once.len() + 5000, "{} and {}", often.len(), once.len());
}

#[test]
fn a_used_codec_makes_the_same_as_a_new_one() {
    let short = text(5_000);
    let long = text(BLOCK + 100_000);
    for number in [1, 3, 7] {
        let by_new = |bytes: &[u8]| {
            let bytes = bytes.to_vec();
            std::thread::spawn(move || pack(&bytes, level(number)).0)
                .join()
                .unwrap()
        };
        let (new_short, new_long) = (by_new(&short), by_new(&long));
        for _ in 0..2 {
            assert!(pack(&long, level(number)).0 == new_long, "level {number}");
            assert!(pack(&noise(100_000), level(number)).0.len() > 100_000);
            assert!(pack(&short, level(number)).0 == new_short, "level {number}");
        }
    }
}

#[test]
fn a_codec_that_was_given_up_is_as_good_as_new() {
    let bytes = text(BLOCK + STEP);
    let (expected, _) = pack(&bytes, level(3));
    let header = Header {
        length: Some(bytes.len() as u64),
        ..Header::default()
    };
    let mut calls = 0;
    let stopped = compress(&bytes[..], Vec::new(), &header, level(3), |_| {
        calls += 1;
        if calls > 9 { Err(()) } else { Ok(()) }
    });
    assert!(matches!(stopped, Err(CompressError::Stopped(()))));
    assert!(pack(&bytes, level(3)).0 == expected);
}

#[test]
fn a_source_of_another_length_than_was_said_is_noticed() {
    let bytes = text(2 * BLOCK + 10);
    for length in [0, 10, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 10] {
        for said in [0, 9, 11, BLOCK - 1, BLOCK, 2 * BLOCK, 3 * BLOCK] {
            let header = Header {
                length: Some(said as u64),
                ..Header::default()
            };
            let result = compress(&bytes[..length], Vec::new(), &header, level(1), go_on);
            assert_eq!(
                matches!(result, Err(CompressError::Resized)),
                length != said,
                "{length} bytes, {said} said: {result:?}"
            );
        }
    }
}

#[test]
fn every_byte_that_is_wrong_is_noticed() {
    let bytes = b"a short text, a short text, and its end".repeat(3);
    let (frame, written) = pack(&bytes, level(3));
    for at in 0..frame.len() {
        for flip in [1, 0x10, 0x80, 0xff] {
            let mut bad = frame.clone();
            bad[at] ^= flip;
            let result = verify(&bad[..], &written, go_on);
            assert!(matches!(result, Err(VerifyError::Wrong(_))), "byte {at} xor {flip}");
            // Whatever it was made, a reader brings back the same bytes or none.
            if is_of(&bad, &bytes) {
                let mut content = Vec::with_capacity(bytes.len() + 1);
                DCtx::create().decompress(&mut content, &bad).unwrap();
                assert!(content == bytes, "byte {at} xor {flip}");
            }
        }
    }
}

#[test]
fn random_damage_never_passes_for_what_was_written() {
    let bytes = text(3 * STEP);
    let (frame, written) = pack(&bytes, level(1));
    let mut random = fastrand::Rng::with_seed(0x2d57);
    for round in 0..200 {
        let mut bad = frame.clone();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..bad.len());
            bad[at] ^= random.u8(1..);
        }
        assert!(
            matches!(verify(&bad[..], &written, go_on), Err(VerifyError::Wrong(_))),
            "round {round}"
        );
        // No panic and no endless loop, and the checksum or the comparison finds it.
        assert!(!is_of(&bad, &bytes) || bad[5..] == frame[5..], "round {round}");
    }
}

#[test]
fn cut_off_doubled_or_followed_by_anything_is_refused() {
    let bytes = text(BLOCK + STEP);
    let (frame, written) = pack(&bytes, level(3));
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 7][..], &frame[..]].concat();
    let middle = frame.len() / 2;
    let refused = |bad: &[u8]| {
        let wrong = matches!(verify(bad, &written, go_on), Err(VerifyError::Wrong(_)));
        wrong && !is_of(bad, &bytes)
    };
    for cut in [
        0,
        1,
        4,
        5,
        9,
        18,
        middle,
        frame.len() - 5,
        frame.len() - 4,
        frame.len() - 1,
    ] {
        assert!(refused(&frame[..cut]), "cut to {cut}");
    }
    assert!(refused(&[&frame[..], b"\0"].concat()));
    assert!(refused(&[&frame[..], &frame[..]].concat()));
    assert!(refused(&skippable));
}

/// What marks it as going the way of its original is passed over by every reader, and belongs to it.
#[test]
fn a_frame_that_follows_its_original_is_known_again_and_no_other() {
    let bytes = text(BLOCK + STEP);
    let mut header = Header {
        name: b"a.txt",
        modified: 0x0102_0304,
        follows: true,
        length: Some(bytes.len() as u64),
    };
    let made = |header: &Header<'_>| {
        let mut frame = Vec::new();
        let packed = compress(&bytes[..], &mut frame, header, level(3), go_on).unwrap();
        (frame, packed)
    };
    let mark_in = |name: &[u8], frame: &[u8]| {
        let read_at = |buffer: &mut [u8], offset: u64| (&frame[usize::try_from(offset).unwrap()..]).read_exact(buffer);
        mark_of(Format::Zstd, name, frame.len() as u64, read_at).unwrap()
    };
    let (frame, packed) = made(&header);
    assert_eq!(mark_in(b"a.txt", &frame), Some(0x0102_0304));
    for name in [&b"a.tx"[..], b".txt", b"a.txt.", b"b.txt", b""] {
        assert_eq!(mark_in(name, &frame), None);
    }
    verify(&frame[..], &packed, go_on).unwrap();
    assert!(is_of(&frame, &bytes) && may_be_of(&frame, &bytes));
    let mut content = Vec::with_capacity(bytes.len() + 1);
    DCtx::create().decompress(&mut content, &frame).unwrap();
    assert!(content == bytes);

    header.follows = false;
    let (plain, _) = made(&header);
    assert!(frame.starts_with(&plain));
    assert_eq!(mark_in(b"a.txt", &plain), None);
    // Cut off, doubled, or another program's.
    assert!(!is_of(&frame[..frame.len() - 1], &bytes));
    assert!(!is_of(&[&frame[..], &frame[plain.len()..]].concat(), &bytes));
    let mut foreign = frame.clone();
    foreign[plain.len() + 8] ^= 1;
    assert!(!is_of(&foreign, &bytes));
    assert_eq!(mark_in(b"a.txt", &foreign), None);
    assert_eq!(mark_in(b"a.txt", b""), None);
}

#[test]
fn another_content_is_told_apart() {
    let bytes = text(BLOCK + STEP);
    let (frame, _) = pack(&bytes, level(3));
    assert!(!is_of(&frame, &bytes[..bytes.len() - 1]) && !may_be_of(&frame, &bytes[..bytes.len() - 1]));
    assert!(!is_of(&frame, &[&bytes[..], b"x"].concat()));
    assert!(!is_of(&frame, b"") && !may_be_of(&frame, b""));
    let mut last = bytes.clone();
    *last.last_mut().unwrap() ^= 1;
    assert!(!is_of(&frame, &last) && may_be_of(&frame, &last));
    for no_frame in [&b""[..], b"no frame", b"no frame at all, but longer than any header"] {
        assert!(!is_of(no_frame, &bytes) && !may_be_of(no_frame, &bytes));
    }
    let (nothing, _) = pack(b"", level(3));
    assert!(is_of(&nothing, b""));
}

/// What others make: without the content's size or checksum, at other levels.
#[test]
fn a_foreign_frame_of_the_same_content_is_known() {
    let bytes = text(3 * STEP);
    for said in [true, false] {
        let mut frame = Vec::with_capacity(zstd_safe::compress_bound(bytes.len()));
        let mut others = CCtx::create();
        others.set_parameter(CParameter::CompressionLevel(5)).unwrap();
        others.set_parameter(CParameter::ContentSizeFlag(said)).unwrap();
        others.compress2(&mut frame, &bytes).unwrap();
        assert_eq!(said_length(&frame).is_some(), said);
        assert!(is_of(&frame, &bytes) && may_be_of(&frame, &bytes));
    }
}

/// A window of 128 MiB would be as much memory, at somebody else's will.
#[test]
fn a_frame_that_asks_for_a_large_window_is_not_read() {
    let bytes = text(STEP);
    for (window_log, is_read) in [(23, true), (24, false), (27, false)] {
        let mut frame = Vec::with_capacity(zstd_safe::compress_bound(bytes.len()));
        let mut others = CCtx::create();
        others.set_parameter(CParameter::WindowLog(window_log)).unwrap();
        others.set_parameter(CParameter::ContentSizeFlag(false)).unwrap();
        // Not in one call, for which the window would be as small as the content.
        let mut output = zstd_safe::OutBuffer::around(&mut frame);
        let mut input = zstd_safe::InBuffer::around(&bytes);
        others.compress_stream(&mut output, &mut input).unwrap();
        assert_eq!(others.end_stream(&mut output), Ok(0));
        assert_eq!(is_of(&frame, &bytes), is_read, "2^{window_log}");
    }
}

#[test]
fn what_the_library_makes_wrong_is_not_accepted() {
    let bytes = text(STEP);
    let block = |last| Block {
        before: &[],
        bytes: &bytes,
        last,
    };
    let (right, other) = (block(true), noise(1000));
    let mut codec = Codec::new(level(3));
    let mut data = Vec::new();
    codec.begin(Some(bytes.len() as u64)).unwrap();
    codec.compress(&right, &mut data).unwrap();
    let mut room = vec![0; bytes.len() + 1];
    let (foreign, _) = pack(&other, level(3));
    for (what, bad) in [
        ("nothing", Vec::new()),
        ("no frame", b"no Zstandard data at all".to_vec()),
        ("of other content", foreign),
        ("cut off", data[..data.len() - 1].to_vec()),
        ("followed by something", [&data[..], b"x"].concat()),
        ("followed by itself", data.repeat(2)),
        ("spoilt", data.iter().map(|byte| byte ^ 1).collect()),
    ] {
        codec.begin(None).unwrap();
        assert!(codec.prove(&right, &bad, &mut room).is_err(), "{what}");
    }
    // The end where it goes on.
    codec.begin(None).unwrap();
    assert!(codec.prove(&block(false), &data, &mut room).is_err());
    codec.begin(None).unwrap();
    codec.prove(&right, &data, &mut room).unwrap();
}

#[test]
fn check_hears_of_every_step_and_stops_the_work() {
    let mut heard = Vec::new();
    let result = compress(
        &noise(3 * STEP)[..],
        Vec::new(),
        &Header::default(),
        level(1),
        |bytes| {
            heard.push(bytes);
            if heard.len() == 2 { Err("enough") } else { Ok(()) }
        },
    );
    assert!(matches!(result, Err(CompressError::Stopped("enough"))));
    assert_eq!(heard, [STEP as u64, 2 * STEP as u64]);
}

#[test]
fn errors_say_which_side_failed() {
    let read = compress(Broken, Vec::new(), &Header::default(), level(3), go_on);
    assert!(matches!(read, Err(CompressError::Read(_))));
    let write = compress(&b"a"[..], Broken, &Header::default(), level(3), go_on);
    assert!(matches!(write, Err(CompressError::Write(_))));
}
