//! What is kept from one file for the next: buffers and library states. Allocated anew for each of many small files they would cost more
//! than the work, and leave the heap in pieces.
//!
//! Threads share it, so that it is as much as is used at a time however many threads take turns. It goes with the last of them.

use std::any::Any;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;

use flate2::Decompress;

use super::{BLOCK, STEP};
use crate::model::Level;

/// A buffer that grew beyond this is not kept.
const LARGEST: usize = BLOCK / 2;

/// No engine wants to know more of what comes before a block.
const MOST_WINDOW: usize = 32 * 1024;

#[derive(Default)]
struct Kept {
    buffers: Vec<Vec<u8>>,
    rooms: Vec<Room>,
    /// Each a `Seat`.
    engines: Vec<Box<dyn Any + Send>>,
    decompressors: Vec<Decompress>,
}

impl Kept {
    /// One of this kind for this level, or else that which has been kept for longest, so that another one can take its place.
    fn take_engine<N: Reusable>(&mut self, level: Level) -> Option<Box<dyn Any + Send>> {
        let fits = |engine: &Box<dyn Any + Send>| {
            let seat = engine.downcast_ref::<Seat<N>>();
            seat.is_some_and(|seat| seat.level == level)
        };
        let at = self.engines.iter().rposition(fits).unwrap_or(0);
        (at < self.engines.len()).then(|| self.engines.remove(at))
    }

    fn keep_buffer(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        if buffer.capacity() <= LARGEST {
            self.buffers.push(buffer);
        }
    }
}

static SHARED: Mutex<Weak<Mutex<Kept>>> = Mutex::new(Weak::new());

thread_local! {
    static KEPT: Arc<Mutex<Kept>> = {
        let mut shared = lock(&SHARED);
        let kept = shared.upgrade().unwrap_or_default();
        *shared = Arc::downgrade(&kept);
        kept
    };
}

fn with_kept<T>(work: impl FnOnce(&mut Kept) -> T) -> T {
    KEPT.with(|kept| work(&mut lock(kept)))
}

/// Frees all that is kept. What is lent comes back all the same.
#[cfg(feature = "cli")]
pub(crate) fn free_kept() {
    let kept = with_kept(std::mem::take);
    drop(kept);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it is held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Something that goes back when it is dropped.
pub(super) struct Lent<T: Keep>(Option<T>);

/// How a value is kept.
pub(super) trait Keep: Sized {
    fn keep(self);
}

/// What a library needs to compress at a level, and what is made for one file can be used for the next.
pub(super) trait Reusable: Send + 'static {
    fn new(level: Level) -> Self;

    /// Whether it takes so much memory that it is better made anew.
    fn is_large(&self) -> bool {
        false
    }
}

/// An empty buffer with room for a step.
pub(super) fn buffer() -> Lent<Vec<u8>> {
    let mut buffer = with_kept(|kept| kept.buffers.pop()).unwrap_or_default();
    buffer.reserve(STEP);
    Lent(Some(buffer))
}

/// Room for a block and what comes before it.
pub(super) fn room() -> Lent<Room> {
    let kept = with_kept(|kept| kept.rooms.pop());
    Lent(Some(kept.unwrap_or_default()))
}

/// An engine of this kind for this level.
pub(super) fn engine<N: Reusable>(level: Level) -> Lent<Box<Seat<N>>> {
    let kept = with_kept(|kept| kept.take_engine::<N>(level));
    let seat = kept.and_then(|engine| engine.downcast::<Seat<N>>().ok());
    let seat = seat.filter(|seat| seat.level == level);
    Lent(Some(seat.unwrap_or_else(|| {
        let engine = N::new(level);
        Box::new(Seat { level, engine })
    })))
}

/// A raw deflate stream at its beginning, for the way back.
pub(super) fn decompress() -> Lent<Decompress> {
    let kept = with_kept(|kept| kept.decompressors.pop());
    Lent(Some(kept.unwrap_or_else(|| Decompress::new(false))))
}

/// Bytes that nobody has to set before each use. They are zeroed memory at first, of which the kernel gives as much as is touched.
#[derive(Debug, Default)]
pub(super) struct Room(Vec<u8>);

