//! What a thread keeps from one file for the next: buffers and library states. Allocated anew for each of many small files they would
//! cost more than the work, and leave the heap in pieces.

use std::any::Any;
use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::thread;

use flate2::Decompress;

use super::engine::Engine;
use super::{BLOCK, STEP};
use crate::model::Level;

/// As many of each as one file needs at a time.
const MOST_BUFFERS: usize = 4;
const MOST_ROOMS: usize = 3;

/// A buffer that grew beyond this is not kept.
const LARGEST: usize = 2 * STEP;

/// No engine wants to know more of what comes before a block.
const MOST_WINDOW: usize = 32 * 1024;

#[derive(Default)]
struct Kept {
    buffers: Vec<Vec<u8>>,
    rooms: Vec<Room>,
    /// A `Seat` of the engine that was used last.
    engine: Option<Box<dyn Any>>,
    decompress: Option<Decompress>,
}

thread_local! {
    static KEPT: RefCell<Kept> = RefCell::default();
}

/// Something that goes back to the thread on which it is dropped.
pub(super) struct Lent<T: Keep>(Option<T>);

/// How a value is kept.
pub(super) trait Keep: Sized {
    fn keep(self);
}

/// An empty buffer with room for a step.
pub(super) fn buffer() -> Lent<Vec<u8>> {
    let mut buffer = KEPT.with_borrow_mut(|kept| kept.buffers.pop()).unwrap_or_default();
    buffer.reserve(STEP);
    Lent(Some(buffer))
}

/// Room for a block and what comes before it.
pub(super) fn room() -> Lent<Room> {
    let kept = KEPT.with_borrow_mut(|kept| kept.rooms.pop());
    Lent(Some(kept.unwrap_or_default()))
}

/// An engine of this kind for this level.
pub(super) fn engine<N: Engine>(level: Level) -> Lent<Box<Seat<N>>> {
    let kept = KEPT.with_borrow_mut(|kept| kept.engine.take());
    let kept = kept.and_then(|engine| engine.downcast::<Seat<N>>().ok());
    let seat = kept.filter(|seat| seat.level == level);
    Lent(Some(seat.unwrap_or_else(|| {
        let engine = N::new(level);
        Box::new(Seat { level, engine })
    })))
}

/// A raw deflate stream at its beginning, for the way back.
pub(super) fn decompress() -> Lent<Decompress> {
    let kept = KEPT.with_borrow_mut(|kept| kept.decompress.take());
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
    fn keep(mut self) {
        self.clear();
        KEPT.with_borrow_mut(|kept| {
            if self.capacity() <= LARGEST && kept.buffers.len() < MOST_BUFFERS {
                kept.buffers.push(self);
            }
        });
    }
}

impl Keep for Room {
    fn keep(self) {
        KEPT.with_borrow_mut(|kept| {
            if kept.rooms.len() < MOST_ROOMS {
                kept.rooms.push(self);
            }
        });
    }
}

impl<N: Engine> Keep for Box<Seat<N>> {
    fn keep(self) {
        KEPT.with_borrow_mut(|kept| kept.engine = Some(self));
    }
}

impl Keep for Decompress {
    fn keep(mut self) {
        self.reset(false);
        KEPT.with_borrow_mut(|kept| kept.decompress = Some(self));
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
    use super::super::engine::Best;
    use super::*;

    #[test]
    fn a_buffer_comes_back_empty_and_a_grown_one_goes() {
        let mut first = buffer();
        first.extend(b"text");
        let at = first.as_ptr();
        drop(first);
        let mut again = buffer();
        assert!(again.is_empty() && again.as_ptr() == at);
        again.reserve(3 * STEP);
        drop(again);
        assert!(buffer().capacity() <= LARGEST);
    }

    #[test]
    fn no_more_are_kept_than_a_file_needs() {
        drop((0..10).map(|_| buffer()).collect::<Vec<_>>());
        assert_eq!(KEPT.with_borrow(|kept| kept.buffers.len()), MOST_BUFFERS);
    }

    #[test]
    fn room_keeps_what_is_in_it_and_its_place() {
        let mut first = room();
        first.of(100).fill(7);
        assert_eq!(first.of(2 * BLOCK)[..101], [[7; 100].as_slice(), &[0]].concat());
        let at = first.of(1).as_ptr();
        drop(first);
        assert_eq!(room().of(2 * BLOCK).as_ptr(), at);
    }

    #[test]
    fn an_engine_is_used_again_for_its_level_only() {
        let level = |number| Level::new(number).unwrap();
        let at = |number| &raw const engine::<Best>(level(number)).engine as usize;
        let first = at(1);
        assert_eq!(at(1), first);
        let other = engine::<Best>(level(9));
        assert_eq!(other.level, level(9));
    }
}
