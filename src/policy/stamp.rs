//! The dates and times that rotations write into names.

/// A moment as a name tells it. Compares by time; only stamps of the same [`Clock`] can be compared in earnest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp {
    /// `YYYYMMDD` read as a number; 0 for [`Clock::Epoch`].
    day: u32,
    /// Milliseconds into the day, or since 1970 where the name counts from there.
    milliseconds: u64,
}

/// How a stamp tells the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Clock {
    /// By date, perhaps with a time.
    Calendar,
    /// In seconds since 1970.
    Epoch,
}

/// Reads the stamp that `text` begins with, and gives back what follows it. Which forms there are depends on the byte before:
///
/// | before | form |
/// | --- | --- |
/// | `-` | `YYYYMMDD`, `YYYYMMDDHH`, `YYYYMMDDHHMM`, `YYYYMMDD-HHMMSS`, `YYYYMMDD-` and ten digits of seconds since 1970 |
/// | `.` | `YYYYMMDD-HHMMSS`, ten digits of seconds since 1970 |
/// | `.` `-` `_` | `YYYY-MM-DD`, then perhaps one of `T` `_` `-` and `HH`, `HH-MM`, `HH-MM-SS` or `HH-MM-SS.mmm` |
///
/// None for what is no day from 1970 to 2099 or no time of day: it is not a rotation that wrote it.
pub(super) fn parse(before: u8, text: &[u8]) -> Option<(Stamp, Clock, &[u8])> {
    let (digits, rest) = split_digits(text);
    match (before, digits.len()) {
        (b'.' | b'-' | b'_', 4) => dashed(text),
        (b'.' | b'-', 8) => compact_day(before, digits, rest),
        (b'-', 10 | 12) => {
            let (day, time) = digits.split_at_checked(8)?;
            Some((
                Stamp {
                    day: parse_day(day)?,
                    milliseconds: parse_time(time)?,
                },
                Clock::Calendar,
                rest,
            ))
        }
        (b'.', 10) => Some((
            Stamp {
                day: 0,
                milliseconds: parse_epoch(digits)?,
            },
            Clock::Epoch,
            rest,
        )),
        _ => None,
    }
}

/// `YYYYMMDD`, and what of its longer forms follows after a dash.
fn compact_day<'a>(before: u8, day: &[u8], rest: &'a [u8]) -> Option<(Stamp, Clock, &'a [u8])> {
    let day = parse_day(day)?;
    if let Some(after_dash) = rest.strip_prefix(b"-") {
        let (digits, rest) = split_digits(after_dash);
        let milliseconds = match digits.len() {
            6 => parse_time(digits)?,
            10 if before == b'-' => parse_epoch(digits)?,
            _ => return None,
        };
        return Some((Stamp { day, milliseconds }, Clock::Calendar, rest));
    }
    (before == b'-').then_some((Stamp { day, milliseconds: 0 }, Clock::Calendar, rest))
}

/// `YYYY-MM-DD`, and as much of a time as follows.
fn dashed(text: &[u8]) -> Option<(Stamp, Clock, &[u8])> {
    let (year, rest) = split_digits(text);
    let (month, rest) = part(rest, b"-", 2)?;
    let (day, mut rest) = part(rest, b"-", 2)?;
    let day = parse_day(&[year, month, day].concat())?;
    let mut milliseconds = 0;
    let parts: [(&[u8], usize, u64, u64); 4] = [
        (b"T_-", 2, 23, 3_600_000),
        (b"-", 2, 59, 60_000),
        (b"-", 2, 60, 1000),
        (b".", 3, 999, 1),
    ];
    for (separators, length, largest, unit) in parts {
        let Some((digits, after)) = part(rest, separators, length) else {
            break;
        };
        milliseconds += parse_number(digits).filter(|&number| number <= largest)? * unit;
        rest = after;
    }
    Some((Stamp { day, milliseconds }, Clock::Calendar, rest))
}

/// Exactly so many digits behind one of the separators.
fn part<'a>(text: &'a [u8], separators: &[u8], length: usize) -> Option<(&'a [u8], &'a [u8])> {
    let (separator, after) = text.split_first()?;
    let (digits, rest) = split_digits(after);
    (separators.contains(separator) && digits.len() == length).then_some((digits, rest))
}

/// `YYYYMMDD` as a number, if there is such a day.
fn parse_day(digits: &[u8]) -> Option<u32> {
    let number = u32::try_from(parse_number(digits)?).ok()?;
    let (year, month, day) = (number / 10_000, number / 100 % 100, number % 100);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    ((1970..2100).contains(&year) && (1..=days).contains(&day)).then_some(number)
}

/// `HH`, `HHMM` or `HHMMSS` in milliseconds. A minute may have a leap second, as strftime(3) writes it.
fn parse_time(digits: &[u8]) -> Option<u64> {
    let mut milliseconds = 0;
    for (pair, (largest, unit)) in digits.chunks(2).zip([(23, 3_600_000), (59, 60_000), (60, 1000)]) {
        milliseconds += parse_number(pair).filter(|&number| number <= largest)? * unit;
    }
    Some(milliseconds)
}

/// Seconds since 1970 in milliseconds, up to the same year as dates. Ten digits begin in 2001.
fn parse_epoch(digits: &[u8]) -> Option<u64> {
    let seconds = parse_number(digits)?;
    (1_000_000_000..4_102_444_800)
        .contains(&seconds)
        .then_some(seconds * 1000)
}

/// The number that a run of digits stands for; None if it is empty, no run of digits, or too large.
pub(super) fn parse_number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?
        .parse()
        .ok()
}

/// The digits at the beginning, and the rest.
pub(super) fn split_digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}
