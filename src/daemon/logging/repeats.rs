//! Which failures and warnings are news. A file that fails every minute for a day is told of now and then, not 1440 times.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::time::{Duration, Instant};

use crate::model::{Error, Step};

/// The same failure of the same file is told this often at most.
const TELL_EVERY: Duration = Duration::from_secs(10 * 60);
/// So many failing files are remembered, in less than a megabyte.
pub(super) const MOST_FILES: usize = 8192;
/// So many different warnings are told within that time; more help nobody.
pub(super) const MOST_WARNINGS: usize = 256;

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Tell it.
    News,
    /// It has been told lately.
    Known,
    /// More is wrong than can be told apart: say that, instead of this.
    TooMany,
}

/// Remembers what has been told.
pub(super) struct Repeats {
    most: usize,
    // A digest of the name is enough: should two names ever share one, a log line is late.
    told: HashMap<u64, Told>,
    hasher: RandomState,
    said_too_many: Option<Instant>,
}

struct Told {
    at: Instant,
    /// Of a failure.
    step: Option<Step>,
    errno: Option<i32>,
}

impl Repeats {
    /// Of so many at most at a time.
    pub(super) fn of(most: usize) -> Self {
        Repeats {
            most,
            told: HashMap::new(),
            hasher: RandomState::default(),
            said_too_many: None,
        }
    }

    /// Whether to tell that `file` failed with `error`. Another error than the last one of the file is always news.
    pub(super) fn judge(&mut self, file: impl Hash, error: &Error, now: Instant) -> Verdict {
        let told = Told {
            at: now,
            step: Some(error.step()),
            errno: error.errno(),
        };
        self.judge_told(file, told, now)
    }

    /// Whether to tell of `what`, whatever it is.
    pub(super) fn judge_again(&mut self, what: impl Hash, now: Instant) -> Verdict {
        let told = Told {
            at: now,
            step: None,
            errno: None,
        };
        self.judge_told(what, told, now)
    }

    fn judge_told(&mut self, file: impl Hash, told: Told, now: Instant) -> Verdict {
        let file = self.hasher.hash_one(file);
        if let Some(last) = self.told.get(&file) {
            if last.step == told.step && last.errno == told.errno && last.is_fresh(now) {
                return Verdict::Known;
            }
        } else if !self.has_room(now) {
            return self.too_many(now);
        }
        self.told.insert(file, told);
        Verdict::News
    }

    /// The file works again; its next failure is news.
    pub(super) fn forget(&mut self, file: impl Hash) {
        let file = self.hasher.hash_one(file);
        self.told.remove(&file);
    }

    fn has_room(&mut self, now: Instant) -> bool {
        // While there are too many, looking through all of them again for each would cost more than it frees.
        if self.told.len() >= self.most && !self.is_too_many_fresh(now) {
            self.told.retain(|_, told| told.is_fresh(now));
        }
        self.told.len() < self.most
    }

    fn too_many(&mut self, now: Instant) -> Verdict {
        if self.is_too_many_fresh(now) {
            return Verdict::Known;
        }
        self.said_too_many = Some(now);
        Verdict::TooMany
    }

    fn is_too_many_fresh(&self, now: Instant) -> bool {
        self.said_too_many
            .is_some_and(|at| now.saturating_duration_since(at) < TELL_EVERY)
    }
}

impl Told {
    fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) < TELL_EVERY
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn error(step: Step, errno: i32) -> Error {
        Error::new(step, "a", io::Error::from_raw_os_error(errno))
    }

    #[test]
    fn same_failure_is_news_once_in_ten_minutes() {
        let mut repeats = Repeats::of(MOST_FILES);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let disk_full = error(Step::Write, 28);
        let table = [
            ("a", 0, Verdict::News),
            ("a", 1, Verdict::Known),
            ("b", 1, Verdict::News),
            ("a", 599, Verdict::Known),
            ("a", 600, Verdict::News),
            ("a", 660, Verdict::Known),
        ];
        for (file, seconds, verdict) in table {
            assert_eq!(
                repeats.judge(file, &disk_full, at(seconds)),
                verdict,
                "{file} {seconds}"
            );
        }
    }

    #[test]
    fn another_failure_and_one_after_a_success_are_news() {
        let mut repeats = Repeats::of(MOST_FILES);
        let now = Instant::now();
        assert_eq!(repeats.judge("a", &error(Step::Write, 28), now), Verdict::News);
        assert_eq!(repeats.judge("a", &error(Step::Read, 5), now), Verdict::News);
        assert_eq!(repeats.judge("a", &error(Step::Read, 6), now), Verdict::News);
        assert_eq!(repeats.judge("a", &error(Step::Read, 6), now), Verdict::Known);
        repeats.forget("a");
        assert_eq!(repeats.judge("a", &error(Step::Read, 6), now), Verdict::News);
    }

    #[test]
    fn memory_is_bounded_and_the_rest_is_told_in_one_sentence() {
        let mut repeats = Repeats::of(MOST_FILES);
        let start = Instant::now();
        let disk_full = error(Step::Write, 28);
        for file in 0..MOST_FILES {
            assert_eq!(repeats.judge(file, &disk_full, start), Verdict::News);
        }
        assert_eq!(repeats.judge("one more", &disk_full, start), Verdict::TooMany);
        assert_eq!(repeats.judge("and more", &disk_full, start), Verdict::Known);
        assert_eq!(repeats.told.len(), MOST_FILES);
        assert_eq!(repeats.judge("one more", &disk_full, start + TELL_EVERY), Verdict::News);
    }

    #[test]
    fn warnings_are_told_once_each_and_not_all_of_very_many() {
        let mut repeats = Repeats::of(2);
        let start = Instant::now();
        let later = start + TELL_EVERY;
        for (what, now, verdict) in [
            ("a", start, Verdict::News),
            ("a", start, Verdict::Known),
            ("b", start, Verdict::News),
            ("c", start, Verdict::TooMany),
            ("d", start, Verdict::Known),
            ("a", later, Verdict::News),
            ("d", later, Verdict::News),
        ] {
            assert_eq!(repeats.judge_again(what, now), verdict, "{what}");
        }
    }
}
