//! How the agent tells what it does.

use std::path::Path;
use std::time::Duration;

use super::{Error, Reason, Report, Surplus};

/// A file that was compressed, as an [`Observer`] is told of it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Success<'a> {
    /// What it has become, a whole path.
    pub output: &'a Path,
    /// Bytes of the original.
    pub bytes_in: u64,
    /// Bytes of the output.
    pub bytes_out: u64,
    /// From the beginning of the work to the publication of the output, without any wait before that.
    pub took: Duration,
    /// From the moment at which the file was ready, as far as could be known, to the publication. Zero where nothing is waited for.
    pub since_ready: Duration,
}

#[cfg(all(test, feature = "cli"))]
impl Success<'_> {
    /// Of an output of which nothing more is known.
    pub(crate) fn to(output: &Path) -> Success<'_> {
        Success {
            output,
            bytes_in: 0,
            bytes_out: 0,
            took: Duration::ZERO,
            since_ready: Duration::ZERO,
        }
    }
}

/// A failed try, as an [`Observer`] is told of it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Failure<'a> {
    /// What failed, on which path.
    pub error: &'a Error,
    /// When it is tried again; with `None`, when something happens to it, or at the next sweep.
    pub retry_in: Option<Duration>,
    /// The file's tries are used up. Said once, until it works again or is touched: at once where only a person can help, else after 16
    /// tries. Never for want of room.
    pub given_up: bool,
    /// Where the file went ([`Watch::with_failed_dir`](crate::Watch::with_failed_dir)), a whole path; with `None`, it is where it was.
    pub moved_to: Option<&'a Path>,
}

impl<'a> Failure<'a> {
    /// One of which nothing more is known.
    pub(crate) fn of(error: &'a Error) -> Self {
        Failure {
            error,
            retry_in: None,
            given_up: false,
            moved_to: None,
        }
    }
}

/// Receives one call for each thing worth telling. Every method does nothing unless overridden.
///
/// ```
/// use std::path::Path;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use dwindle::{Failure, Observer, Success};
///
/// #[derive(Default)]
/// struct Metrics {
///     compressed: AtomicU64,
///     bytes_saved: AtomicU64,
///     failed: AtomicU64,
/// }
///
/// impl Observer for Metrics {
///     fn compressed(&self, _: &Path, _: &Path, success: &Success<'_>) {
///         let saved = success.bytes_in.saturating_sub(success.bytes_out);
///         self.compressed.fetch_add(1, Ordering::Relaxed);
///         self.bytes_saved.fetch_add(saved, Ordering::Relaxed);
///     }
///     fn failed(&self, _: &Path, _: &Path, _: &Failure<'_>) {
///         self.failed.fetch_add(1, Ordering::Relaxed);
///     }
/// }
/// ```
///
/// **Threads.** Most calls come from the agent's task; [`started`](Self::started), [`progress`](Self::progress), [`ended`](Self::ended),
/// [`withdrawn`](Self::withdrawn), [`removed`](Self::removed) and [`warning`](Self::warning) from the threads that do blocking work, several at a time. None may block, and each should return in
/// microseconds: the agent's task waits for it. It must not panic: in the agent's task that ends the agent, on a worker's thread it
/// fails the file.
///
/// **Paths.** `folder` is a watched folder as its [`Watch`](crate::Watch) has it. `source` is relative to it, but a whole path, `folder`
/// first, in `started`, `progress` and `ended`. All are as the system gave them; escape them before printing.
pub trait Observer: Send + Sync + 'static {
    /// A folder is being watched, or from now on otherwise than before. `native` means by a [`Watcher`](crate::Watcher)'s events;
    /// otherwise it is scanned at its poll interval, and `why` says the cause where events had been asked for.
    fn watching(&self, folder: &Path, native: bool, why: Option<&str>) {
        let _ = (folder, native, why);
    }

    /// A watched folder cannot be reached; it is looked for again after `retry_in`.
    fn folder_lost(&self, folder: &Path, error: &Error, retry_in: Duration) {
        let _ = (folder, error, retry_in);
    }

    /// A folder that had been lost is there again.
    fn folder_found(&self, folder: &Path) {
        let _ = folder;
    }

    /// A folder is scanned again, since events may have been missed: the cause in words.
    fn rescanning(&self, folder: &Path, cause: &'static str) {
        let _ = (folder, cause);
    }

    /// Work on `source`, which has `bytes` bytes, begins. [`ended`](Self::ended) follows in any case.
    fn started(&self, source: &Path, bytes: u64) {
        let _ = (source, bytes);
    }

    /// `bytes` more of `source` have been read and compressed since the last call for it.
    fn progress(&self, source: &Path, bytes: u64) {
        let _ = (source, bytes);
    }

    /// Work on `source` is over, whatever came of it. One of `compressed`, `skipped` and `failed` says that, or none where the file is not
    /// finished after all, or the work is given up.
    fn ended(&self, source: &Path) {
        let _ = source;
    }

    /// A file has become its output, which is published, and durable unless the watch says otherwise. The original is removed, or moved to
    /// where the watch wants originals that are done, unless it was to be kept.
    fn compressed(&self, folder: &Path, source: &Path, success: &Success<'_>) {
        let _ = (folder, source, success);
    }

    /// An output, a whole path, was removed: it went the way of its original `source`, which is gone, or is nothing any more that is
    /// compressed.
    fn withdrawn(&self, folder: &Path, source: &Path, output: &Path) {
        let _ = (folder, source, output);
    }

    /// A file was looked at and passed over. Told when it comes or changes, not at each scan.
    fn skipped(&self, folder: &Path, source: &Path, reason: &Reason) {
        let _ = (folder, source, reason);
    }

    /// A try on a file failed, or a subfolder could not be listed. Told at every try.
    fn failed(&self, folder: &Path, source: &Path, failure: &Failure<'_>) {
        let _ = (folder, source, failure);
    }

    /// A `.gz` was removed, a whole path, since the watch keeps no more.
    fn removed(&self, folder: &Path, output: &Path, surplus: Surplus) {
        let _ = (folder, output, surplus);
    }

    /// Nothing more is begun in a folder for `retry_in`, since what failed would fail for every file: a disk is full, or was made read-only.
    fn paused(&self, folder: &Path, error: &Error, retry_in: Duration) {
        let _ = (folder, error, retry_in);
    }

    /// Something short of a failure that a person should know: a sentence that names the path, escaped.
    fn warning(&self, message: &str) {
        let _ = message;
    }

    /// The drain has begun: nothing new is taken, and `pending` files are known.
    fn draining(&self, pending: usize) {
        let _ = pending;
    }

    /// The agent has ended, and this is the last call. There is none where its runtime ended first.
    fn finished(&self, report: &Report) {
        let _ = report;
    }
}

/// Tells nobody.
impl Observer for () {}
