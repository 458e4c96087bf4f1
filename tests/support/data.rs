//! Test data from a seed: the same on every run, and on the failing one the seed is printed.

use std::env;
use std::ops::Range;
use std::thread;

use fastrand::Rng;

/// A source of contents and names. `DWINDLE_TEST_SEED` overrides every test's own seed.
pub(crate) struct Data {
    seed: u64,
    random: Rng,
    names: u64,
}

impl Data {
    pub(crate) fn from_seed(seed: u64) -> Self {
        let seed = match env::var("DWINDLE_TEST_SEED") {
            Ok(given) => given.parse().expect("DWINDLE_TEST_SEED is a number"),
            Err(_) => seed,
        };
        Data {
            seed,
            random: Rng::with_seed(seed),
            names: 0,
        }
    }

    /// Exactly so many bytes of lines that look like a log, and compress like one.
    pub(crate) fn log_text(&mut self, bytes: usize) -> Vec<u8> {
        const LEVELS: [&str; 4] = ["DEBUG", "INFO", "WARN", "ERROR"];
        const DOINGS: [&str; 6] = ["accepted", "answered", "retried", "refused", "cached", "dropped"];
        let random = &mut self.random;
        let mut text = Vec::with_capacity(bytes + 100);
        let mut milliseconds = random.u32(0..86_400_000);
        while text.len() < bytes {
            milliseconds = (milliseconds + random.u32(0..500)) % 86_400_000;
            let (seconds, thousandths) = (milliseconds / 1000, milliseconds % 1000);
            let line = format!(
                "2026-11-23T{:02}:{:02}:{:02}.{thousandths:03}Z {:5} worker-{} {} /item/{} in {} ms\n",
                seconds / 3600,
                seconds / 60 % 60,
                seconds % 60,
                LEVELS[random.usize(..LEVELS.len())],
                random.u8(0..16),
                DOINGS[random.usize(..DOINGS.len())],
                random.u32(..),
                random.u16(0..2000),
            );
            text.extend_from_slice(line.as_bytes());
        }
        text.truncate(bytes);
        text
    }

    /// Exactly so many bytes that a compressor needs long for: at level 9 more than half a second for a million, where the same of a log take
    /// 40 ms. For files that are to be caught at work.
    pub(crate) fn tedious_text(&mut self, bytes: usize) -> Vec<u8> {
        (0..bytes).map(|_| b"ACGT"[self.random.usize(..4)]).collect()
    }

    /// Bytes that do not compress.
    pub(crate) fn random_bytes(&mut self, bytes: usize) -> Vec<u8> {
        let mut content = vec![0; bytes];
        self.random.fill(&mut content);
        content
    }

    /// A number in the range, for sizes and choices.
    pub(crate) fn number(&mut self, range: Range<usize>) -> usize {
        self.random.usize(range)
    }

    /// A file name that this source has not given before.
    pub(crate) fn name(&mut self, suffix: &str) -> String {
        const WORDS: [&str; 6] = ["orders", "access", "sensor", "report", "export", "trace"];
        self.names += 1;
        let word = WORDS[self.random.usize(..WORDS.len())];
        format!("{word}-{:04x}-{}.{suffix}", self.random.u16(..), self.names)
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the data was made from DWINDLE_TEST_SEED={}", self.seed);
        }
    }
}

#[test]
fn equal_seeds_make_equal_data_of_the_size_asked_for() {
    let make = |seed| {
        let mut data = Data::from_seed(seed);
        (
            data.log_text(10_000),
            data.random_bytes(1000),
            data.name("csv"),
            data.number(0..1000),
        )
    };
    assert_eq!(make(1), make(1));
    let (text, bytes, ..) = make(1);
    assert_eq!((text.len(), bytes.len()), (10_000, 1000));
    assert!(text.starts_with(b"2026-11-23T"));
}

#[test]
fn names_never_repeat() {
    let mut data = Data::from_seed(2);
    let names: std::collections::HashSet<_> = (0..1000).map(|_| data.name("log")).collect();
    assert_eq!(names.len(), 1000);
}
