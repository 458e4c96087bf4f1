//! The file of a commit, and the questions that every step asks of it.

use std::ffi::OsString;
use std::io;
use std::sync::Arc;

use super::commit::Plan;
use super::conflict::{self, Naming, Question, output_name};
use super::dir::Folder;
use super::lease;
use super::ready::Candidate;
use super::remote::is_in_memory;
use super::stopped::Stopped;
use crate::codec::Digest;
use crate::model::{Error, Step};
use crate::policy::OnConflict;

/// Up to this size a file is compressed in a fraction of a millisecond.
const SHORT: u64 = 64 * 1024;

/// A file that was found ready, where it was found, and how it is to be committed.
#[derive(Debug)]
pub(super) struct Original {
    pub(super) candidate: Candidate,
    pub(super) parent: Arc<Folder>,
    pub(super) plan: Plan,
    /// The folder it is moved to when its output is published; without one it is removed.
    pub(super) done: Option<Arc<Folder>>,
}

impl Original {
    pub(super) fn size(&self) -> u64 {
        self.candidate.status.fingerprint.size
    }

    /// Whether compressing it takes little longer than to ask for an earlier output. A kept original is looked at again and again, and most
    /// often has one; so is one that is to be skipped.
    pub(super) fn is_short_work(&self) -> bool {
        !self.plan.keep_original && self.plan.on_conflict != OnConflict::Skip && self.size() <= SHORT
    }

    /// The name that its output gets if it is free, where there is nothing else to ask.
    pub(super) fn unless_contested(&self, output: &Folder) -> Result<Option<OsString>, Stopped> {
        Ok(conflict::unless_contested(&self.question(output, None))?)
    }

    /// The name that its output gets there, as it is now.
    pub(super) fn choose_name(
        &self,
        output: &Folder,
        digest: Option<Digest>,
        cancel: &dyn Fn() -> bool,
    ) -> Result<Naming, Stopped> {
        conflict::decide(&self.question(output, digest), &mut || self.go_on(cancel))
    }

    fn question<'a>(&'a self, output: &'a Folder, digest: Option<Digest>) -> Question<'a> {
        Question {
            candidate: &self.candidate,
            parent: &self.parent,
            output,
            format: self.plan.level.format(),
            on_conflict: self.plan.on_conflict,
            keep_original: self.plan.keep_original,
            renew: self.plan.renew,
            durable: self.plan.durable,
            digest,
        }
    }

    /// Gives up the lease, so that writers need not wait for us. In memory nothing but it tells of what they write through a mapping.
    pub(super) fn let_writers_come(&self) {
        if self.candidate.leased && !is_in_memory(&self.parent) {
            lease::release(&self.candidate.file);
        }
    }

    /// Step 7: the name must still be the file's, and the file as the snapshot says. The name alone is asked: no other file has the
    /// snapshot's inode while this one is open.
    pub(super) fn look_again(&self) -> Result<(), Stopped> {
        match self.parent.status(&self.candidate.name)? {
            None => Err(Stopped::Gone),
            Some(named) if named.fingerprint == self.candidate.status.fingerprint => Ok(()),
            Some(_) => Err(Stopped::Changed),
        }
    }

    /// Whether the caller wants it still, and no writer has come.
    pub(super) fn go_on(&self, cancel: &dyn Fn() -> bool) -> Result<(), Stopped> {
        if cancel() {
            return Err(Stopped::Cancelled);
        }
        if self.candidate.has_lost_its_lease() {
            return Err(Stopped::Changed);
        }
        Ok(())
    }

    pub(super) fn failed(&self, step: Step, cause: io::Error) -> Stopped {
        Error::new(step, self.parent.path_of(&self.candidate.name), cause).into()
    }

    pub(super) fn failed_on_output(&self, step: Step, output: &Folder, cause: io::Error) -> Stopped {
        Error::new(step, output.path_of(&self.first_name()), cause).into()
    }

    /// The name that the output gets where it is free, and by which failures call it.
    pub(super) fn first_name(&self) -> OsString {
        output_name(&self.candidate.name, 0, self.plan.level.format())
    }
}
