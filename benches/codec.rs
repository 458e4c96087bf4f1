//! How fast one thread compresses, at each level, verification included; and how fast an output is read back. For the engine of the core:
//!
//! ```sh
//! cargo bench --bench codec
//! cargo bench --bench codec --no-default-features
//! ```
//!
//! The data is made from a seed; `DWINDLE_CORPUS` names a folder whose files are used instead. The codec is not public: it is compiled in.

#![allow(dead_code, missing_docs, unreachable_pub, unused_imports)]

#[path = "../src/codec/mod.rs"]
mod codec;
#[path = "../src/model/mod.rs"]
mod model;

use std::io::{self, Write};
use std::sync::LazyLock;
use std::{env, fs};

use codec::{Alone, Header, Packed};
use divan::Bencher;
use divan::counter::BytesCount;
use model::{Format, Level};

fn main() {
    let engine = if cfg!(feature = "libdeflate") {
        "libdeflate"
    } else {
        "flate2"
    };
    println!("engine: {engine}");
    divan::main();
}

/// Several blocks.
static LARGE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let Some(corpus) = env::var_os("DWINDLE_CORPUS") else {
        return log(16 << 20);
    };
    let mut files: Vec<_> = fs::read_dir(corpus)
        .expect("the corpus is a folder")
        .map(|entry| entry.expect("its entries can be read").path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    let joined: Vec<u8> = files
        .iter()
        .flat_map(|path| fs::read(path).expect("its files can be read"))
        .collect();
    // Far beyond the window of deflate, so that its ratio stays what it is.
    joined.repeat((16 << 20) / joined.len().max(1) + 1)
});

/// Less than a block, and as short as most files.
static SMALL: LazyLock<&[u8]> = LazyLock::new(|| &LARGE[..4096]);

#[divan::bench(args = 1..=9, sample_count = 15)]
fn compress_large(bencher: Bencher<'_, '_>, level: u8) {
    compress(bencher, &LARGE, gzip(level));
}

#[divan::bench(args = 1..=9)]
fn compress_small(bencher: Bencher<'_, '_>, level: u8) {
    compress(bencher, &SMALL, gzip(level));
}

#[cfg(feature = "zstd")]
#[divan::bench(args = [1, 3, 6, 9, 12, 19], sample_count = 15)]
fn compress_large_zstd(bencher: Bencher<'_, '_>, level: u8) {
    compress(bencher, &LARGE, Format::Zstd.level(level).expect("a level"));
}

#[divan::bench]
fn verify(bencher: Bencher<'_, '_>) {
    let (member, packed) = member();
    bencher
        .counter(BytesCount::new(LARGE.len()))
        .bench_local(|| codec::verify(&member[..], &packed, |_| Ok::<_, ()>(())).expect("it is right"));
}

/// What finds out whether an existing output is that of its original.
#[divan::bench]
fn holds(bencher: Bencher<'_, '_>) {
    let (member, _) = member();
    bencher
        .counter(BytesCount::new(LARGE.len()))
        .bench_local(|| codec::holds(Format::Gzip, &member[..], &LARGE[..], |_| Ok::<_, ()>(())).expect("it is read"));
}

fn compress(bencher: Bencher<'_, '_>, content: &[u8], level: Level) {
    bencher
        .counter(BytesCount::new(content.len()))
        .bench_local(|| pack(content, io::sink(), level));
}

fn member() -> (Vec<u8>, Packed) {
    let mut member = Vec::new();
    let packed = pack(&LARGE, &mut member, Level::default());
    (member, packed)
}

fn gzip(level: u8) -> Level {
    Level::new(level).expect("a level")
}

fn pack(content: &[u8], output: impl Write, level: Level) -> Packed {
    codec::compress(content, output, &Header::default(), level, &Alone, |_| Ok::<_, ()>(())).expect("it is compressed")
}

/// Lines that look like a log, and compress like one.
fn log(length: usize) -> Vec<u8> {
    const DOINGS: [&str; 6] = ["accepted", "answered", "retried", "refused", "cached", "dropped"];
    let mut random = fastrand::Rng::with_seed(1);
    let mut bytes = Vec::with_capacity(length + 100);
    for line in 0.. {
        if bytes.len() >= length {
            break;
        }
        let doing = random.choice(DOINGS).unwrap_or_default();
        let (worker, item, took) = (random.u8(0..16), random.u32(..), random.u16(0..2000));
        writeln!(
            bytes,
            "2026-11-23T12:{:02}:{:02}Z INFO worker-{worker} {doing} /item/{item} in {took} ms",
            line / 6000 % 60,
            line / 100 % 60
        )
        .expect("memory takes it");
    }
    bytes.truncate(length);
    bytes
}
