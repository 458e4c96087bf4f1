//! Which of the outputs that are there are surplus.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::names::original_of;
use super::series::{Key, rotation};
use crate::model::{FileTime, Surplus};

/// What a watch keeps; nothing that is not said is limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Retention {
    pub(crate) age: Option<Duration>,
    /// Of each series.
    pub(crate) count: Option<u32>,
    /// Of all together but the newest, which always stays.
    pub(crate) bytes: Option<u64>,
}

/// An output that may be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Relative to the folder of the outputs.
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    /// The original's time, by which the oldest is told.
    pub(crate) modified: FileTime,
    /// When it was made. From then on, or from its time if that is later, it is kept: what came with an old date is not old yet.
    pub(crate) made: FileTime,
}

impl Retention {
    /// Whether anything is limited.
    pub(crate) fn is_limited(&self) -> bool {
        *self != Retention::default()
    }

    /// Those that are surplus, the oldest first. `files` are all that the limits are about.
    pub(crate) fn surplus(&self, mut files: Vec<Kept>, now: SystemTime) -> Vec<(Kept, Surplus)> {
        files.sort_by(|one, other| age_key(one).cmp(&age_key(other)));
        let mut verdicts: Vec<Option<Surplus>> = files.iter().map(|file| self.is_too_old(file, now)).collect();
        self.mark_too_many(&files, &mut verdicts);
        self.mark_too_large(&files, &mut verdicts);
        let judged = files.into_iter().zip(verdicts);
        judged.filter_map(|(file, verdict)| Some((file, verdict?))).collect()
    }

    fn is_too_old(&self, file: &Kept, now: SystemTime) -> Option<Surplus> {
        let age = file.modified.max(file.made).age(now);
        self.age.filter(|limit| age > *limit).map(|_| Surplus::Age)
    }

    /// From the newest on.
    fn mark_too_many(&self, files: &[Kept], verdicts: &mut [Option<Surplus>]) {
        let Some(limit) = self.count else { return };
        let mut counts: HashMap<_, u32> = HashMap::new();
        for (file, verdict) in files
            .iter()
            .zip(verdicts)
            .rev()
            .filter(|(_, verdict)| verdict.is_none())
        {
            let count = counts.entry(series_of(&file.path)).or_default();
            *count += 1;
            if *count > limit {
                *verdict = Some(Surplus::Count);
            }
        }
    }

    /// From the oldest on. The newest stays, however large: it may be all that there is, and was made a moment ago.
    fn mark_too_large(&self, files: &[Kept], verdicts: &mut [Option<Surplus>]) {
        let Some(limit) = self.bytes else { return };
        let mut total = 0;
        let kept = files
            .iter()
            .zip(verdicts)
            .rev()
            .filter(|(_, verdict)| verdict.is_none());
        for (nth, (file, verdict)) in kept.enumerate() {
            total += file.bytes;
            if nth > 0 && total > limit {
                *verdict = Some(Surplus::Bytes);
            }
        }
    }
}

/// The name of the original that an output was made from: `F` of `F.gz` and `F.~1~.gz`. None where it is no output's name.
pub(crate) fn numbered_original_of(output: &OsStr) -> Option<OsString> {
    let name = original_of(output)?.as_bytes();
    Some(OsString::from_vec(numbered(name).unwrap_or(name).to_vec()))
}

fn numbered(name: &[u8]) -> Option<&[u8]> {
    let name = name.strip_suffix(b"~")?;
    let digits = name.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let name = name.get(..name.len() - digits)?.strip_suffix(b".~")?;
    (digits > 0 && !name.is_empty()).then_some(name)
}

#[derive(PartialEq, Eq, Hash)]
enum Series {
    Rotation(Key),
    Name(OsString),
}

/// What is counted together: in one folder, the files that one log was rotated into, or, of any other name, all that files of that name
/// became.
fn series_of(output: &Path) -> (PathBuf, Series) {
    let folder = output.parent().unwrap_or(Path::new("")).to_owned();
    let original = output.file_name().and_then(numbered_original_of).unwrap_or_default();
    let series = rotation(&original).map(|rotation| rotation.series.key());
    (folder, series.map_or_else(|| Series::Name(original), Series::Rotation))
}

