//! Two observers in one's place.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Error, Failure, Observer, Reason, Report, Success, Surplus};

/// Tells both, the first one first.
pub(crate) struct Both(pub(crate) Arc<dyn Observer>, pub(crate) Arc<dyn Observer>);

impl Observer for Both {
    fn watching(&self, folder: &Path, native: bool, why: Option<&str>) {
        self.0.watching(folder, native, why);
        self.1.watching(folder, native, why);
    }

    fn folder_lost(&self, folder: &Path, error: &Error, retry_in: Duration) {
        self.0.folder_lost(folder, error, retry_in);
        self.1.folder_lost(folder, error, retry_in);
    }

    fn folder_found(&self, folder: &Path) {
        self.0.folder_found(folder);
        self.1.folder_found(folder);
    }

    fn rescanning(&self, folder: &Path, cause: &'static str) {
        self.0.rescanning(folder, cause);
        self.1.rescanning(folder, cause);
    }

    fn started(&self, source: &Path, bytes: u64) {
        self.0.started(source, bytes);
        self.1.started(source, bytes);
    }

    fn progress(&self, source: &Path, bytes: u64) {
        self.0.progress(source, bytes);
        self.1.progress(source, bytes);
    }

    fn ended(&self, source: &Path) {
        self.0.ended(source);
        self.1.ended(source);
    }

    fn compressed(&self, folder: &Path, source: &Path, success: &Success<'_>) {
        self.0.compressed(folder, source, success);
        self.1.compressed(folder, source, success);
    }

    fn withdrawn(&self, folder: &Path, source: &Path, output: &Path) {
        self.0.withdrawn(folder, source, output);
        self.1.withdrawn(folder, source, output);
    }

    fn skipped(&self, folder: &Path, source: &Path, reason: &Reason) {
        self.0.skipped(folder, source, reason);
        self.1.skipped(folder, source, reason);
    }

    fn failed(&self, folder: &Path, source: &Path, failure: &Failure<'_>) {
        self.0.failed(folder, source, failure);
        self.1.failed(folder, source, failure);
    }

    fn removed(&self, folder: &Path, output: &Path, surplus: Surplus) {
        self.0.removed(folder, output, surplus);
        self.1.removed(folder, output, surplus);
    }

    fn paused(&self, folder: &Path, error: &Error, retry_in: Duration) {
        self.0.paused(folder, error, retry_in);
        self.1.paused(folder, error, retry_in);
    }

    fn warning(&self, message: &str) {
        self.0.warning(message);
        self.1.warning(message);
    }

    fn draining(&self, pending: usize) {
        self.0.draining(pending);
        self.1.draining(pending);
    }

    fn finished(&self, report: &Report) {
        self.0.finished(report);
        self.1.finished(report);
    }
}
