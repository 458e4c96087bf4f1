//! What is left to do for a file whose tries are used up: to move it where such files go, with the reason beside it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::model::{Class, Error, Escaped, Fingerprint, Observer};
use crate::policy::{WriterCheck, is_used_up};
use crate::storage::{Folder, GiveUp, Marker, Syncs};

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
    /// Its marker as it was before this try. It goes when the file does, or it would speak of the next one of that name.
    pub(super) marker: Option<Marker>,
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
            Ok(Some(moved_to)) => {
                if let Some(marker) = &self.marker
                    && let Err(trouble) = marker.remove(&self.parent)
                {
                    warn(trouble.to_string());
                }
                return Attempt::GivenUp(error, moved_to);
            }
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

    fn waits_for_disk(&self) -> bool {
        self.rest.waits_for_disk()
    }

    fn takes_long(&self) -> bool {
        self.rest.takes_long()
    }

    fn advance(self: Box<Self>, syncs: &mut Syncs, cancel: &Cancel) -> Worked<Attempt> {
        let Rest { giving_up, rest } = *self;
        giving_up.follow(rest.advance(syncs, cancel))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::fs;

    use crate::model::Step;
    use crate::policy::{Preset, Select, Watch};

    /// Gives `F` up, with `meanwhile` done after its marker was seen; the names that are left.
    fn left_of_given_up(meanwhile: impl FnOnce(&Path)) -> Vec<String> {
        let base = tempfile::tempdir().unwrap();
        let mut watch = Watch::new(base.path(), Preset::Inbox).with_marker("{name}.done");
        watch.failed_dir = Some("failed".into());
        fs::write(base.path().join("F"), "text").unwrap();
        let marker = base.path().join("F.done");
        fs::write(&marker, "").unwrap();
        let root = Root::open(&watch, &Select::new(&watch).unwrap()).unwrap();
        let parent = Arc::clone(&root.folder);
        let giving_up = GivingUp {
            seen: parent.status(OsStr::new("F")).unwrap().unwrap().fingerprint,
            marker: Marker::find(&parent, "F.done".into()).unwrap(),
            root: Arc::new(root),
            parent,
            file: "F".into(),
            path: base.path().join("F"),
            failures: 0,
            settle: Duration::ZERO,
            writer_check: WriterCheck::Quiet,
            durable: false,
            observer: Arc::new(()),
        };
        meanwhile(&marker);
        let error = Error::permanent(Step::Read, base.path().join("F"), "no");
        let Attempt::GivenUp(_, moved_to) = giving_up.end(error) else {
            panic!("it was not given up");
        };
        assert_eq!(moved_to, base.path().join("failed/F"));
        let names = fs::read_dir(base.path()).unwrap();
        let mut names: Vec<_> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_marker_goes_with_its_file_and_a_new_one_stays() {
        assert_eq!(left_of_given_up(|_| ()), ["failed"]);
        let write_anew = |marker: &Path| fs::write(marker, "of the next").unwrap();
        assert_eq!(left_of_given_up(write_anew), ["F.done", "failed"]);
    }
}
