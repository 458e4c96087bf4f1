//! What holds for every engine, and what for the one that is built in.

use super::super::super::digest::Digest;
use super::super::super::helpers::Alone;
use super::super::super::kept::Reusable;
use super::super::super::samples::{Broken, noise, text};
use super::super::super::verify::{holds, verify};
use super::super::super::{BLOCK, STEP};
use super::super::engine::{Block, Fault};
use super::super::flate::Flate;
#[cfg(feature = "libdeflate")]
use super::super::libdeflate::Libdeflate;
use super::super::prove::compress_block;
use super::super::stored::stored_size;
use super::*;
use crate::model::Format;

#[allow(clippy::unnecessary_wraps)] // what a check looks like
fn go_on(_: u64) -> Result<(), ()> {
    Ok(())
}

fn level(number: u8) -> Level {
    Level::new(number).unwrap()
}

fn pack<N: Engine>(bytes: &[u8], level: Level) -> (Vec<u8>, Packed) {
    let mut member = Vec::new();
    let packed = compress_with::<N, ()>(bytes, &mut member, &Header::default(), level, &Alone, go_on);
    (member, packed.expect("it is compressed"))
}

/// Packs, and reads back all there is to read.
fn comes_back<N: Engine>(bytes: &[u8], level: Level) -> Vec<u8> {
    let what = format!("{}, {level:?}, {} bytes", std::any::type_name::<N>(), bytes.len());
    let (member, packed) = pack::<N>(bytes, level);
    assert_eq!(packed.content, Digest::of(bytes), "{what}");
    verify(&member[..], &packed, go_on).unwrap();
    assert!(holds(Format::Gzip, &member[..], bytes, go_on).unwrap(), "{what}");
    // A reader that knows nothing of us and stops after the first member.
    let mut decoder = flate2::bufread::GzDecoder::new(&member[..]);
    let mut content = Vec::new();
    decoder.read_to_end(&mut content).unwrap();
    assert!(content == bytes && decoder.into_inner().is_empty(), "{what}");
    member
}

/// The tests of each engine.
macro_rules! of_engine {
    ($name:ident, $engine:ty) => {
        mod $name {
            use super::*;

            #[test]
            fn every_level_brings_back_short_and_long() {
                let text = text(BLOCK + 70_000);
                for number in 1..=9 {
                    for length in [0, 1, 2, 100, 5_000, BLOCK + 70_000] {
                        comes_back::<$engine>(&text[..length], level(number));
                    }
                }
            }

            #[test]
            fn lengths_around_steps_and_blocks_come_back() {
                let text = text(2 * BLOCK + 1);
                for around in [STEP, BLOCK, 2 * BLOCK] {
                    for length in [around - 1, around, around + 1] {
                        comes_back::<$engine>(&text[..length], level(1));
                    }
                }
            }

            /// The data ends at every bit of a byte, and blocks of all kinds follow each other.
            #[test]
            fn mixed_blocks_can_follow_each_other() {
                let mut engine = <$engine>::new(level(6));
                let bytes = text(300_000);
                let noise = noise(2_000);
                let mut content = Vec::new();
                let mut stream = Vec::new();
                for length in (0..64).chain([70_000, 0, 40_000]) {
                    let begin = content.len();
                    content.extend(&bytes[length..2 * length]);
                    content.extend(&noise[..length % 7 * 100]);
                    append::<$engine>(&mut engine, &content, begin, false, &mut stream);
                }
                let begin = content.len();
                append::<$engine>(&mut engine, &content, begin, true, &mut stream);
                let mut decoder = flate2::bufread::DeflateDecoder::new(&stream[..]);
                let mut back = Vec::new();
                decoder.read_to_end(&mut back).unwrap();
                assert!(back == content && decoder.into_inner().is_empty());
            }

            #[test]
            fn what_does_not_compress_costs_only_stored_blocks() {
                let bytes = noise(BLOCK + BLOCK / 2);
                let stored = stored_size(BLOCK) + stored_size(BLOCK / 2);
                for number in [1, 6, 9] {
                    let member = comes_back::<$engine>(&bytes, level(number));
                    assert!(member.len() <= 18 + stored, "level {number}: {}", member.len());
                }
            }

            #[test]
            fn a_few_bytes_compress_as_well() {
                for number in 1..=9 {
                    let member = comes_back::<$engine>(&[b'a'; 40], level(number));
                    assert!(member.len() < 18 + 10, "level {number}: {}", member.len());
                }
            }

            #[test]
            fn the_same_comes_out_of_a_used_engine() {
                let bytes = text(BLOCK + 100_000);
                let (first, _) = pack::<$engine>(&bytes, level(6));
                pack::<$engine>(&noise(100_000), level(6));
                let (second, _) = pack::<$engine>(&bytes, level(6));
                assert!(first == second);
            }

            #[test]
            fn garbage_is_refused() {
                for bytes in [
                    text(0),
                    text(20),
                    text(30_000),
                    text(2 * BLOCK + 30_000),
                    noise(BLOCK + 90),
                ] {
                    for spoil in 0..SPOILS.len() {
                        SPOIL.set(spoil);
                        let mut output = Vec::new();
                        let result = compress_with::<Garbage<$engine>, ()>(
                            &bytes[..],
                            &mut output,
                            &Header::default(),
                            level(1),
                            &Alone,
                            go_on,
                        );
                        let refused = matches!(result, Err(CompressError::Wrong(_)));
                        let harmless = result.is_ok() && holds(Format::Gzip, &output[..], &bytes[..], go_on).unwrap();
                        assert!(
                            refused || harmless,
                            "spoilt by {spoil}, {} bytes: {result:?}",
                            bytes.len()
                        );
                        // Garbage that is longer than the block would be stored is not used at all.
                        let must = spoil <= 3 && bytes.len() > 20;
                        assert!(refused || !must, "spoilt by {spoil}, {} bytes", bytes.len());
                    }
                }
            }
        }
    };
}

