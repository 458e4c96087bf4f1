//! Bytes a second, of late.

use std::time::Duration;

/// So many seconds count.
const SECONDS: usize = 10;

/// How much was told in each of the last seconds. Costs a few instructions a call, and nothing in between.
#[derive(Debug, Default)]
pub(super) struct Rate {
    /// Bytes of a second, at its number modulo the length.
    seconds: [u64; SECONDS],
    /// The number of the newest second that something was told in.
    newest: u64,
}

impl Rate {
    /// Counts bytes, `now` after a beginning that is the same for all calls.
    pub(super) fn add(&mut self, now: Duration, bytes: u64) {
        self.advance(now);
        let at = self.newest % SECONDS as u64;
        if let Some(second) = self.seconds.get_mut(usize::try_from(at).unwrap_or_default()) {
            *second = second.saturating_add(bytes);
        }
    }

    /// The mean of the last seconds, or of the time since the beginning where that is shorter.
    pub(super) fn per_second(&mut self, now: Duration) -> u64 {
        self.advance(now);
        let span = now.min(Duration::from_secs(SECONDS as u64 - 1) + Duration::from_nanos(now.subsec_nanos().into()));
        // In the first moment it would be anything.
        let span = u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1000);
        let bytes = self
            .seconds
            .iter()
            .fold(0, |sum: u64, bytes| sum.saturating_add(*bytes));
        bytes.saturating_mul(1000) / span
    }

    /// Forgets the seconds that are too long ago.
    fn advance(&mut self, now: Duration) {
        let now = now.as_secs();
        if now >= self.newest + SECONDS as u64 {
            self.seconds = [0; SECONDS];
            self.newest = now;
        }
        while self.newest < now {
            self.newest += 1;
            let at = usize::try_from(self.newest % SECONDS as u64).unwrap_or_default();
            self.seconds[at] = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_flow_has_its_rate_and_a_silence_has_none() {
        let mut rate = Rate::default();
        let at = Duration::from_millis;
        assert_eq!(rate.per_second(at(0)), 0);
        for tenth in 0..1000 {
            rate.add(at(tenth * 100), 500);
            if tenth >= 20 {
                let now = rate.per_second(at(tenth * 100));
                assert!((4900..=5700).contains(&now), "{tenth}: {now}");
            }
        }
        let last = at(99_900);
        assert!(rate.per_second(last + at(5000)) < 3000);
        assert_eq!(rate.per_second(last + at(10_000)), 0);
        rate.add(last + at(3_600_000), 1000);
        assert!((100..=112).contains(&rate.per_second(last + at(3_600_000))));
    }

    #[test]
    fn what_comes_in_the_first_moment_is_of_a_second() {
        let mut rate = Rate::default();
        rate.add(Duration::ZERO, 700);
        assert_eq!(rate.per_second(Duration::from_millis(3)), 700);
    }
}
