//! The agent's story as log events.

use std::hash::Hash;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use tracing::{debug, error, field, info, warn};

use super::repeats::{MOST_FILES, MOST_WARNINGS, Repeats, Verdict};
use crate::model::{Class, Error, Escaped, Failure, Observer, Reason, Report, Success, Surplus};

/// Logs one event for each thing that the agent tells. A failure or warning that repeats itself is logged once in ten minutes, and otherwise
/// at level debug.
pub(crate) struct LogObserver {
    failures: Mutex<Repeats>,
    warnings: Mutex<Repeats>,
}

impl Default for LogObserver {
    fn default() -> Self {
        LogObserver {
            failures: Mutex::new(Repeats::of(MOST_FILES)),
            warnings: Mutex::new(Repeats::of(MOST_WARNINGS)),
        }
    }
}

impl LogObserver {
    fn failures(&self) -> MutexGuard<'_, Repeats> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_news(&self, folder: &Path, source: Option<&Path>, error: &Error) -> bool {
        let verdict = self.failures().judge((folder, source), error, Instant::now());
        if verdict == Verdict::TooMany {
            warn!(name: "too-many", "too many files fail to log each of them; -v does");
        }
        verdict == Verdict::News
    }

    /// The same of a warning, by what makes it another one.
    fn is_new_warning(&self, what: impl Hash) -> bool {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        let verdict = warnings.judge_again(what, Instant::now());
        if verdict == Verdict::TooMany {
            warn!(name: "too-many", "too many warnings to log each of them; -v does");
        }
        verdict == Verdict::News
    }
}

impl Observer for LogObserver {
    fn watching(&self, folder: &Path, native: bool, why: Option<&str>) {
        let mode = if native { "native" } else { "poll" };
        let verb = if native { "watching" } else { "polling" };
        let folder = Escaped(folder);
        if let Some(why) = why {
            info!(name: "watching", watch = %folder, mode, "{verb} {folder}: {why}");
        } else {
            info!(name: "watching", watch = %folder, mode, "{verb} {folder}");
        }
    }

    fn folder_lost(&self, folder: &Path, error: &Error, retry_in: Duration) {
        let watch = Escaped(folder);
        let step = error.step().verb();
        let errno = error.errno();
        let class = error.class().as_str();
        if self.is_news(folder, None, error) {
            warn!(name: "folder-lost", %watch, step, errno, class, ?retry_in, "{error}");
        } else {
            debug!(name: "folder-lost", %watch, step, errno, class, ?retry_in, "{error}");
        }
    }

    fn folder_found(&self, folder: &Path) {
        self.failures().forget((folder, None::<&Path>));
        info!(name: "folder-found", watch = %Escaped(folder), "{} is there again", Escaped(folder));
    }

    fn rescanning(&self, folder: &Path, cause: &'static str) {
        let watch = Escaped(folder);
        if self.is_new_warning((folder, cause)) {
            warn!(name: "rescanning", %watch, cause, "scanning {watch} again: {cause}");
        } else {
            debug!(name: "rescanning", %watch, cause, "scanning {watch} again: {cause}");
        }
    }

    fn compressed(&self, folder: &Path, source: &Path, success: &Success<'_>) {
        self.failures().forget((folder, Some(source)));
        let ms = u64::try_from(success.took.as_millis()).unwrap_or(u64::MAX);
        let output = success.output;
        info!(
            name: "compressed",
            source = %Escaped(&folder.join(source)),
            output = %Escaped(&folder.join(output)),
            bytes_in = success.bytes_in,
            bytes_out = success.bytes_out,
            ms,
            watch = %Escaped(folder),
            "compressed {} -> {}",
            within(folder, source),
            within(folder, output),
        );
    }

    fn withdrawn(&self, folder: &Path, source: &Path, output: &Path) {
        info!(
            name: "withdrawn",
            source = %Escaped(&folder.join(source)),
            output = %Escaped(output),
            watch = %Escaped(folder),
            "removed {}: it goes with its original",
            within(folder, output),
        );
    }

