//! What a commit would do with a file that is ready, without doing it.

use std::path::PathBuf;

use super::commit::Plan;
use super::conflict::{self, Naming, Question};
use super::dir::Folder;
use super::ready::Candidate;
use super::stopped::Stopped;
use crate::model::{Error, Reason};

/// What would become of it.
#[derive(Debug)]
pub(crate) enum Foreseen {
    /// An output of this path.
    New(PathBuf),
    /// One in the place of what is there.
    InPlace(PathBuf),
    /// This one is there already and holds its bytes: only the original would go.
    Finished(PathBuf),
    Pass(Reason),
    /// Somebody is at work on it or on its output.
    Busy,
}

/// Decides as a commit would by what is in the folder `output` now. Blocks, for as long as comparing takes where an output may be there
/// already.
///
/// # Errors
///
/// When what is there cannot be looked at.
pub(crate) fn foresee(candidate: &Candidate, parent: &Folder, output: &Folder, plan: Plan) -> Result<Foreseen, Error> {
    let question = Question {
        candidate,
        parent,
        output,
        format: plan.level.format(),
        on_conflict: plan.on_conflict,
        keep_original: plan.keep_original,
        renew: plan.renew,
        // Nothing is to be flushed here.
        durable: false,
        digest: None,
    };
    Ok(match conflict::decide(&question, &mut || Ok(())) {
        Ok(Naming::Free(name)) => Foreseen::New(output.path_of(&name)),
        Ok(Naming::Over(name, _)) => Foreseen::InPlace(output.path_of(&name)),
        Ok(Naming::Same(twin)) => Foreseen::Finished(output.path_of(&twin.name)),
        Ok(Naming::Pass(reason)) => Foreseen::Pass(reason),
        Err(Stopped::Changed | Stopped::Gone | Stopped::Cancelled) => Foreseen::Busy,
        Err(Stopped::Failed(error)) => return Err(error),
    })
}
