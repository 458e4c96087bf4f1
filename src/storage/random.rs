//! Random numbers for names that nobody can know before.

use std::cell::RefCell;

use rustix::io::retry_on_intr;
use rustix::rand::{GetRandomFlags, getrandom};

const BYTES: usize = size_of::<u64>();

/// So many are asked of the kernel at a time.
const AT_A_TIME: usize = 64;

thread_local! {
    /// What is left of them.
    static LEFT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// One of which nobody else has heard, nor will.
pub(super) fn number() -> rustix::io::Result<u64> {
    LEFT.with_borrow_mut(|left| {
        if left.len() < BYTES {
            let mut fresh = [0; AT_A_TIME * BYTES];
            // What it fills is random from its beginning, be it short.
            let length = retry_on_intr(|| getrandom(&mut fresh, GetRandomFlags::empty()))?;
            left.extend_from_slice(&fresh[..length]);
        }
        let mut bytes = [0; BYTES];
        if let Some(rest) = left.len().checked_sub(BYTES) {
            bytes.copy_from_slice(&left[rest..]);
            left.truncate(rest);
        }
        Ok(u64::from_ne_bytes(bytes))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_number_comes_twice() {
        let numbers = || (0..3 * AT_A_TIME).map(|_| number().unwrap()).collect::<Vec<_>>();
        let other_thread = std::thread::spawn(numbers).join().unwrap();
        let all: HashSet<_> = numbers().into_iter().chain(other_thread).collect();
        assert_eq!(all.len(), 6 * AT_A_TIME);
    }
}
