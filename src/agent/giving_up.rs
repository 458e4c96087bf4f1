//! What is left to do for a file whose tries are used up: to move it where such files go, with the reason beside it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::model::{Class, Error, Escaped, Fingerprint, Observer};
use crate::policy::{WriterCheck, is_used_up};
use crate::storage::{Folder, GiveUp, Syncs};

use super::job::{Attempt, Cancel};
use super::pool::{Unfinished, Worked};
use super::root::Root;

/// A file that goes elsewhere when it fails once too often.
pub(super) struct GivingUp {
    pub(super) root: Arc<Root>,
    pub(super) parent: Arc<Folder>,
    /// Relative to the watched folder.
    pub(super) file: PathBuf,
    /// The whole path.
    pub(super) path: PathBuf,
    /// As it was before this try.
    pub(super) seen: Fingerprint,
    /// Tries in a row that failed before this one.
    pub(super) failures: u32,
    pub(super) settle: Duration,
    pub(super) writer_check: WriterCheck,
    pub(super) durable: bool,
    pub(super) observer: Arc<dyn Observer>,
}

impl GivingUp {
    /// The same work; a failure at its end may be the last.
    pub(super) fn follow(self, worked: Worked<Attempt>) -> Worked<Attempt> {
        match worked {
            Worked::Ended(Attempt::Failed(error)) => Worked::Ended(self.end(error)),
            Worked::Ended(attempt) => Worked::Ended(attempt),
            Worked::Later(rest, wait) => Worked::Later(Box::new(Rest { giving_up: self, rest }), wait),
        }
    }

    fn end(self, error: Error) -> Attempt {
        let tries = self.failures.saturating_add(1);
        let is_over = error.class() == Class::Permanent || is_used_up(tries);
        let Some(place) = self.root.failed_place_of(&self.file).filter(|_| is_over) else {
            return Attempt::Failed(error);
        };
        if !error.is_of_file(&self.path) {
            return Attempt::Failed(error);
        }
        let give_up = GiveUp {
            parent: &self.parent,
            name: self.file.file_name().unwrap_or_default(),
            seen: self.seen,
            settle: self.settle,
            writer_check: self.writer_check,
            place,
            durable: self.durable,
        };
        let warn = &mut |message: String| self.observer.warning(&format!("{}: {message}", Escaped(&self.path)));
        match give_up.run(&reason(&self.path, &error, tries), warn) {
            Ok(Some(moved_to)) => return Attempt::GivenUp(error, moved_to),
            // Once is enough: it stays where it is, and is tried again.
            Err(trouble) if tries == 1 || is_used_up(tries) && !is_used_up(self.failures) => {
                warn(format!("it cannot be moved to failed-dir: {trouble}"));
            }
            Ok(None) | Err(_) => {}
        }
        Attempt::Failed(error)
    }
}

/// What stands in `NAME.reason`: a line each, names escaped.
fn reason(path: &Path, error: &Error, tries: u32) -> String {
    let now = Timestamp::now();
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let mut text = format!(
        "file: {}\nerror: {error}\nstep: {}\n",
        Escaped(path),
        error.step().verb()
    );
    if let Some(errno) = error.errno() {
        let _ = writeln!(text, "errno: {errno}");
    }
    let _ = writeln!(text, "class: {}\ntries: {tries}\nwhen: {now}", error.class().as_str());
    text
}

struct Rest {
    giving_up: GivingUp,
    rest: Box<dyn Unfinished<Attempt>>,
}

impl Unfinished<Attempt> for Rest {
    fn enlist(&self, syncs: &mut Syncs) {
        self.rest.enlist(syncs);
    }

    fn advance(self: Box<Self>, syncs: &mut Syncs, cancel: &Cancel) -> Worked<Attempt> {
        let Rest { giving_up, rest } = *self;
        giving_up.follow(rest.advance(syncs, cancel))
    }
}
