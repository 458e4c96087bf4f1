//! What the agent asks of a watched folder: try one file, scan for more.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::codec::Helpers;
use crate::model::{Error, Escaped, Failure, Observer, Reason, Step, Success};
use crate::policy::{Outcome, Remains, Verdict};
use crate::storage::{Advanced, Caller, Candidate, Done, Folder, Places, Plan, Rest, Syncs, commit};

use super::pool::{Unfinished, Worked};

/// One watched folder as the driver sees it: everything that blocks. Tests put a fake in its place.
pub(crate) trait Job: Send + Sync + 'static {
    /// Looks at the file and, if it is finished, compresses it, a large one with `helpers` where there are any. The path is relative to the
    /// folder; so many tries in a row have failed.
    fn attempt(&self, file: &Path, failures: u32, helpers: &dyn Helpers, cancel: &Cancel) -> Worked<Attempt>;

    /// Begins a scan of a subfolder (empty: of the whole folder, which is opened anew for it).
    ///
    /// # Errors
    ///
    /// When the watched folder itself cannot be reached.
    fn scan(&self, folder: &Path) -> Result<Box<dyn Walk>, Error>;

    /// Whether not all outputs are kept.
    fn retains(&self) -> bool {
        false
    }

    /// Removes surplus outputs; none in these areas, which are other watches'.
    fn retain(&self, others: &[Area], cancel: &Cancel) -> Retained {
        let _ = (others, cancel);
        Retained::default()
    }
}

/// What came of surplus outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Retained {
    /// How many went. The observer was told of each.
    pub(crate) removed: u64,
    pub(crate) left: Remains,
}

/// Where another watch is at home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Area {
    /// The watched folder.
    pub(crate) watched: PathBuf,
    /// Where its outputs go, where that is another folder.
    pub(crate) outputs: Option<PathBuf>,
}

impl Area {
    /// Of a watched folder and that of its outputs.
    pub(crate) fn new([watched, outputs]: [PathBuf; 2]) -> Self {
        let outputs = Some(outputs).filter(|outputs| *outputs != watched);
        Area { watched, outputs }
    }

    pub(super) fn folders(&self) -> impl Iterator<Item = &Path> {
        [Some(&self.watched), self.outputs.as_ref()]
            .into_iter()
            .flatten()
            .map(PathBuf::as_path)
    }
}

/// A scan under way.
pub(crate) trait Walk: Send {
    /// The next files, `most` at most.
    ///
    /// # Errors
    ///
    /// When the scan cannot go on.
    fn next(&mut self, most: usize) -> Result<Batch, Error>;
}

/// Some files that a scan found.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Relative to the watched folder, and taken by their names.
    pub(crate) files: Vec<PathBuf>,
    /// There are no more.
    pub(crate) end: bool,
    /// Subfolders that could not be gone through, or not to their end.
    pub(crate) failed: Vec<Error>,
    /// The kernel's events cannot be had any more, so the folder must be polled from now on; the cause.
    pub(crate) polling: Option<String>,
}

/// What came of a file.
#[derive(Debug)]
pub(crate) enum Attempt {
    Compressed {
        output: PathBuf,
        bytes_in: u64,
        bytes_out: u64,
        /// Until the output was published.
        took: Duration,
        /// From then on, until this was known.
        since_published: Duration,
    },
    Skipped(Reason),
    NotYet(Duration),
    /// Somebody has it open for writing.
    InUse,
    Gone,
    Folder,
    /// It was in quarantine since a run was killed, and has this name again.
    Recovered(PathBuf),
    Failed(Error),
    /// It failed, and is here now.
    GivenUp(Error, PathBuf),
    Cancelled,
}

impl Attempt {
    /// Of work that ended without an answer, since it panicked or could not be run.
    pub(super) fn unanswered(path: &Path) -> Self {
        let cause = "the job ended without an answer (a fault in dwindle)";
        Attempt::Failed(Error::permanent(Step::Write, path, cause))
    }

    /// Tells the observer what is worth telling of a file that has been ready for so long.
    pub(super) fn tell(
        &self,
        observer: &dyn Observer,
        folder: &Path,
        source: &Path,
        verdict: Verdict,
        ready: Duration,
    ) {
        match self {
            Attempt::Compressed {
                output,
                bytes_in,
                bytes_out,
                took,
                since_published,
            } => {
                let success = Success {
                    output,
                    bytes_in: *bytes_in,
                    bytes_out: *bytes_out,
                    took: *took,
                    since_ready: ready.saturating_sub(*since_published),
                };
                observer.compressed(folder, source, &success);
            }
            Attempt::Skipped(reason) => observer.skipped(folder, source, reason),
            Attempt::Failed(error) | Attempt::GivenUp(error, _) => {
                let moved_to = match self {
                    Attempt::GivenUp(_, path) => Some(path.as_path()),
                    _ => None,
                };
                let failure = Failure {
                    retry_in: verdict.retry_in,
                    given_up: verdict.given_up,
                    moved_to,
                    ..Failure::of(error)
                };
                observer.failed(folder, source, &failure);
            }
            Attempt::NotYet(_)
            | Attempt::InUse
            | Attempt::Gone
            | Attempt::Folder
            | Attempt::Recovered(_)
            | Attempt::Cancelled => {}
        }
    }