of_engine!(flate, Flate);
#[cfg(feature = "libdeflate")]
of_engine!(libdeflate, Libdeflate);

/// Appends what is in `content` from `begin` on to a deflate stream.
fn append<N: Engine>(engine: &mut N, content: &[u8], begin: usize, last: bool, stream: &mut Vec<u8>) {
    let (before, bytes) = content.split_at(begin);
    let before = &before[before.len().saturating_sub(N::WINDOW)..];
    let mut data = Vec::new();
    compress_block(engine, &Block { before, bytes, last }, &mut data).unwrap();
    stream.extend(data);
}

/// An engine whose compressor makes garbage.
struct Garbage<N>(N);

type Spoil = fn(&Block<'_>, &mut Vec<u8>);

/// The first four are refused where they are used; the others may happen to change nothing.
const SPOILS: [Spoil; 8] = [
    |_, data| data.clear(),
    |_, data| *data = b"no deflate data at all".to_vec(),
    // Sound data of other content.
    |_, data| *data = vec![0x4b, 0x04, 0x00],
    |block, data| {
        data.clear();
        let other: Vec<u8> = block
            .bytes
            .iter()
            .map(|byte| byte ^ 1)
            .take(block.bytes.len() / 2)
            .collect();
        super::super::stored::store(&other, block.last, data);
    },
    // Cut off, followed by something, and single bits.
    |_, data| data.truncate(data.len().saturating_sub(1)),
    |_, data| data.extend([0; 7]),
    |_, data| data[0] ^= 1,
    |_, data| *data.last_mut().unwrap() ^= 0x10,
];

thread_local! {
    static SPOIL: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

impl<N: Engine> Reusable for Garbage<N> {
    fn new(level: Level) -> Self {
        Garbage(N::new(level))
    }
}

impl<N: Engine> Engine for Garbage<N> {
    const WINDOW: usize = N::WINDOW;

    fn deflate(&mut self, block: &Block<'_>, output: &mut Vec<u8>) -> Result<(), Fault> {
        self.0.deflate(block, output)?;
        SPOILS[SPOIL.get()](block, output);
        Ok(())
    }

    fn inflate(
        &mut self,
        block: &Block<'_>,
        expected: Digest,
        data: &mut Vec<u8>,
        content: &mut [u8],
    ) -> Result<usize, Fault> {
        self.0.inflate(block, expected, data, content)
    }
}

#[test]
fn check_hears_of_every_step_and_stops_the_work() {
    let mut heard = Vec::new();
    let mut member = Vec::new();
    let result = compress(
        &noise(3 * STEP)[..],
        &mut member,
        &Header::default(),
        level(1),
        &Alone,
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
    let header = Header::default();
    let read = compress(Broken, Vec::new(), &header, level(6), &Alone, go_on);
    assert!(matches!(read, Err(CompressError::Read(_))));
    let write = compress(&b"a"[..], Broken, &header, level(6), &Alone, go_on);
    assert!(matches!(write, Err(CompressError::Write(_))));
}

#[test]
fn interrupted_and_short_reads_are_no_matter() {
    struct Trickle<'a>(&'a [u8], bool);
    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let length = self.0.len().min(7).min(buffer.len());
            let (now, later) = self.0.split_at(length);
            buffer[..length].copy_from_slice(now);
            self.0 = later;
            Ok(length)
        }
    }
    let bytes = noise(1000);
    let mut member = Vec::new();
    let packed = compress(
        Trickle(&bytes, false),
        &mut member,
        &Header::default(),
        level(6),
        &Alone,
        go_on,
    )
    .unwrap();
    verify(Trickle(&member, false), &packed, go_on).unwrap();
    assert_eq!(packed.content, Digest::of(&bytes));
}

#[test]
fn small_members_are_one_write() {
    struct Counting(usize);
    impl Write for Counting {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += usize::from(!bytes.is_empty());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    for (length, writes) in [(0, 1), (20_000, 1), (2 * BLOCK, 3)] {
        let mut output = Counting(0);
        compress(
            &noise(length)[..],
            &mut output,
            &Header::default(),
            level(1),
            &Alone,
            go_on,
        )
        .unwrap();
        assert!(output.0 <= writes + 1, "{length} bytes: {} writes", output.0);
    }
}
