//! The commit: how a file becomes its output, be it `.gz` or `.zst`, without a moment at which a crash, a full disk or a writer could lose a byte.
//!
//! [`Commit::run`] reads like the protocol's first five steps, number by number; [`Publishing`] has the next three and [`Retiring`] the
//! rest. The numbers are those of the promise's description.
//!
//! [`Retiring`]: super::retire::Retiring

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::advance::Advanced;
use super::cache::Cache;
use super::conflict::{Naming, Twin};
use super::dir::Folder;
use super::follow;
use super::metadata;
use super::original::Original;
use super::place::Places;
use super::positioned::FromStart;
use super::publish::{self, Name, Publishing};
use super::ready::Candidate;
use super::retire::Output;
use super::stopped::Stopped;
use super::syncs::Syncs;
use super::temp::Temp;
use super::write_behind::{Early, WriteBehind};
use crate::codec::{self, CompressError, Header, Helpers, Packed, VerifyError};
use crate::model::{Error, Level, Reason, Step};
use crate::policy::OnConflict;

/// How a file is to be committed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// With the format of the output.
    pub(crate) level: Level,
    pub(crate) keep_original: bool,
    /// Which outputs of kept originals are made anew.
    pub(crate) renew: Renew,
    pub(crate) on_conflict: OnConflict,
    /// Whether the output is made durable before the original goes.
    pub(crate) durable: bool,
    /// How long a writer that comes late is waited for after the original was removed.
    pub(crate) hold: Duration,
}

/// Which outputs of originals that stay are made anew, whatever is said of conflicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Renew {
    None,
    /// Those that go the way of their originals, when these have changed. The new one is such an output, too.
    Followers,
    /// All, even where their times say that they are up to date.
    All,
}

/// What a commit asks of whoever wants it, and tells.
pub(crate) struct Caller<'a> {
    /// Threads that a large file may be compressed with.
    pub(crate) helpers: &'a dyn Helpers,
    /// Whether to stop; asked between blocks of at most 256 KiB.
    pub(crate) cancel: &'a dyn Fn() -> bool,
    /// Hears how many bytes of the original have been read.
    pub(crate) progress: &'a mut dyn FnMut(u64),
    /// Hears what was less than perfect about the output's metadata, and of a name that somebody took meanwhile.
    pub(crate) warn: &'a mut dyn FnMut(String),
}

/// How a commit ended, where nothing failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// The output is published, by us or by an earlier run, and the original out of the way unless it is kept.
    Compressed {
        output: PathBuf,
        bytes_in: u64,
        bytes_out: u64,
    },
    /// The file is left as it is.
    Pass(Reason),
    /// It was touched while we worked. Nothing of ours is published; look again.
    Changed,
    /// It went away while we worked. Nothing of ours is published.
    Gone,
    /// The caller cancelled. Nothing is published and nothing left behind.
    Cancelled,
}

/// Turns a file that was found ready into its output, steps 1 to 5; [`Rest::advance`](super::Rest::advance) does the others, but for those
/// up to 8 where nothing is to be made durable. Blocks, for as long as compressing takes.
///
/// `parent` is the folder in which it was found.
///
/// Whatever happens, the original's bytes are under a name: its own, or, once they were verified, the output's.
///
/// # Errors
///
/// When a step failed. The original is still there, and the output is not.
pub(crate) fn commit(
    candidate: Candidate,
    parent: &Arc<Folder>,
    places: Places<'_>,
    plan: Plan,
    caller: Caller<'_>,
) -> Result<Advanced, Error> {
    let original = Original {
        candidate,
        parent: Arc::clone(parent),
        plan,
        done: None,
    };
    let commit = Commit { original, caller };
    commit.run(places).or_else(Stopped::into_advanced)
}

struct Commit<'a> {
    original: Original,
    caller: Caller<'a>,
}

/// What is decided without an output being made.
enum Settled {
    Same(Twin),
    Pass(Reason),
}

