//! How the agent tells what it does.

use std::path::Path;
use std::time::Duration;

use super::{Error, Reason, Report};

/// Receives one call for each thing worth telling. Every method does nothing unless overridden.
///
/// Calls come from worker threads and from the agent's own task, several at a time: an implementation must not block, and should
/// return in microseconds. Paths are as the system gave them; escape them before printing.
pub trait Observer: Send + Sync + 'static {
    /// A folder is being watched. `native` means by the kernel's events; otherwise it is scanned at an interval, and `why` says the
    /// cause where polling was not asked for.
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

    /// A folder is scanned again, since events may have been missed.
    fn rescanning(&self, folder: &Path, cause: &'static str) {
        let _ = (folder, cause);
    }

    /// Work on `source`, which has `bytes` bytes, begins.
    fn started(&self, source: &Path, bytes: u64) {
        let _ = (source, bytes);
    }

    /// `bytes` more of `source` have been read and compressed.
    fn progress(&self, source: &Path, bytes: u64) {
        let _ = (source, bytes);
    }

    /// A file has become `output`, which is published, and durable unless the watch says otherwise.
    fn compressed(&self, folder: &Path, source: &Path, output: &Path, bytes_in: u64, bytes_out: u64, took: Duration) {
        let _ = (folder, source, output, bytes_in, bytes_out, took);
    }

    /// A file was looked at and passed over.
    fn skipped(&self, folder: &Path, source: &Path, reason: &Reason) {
        let _ = (folder, source, reason);
    }

    /// A try on a file failed. It is tried again after `retry_in`; with `None`, when something happens to it, or at the next sweep.
    fn failed(&self, folder: &Path, source: &Path, error: &Error, retry_in: Option<Duration>) {
        let _ = (folder, source, error, retry_in);
    }

    /// Something short of a failure that a person should know: a sentence that names the path, escaped.
    fn warning(&self, message: &str) {
        let _ = message;
    }

    /// The drain has begun: nothing new is taken, and `pending` files are known.
    fn draining(&self, pending: usize) {
        let _ = pending;
    }

    /// The last call.
    fn finished(&self, report: &Report) {
        let _ = report;
    }
}

/// Tells nobody.
impl Observer for () {}