/// By their times; of the same time, by their names, so that every pass decides alike.
fn age_key(file: &Kept) -> (FileTime, &Path) {
    (file.modified, &file.path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrand::Rng;

    const NOW: i64 = 1_000_000;

    fn kept(path: &str, modified: i64, bytes: u64) -> Kept {
        let at = FileTime {
            seconds: modified,
            nanoseconds: 0,
        };
        Kept {
            path: path.into(),
            bytes,
            modified: at,
            made: at,
        }
    }

    fn surplus(retention: Retention, files: &[Kept]) -> Vec<(String, Surplus)> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW.unsigned_abs());
        let surplus = retention.surplus(files.to_vec(), now).into_iter();
        surplus
            .map(|(file, why)| (file.path.display().to_string(), why))
            .collect()
    }

    fn names(surplus: &[(String, Surplus)]) -> Vec<&str> {
        surplus.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn nothing_is_surplus_without_a_limit() {
        let files = [kept("a.gz", 0, u64::MAX / 2), kept("b.gz", 1, u64::MAX / 2)];
        assert_eq!(surplus(Retention::default(), &files), []);
        assert!(!Retention::default().is_limited());
    }

    #[test]
    fn age_counts_from_when_it_was_made_or_from_its_time_if_that_is_later() {
        let keep_for = Retention {
            age: Some(Duration::from_secs(100)),
            ..Retention::default()
        };
        let mut with_an_old_date = kept("old-date.gz", 5, 1);
        with_an_old_date.made.seconds = NOW - 100;
        let mut made_long_ago = kept("new-date.gz", NOW - 100, 1);
        made_long_ago.made.seconds = 5;
        let files = [
            kept("old.gz", NOW - 101, 1),
            kept("young.gz", NOW - 100, 1),
            kept("future.gz", NOW + 5, 1),
            with_an_old_date,
            made_long_ago,
        ];
        assert_eq!(surplus(keep_for, &files), [("old.gz".to_owned(), Surplus::Age)]);
    }

    #[test]
    fn count_is_of_each_series_in_each_folder() {
        let keep = |count| Retention {
            count: Some(count),
            ..Retention::default()
        };
        let files = [
            kept("app.log.1.gz", 30, 1),
            kept("app.log.2.gz", 20, 1),
            kept("app.log.3.gz", 10, 1),
            kept("sub/app.log.9.gz", 1, 1),
            kept("web.log-20260101.gz", 1, 1),
            kept("web.log-20260102.gz", 2, 1),
            kept("F.gz", 1, 1),
            kept("F.~1~.gz", 2, 1),
            kept("F.~10~.gz", 3, 1),
            kept("G.gz", 1, 1),
        ];
        assert_eq!(
            names(&surplus(keep(1), &files)),
            [
                "F.gz",
                "web.log-20260101.gz",
                "F.~1~.gz",
                "app.log.3.gz",
                "app.log.2.gz"
            ]
        );
        assert_eq!(names(&surplus(keep(2), &files)), ["F.gz", "app.log.3.gz"]);
        assert_eq!(surplus(keep(3), &files), []);
    }

    #[test]
    fn bytes_are_of_all_and_the_oldest_go_first() {
        let keep = |bytes| Retention {
            bytes: Some(bytes),
            ..Retention::default()
        };
        let files = [kept("c.gz", 3, 10), kept("a.gz", 1, 10), kept("b.gz", 2, 100)];
        assert_eq!(surplus(keep(120), &files), []);
        assert_eq!(names(&surplus(keep(119), &files)), ["a.gz"]);
        assert_eq!(names(&surplus(keep(100), &files)), ["a.gz", "b.gz"]);
    }

    #[test]
    fn the_newest_stays_however_large_and_only_age_takes_it() {
        let keep = |bytes| Retention {
            bytes: Some(bytes),
            ..Retention::default()
        };
        let files = [kept("c.gz", 3, 10), kept("a.gz", 1, 10), kept("b.gz", 2, 100)];
        for bytes in [0, 1, 9, 10] {
            assert_eq!(names(&surplus(keep(bytes), &files)), ["a.gz", "b.gz"], "{bytes}");
            assert_eq!(surplus(keep(bytes), &files[..1]), [], "{bytes}");
        }
        let keep = Retention {
            age: Some(Duration::ZERO),
            ..keep(0)
        };
        let all_old = ["a.gz", "b.gz", "c.gz"].map(|name| (name.to_owned(), Surplus::Age));
        assert_eq!(surplus(keep, &files), all_old);
    }

    #[test]
    fn outputs_are_known_by_their_names() {
        for (output, original) in [
            ("F.gz", Some("F")),
            ("F.~1~.gz", Some("F")),
            ("F.~12~.gz", Some("F")),
            ("F~.gz", Some("F~")),
            ("F.~~.gz", Some("F.~~")),
            (".~1~.gz", Some(".~1~")),
            ("F.GZ", None),
            (".gz", None),
            ("F", None),
        ] {
            assert_eq!(
                numbered_original_of(OsStr::new(output)).as_deref(),
                original.map(OsStr::new),
                "{output}"
            );
        }
    }

    /// Against the words of the rules, for thousands of random folders.
    #[test]
    fn random_folders_keep_exactly_what_the_rules_say() {
        for seed in 0..3000 {
            let rng = &mut Rng::with_seed(seed);
            let stems = ["app.log.", "web-2026010", "F.~", "sub/app.log."];
            let mut files: Vec<Kept> = Vec::new();
            for _ in 0..rng.usize(0..40) {
                let stem = stems[rng.usize(0..stems.len())];
                let number = rng.u8(1..10);
                let path = if stem == "F.~" {
                    format!("F.~{number}~.gz")
                } else {
                    format!("{stem}{number}.gz")
                };
                if files.iter().all(|file| file.path != Path::new(&path)) {
                    files.push(kept(&path, NOW - rng.i64(0..30), rng.u64(0..50)));
                }
            }
            let some = |rng: &mut Rng, most: u64| rng.bool().then(|| rng.u64(0..most));
            let retention = Retention {
                age: some(rng, 30).map(Duration::from_secs),
                count: some(rng, 5).and_then(|count| u32::try_from(count).ok()),
                bytes: some(rng, 600),
            };
            let removed = surplus(retention, &files);
            check(retention, &files, &removed)
                .unwrap_or_else(|problem| panic!("seed {seed}: {problem}\n{retention:?}\n{files:?}\n{removed:?}"));
        }
    }

    fn check(retention: Retention, files: &[Kept], removed: &[(String, Surplus)]) -> Result<(), String> {
        let verdict = |file: &Kept| {
            removed
                .iter()
                .find(|(name, _)| Path::new(name) == file.path)
                .map(|(_, why)| *why)
        };
        let age = |file: &Kept| NOW - file.modified.seconds;
        let is_old = |file: &Kept| {
            retention
                .age
                .is_some_and(|limit| age(file).unsigned_abs() > limit.as_secs())
        };
        let is_newer = |one: &Kept, other: &Kept| (one.modified, &one.path) > (other.modified, &other.path);
        let series = |file: &Kept| {
            file.path
                .to_string_lossy()
                .trim_start_matches("sub/")
                .split(['.', '-'])
                .next()
                .unwrap_or_default()
                .to_owned()
                + &file.path.parent().unwrap().to_string_lossy()
        };
        for file in files {
            let newer = files
                .iter()
                .filter(|other| series(other) == series(file) && !is_old(other) && is_newer(other, file))
                .count();
            let expected = if is_old(file) {
                Some(Surplus::Age)
            } else if retention.count.is_some_and(|limit| newer >= limit as usize) {
                Some(Surplus::Count)
            } else {
                // It and all newer ones that are left by the other rules have to fit; where there is none newer it stays.
                let rest = files
                    .iter()
                    .filter(|other| !matches!(verdict(other), Some(Surplus::Age | Surplus::Count)));
                let from_it_on: Vec<u64> = rest
                    .filter(|other| !is_newer(file, other))
                    .map(|other| other.bytes)
                    .collect();
                let is_too_much = |limit| from_it_on.len() > 1 && from_it_on.iter().sum::<u64>() > limit;
                retention.bytes.is_some_and(is_too_much).then_some(Surplus::Bytes)
            };
            if verdict(file) != expected {
                return Err(format!(
                    "{} is {:?}, not {expected:?}",
                    file.path.display(),
                    verdict(file)
                ));
            }
        }
        Ok(())
    }
}
