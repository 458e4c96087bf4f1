//! What a thread keeps from one file for the next: buffers and library states. Allocated anew for each of many small files they would
//! cost more than the work, and leave the heap in pieces.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use flate2::{Compress, Compression, Decompress};

use super::BLOCK;
use crate::model::Level;

/// As many buffers as one file needs at a time.
const MOST_BUFFERS: usize = 4;

/// A buffer that grew beyond this is not kept.
const LARGEST: usize = 2 * BLOCK;

#[derive(Default)]
struct Kept {
    buffers: Vec<Vec<u8>>,
    compress: Option<(Level, Compress)>,
    decompress: Option<Decompress>,
}

thread_local! {
    static KEPT: RefCell<Kept> = RefCell::default();
}

/// Something that goes back to its thread when it is dropped.
pub(super) struct Lent<T: Keep>(Option<T>);

/// How a value is kept.
pub(super) trait Keep: Sized {
    fn keep(self);
}

/// An empty buffer with room for a block.
pub(super) fn buffer() -> Lent<Vec<u8>> {
    let kept = KEPT.with_borrow_mut(|kept| kept.buffers.pop());
    Lent(Some(kept.unwrap_or_else(|| Vec::with_capacity(BLOCK))))
}

/// A raw deflate stream at its beginning.
pub(super) fn compress(level: Level) -> Lent<(Level, Compress)> {
    let kept = KEPT.with_borrow_mut(|kept| kept.compress.take());
    let (_, compress) = kept.filter(|(of, _)| *of == level).unwrap_or_else(|| {
        let compression = Compression::new(u32::from(level.number()));
        (level, Compress::new(compression, false))
    });
    Lent(Some((level, compress)))
}

/// The same for the way back.
pub(super) fn decompress() -> Lent<Decompress> {
    let kept = KEPT.with_borrow_mut(|kept| kept.decompress.take());
    Lent(Some(kept.unwrap_or_else(|| Decompress::new(false))))
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

impl Keep for (Level, Compress) {
    fn keep(mut self) {
        self.1.reset();
        KEPT.with_borrow_mut(|kept| kept.compress = Some(self));
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
        if let Some(value) = self.0.take() {
            value.keep();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_empty_and_a_grown_one_goes() {
        let mut first = buffer();
        first.extend(b"text");
        let at = first.as_ptr();
        drop(first);
        let mut again = buffer();
        assert!(again.is_empty() && again.as_ptr() == at);
        again.reserve(3 * BLOCK);
        drop(again);
        assert!(buffer().capacity() <= LARGEST);
    }

    #[test]
    fn no_more_are_kept_than_a_file_needs() {
        drop((0..10).map(|_| buffer()).collect::<Vec<_>>());
        assert_eq!(KEPT.with_borrow(|kept| kept.buffers.len()), MOST_BUFFERS);
    }

    #[test]
    fn a_state_is_used_again_for_its_level_only() {
        let level = |number| Level::new(number).unwrap();
        drop(compress(level(1)));
        let (of, _) = &*compress(level(9));
        assert_eq!(*of, level(9));
    }
}
