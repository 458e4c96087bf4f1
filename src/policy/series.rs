//! Names that only a rotation makes: which series of files one belongs to, where in it, and whether its writer has gone on.

use std::cmp::Reverse;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::stamp::{self, Clock, Stamp, parse_number, split_digits};

/// What a rotated name says. Borrows from the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rotation<'a> {
    /// The series: equal for the files that one log has been rotated into.
    pub(crate) series: Series<'a>,
    /// The place in the series; greater is newer.
    pub(crate) order: Order,
}

/// A name without what the rotation wrote into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Series<'a> {
    /// With the separator at its end.
    before: &'a [u8],
    after: &'a [u8],
    /// None for series that are numbered.
    clock: Option<Clock>,
}

/// A place in a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    /// A number as logrotate counts: the larger, the older.
    Number(Reverse<u16>),
    /// A date, time, or both, and the number that tells files of the same date apart: the larger, the newer.
    Dated(Stamp, Option<u16>),
}

impl Rotation<'_> {
    /// Whether the name says when, not how many rotations ago: such a name may be that of the live file.
    pub(crate) fn is_dated(&self) -> bool {
        matches!(self.order, Order::Dated(..))
    }

    /// Whether this is the name of the series before any rotation (`app.log` of `app.log-20261123`).
    pub(super) fn has_live_name(&self, name: &[u8]) -> bool {
        let stem = self.series.stem();
        stem.is_some_and(|stem| name.strip_prefix(stem) == Some(self.series.after))
    }

    /// The place of the file of this name, where that is a newer one of the series.
    pub(super) fn newer(&self, name: &[u8]) -> Option<Order> {
        // Most names of a folder end here, before they are taken apart.
        if !name.starts_with(self.series.before) {
            return None;
        }
        let other = rotation(OsStr::from_bytes(name)).filter(|other| other.series == self.series)?;
        (other.order > self.order).then_some(other.order)
    }

    /// Whether the file of this name was begun after ours. Of files of the same date that is known only where both have a number:
    /// without one it may be the live file, which a rotation by number stands beside.
    pub(super) fn was_begun_before(&self, newer: Order) -> bool {
        match (self.order, newer) {
            (Order::Dated(_, Some(_)), Order::Dated(_, Some(_))) => true,
            (Order::Dated(ours, _), Order::Dated(theirs, _)) => theirs > ours,
            _ => false,
        }
    }
}

impl Series<'_> {
    /// What stands before the separator.
    fn stem(&self) -> Option<&[u8]> {
        self.before.split_last().map(|(_separator, stem)| stem)
    }

    /// The same, to outlive the name.
    pub(super) fn key(&self) -> Key {
        Key([self.before, self.after].concat(), self.before.len(), self.clock)
    }
}

/// A series by itself: what is before and after the stamp, and where the first ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key(Vec<u8>, usize, Option<Clock>);

/// Takes a name apart if only a rotation makes such names. A compressed one (`.gz`) reads like the file it was made from.
///
/// Where a name could be read in several ways, what stands last in it counts, and the longer of two that end together:
/// `app-20261123.log.1` is the first of `app-20261123.log`, but `app.2026-11-23.1.log` is the first of that day.
pub(crate) fn rotation(name: &OsStr) -> Option<Rotation<'_>> {
    let name = strip_compression(name.as_bytes());
    if is_something_else(name) {
        return None;
    }
    let mut best: Option<Rotation<'_>> = None;
    for at in separators(name) {
        let Some(found) = dated(name, at).or_else(|| numbered(name, at)) else {
            continue;
        };
        if best.is_none_or(|best| found.series.after.len() < best.series.after.len()) {
            best = Some(found);
        }
    }
    best
}

/// The name that the series of a dated file has before any rotation (`app.log` of `app.log-20261123`).
pub(crate) fn live_name(name: &OsStr) -> Option<OsString> {
    let own = rotation(name)?;
    let stem = own.series.stem()?;
    Some(OsString::from_vec([stem, own.series.after].concat()))
}

/// A date behind the separator at `at`, then perhaps a number, then nothing or a suffix.
fn dated(name: &[u8], at: usize) -> Option<Rotation<'_>> {
    let (before, text) = name.split_at_checked(at + 1)?;
    let (stamp, clock, rest) = stamp::parse(*name.get(at)?, text)?;
    let (number, after) = match dotted_number(rest) {
        Some((number, rest)) if matches!(rest, [] | [b'.', ..]) => (Some(number), rest),
        _ => (None, rest),
    };
    let series = Series {
        before,
        after,
        clock: Some(clock),
    };
    matches!(after, [] | [b'.', _, ..]).then_some(Rotation {
        series,
        order: Order::Dated(stamp, number),
    })
}

/// A number behind the dot at `at`, then nothing or one of two suffixes.
fn numbered(name: &[u8], at: usize) -> Option<Rotation<'_>> {
    let (number, after) = dotted_number(name.get(at..)?)?;
    let series = Series {
        before: name.get(..=at)?,
        after,
        clock: None,
    };
    let ends = after.is_empty() || after.eq_ignore_ascii_case(b".log") || after.eq_ignore_ascii_case(b".txt");
    ends.then_some(Rotation {
        series,
        order: Order::Number(Reverse(number)),
    })
}

/// A dot and one to four digits, and the rest.
fn dotted_number(text: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, rest) = split_digits(text.strip_prefix(b".")?);
    if digits.len() > 4 {
        return None;
    }
    let number = u16::try_from(parse_number(digits)?).ok()?;
    Some((number, rest))
}