    /// What the agenda needs to know of it.
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Attempt::Compressed {
                bytes_in, bytes_out, ..
            } => Outcome::Compressed {
                bytes_in: *bytes_in,
                bytes_out: *bytes_out,
            },
            Attempt::Skipped(Reason::HardLinks) => Outcome::HardLinked,
            Attempt::Skipped(_) => Outcome::Skipped,
            Attempt::NotYet(wait) => Outcome::NotYet(*wait),
            Attempt::InUse => Outcome::InUse,
            Attempt::Gone | Attempt::Recovered(_) => Outcome::Gone,
            Attempt::Folder => Outcome::Folder,
            Attempt::Failed(error) if error.is_no_room() => Outcome::NoRoom,
            Attempt::Failed(error) => Outcome::Failed(error.class()),
            Attempt::GivenUp(..) => Outcome::GivenUp,
            Attempt::Cancelled => Outcome::Cancelled,
        }
    }
}

/// A commit to be made, and who is told of it as it goes on.
pub(super) struct Work<'a> {
    pub(super) parent: &'a Arc<Folder>,
    pub(super) places: Places<'a>,
    pub(super) plan: Plan,
    /// By which a person knows the file.
    pub(super) path: &'a Path,
    pub(super) observer: &'a Arc<dyn Observer>,
    pub(super) helpers: &'a dyn Helpers,
    pub(super) cancel: &'a Cancel,
    /// When to look again at a file that was touched meanwhile.
    pub(super) look_again: Duration,
    /// What it means that the file was removed or renamed meanwhile.
    pub(super) gone: fn(&Path) -> Attempt,
}

impl Work<'_> {
    /// Makes it, as far as it needs a worker.
    pub(super) fn commit(&self, candidate: Candidate) -> Worked<Attempt> {
        let mut account = Account::begin(self);
        self.observer.started(self.path, candidate.status.fingerprint.size);
        let mut told = 0;
        let committed = commit(
            candidate,
            self.parent,
            self.places,
            self.plan,
            Caller {
                helpers: self.helpers,
                cancel: &|| self.cancel.is_cancelled(),
                progress: &mut |bytes| {
                    self.observer.progress(self.path, bytes.saturating_sub(told));
                    told = bytes;
                },
                warn: &mut |message| warn(&**self.observer, self.path, &message),
            },
        );
        account.published = Instant::now();
        account.of(committed)
    }
}

/// The rest of a commit.
struct Committing {
    rest: Rest,
    account: Account,
}

/// Who is told of a commit, and what. Dropped, be it by a panic, the work is over.
struct Account {
    path: PathBuf,
    observer: Arc<dyn Observer>,
    begun: Instant,
    /// When the output was published, as far as the commit has come.
    published: Instant,
    look_again: Duration,
    gone: fn(&Path) -> Attempt,
}

impl Drop for Account {
    fn drop(&mut self) {
        self.observer.ended(&self.path);
    }
}

impl Account {
    fn begin(work: &Work<'_>) -> Self {
        let begun = Instant::now();
        Account {
            path: work.path.to_owned(),
            observer: Arc::clone(work.observer),
            begun,
            published: begun,
            look_again: work.look_again,
            gone: work.gone,
        }
    }

    fn of(self, committed: Result<Advanced, Error>) -> Worked<Attempt> {
        match committed {
            Err(error) => Worked::Ended(Attempt::Failed(error)),
            Ok(Advanced::Done(done)) => Worked::Ended(self.attempt(done)),
            Ok(Advanced::Later(rest, wait)) => Worked::Later(Box::new(Committing { rest, account: self }), wait),
        }
    }

    fn attempt(&self, done: Done) -> Attempt {
        match done {
            Done::Compressed {
                output,
                bytes_in,
                bytes_out,
            } => Attempt::Compressed {
                output,
                bytes_in,
                bytes_out,
                took: self.published.duration_since(self.begun),
                since_published: self.published.elapsed(),
            },
            Done::Pass(reason) => Attempt::Skipped(reason),
            Done::Changed => Attempt::NotYet(self.look_again),
            Done::Gone => (self.gone)(&self.path),
            Done::Cancelled => Attempt::Cancelled,
        }
    }
}

impl Unfinished<Attempt> for Committing {
    fn enlist(&self, syncs: &mut Syncs) {
        self.rest.enlist(syncs);
    }

    fn waits_for_disk(&self) -> bool {
        self.rest.waits_for_disk()
    }

    fn takes_long(&self) -> bool {
        self.rest.takes_long()
    }

    fn advance(self: Box<Self>, syncs: &mut Syncs, cancel: &Cancel) -> Worked<Attempt> {
        let Committing { rest, mut account } = *self;
        let was_published = rest.is_published();
        let advanced = rest.advance(syncs, &|| cancel.is_cancelled(), &mut |message| {
            warn(&*account.observer, &account.path, &message);
        });
        if !was_published {
            account.published = Instant::now();
        }
        account.of(advanced)
    }
}

fn warn(observer: &dyn Observer, path: &Path, message: &str) {
    observer.warning(&format!("{}: {message}", Escaped(path)));
}

/// Tells work in flight to stop at the next block.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cancel(Arc<AtomicBool>);

impl Cancel {
    pub(crate) fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
