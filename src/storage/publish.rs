//! The commit's middle: the output is made durable, the original looked at once more, and the one gets its name while the other goes into
//! quarantine. It takes no processor but waits for the disk, so it happens off the workers, for many files at once, unless there is but one.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use super::advance::{Advanced, Rest};
use super::commit::Done;
use super::conflict::Naming;
use super::dir::Folder;
use super::keep::Keeping;
use super::lease::{self, NoLease};
use super::original::Original;
use super::quarantine::Quarantine;
use super::retire::{Made, Output, Retiring};
use super::stopped::Stopped;
use super::syncs::Syncs;
use super::temp::{Publication, Temp};
use crate::codec::Packed;
use crate::model::{Error, Reason, Step};

/// A file whose output is whole and verified, and has no name yet. Dropped, it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct Publishing {
    pub(super) original: Original,
    pub(super) temp: Temp,
    /// The folder of the output.
    pub(super) output: Arc<Folder>,
    pub(super) name: Name,
    pub(super) packed: Packed,
}

/// What is known of an output's name.
#[derive(Debug)]
pub(super) enum Name {
    /// It was free before the work.
    Free(OsString),
    /// Nobody has asked whether it is free. linkat(2) will tell.
    Unasked,
    /// It has to be found out, for which what has the name may have to be read.
    Contested,
}

/// How publishing ended.
enum Published {
    Output(Output),
    Pass(Reason),
    /// The name that nobody had asked about is taken.
    Contested(Temp),
}

/// What is contested goes on among that which takes long, where nobody waits for it.
const ASIDE: Duration = Duration::from_millis(1);

impl Publishing {
    pub(super) fn enlist(&self, syncs: &mut Syncs) {
        if self.original.plan.durable {
            syncs.enlist(&self.temp);
        }
    }

    /// Whether what has the output's name may have to be read.
    pub(super) fn is_contested(&self) -> bool {
        matches!(self.name, Name::Contested)
    }

    /// Steps 6 to 8. Blocks.
    pub(super) fn run(
        self,
        syncs: &mut Syncs,
        cancel: &dyn Fn() -> bool,
        warn: &mut dyn FnMut(String),
    ) -> Result<Advanced, Stopped> {
        let Publishing {
            original,
            temp,
            output,
            name,
            packed,
        } = self;
        if cancel() {
            return Err(Stopped::Cancelled);
        }
        // 6
        let temp = if original.plan.durable {
            syncs.content(temp)?
        } else {
            temp
        };
        // 7
        lease_again(&original)?;
        // 8
        match publish(&original, temp, &output, name, packed, cancel)? {
            Published::Pass(reason) => Ok(Advanced::Done(Done::Pass(reason))),
            Published::Contested(temp) => {
                original.let_writers_come();
                let contested = Publishing {
                    original,
                    temp,
                    output,
                    name: Name::Contested,
                    packed,
                };
                Ok(Advanced::Later(Rest::Publishing(Box::new(contested)), ASIDE))
            }
            Published::Output(output) if original.plan.keep_original => Keeping::begin(original, output),
            Published::Output(output) => quarantine(original, output, cancel, warn),
        }
    }
}

/// Step 7: a writer may have come while nothing was leased.
fn lease_again(original: &Original) -> Result<(), Stopped> {
    if !original.candidate.leased {
        return Ok(());
    }
    match lease::take(&original.candidate.file) {
        Ok(()) => Ok(()),
        Err(NoLease::Writer) => Err(Stopped::Changed),
        Err(NoLease::Unavailable(cause)) => Err(original.failed(Step::Look, cause)),
    }
}

/// Steps 7 and 8. Whether a name that was free still is, linkat(2) tells; one that is taken by then is a conflict to be decided anew.
fn publish(
    original: &Original,
    mut temp: Temp,
    folder: &Arc<Folder>,
    name: Name,
    packed: Packed,
    cancel: &dyn Fn() -> bool,
) -> Result<Published, Stopped> {
    const ATTEMPTS: usize = 64;
    let is_unasked = matches!(name, Name::Unasked);
    let mut free = match name {
        Name::Free(name) => Some(name),
        Name::Unasked => original.unless_contested(folder)?,
        Name::Contested => None,
    };
    for _ in 0..ATTEMPTS {
        let naming = match free.take() {
            Some(name) => Naming::Free(name),
            None if is_unasked => return Ok(Published::Contested(temp)),
            None => original.choose_name(folder, Some(packed.content), cancel)?,
        };
        original.look_again()?;
        let (publication, name) = match naming {
            Naming::Free(name) => (temp.publish(&name)?, name),
            Naming::Over(name, judged) => (temp.publish_over(&name, &judged)?, name),
            Naming::Same(twin) => return Ok(Published::Output(Output::of_earlier_run(Arc::clone(folder), twin))),
            Naming::Pass(reason) => return Ok(Published::Pass(reason)),
        };
        match publication {
            Publication::Published => {
                return Ok(Published::Output(Output {
                    folder: Arc::clone(folder),
                    name,
                    bytes: packed.length(),
                    made: Made::Now(temp),
                }));
            }
            Publication::Locked => return Err(Stopped::Changed),
            Publication::NameTaken => {}
        }
    }
    let path = folder.path_of(&original.first_name());
    Err(Error::transient(Step::Publish, path, "every name tried was taken at that moment").into())
}

/// Step 8, the original's part: out of the way, so that nobody opens it by its name while it is decided upon. Looked at once more just before,
/// since publishing may have had to wait for the disk: another's file is not to be moved, be it for a moment.
pub(super) fn quarantine(
    original: Original,
    output: Output,
    cancel: &dyn Fn() -> bool,
    warn: &mut dyn FnMut(String),
) -> Result<Advanced, Stopped> {
    let (size, plan) = (original.size(), original.plan);
    let unchanged = original.look_again().and_then(|()| original.go_on(cancel));
    let Original {
        candidate,
        parent,
        done,
        ..
    } = original;
    let quarantine = match unchanged {
        Ok(()) => Quarantine::of(candidate, &parent, warn),
        Err(stopped) => Err((candidate.file, stopped)),
    };
    match quarantine {
        Ok(quarantine) => Ok(Retiring::begin(quarantine, done, output, &plan)),
        Err((file, stopped)) if output.withdraw(&file)? => Err(stopped),
        // Somebody removed or replaced the original: the output alone has its bytes.
        Err(_) => {
            if plan.durable {
                output.folder.sync()?;
            }
            Ok(Advanced::Done(output.done(size)))
        }
    }
}

impl Advanced {
    /// To be published as soon as others have been made durable.
    pub(super) fn publishing(publishing: Publishing) -> Self {
        Advanced::Later(Rest::Publishing(Box::new(publishing)), Duration::ZERO)
    }
}
