//! The commit's last step for an original that stays.

use std::time::Duration;

use super::advance::{Advanced, Rest};
use super::lease;
use super::original::Original;
use super::retire::Output;
use super::stopped::Stopped;
use super::syncs::Syncs;

/// A file whose output is published, and whose name is not durable yet.
#[derive(Debug)]
pub(crate) struct Keeping {
    original: Original,
    output: Output,
}

impl Keeping {
    pub(super) fn begin(original: Original, output: Output) -> Result<Advanced, Stopped> {
        if original.candidate.leased {
            // It keeps its name, by which writers come: they do not wait for the disk.
            lease::release(&original.candidate.file);
        }
        let keeping = Keeping { original, output };
        if !keeping.original.plan.durable {
            return keeping.finish(|_| Ok(()));
        }
        Ok(Advanced::Later(Rest::Keeping(Box::new(keeping)), Duration::ZERO))
    }

    pub(super) fn enlist(&self, syncs: &mut Syncs) {
        syncs.enlist_folder(&self.output.folder);
    }

    /// Step 9: the output's name is made durable. Blocks.
    pub(super) fn run(self, syncs: &mut Syncs) -> Result<Advanced, Stopped> {
        self.finish(|output| syncs.folder(&output.folder).map_err(Stopped::from))
    }

    /// Whoever changed the original meanwhile gets an output of its own.
    fn finish(self, sync: impl FnOnce(&Output) -> Result<(), Stopped>) -> Result<Advanced, Stopped> {
        match self.original.look_again().and_then(|()| sync(&self.output)) {
            Ok(()) => Ok(Advanced::Done(self.output.done(self.original.size()))),
            Err(stopped) => {
                self.output.withdraw(&self.original.candidate.file)?;
                Err(stopped)
            }
        }
    }
}