impl Room {
    /// The first `length` bytes, whatever they are.
    pub(super) fn of(&mut self, length: usize) -> &mut [u8] {
        if self.0.len() < length {
            let mut longer = vec![0; length.max(MOST_WINDOW + BLOCK + 1)];
            longer[..self.0.len()].copy_from_slice(&self.0);
            self.0 = longer;
        }
        &mut self.0[..length]
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// An engine and what it is for.
pub(super) struct Seat<N> {
    level: Level,
    pub(super) engine: N,
}

impl Keep for Vec<u8> {
    fn keep(self) {
        with_kept(|kept| kept.keep_buffer(self));
    }
}

impl Keep for Room {
    fn keep(self) {
        with_kept(|kept| kept.rooms.push(self));
    }
}

impl<N: Reusable> Keep for Box<Seat<N>> {
    fn keep(self) {
        if !self.engine.is_large() {
            with_kept(|kept| kept.engines.push(self));
        }
    }
}

impl Keep for Decompress {
    fn keep(mut self) {
        self.reset(false);
        with_kept(|kept| kept.decompressors.push(self));
    }
}

impl<T: Keep> Deref for Lent<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("lent until it is dropped")
    }
}

impl<T: Keep> DerefMut for Lent<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("lent until it is dropped")
    }
}

impl<T: Keep> Drop for Lent<T> {
    fn drop(&mut self) {
        // What a panic left may be broken.
        if let Some(value) = self.0.take().filter(|_| !thread::panicking()) {
            value.keep();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct State(Level);

    impl Reusable for State {
        fn new(level: Level) -> Self {
            State(level)
        }

        fn is_large(&self) -> bool {
            self.0.number() == 8
        }
    }

    #[test]
    fn a_buffer_comes_back_empty_and_a_grown_one_goes() {
        let mut kept = Kept::default();
        kept.keep_buffer(b"text".to_vec());
        kept.keep_buffer(Vec::with_capacity(LARGEST + 1));
        assert_eq!(kept.buffers, [Vec::<u8>::new()]);
        assert!(kept.buffers[0].capacity() > 0);
    }

    #[test]
    fn what_is_lent_comes_back_however_many_threads_there_are() {
        let used = || {
            let (mut buffer, mut room) = (buffer(), room());
            buffer.extend(b"text");
            room.of(10).fill(7);
            engine::<State>(Level::default());
            decompress();
        };
        thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(used))));
        used();
        assert!(buffer().is_empty());
        with_kept(|kept| assert!(!kept.engines.is_empty() && !kept.decompressors.is_empty()));
    }

    #[test]
    fn room_keeps_what_is_in_it() {
        let mut room = Room::default();
        room.of(100).fill(7);
        assert_eq!(room.of(2 * BLOCK)[..101], [[7; 100].as_slice(), &[0]].concat());
        let at = room.of(1).as_ptr();
        assert_eq!(room.of(2 * BLOCK).as_ptr(), at);
    }

    #[test]
    fn an_engine_is_used_again_for_its_level_and_kind_only() {
        let level = |number| Level::new(number).unwrap();
        let seat = |number| Seat {
            level: level(number),
            engine: State(level(number)),
        };
        let mut kept = Kept::default();
        for number in [1, 9, 1] {
            kept.engines.push(Box::new(seat(number)));
        }
        let taken = kept.take_engine::<State>(level(9)).unwrap();
        assert_eq!(taken.downcast::<Seat<State>>().unwrap().level, level(9));
        assert_eq!(kept.engines.len(), 2);
        // None fits, so that one goes.
        assert!(kept.take_engine::<State>(level(9)).is_some());
        assert_eq!(kept.engines.len(), 1);
        kept.engines.clear();
        assert!(kept.take_engine::<State>(level(9)).is_none());
        assert_eq!(engine::<State>(level(9)).level, level(9));
    }

    #[test]
    fn a_large_one_is_not_kept() {
        let large = Level::new(8).unwrap();
        drop(engine::<State>(large));
        assert!(with_kept(|kept| {
            let mut seats = kept
                .engines
                .iter()
                .filter_map(|engine| engine.downcast_ref::<Seat<State>>());
            seats.all(|seat| seat.level != large)
        }));
    }
}