/// Where what a rotation writes may begin: behind a separator that stands behind a name.
fn separators(name: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let is_separator = |&at: &usize| matches!(name.get(at), Some(b'.' | b'-' | b'_'));
    (1..name.len()).filter(is_separator)
}

/// Names that look rotated and are not, or whose owner counts them himself.
fn is_something_else(name: &[u8]) -> bool {
    let counted_by_auditd = || {
        name.strip_prefix(b"audit.log")
            .and_then(dotted_number)
            .is_some_and(|(_, rest)| rest.is_empty())
    };
    // s6-log and svlogd begin the names of finished files with a TAI64N label, @4000….
    name.starts_with(b"@") || is_shared_library(name) || counted_by_auditd()
}

/// `libz.so.1`, `libz.so.1.3.1`, `ld-linux.so.2`: a version, not a rotation.
fn is_shared_library(name: &[u8]) -> bool {
    let is_version = |text: &[u8]| !text.is_empty() && text.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    let infix = b".so.";
    let at = name.windows(infix.len()).position(|window| window == infix);
    at.and_then(|at| name.get(at + infix.len()..)).is_some_and(is_version)
}

/// The name without the suffix that we, logrotate or a daemon's own compression have given it.
fn strip_compression(name: &[u8]) -> &[u8] {
    let suffixes = [".gz", ".zst", ".xz", ".bz2", ".lz4", ".Z"];
    suffixes
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix.as_bytes()))
        .unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::super::standing::{Newest, Standing, is_successor};
    use super::*;
    use crate::model::Reason;

    /// Each line of the table is a word and names; its header explains the words.
    #[test]
    fn series_read_as_the_table_says() {
        for (line, text) in include_str!("cases/series.txt").lines().enumerate() {
            let mut words = text.split_whitespace();
            let (Some(verdict), Some(name)) = (words.next().filter(|word| !word.starts_with('#')), words.next()) else {
                assert!(text.is_empty() || text.starts_with('#'), "line {}: {text:?}", line + 1);
                continue;
            };
            let others: Vec<&OsStr> = words.map(OsStr::new).collect();
            let name = OsStr::new(name);
            assert!(
                holds(verdict, name, &others),
                "cases/series.txt, line {}: {text:?}: {:?}",
                line + 1,
                rotation(name)
            );
        }
    }

    fn holds(verdict: &str, name: &OsStr, others: &[&OsStr]) -> bool {
        let own = rotation(name);
        let each_other = |test: fn(Rotation<'_>, Rotation<'_>) -> bool| {
            let own = own.expect("the first name is rotated");
            !others.is_empty()
                && others
                    .iter()
                    .all(|other| rotation(other).is_some_and(|other| test(own, other)))
        };
        match verdict {
            "not-rotated" => others.is_empty() && own.is_none(),
            "numbered" => others.is_empty() && own.is_some_and(|own| !own.is_dated()),
            "dated" => others.is_empty() && own.is_some_and(|own| own.is_dated()),
            "newer" => each_other(|own, other| own.series == other.series && own.order > other.order),
            "same" => each_other(|own, other| own == other),
            "apart" => each_other(|own, other| own.series != other.series),
            "superseded" => judge(name, true, 0, others) == Ok(()),
            "live" => judge(name, true, 0, others) == Err(Reason::PossiblyLive),
            "left-of-2" => judge(name, false, 2, others) == Err(Reason::AmongNewest(2)),
            "beyond-2" => judge(name, false, 2, others) == Ok(()),
            "succeeds" => !others.is_empty() && others.iter().all(|other| is_successor(name, other)),
            "means-nothing-to" => !others.is_empty() && others.iter().all(|other| !is_successor(name, other)),
            _ => panic!("no such verdict: {verdict}"),
        }
    }

    fn judge(name: &OsStr, may_be_live: bool, leave_newest: usize, others: &[&OsStr]) -> Result<(), Reason> {
        let Some(mut standing) = Standing::of(name, may_be_live, leave_newest) else {
            return rotation(name).map(drop).ok_or(Reason::PossiblyLive);
        };
        for other in others {
            standing.see(other);
        }
        let verdict = standing.verdict();
        assert_eq!(
            judge_in_short(name, may_be_live, leave_newest, others),
            verdict,
            "{name:?} {others:?}"
        );
        verdict
    }

    /// By the live name and the newest of the series.
    fn judge_in_short(name: &OsStr, may_be_live: bool, leave_newest: usize, others: &[&OsStr]) -> Result<(), Reason> {
        let mut newest = Newest::new(leave_newest);
        for other in others {
            newest.see(other);
        }
        let mut standing = Standing::of(name, may_be_live, leave_newest).expect("it was asked before");
        for newer in newest.newer_than(name) {
            standing.see(newer);
        }
        if let Some(live) = live_name(name).filter(|live| others.contains(&live.as_os_str())) {
            standing.see(&live);
        }
        standing.verdict()
    }

    #[test]
    fn every_day_of_a_year_is_read_and_no_other() {
        for year in [2023, 2024, 2100] {
            let days = (0..=99).flat_map(|month| (0..=99).map(move |day| format!("a-{year}{month:02}{day:02}")));
            let count = days.filter(|name| rotation(OsStr::new(name)).is_some()).count();
            let expected = match year {
                2023 => 365,
                2024 => 366,
                _ => 0,
            };
            assert_eq!(count, expected, "{year}");
        }
    }
}
