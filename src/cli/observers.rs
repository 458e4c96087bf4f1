//! Several observers in one's place.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Error, Failure, Observer, Reason, Report, Success, Surplus};

/// Tells each of them, in this order.
pub(crate) struct Observers(pub(crate) Vec<Arc<dyn Observer>>);

impl Observers {
    fn each(&self, tell: impl Fn(&dyn Observer)) {
        self.0.iter().for_each(|observer| tell(&**observer));
    }
}

impl Observer for Observers {
    fn watching(&self, folder: &Path, native: bool, why: Option<&str>) {
        self.each(|observer| observer.watching(folder, native, why));
    }

    fn folder_lost(&self, folder: &Path, error: &Error, retry_in: Duration) {
        self.each(|observer| observer.folder_lost(folder, error, retry_in));
    }

    fn folder_found(&self, folder: &Path) {
        self.each(|observer| observer.folder_found(folder));
    }

    fn rescanning(&self, folder: &Path, cause: &'static str) {
        self.each(|observer| observer.rescanning(folder, cause));
    }

    fn started(&self, source: &Path, bytes: u64) {
        self.each(|observer| observer.started(source, bytes));
    }

    fn progress(&self, source: &Path, bytes: u64) {
        self.each(|observer| observer.progress(source, bytes));
    }

    fn ended(&self, source: &Path) {
        self.each(|observer| observer.ended(source));
    }

    fn compressed(&self, folder: &Path, source: &Path, success: &Success<'_>) {
        self.each(|observer| observer.compressed(folder, source, success));
    }

    fn withdrawn(&self, folder: &Path, source: &Path, output: &Path) {
        self.each(|observer| observer.withdrawn(folder, source, output));
    }

    fn skipped(&self, folder: &Path, source: &Path, reason: &Reason) {
        self.each(|observer| observer.skipped(folder, source, reason));
    }

    fn failed(&self, folder: &Path, source: &Path, failure: &Failure<'_>) {
        self.each(|observer| observer.failed(folder, source, failure));
    }

    fn removed(&self, folder: &Path, output: &Path, surplus: Surplus) {
        self.each(|observer| observer.removed(folder, output, surplus));
    }

    fn paused(&self, folder: &Path, error: &Error, retry_in: Duration) {
        self.each(|observer| observer.paused(folder, error, retry_in));
    }

    fn warning(&self, message: &str) {
        self.each(|observer| observer.warning(message));
    }

    fn draining(&self, pending: usize) {
        self.each(|observer| observer.draining(pending));
    }

    fn finished(&self, report: &Report) {
        self.each(|observer| observer.finished(report));
    }
}
