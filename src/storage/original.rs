//! The file of a commit, and the questions that every step asks of it.

use std::ffi::OsString;
use std::io;
use std::sync::Arc;

use super::commit::Plan;
use super::conflict::{self, Naming, Question, output_name};
use super::dir::Folder;
use super::ready::Candidate;
use super::stopped::Stopped;
use crate::codec::Digest;
use crate::model::{Error, Step};

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

    /// The name that its output gets there, as it is now.
    pub(super) fn choose_name(
        &self,
        output: &Folder,
        digest: Option<Digest>,
        cancel: &dyn Fn() -> bool,
    ) -> Result<Naming, Stopped> {
        let question = Question {
            candidate: &self.candidate,
            parent: &self.parent,
            output,
            format: self.plan.level.format(),
            on_conflict: self.plan.on_conflict,
            keep_original: self.plan.keep_original,
            renew: self.plan.renew,
            durable: self.plan.durable,
            digest,
        };
        conflict::decide(&question, &mut || self.go_on(cancel))
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
