//! Files and folders named on a command line: the pool of workers, and no agenda, since nothing is waited for.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::codec::Helpers;
use crate::model::{Error, Observer, Report};
use crate::policy::{Select, Shard, Verdict};
use crate::runtime::Runtime;
use crate::storage::{Folder, Scan, Sight};

use super::file::{Desk, FileOptions, Named};
use super::job::{Attempt, Cancel};
use super::pool::{Pool, Progress, Task, Worked};

/// Files and folders named on a command line, compressed by a pool of workers.
pub(crate) struct OneShot {
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) workers: usize,
    pub(crate) options: FileOptions,
    /// Whether folders are walked; otherwise they are passed over.
    pub(crate) recursive: bool,
    /// Only the files that fall to it: by their paths in the folder that is walked, by their names where they are named themselves.
    pub(crate) shard: Option<Shard>,
    pub(crate) observer: Arc<dyn Observer>,
    /// Begin nothing more; what is in flight is finished.
    pub(crate) stop: Cancel,
    /// Give up what is in flight, too.
    pub(crate) abort: Cancel,
}

impl OneShot {
    /// Compresses all of it and returns the counts; `left` is what was found and not begun when it was told to stop.
    ///
    /// # Errors
    ///
    /// When the output folder cannot be opened or made; nothing has been done then.
    pub(crate) async fn run(self, paths: Vec<PathBuf>) -> Result<Report, Error> {
        let begun = self.runtime.now();
        let desk = Arc::new(Desk::open(
            &self.options,
            Arc::clone(&self.observer),
            self.abort.clone(),
        )?);
        let Pool {
            tasks,
            results,
            workers,
            ..
        } = Pool::start(&self.runtime, self.workers, &self.abort);
        let feeder = Feeder {
            tasks,
            desk: Arc::clone(&desk),
            select: Arc::new(Select::everything(self.shard)),
            stop: self.stop.clone(),
        };
        let recursive = self.recursive;
        self.runtime.unblock(Box::new(move || feeder.feed(paths, recursive)));
        let mut report = Report::default();
        // Ends when the feeder has let go of the tasks and the workers of the results.
        while let Ok(progress) = results.recv().await {
            if let Progress::Ended(path, attempt) = progress {
                let attempt = attempt.unwrap_or_else(|| Attempt::unanswered(&path));
                self.count(&mut report, &path, &desk.conclude(&path, attempt));
            }
        }
        workers.wait().await;
        report.elapsed = self.runtime.now().saturating_duration_since(begun);
        self.observer.finished(&report);
        Ok(report)
    }

    fn count(&self, report: &mut Report, path: &Path, attempt: &Attempt) {
        match attempt {
            Attempt::Compressed {
                bytes_in, bytes_out, ..
            } => {
                report.compressed += 1;
                report.bytes_in += bytes_in;
                report.bytes_out += bytes_out;
            }
            Attempt::Skipped(_) => report.skipped += 1,
            Attempt::Failed(_) | Attempt::GivenUp(..) => report.failed += 1,
            Attempt::Cancelled => report.left += 1,
            Attempt::NotYet(_) | Attempt::InUse | Attempt::Gone | Attempt::Folder | Attempt::Recovered(_) => {}
        }
        attempt.tell(&*self.observer, Path::new(""), path, Verdict::news(), Duration::ZERO);
    }
}

/// Turns paths into tasks, on a thread of its own, as fast as the workers take them.
struct Feeder {
    tasks: async_channel::Sender<Task<PathBuf, Attempt>>,
    desk: Arc<Desk>,
    select: Arc<Select>,
    stop: Cancel,
}

impl Feeder {
    fn feed(self, paths: Vec<PathBuf>, recursive: bool) {
        for path in paths {
            if recursive && path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
                self.walk(&path);
            } else if path
                .file_name()
                .is_none_or(|name| self.select.is_of_shard(Path::new(name)))
            {
                self.send(Named::alone(&path));
            }
        }
    }

    fn walk(&self, path: &Path) {
        const BATCH: usize = 256;
        let opened = Folder::open(path).and_then(|root| {
            let scan = Scan::new(&root, Path::new(""), Arc::clone(&self.select))?;
            Ok((Arc::new(root), scan))
        });
        let (root, mut scan) = match opened {
            Ok(opened) => opened,
            Err(error) => return self.fail(path.to_owned(), error),
        };
        loop {
            let batch = scan.next_batch(BATCH, &mut |sight| {
                if let Sight::Failed(error) = sight {
                    self.fail(error.path().to_owned(), error);
                }
            });
            for relative in batch.files.into_iter().chain(batch.leftovers) {
                self.send(Named {
                    path: path.join(&relative),
                    within: Some((Arc::clone(&root), relative)),
                });
            }
            if batch.end || self.stop.is_cancelled() {
                return;
            }
        }
    }

    fn send(&self, named: Named) {
        let desk = Arc::clone(&self.desk);
        let stop = self.stop.clone();
        let key = named.path.clone();
        let work = Box::new(move |helpers: &dyn Helpers| {
            if stop.is_cancelled() {
                Worked::Ended(Attempt::Cancelled)
            } else {
                desk.compress(&named, helpers)
            }
        });
        // The workers are gone when the runtime is, and so is whoever would count.
        let _ = self.tasks.send_blocking(Task { key, work });
    }

    fn fail(&self, key: PathBuf, error: Error) {
        let work = Box::new(move |_: &dyn Helpers| Worked::Ended(Attempt::Failed(error)));
        let _ = self.tasks.send_blocking(Task { key, work });
    }
}