impl Commit<'_> {
    fn run(mut self, places: Places<'_>) -> Result<Advanced, Stopped> {
        // 1: the candidate comes open and leased, with the snapshot that found it ready.
        let durable = self.original.plan.durable;
        let output = places.output.open(&self.original.parent, durable, self.caller.warn)?;
        if !self.original.plan.keep_original {
            self.original.done = places.open_done(&self.original.parent, durable, self.caller.warn)?;
        }
        // What an earlier run left, and what can't have a name, is known before the work, unless that is short: publishing finds out, where one
        // thread does so for many. Each question of a worker's would wait for the folder's lock, which that thread holds.
        let is_short = self.original.is_short_work();
        let mut name = Name::Unasked;
        if !is_short {
            name = match self.ask(&output)? {
                Ok(name) => name,
                Err(settled) => return self.settle(output, settled),
            };
        }
        // 2 to 4
        let (temp, packed) = match self.make(&output) {
            Ok(made) => made,
            // Where there is no room for another output, an earlier one still lets the original go.
            Err(Stopped::Failed(error)) if is_short => {
                return match self.ask(&output)? {
                    Ok(_) => Err(error.into()),
                    Err(settled) => self.settle(output, settled),
                };
            }
            Err(stopped) => return Err(stopped),
        };
        self.original.let_writers_come();
        // 5
        let candidate = &self.original.candidate;
        metadata::copy(
            &candidate.file,
            &candidate.status,
            temp.file(),
            temp.made(),
            self.caller.warn,
        );
        let publishing = Publishing {
            original: self.original,
            temp,
            output,
            name,
            packed,
        };
        if durable {
            // 6 to 8 need no worker, and wait for the disk.
            return Ok(Advanced::publishing(publishing));
        }
        publishing.run(&mut Syncs::default(), self.caller.cancel, self.caller.warn)
    }

    /// What the output will be called; or why there need not be one.
    fn ask(&self, output: &Folder) -> Result<Result<Name, Settled>, Stopped> {
        let naming = self.original.choose_name(output, None, self.caller.cancel)?;
        Ok(match naming {
            Naming::Free(name) => Ok(Name::Free(name)),
            Naming::Over(..) => Ok(Name::Contested),
            Naming::Same(twin) => Err(Settled::Same(twin)),
            Naming::Pass(reason) => Err(Settled::Pass(reason)),
        })
    }

    fn settle(self, output: Arc<Folder>, settled: Settled) -> Result<Advanced, Stopped> {
        match settled {
            Settled::Same(twin) => {
                let output = Output::of_earlier_run(output, twin);
                publish::quarantine(self.original, output, self.caller.cancel, self.caller.warn)
            }
            Settled::Pass(reason) => Ok(Advanced::Done(Done::Pass(reason))),
        }
    }

    /// Steps 2 to 4.
    fn make(&mut self, output: &Arc<Folder>) -> Result<(Temp, Packed), Stopped> {
        let temp = Temp::create(output, &self.original.first_name())?;
        let packed = self.compress(&temp, output)?;
        self.verify(&temp, &packed, output)?;
        Ok((temp, packed))
    }

    /// Step 3: read, never mapped: a truncation would be a SIGBUS. Exactly as many bytes as the snapshot says, or it has changed.
    fn compress(&mut self, temp: &Temp, output: &Folder) -> Result<Packed, Stopped> {
        let Original { candidate, plan, .. } = &self.original;
        let size = self.original.size();
        let header = Header {
            name: candidate.name.as_encoded_bytes(),
            modified: follow::in_header(candidate.status.fingerprint.modified),
            follows: plan.renew == Renew::Followers,
            length: Some(size),
        };
        let cache = Cache::of_original(&candidate.status, plan.keep_original);
        let source = FromStart::sized(&candidate.file, size).with_cache(cache);
        let early = match plan.durable {
            false => Early::None,
            true if self.caller.helpers.have_nothing_to_do() => Early::All,
            true => Early::Long,
        };
        let sink = WriteBehind::of(temp.file(), early);
        let result = codec::compress(source, sink, &header, plan.level, self.caller.helpers, |bytes| {
            (self.caller.progress)(bytes);
            if bytes > size {
                return Err(Stopped::Changed);
            }
            self.original.go_on(self.caller.cancel)
        });
        match result {
            Ok(packed) if packed.content.length == size => Ok(packed),
            Ok(_) | Err(CompressError::Resized) => Err(Stopped::Changed),
            Err(CompressError::Stopped(stopped)) => Err(stopped),
            Err(CompressError::Read(cause)) => Err(self.original.failed(Step::Read, cause)),
            Err(CompressError::Write(cause)) => Err(self.original.failed_on_output(Step::Write, output, cause)),
            Err(CompressError::Wrong(what)) => Err(is_wrong(temp, what)),
        }
    }

    /// Step 4: what was proven block by block to be what was read is read back, and must be what was written.
    fn verify(&self, temp: &Temp, written: &Packed, output: &Folder) -> Result<(), Stopped> {
        let go_on = |_| self.original.go_on(self.caller.cancel);
        match codec::verify(FromStart::sized(temp.file(), written.length()), written, go_on) {
            Ok(()) => Ok(()),
            Err(VerifyError::Stopped(stopped)) => Err(stopped),
            Err(VerifyError::Read(cause)) => Err(self.original.failed_on_output(Step::Verify, output, cause)),
            Err(VerifyError::Wrong(what)) => Err(is_wrong(temp, what)),
        }
    }
}

fn is_wrong(temp: &Temp, what: &str) -> Stopped {
    Error::transient(Step::Verify, temp.path(), format!("the output is wrong: {what}")).into()
}

#[cfg(test)]
mod tests;
