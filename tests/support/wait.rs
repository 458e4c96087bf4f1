//! The only place where a test lets time pass: a look, a short pause, the next look, until a deadline.

use std::thread;
use std::time::{Duration, Instant};

/// Long enough for a loaded machine, and for the longest pause that the program makes between two tries, which is a minute; only a failing
/// test waits so long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// Looks until there is something, at least once and once more at the deadline. `None` when there was nothing by then.
pub(crate) fn poll<T>(deadline: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + deadline;
    loop {
        let last = Instant::now() >= end;
        if let Some(found) = look() {
            return Some(found);
        }
        if last {
            return None;
        }
        thread::sleep(BETWEEN_LOOKS);
    }
}

#[test]
fn looks_until_there_is_something_or_the_deadline_has_passed() {
    let mut looks = 0;
    let found = poll(DEADLINE, || {
        looks += 1;
        (looks == 3).then_some(looks)
    });
    assert_eq!(found, Some(3));
    assert_eq!(poll(Duration::ZERO, || None::<()>), None);
}