    fn skipped(&self, folder: &Path, source: &Path, reason: &Reason) {
        debug!(
            name: "skipped",
            source = %Escaped(&folder.join(source)),
            reason = reason.label(),
            watch = %Escaped(folder),
            "skipped {}: {reason}",
            within(folder, source),
        );
    }

    fn failed(&self, folder: &Path, source: &Path, failure: &Failure<'_>) {
        let error = failure.error;
        let path = folder.join(source);
        let file = Escaped(&path);
        let watch = Escaped(folder);
        let step = error.step().verb();
        let errno = error.errno();
        let class = error.class().as_str();
        let retry_in = failure.retry_in.map(field::debug);
        if let Some(moved_to) = failure.moved_to {
            let moved_to = Escaped(moved_to);
            self.failures().forget((folder, Some(source)));
            error!(name: "given-up", source = %file, step, errno, class, %moved_to, %watch, "{error}; given up, and moved to {moved_to}");
        } else if failure.given_up && error.class() == Class::Transient {
            error!(name: "given-up", source = %file, step, errno, class, retry_in, %watch, "{error}; tried often enough to be given up");
        } else if !self.is_news(folder, Some(source), error) {
            debug!(name: "failed", source = %file, step, errno, class, retry_in, %watch, "{error}");
        } else if error.class() == Class::Permanent {
            error!(name: "failed", source = %file, step, errno, class, retry_in, %watch, "{error}");
        } else {
            warn!(name: "failed", source = %file, step, errno, class, retry_in, %watch, "{error}");
        }
    }

    fn removed(&self, folder: &Path, output: &Path, surplus: Surplus) {
        let reason = surplus.label();
        info!(name: "removed", output = %Escaped(output), reason, watch = %Escaped(folder), "removed {}: {surplus}", within(folder, output));
    }

    fn paused(&self, folder: &Path, error: &Error, retry_in: Duration) {
        let (watch, errno) = (Escaped(folder), error.errno());
        let remedy = match errno.map(Errno::from_raw_os_error) {
            Some(Errno::ROFS) => "mount it read-write",
            Some(Errno::DQUOT) => "make room there, or raise the quota",
            _ => "make room there",
        };
        let sentence = format!(
            "{watch} is paused, since every file would fail as this one did: {error}; {remedy}, and it goes on by itself"
        );
        if self.is_new_warning((folder, "paused", errno)) {
            warn!(name: "paused", %watch, errno, ?retry_in, "{sentence}");
        } else {
            debug!(name: "paused", %watch, errno, ?retry_in, "{sentence}");
        }
    }

    fn warning(&self, message: &str) {
        if self.is_new_warning(message) {
            warn!(name: "warning", "{message}");
        } else {
            debug!(name: "warning", "{message}");
        }
    }

    fn draining(&self, pending: usize) {
        let files = if pending == 1 { "file" } else { "files" };
        info!(name: "stopping", pending, "stopping: {pending} {files} to finish");
    }

    fn finished(&self, report: &Report) {
        info!(
            name: "finished",
            compressed = report.compressed,
            bytes_in = report.bytes_in,
            bytes_out = report.bytes_out,
            skipped = report.skipped,
            failed = report.failed,
            left = report.left,
            removed = report.removed,
            seconds = report.elapsed.as_secs_f64(),
            "{report}"
        );
    }
}

