//! The bar that `dwindle compress` shows on a terminal.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::model::{Failure, Observer, Reason, Report, Success};

/// Bytes done of bytes known, drawn on standard error. Clones share one bar.
#[derive(Clone)]
pub(crate) struct Progress {
    bar: ProgressBar,
    total_known: bool,
    files: Arc<AtomicU64>,
    /// Bytes drawn of each file in flight, to be taken back when it fails.
    in_flight: Arc<Mutex<HashMap<PathBuf, u64>>>,
}

impl Progress {
    /// A bar on standard error. Where `shown` is false or standard error is no terminal, nothing is ever drawn.
    pub(crate) fn new(shown: bool) -> Self {
        // Drawn when something happens, ten times a second at most, so that no thread has to tick it.
        Self::on(if shown {
            ProgressDrawTarget::stderr_with_hz(10)
        } else {
            ProgressDrawTarget::hidden()
        })
    }

    /// All that is to be done, where that is known beforehand. Otherwise the total grows with each file that is begun.
    pub(crate) fn expect(&mut self, bytes: u64) {
        self.bar.set_length(bytes);
        self.total_known = true;
    }

    /// Removes the bar for good. Harmless when repeated.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Runs what writes to standard error by itself, with the bar out of the way.
    pub(crate) fn suspend(&self, write: impl FnOnce()) {
        self.bar.suspend(write);
    }

    fn on(target: ProgressDrawTarget) -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), target).with_style(style());
        Progress {
            bar,
            total_known: false,
            files: Arc::default(),
            in_flight: Arc::default(),
        }
    }

    fn in_flight(&self) -> MutexGuard<'_, HashMap<PathBuf, u64>> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Progress {
    fn started(&self, _source: &Path, bytes: u64) {
        if !self.total_known {
            self.bar.inc_length(bytes);
        }
    }

    fn progress(&self, source: &Path, bytes: u64) {
        let mut in_flight = self.in_flight();
        match in_flight.get_mut(source) {
            Some(drawn) => *drawn += bytes,
            None => {
                in_flight.insert(source.to_owned(), bytes);
            }
        }
        drop(in_flight);
        self.bar.inc(bytes);
    }

    fn compressed(&self, _folder: &Path, source: &Path, success: &Success<'_>) {
        let drawn = self.in_flight().remove(source).unwrap_or(0);
        let files = self.files.fetch_add(1, Ordering::Relaxed) + 1;
        self.bar
            .set_message(format!("{files} {}", if files == 1 { "file" } else { "files" }));
        self.bar.inc(success.bytes_in.saturating_sub(drawn));
    }

    fn skipped(&self, _folder: &Path, source: &Path, _reason: &Reason) {
        self.take_back(source);
    }

    fn failed(&self, _folder: &Path, source: &Path, _failure: &Failure<'_>) {
        self.take_back(source);
    }

    fn finished(&self, _report: &Report) {
        self.clear();
    }
}

impl Progress {
    fn take_back(&self, source: &Path) {
        if let Some(drawn) = self.in_flight().remove(source) {
            self.bar.dec(drawn);
        }
    }
}

const TEMPLATE: &str = "{msg:10} [{wide_bar}] {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}";

fn style() -> ProgressStyle {
    ProgressStyle::with_template(TEMPLATE)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Step;

    fn hidden() -> Progress {
        Progress::on(ProgressDrawTarget::hidden())
    }

    #[test]
    fn total_grows_with_each_file_begun_unless_it_is_known() {
        let mut progress = hidden();
        progress.started(Path::new("a"), 100);
        progress.started(Path::new("b"), 50);
        assert_eq!(progress.bar.length(), Some(150));
        progress.expect(500);
        progress.started(Path::new("c"), 50);
        assert_eq!(progress.bar.length(), Some(500));
    }

    #[test]
    fn file_counts_with_all_its_bytes_however_much_of_it_was_told() {
        let progress = hidden();
        progress.started(Path::new("all"), 300);
        for (source, told) in [("a", 100), ("b", 30), ("c", 0)] {
            progress.progress(Path::new(source), told);
            let success = Success {
                bytes_in: 100,
                bytes_out: 9,
                ..Success::to("o".as_ref())
            };
            progress.compressed(Path::new("d"), Path::new(source), &success);
        }
        assert_eq!(progress.bar.position(), 300);
        assert_eq!(progress.bar.message(), "3 files");
        assert!(progress.in_flight().is_empty());
    }

    #[test]
    fn bytes_of_a_failed_try_are_taken_back() {
        let progress = hidden();
        progress.started(Path::new("a"), 100);
        progress.progress(Path::new("a"), 40);
        progress.progress(Path::new("a"), 20);
        let error = crate::model::Error::transient(Step::Write, "a", "no space");
        progress.failed(Path::new("d"), Path::new("a"), &Failure::of(&error));
        assert_eq!(progress.bar.position(), 0);
    }

    #[test]
    fn template_is_valid() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }
}
