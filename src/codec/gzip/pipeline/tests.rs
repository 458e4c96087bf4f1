//! What holds however many help, and whatever becomes of them.

use std::io::{self, Write};
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::{Duration, Instant};

use super::super::super::compress::Packed;
use super::super::super::digest::Digest;
use super::super::super::header::Header;
use super::super::super::helpers::Alone;
use super::super::super::kept::Reusable;
use super::super::super::samples::{noise, text};
use super::super::super::verify::holds;
use super::super::super::{BLOCK, STEP};
use super::super::compress::compress_with;
use super::super::engine::{Best, Block};
use super::super::flate::Flate;
use super::*;
use crate::model::Format;

/// Threads of their own, `idle` at a time, that help for `turns` turns each.
struct Crew {
    idle: Arc<AtomicUsize>,
    turns: usize,
}

impl Crew {
    fn new(idle: usize, turns: usize) -> Self {
        let idle = Arc::new(AtomicUsize::new(idle));
        Crew { idle, turns }
    }

    /// Waits until as many are idle again.
    fn rest(&self, idle: usize) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.idle.load(Ordering::SeqCst) != idle {
            assert!(Instant::now() < deadline, "a helper is not given back");
            thread::yield_now();
        }
    }
}

impl Helpers for Crew {
    fn try_borrow(&self, mut help: Help) -> bool {
        let less = |idle: usize| idle.checked_sub(1);
        if self
            .idle
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less)
            .is_err()
        {
            return false;
        }
        let (idle, turns) = (Arc::clone(&self.idle), self.turns);
        thread::Builder::new()
            .name("helper".into())
            .spawn(move || {
                let given_back = GiveBack(idle);
                let _ = (0..turns).all(|_| help());
                drop(help);
                drop(given_back);
            })
            .unwrap();
        true
    }
}

struct GiveBack(Arc<AtomicUsize>);

