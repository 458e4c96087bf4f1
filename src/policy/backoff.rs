//! How long to wait before another try.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// The wait after the given number of failed tries: 1 s after the first, then twice as long each time, 60 s at most.
pub(crate) fn backoff(failed_tries: u32) -> Duration {
    let doublings = failed_tries.saturating_sub(1).min(16);
    (FIRST * (1 << doublings)).min(LONGEST)
}

/// Whether so many failed tries in a row are enough to give a file up: 16, of which the last comes ten minutes after the first.
pub(crate) fn is_used_up(failed_tries: u32) -> bool {
    failed_tries >= 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_from_one_second_to_one_minute() {
        let seconds = |tries| backoff(tries).as_secs();
        assert_eq!([1, 2, 3, 4, 5, 6, 7, 8].map(seconds), [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(seconds(0), 1);
        assert_eq!(seconds(u32::MAX), 60);
    }

    #[test]
    fn tries_are_used_up_after_ten_minutes() {
        assert!(!is_used_up(15) && is_used_up(16));
        let waits: Duration = (1..16).map(backoff).sum();
        assert_eq!(waits, Duration::from_secs(603));
    }
}