/// The path as people know it who know the folder.
fn within<'a>(folder: &Path, path: &'a Path) -> Escaped<'a> {
    Escaped(path.strip_prefix(folder).unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::super::{Look, subscriber};
    use super::*;
    use crate::model::Step;
    use serde_json::Value;
    use std::io::{self, Write};
    use std::sync::Arc;
    use tracing::level_filters::LevelFilter;

    const TEXT: Look = Look::Text {
        time: false,
        color: false,
    };

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines that are logged at `level` while `story` is told.
    fn lines(look: Look, level: LevelFilter, story: impl FnOnce(&LogObserver)) -> Vec<String> {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = subscriber(look, level, move || writer.clone());
        tracing::subscriber::with_default(subscriber, || story(&LogObserver::default()));
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn json(story: impl FnOnce(&LogObserver)) -> Value {
        let lines = lines(Look::Json, LevelFilter::DEBUG, story);
        assert_eq!(lines.len(), 1, "{lines:?}");
        serde_json::from_str(&lines[0]).unwrap()
    }

    fn folder() -> &'static Path {
        Path::new("/in")
    }

    fn compress(log: &LogObserver, name: &str) {
        let output = format!("{name}.gz");
        let success = Success {
            bytes_in: 100,
            bytes_out: 30,
            took: Duration::from_millis(7),
            ..Success::to(output.as_ref())
        };
        log.compressed(folder(), name.as_ref(), &success);
    }

    fn fail(log: &LogObserver, errno: i32, retry_in: Option<Duration>) {
        let error = Error::new(Step::Write, "/in/a", io::Error::from_raw_os_error(errno));
        let failure = Failure {
            retry_in,
            ..Failure::of(&error)
        };
        log.failed(folder(), "a".as_ref(), &failure);
    }

    #[test]
    fn text_is_a_short_sentence_and_fields() {
        let lines = lines(TEXT, LevelFilter::INFO, |log| {
            log.watching(folder(), true, None);
            compress(log, "x/a.log");
            fail(log, 28, Some(Duration::from_secs(4)));
            fail(log, 13, None);
            log.skipped(folder(), "b.zip".as_ref(), &Reason::CompressedSuffix("zip"));
            log.rescanning(folder(), "overflow");
            log.draining(1);
        });
        let expected = [
            " INFO watching /in watch=/in mode=\"native\"",
            " INFO compressed x/a.log -> x/a.log.gz source=/in/x/a.log output=/in/x/a.log.gz bytes_in=100 bytes_out=30 ms=7 watch=/in",
            " WARN cannot write /in/a: No space left on device (os error 28) \
             source=/in/a step=\"write\" errno=28 class=\"transient\" retry_in=4s watch=/in",
            "ERROR cannot write /in/a: Permission denied (os error 13) \
             source=/in/a step=\"write\" errno=13 class=\"permanent\" watch=/in",
            " WARN scanning /in again: overflow watch=/in cause=\"overflow\"",
            " INFO stopping: 1 file to finish pending=1",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn json_has_the_fields_of_a_file() {
        let event = json(|log| compress(log, "a"));
        assert_eq!(event["level"], "INFO");
        assert_eq!(event["event"], "compressed");
        assert_eq!(event["message"], "compressed a -> a.gz");
        assert_eq!(event["source"], "/in/a");
        assert_eq!(event["output"], "/in/a.gz");
        assert_eq!(event["watch"], "/in");
        assert_eq!([&event["bytes_in"], &event["bytes_out"], &event["ms"]], [100, 30, 7]);
        assert!(event["timestamp"].is_string());
    }

    #[test]
    fn json_has_the_fields_of_a_failure_and_of_a_file_passed_over() {
        let event = json(|log| fail(log, 5, Some(Duration::from_secs(60))));
        assert_eq!(event["level"], "WARN");
        assert_eq!(event["step"], "write");
        assert_eq!(event["errno"], 5);
        assert_eq!(event["class"], "transient");
        assert_eq!(event["retry_in"], "60s");

        let event = json(|log| log.skipped(folder(), "b".as_ref(), &Reason::Empty));
        assert_eq!(event["level"], "DEBUG");
        assert_eq!(event["event"], "skipped");
        assert_eq!(event["reason"], "empty");
        assert_eq!(event["source"], "/in/b");
    }

    #[test]
    fn json_has_no_kind_where_an_event_has_none() {
        let event = json(|_| tracing::warn!(source = "/in/a", "of a library"));
        assert_eq!(event["source"], "/in/a");
        assert_eq!(event.get("event"), None, "{event}");
    }

    #[test]
    fn last_event_has_the_numbers_of_the_report() {
        let report = Report {
            compressed: 2,
            bytes_in: 200,
            bytes_out: 60,
            skipped: 3,
            failed: 4,
            left: 5,
            removed: 6,
            elapsed: Duration::from_millis(1500),
        };
        let event = json(|log| log.finished(&report));
        assert_eq!(event["message"], report.to_string());
        let numbers = ["compressed", "bytes_in", "bytes_out", "skipped", "failed", "left"].map(|name| &event[name]);
        assert_eq!(numbers, [2, 200, 60, 3, 4, 5]);
        assert_eq!(event["seconds"], 1.5);
    }

    #[test]
    fn names_cannot_forge_a_line() {
        for look in [TEXT, Look::Json] {
            let lines = lines(look, LevelFilter::INFO, |log| compress(log, "a\n\u{1b}[31mERROR b"));
            assert_eq!(lines.len(), 1);
            assert!(!lines[0].contains('\u{1b}'));
            assert!(lines[0].contains("a\\n") || lines[0].contains("a\\\\n"), "{}", lines[0]);
        }
    }

    #[test]
    fn repeated_failure_is_told_once_until_the_file_works_again() {
        let story = |log: &LogObserver| {
            for seconds in [1, 2, 4] {
                fail(log, 28, Some(Duration::from_secs(seconds)));
            }
            compress(log, "a");
            fail(log, 28, Some(Duration::from_secs(1)));
        };
        assert_eq!(lines(TEXT, LevelFilter::WARN, story).len(), 2);
        assert_eq!(lines(TEXT, LevelFilter::DEBUG, story).len(), 5);
    }

    #[test]
    fn lost_folder_is_told_once_until_it_is_found() {
        let lines = lines(TEXT, LevelFilter::INFO, |log| {
            let error = Error::new(Step::List, "/in", io::Error::from_raw_os_error(2));
            log.folder_lost(folder(), &error, Duration::from_secs(1));
            log.folder_lost(folder(), &error, Duration::from_secs(2));
            log.folder_found(folder());
            log.folder_lost(folder(), &error, Duration::from_secs(1));
        });
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[1].contains("/in is there again"));
    }

    #[test]
    fn repeated_warnings_rescans_and_pauses_are_told_once_and_a_flood_is_cut() {
        let error = Error::new(Step::Write, "/in/a", io::Error::from_raw_os_error(28));
        let story = |log: &LogObserver| {
            for _ in 0..3 {
                log.warning("a sentence");
                log.rescanning(folder(), "overflow");
                log.paused(folder(), &error, Duration::from_secs(1));
            }
            log.rescanning(Path::new("/other"), "overflow");
        };
        assert_eq!(lines(TEXT, LevelFilter::WARN, story).len(), 4);
        assert_eq!(lines(TEXT, LevelFilter::DEBUG, story).len(), 10);
        let flood = lines(TEXT, LevelFilter::WARN, |log| {
            (0..10_000).for_each(|number| log.warning(&format!("about file {number}")));
        });
        assert_eq!(flood.len(), MOST_WARNINGS + 1);
        assert!(flood.last().unwrap().contains("too many warnings"), "{flood:?}");
    }

    #[test]
    fn json_is_an_object_a_line_with_the_time_as_rfc_3339_has_it() {
        let lines = lines(Look::Json, LevelFilter::DEBUG, |log| {
            compress(log, "a\nb\"c\\");
            log.warning("two\nlines");
            fail(log, 5, None);
        });
        assert_eq!(lines.len(), 3);
        for line in lines {
            let event: Value = serde_json::from_str(&line).unwrap();
            let time = event["timestamp"].as_str().unwrap();
            assert!(
                time.parse::<jiff::Timestamp>().is_ok() && time.ends_with('Z') && time.contains('T'),
                "{time}"
            );
        }
    }
}