impl Drop for GiveBack {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn is_helper() -> bool {
    thread::current().name() == Some("helper")
}

#[allow(clippy::unnecessary_wraps)] // what a check looks like
fn go_on(_: u64) -> Result<(), ()> {
    Ok(())
}

fn pack<N: Engine>(bytes: &[u8], helpers: &dyn Helpers) -> Result<(Vec<u8>, Packed), CompressError<()>> {
    let mut member = Vec::new();
    let level = Level::new(1).unwrap();
    let packed = compress_with::<N, ()>(bytes, &mut member, &Header::default(), level, helpers, go_on)?;
    Ok((member, packed))
}

/// Text and what does not compress, in blocks of different cost.
fn content(blocks: usize) -> Vec<u8> {
    let mut bytes = text(blocks * BLOCK + BLOCK / 3);
    for block in bytes.chunks_mut(BLOCK).step_by(3) {
        let length = block.len() / 2;
        block[..length].copy_from_slice(&noise(length));
    }
    bytes
}

fn bytes_do_not_depend_on_helpers<N: Engine>() {
    let bytes = content(6);
    let (alone, packed) = pack::<N>(&bytes, &Alone).unwrap();
    assert!(holds(Format::Gzip, &alone[..], &bytes[..], go_on).unwrap());
    for (helpers, turns) in [(1, usize::MAX), (3, usize::MAX), (3, 1), (9, 0)] {
        let crew = Crew::new(helpers, turns);
        let (helped, same) = pack::<N>(&bytes, &crew).unwrap();
        assert!(helped == alone && same == packed, "{helpers} helpers for {turns} turns");
        crew.rest(helpers);
    }
}

#[test]
fn the_bytes_do_not_depend_on_helpers() {
    bytes_do_not_depend_on_helpers::<Best>();
    bytes_do_not_depend_on_helpers::<Flate>();
}

/// Those who never get to it, and hold on to what they were given.
#[derive(Default)]
struct Sluggish(Mutex<Vec<Help>>);

impl Helpers for Sluggish {
    fn try_borrow(&self, help: Help) -> bool {
        self.0.lock().unwrap().push(help);
        true
    }
}

#[test]
fn helpers_that_never_come_hold_nothing_up() {
    let bytes = content(4);
    let sluggish = Sluggish::default();
    let (member, _) = pack::<Best>(&bytes, &sluggish).unwrap();
    assert!(holds(Format::Gzip, &member[..], &bytes[..], go_on).unwrap());
    for mut help in sluggish.0.into_inner().unwrap() {
        assert!(!help(), "there is nothing left to do");
    }
}

#[test]
fn one_block_borrows_nobody() {
    for length in [0, 10, BLOCK] {
        let sluggish = Sluggish::default();
        pack::<Best>(&noise(length), &sluggish).unwrap();
        assert!(sluggish.0.into_inner().unwrap().is_empty(), "{length} bytes");
    }
}

/// An engine for which its test says what happens in the middle.
macro_rules! engine_that {
    ($name:ident, $does:expr) => {
        struct $name(Best);

        impl Reusable for $name {
            fn new(level: Level) -> Self {
                $name(Best::new(level))
            }
        }

        impl Engine for $name {
            const WINDOW: usize = Best::WINDOW;

            fn deflate(&mut self, block: &Block<'_>, output: &mut Vec<u8>) -> Result<(), Fault> {
                let does: fn() -> Result<(), Fault> = $does;
                does()?;
                self.0.deflate(block, output)
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
    };
}

/// How many are in the middle of a block in this test, and whether that was two at a time.
static AT_ONCE: AtomicUsize = AtomicUsize::new(0);
static MOST_AT_ONCE: AtomicUsize = AtomicUsize::new(0);

engine_that!(Meeting, || {
    let now = AT_ONCE.fetch_add(1, Ordering::SeqCst) + 1;
    MOST_AT_ONCE.fetch_max(now, Ordering::SeqCst);
    let deadline = Instant::now() + Duration::from_secs(60);
    while MOST_AT_ONCE.load(Ordering::SeqCst) < 2 {
        assert!(Instant::now() < deadline, "nobody else comes");
        thread::yield_now();
    }
    AT_ONCE.fetch_sub(1, Ordering::SeqCst);
    Ok(())
});

#[test]
fn a_borrowed_thread_compresses_at_the_same_time_and_no_more_than_that() {
    let crew = Crew::new(1, usize::MAX);
    pack::<Meeting>(&content(6), &crew).unwrap();
    assert_eq!(MOST_AT_ONCE.load(Ordering::SeqCst), 2);
}

/// Whether a helper has panicked.
static HAS_PANICKED: AtomicUsize = AtomicUsize::new(0);

engine_that!(Panicking, || {
    if is_helper() {
        HAS_PANICKED.store(1, Ordering::SeqCst);
        panic!("on purpose");
    }
    // Leaves it to the helper to begin.
    let deadline = Instant::now() + Duration::from_secs(60);
    while HAS_PANICKED.load(Ordering::SeqCst) == 0 && Instant::now() < deadline {
        thread::yield_now();
    }
    Ok(())
});

#[test]
fn a_helper_that_panics_is_an_error() {
    let crew = Crew::new(1, usize::MAX);
    let result = pack::<Panicking>(&content(3), &crew);
    assert!(matches!(result, Err(CompressError::Wrong("the compressor panicked"))));
    crew.rest(1);
}

engine_that!(Failing, || if is_helper() { Err("it fails") } else { Ok(()) });

#[test]
fn what_a_helper_finds_wrong_is_an_error() {
    let bytes = content(9);
    let crew = Crew::new(1, usize::MAX);
    match pack::<Failing>(&bytes, &crew) {
        Err(CompressError::Wrong("it fails")) => {}
        // The helper may never have come to it.
        Ok((member, _)) => assert!(holds(Format::Gzip, &member[..], &bytes[..], go_on).unwrap()),
        Err(error) => panic!("{error:?}"),
    }
    crew.rest(1);
}

#[test]
fn stopped_at_any_step_it_gives_its_helpers_back() {
    let bytes = content(3);
    let level = Level::new(1).unwrap();
    for allowed in 0..bytes.len() / STEP {
        let crew = Crew::new(2, usize::MAX);
        let mut steps = 0..allowed;
        let check = |_| steps.next().map(|_| ()).ok_or("enough");
        let result = compress_with::<Best, _>(&bytes[..], Vec::new(), &Header::default(), level, &crew, check);
        assert!(matches!(result, Err(CompressError::Stopped("enough"))), "{allowed}");
        crew.rest(2);
    }
}

#[test]
fn no_more_is_read_ahead_than_the_threads_need() {
    struct Counting<'a>(&'a AtomicU64);
    impl Write for Counting<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.fetch_add(bytes.len() as u64, Ordering::SeqCst);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let bytes = noise(12 * BLOCK); // so that as much is written as is read
    for helpers in [0, 1, 3] {
        let written = AtomicU64::new(0);
        let most = (2 * helpers + 2) * BLOCK;
        let check = |read: u64| {
            let ahead = read.saturating_sub(written.load(Ordering::SeqCst));
            if ahead <= most as u64 { Ok(()) } else { Err(ahead) }
        };
        let crew = Crew::new(helpers, usize::MAX);
        let (header, level) = (Header::default(), Level::default());
        compress_with::<Best, _>(&bytes[..], Counting(&written), &header, level, &crew, check).unwrap();
    }
}
