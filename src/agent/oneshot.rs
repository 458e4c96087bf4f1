//! Files and folders named on a command line: the pool of workers, and no agenda, since nothing is waited for.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_channel::{Receiver, Sender};

use crate::codec::Helpers;
use crate::model::{Error, Observer, Report};
use crate::policy::{Select, Shard, Verdict};
use crate::runtime::{BoxFuture, Runtime, race};
use crate::storage::{Folder, Scan, Sight};

use super::file::{Desk, FileOptions, Named};
use super::job::{Attempt, Cancel};
use super::pool::{Pool, Progress, Task, Worked};

/// So many files are found before they are handed out.
const PORTION: usize = 256;

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
        let mut pool = Pool::start(&self.runtime, self.workers, &self.abort);
        let (portions, found) = async_channel::bounded(1);
        let feeder = Feeder {
            portions,
            portion: Vec::new(),
            desk: Arc::clone(&desk),
            select: Arc::new(Select::everything(self.shard)),
            stop: self.stop.clone(),
        };
        let recursive = self.recursive;
        self.runtime.unblock(Box::new(move || feeder.feed(paths, recursive)));
        let mut report = Report::default();
        let mut waiting = VecDeque::new();
        loop {
            while pool.tasks.len() < pool.appetite()
                && let Some(task) = waiting.pop_front()
            {
                // There is room for an appetite, and nobody else sends.
                let _ = pool.tasks.try_send(task);
            }
            match next_input(&mut pool, found.clone(), waiting.is_empty()).await {
                Input::Found(portion) => waiting.extend(portion),
                Input::FoundAll => {
                    pool.tasks.close();
                }
                Input::Told(progress) => {
                    for progress in [progress].into_iter().chain(pool.results.waiting()) {
                        if let Progress::Ended(path, attempt) = progress {
                            let attempt = attempt.unwrap_or_else(|| Attempt::unanswered(&path));
                            self.count(&mut report, &path, &desk.conclude(&path, attempt));
                        }
                    }
                }
                Input::ToldAll => break,
            }
        }
        pool.workers.wait().await;
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

/// What the run waits for.
enum Input {
    Found(Vec<Errand>),
    FoundAll,
    Told(Progress<PathBuf, Attempt>),
    ToldAll,
}

type Errand = Task<PathBuf, Attempt>;

/// Files are asked for where none is left to hand out, and there are more.
async fn next_input(pool: &mut Pool<PathBuf, Attempt>, found: Receiver<Vec<Errand>>, wants_files: bool) -> Input {
    let wants_files = wants_files && !pool.tasks.is_closed();
    let mut inputs: Vec<BoxFuture<'_, Input>> = vec![Box::pin(async {
        pool.results.next().await.map_or(Input::ToldAll, Input::Told)
    })];
    if wants_files {
        inputs.push(Box::pin(async move {
            found.recv().await.map_or(Input::FoundAll, Input::Found)
        }));
    }
    race(inputs).await
}

/// Turns paths into tasks, on a thread of its own, a portion ahead of the workers.
struct Feeder {
    portions: Sender<Vec<Errand>>,
    portion: Vec<Errand>,
    desk: Arc<Desk>,
    select: Arc<Select>,
    stop: Cancel,
}

impl Feeder {
    fn feed(mut self, paths: Vec<PathBuf>, recursive: bool) {
        for path in paths {
            if recursive && path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
                self.walk(&path);
            } else if path
                .file_name()
                .is_none_or(|name| self.select.is_of_shard(Path::new(name)))
            {
                self.compress(Named::alone(&path));
            }
        }
        self.send();
    }

    fn walk(&mut self, path: &Path) {
        let opened = Folder::open(path).and_then(|root| {
            let scan = Scan::new(&root, Path::new(""), Arc::clone(&self.select))?;
            Ok((Arc::new(root), scan))
        });
        let (root, mut scan) = match opened {
            Ok(opened) => opened,
            Err(error) => return self.fail(error, path),
        };
        loop {
            let batch = scan.next_batch(PORTION, &mut |sight| {
                if let Sight::Failed(error) = sight {
                    let path = error.path().to_owned();
                    self.fail(error, &path);
                }
            });
            for relative in batch.files.into_iter().chain(batch.leftovers) {
                self.compress(Named {
                    path: path.join(&relative),
                    within: Some((Arc::clone(&root), relative)),
                });
            }
            if batch.end || self.stop.is_cancelled() {
                return;
            }
        }
    }

    fn compress(&mut self, named: Named) {
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
        self.add(Task { key, work });
    }

    fn fail(&mut self, error: Error, path: &Path) {
        let key = path.to_owned();
        let work = Box::new(move |_: &dyn Helpers| Worked::Ended(Attempt::Failed(error)));
        self.add(Task { key, work });
    }

    fn add(&mut self, errand: Errand) {
        self.portion.push(errand);
        if self.portion.len() >= PORTION {
            self.send();
        }
    }

    /// Waits until the one before was taken.
    fn send(&mut self) {
        // Whoever would take it is gone when the runtime is.
        let _ = self.portions.send_blocking(std::mem::take(&mut self.portion));
    }
}
