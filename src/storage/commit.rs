//! The commit: how a file becomes its `.gz` without a moment at which a crash, a full disk or a writer could lose a byte.
//!
//! [`Commit::run`] reads like the protocol's first eight steps, number by number; [`Retiring`] has the rest. The numbers are those of the
//! promise's description.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::conflict::{self, Naming, Question};
use super::dir::Folder;
use super::lease::{self, NoLease};
use super::metadata;
use super::positioned::FromStart;
use super::publish::{Publication, Temp};
use super::quarantine::Quarantine;
use super::ready::Candidate;
use super::retire::{Advanced, Made, Output, Retiring};
use super::status::Status;
use super::stopped::Stopped;
use super::tree::make_folders;
use crate::codec::{self, CompressError, Digest, Header, Packed, VerifyError};
use crate::model::{Error, Level, Reason, Step};
use crate::policy::OnConflict;

/// How a file is to be committed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) output: OutputPlace<'a>,
    pub(crate) level: Level,
    pub(crate) keep_original: bool,
    /// Whether the output of a kept original is made anew even where its time says that it is up to date.
    pub(crate) renew: bool,
    pub(crate) on_conflict: OnConflict,
    /// Whether the output is made durable before the original goes.
    pub(crate) durable: bool,
    /// How long a writer that comes late is waited for after the original was removed.
    pub(crate) hold: Duration,
}

/// Where the output goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum OutputPlace<'a> {
    /// Into the original's folder.
    Beside,
    /// Into the same subfolder of another folder; what is missing of it is made.
    Tree {
        output: &'a Folder,
        /// The watched folder.
        source: &'a Folder,
        /// The original's folder, relative to `source`.
        relative: &'a Path,
    },
}

impl OutputPlace<'_> {
    /// The folder for the output of a file that is in `parent`.
    pub(super) fn open(
        &self,
        parent: &Arc<Folder>,
        durable: bool,
        warn: &mut dyn FnMut(String),
    ) -> Result<Arc<Folder>, Error> {
        match *self {
            OutputPlace::Beside => Ok(Arc::clone(parent)),
            OutputPlace::Tree {
                output,
                source,
                relative,
            } => make_folders(output, source, relative, durable, warn).map(Arc::new),
        }
    }
}

/// How a commit ended, where nothing failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// The output is published, by us or by an earlier run, and the original removed unless it is kept.
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

/// Turns a file that was found ready into its `.gz`, steps 1 to 8; [`Retiring::advance`] does the rest. Blocks, for as long as compressing takes.
///
/// `parent` is the folder in which it was found. `cancel` is asked between blocks of at most 256 KiB and the last time just before
/// publishing; `progress` hears how many bytes of the original have been read; `warn` hears what was less than perfect about the output's
/// metadata, and of a name that somebody took meanwhile.
///
/// Whatever happens, the original's bytes are under a name: its own, or, once they were verified, the output's.
///
/// # Errors
///
/// When a step failed. The original is still there, and the output is not.
pub(crate) fn commit(
    candidate: Candidate,
    parent: &Arc<Folder>,
    plan: &Plan<'_>,
    cancel: &dyn Fn() -> bool,
    progress: &mut dyn FnMut(u64),
    warn: &mut dyn FnMut(String),
) -> Result<Advanced, Error> {
    let commit = Commit {
        candidate,
        parent,
        plan,
        cancel,
        progress,
        warn,
    };
    match commit.run() {
        Ok(advanced) => Ok(advanced),
        Err(stopped) => stopped.into_done().map(Advanced::Done),
    }
}

struct Commit<'a> {
    candidate: Candidate,
    parent: &'a Arc<Folder>,
    plan: &'a Plan<'a>,
    cancel: &'a dyn Fn() -> bool,
    progress: &'a mut dyn FnMut(u64),
    warn: &'a mut dyn FnMut(String),
}

impl Commit<'_> {
    fn run(mut self) -> Result<Advanced, Stopped> {
        // 1: the candidate comes open and leased, with the snapshot that found it ready.
        let output = self.plan.output.open(self.parent, self.plan.durable, self.warn)?;
        // What an earlier run left, and what can't have a name, is known before the work.
        match self.choose_name(&output, None)? {
            Naming::Pass(reason) => return Ok(Advanced::Done(Done::Pass(reason))),
            Naming::Same(twin) => return self.quarantine(Output::of_earlier_run(output, twin)),
            Naming::Free(_) | Naming::Over(_) => {}
        }
        // 2
        let temp = Temp::create(&output, &self.first_name())?;
        // 3
        let packed = self.compress(&temp, &output)?;
        // 4: a writer need not wait while the output is made durable.
        self.verify(&temp, &packed, &output)?;
        if self.candidate.leased {
            lease::release(&self.candidate.file);
        }
        // 5
        metadata::copy(&self.candidate.file, &self.candidate.status, temp.file(), self.warn);
        // 6
        let temp = if self.plan.durable { temp.sync()? } else { temp };
        // 7
        self.lease_again()?;
        // 8
        let output = match self.publish(temp, output, packed.content)? {
            Published::Output(output) => output,
            Published::Pass(reason) => return Ok(Advanced::Done(Done::Pass(reason))),
        };
        if self.plan.keep_original {
            return self.keep_original(&output);
        }
        self.quarantine(output)
    }

    fn choose_name(&mut self, output: &Folder, digest: Option<Digest>) -> Result<Naming, Stopped> {
        let question = Question {
            candidate: &self.candidate,
            parent: self.parent,
            output,
            on_conflict: self.plan.on_conflict,
            keep_original: self.plan.keep_original,
            renew: self.plan.renew,
            durable: self.plan.durable,
            digest,
        };
        conflict::decide(&question, &mut || self.go_on())
    }

    /// Step 3: read, never mapped: a truncation would be a SIGBUS. Exactly as many bytes as the snapshot says, or it has changed.
    fn compress(&mut self, temp: &Temp, output: &Folder) -> Result<Packed, Stopped> {
        let size = self.candidate.status.fingerprint.size;
        let header = Header {
            name: self.candidate.name.as_encoded_bytes(),
            modified: u32::try_from(self.candidate.status.fingerprint.modified.seconds).unwrap_or(0),
        };
        let source = FromStart::new(&self.candidate.file);
        let result = codec::compress(source, temp.file(), &header, self.plan.level, |bytes| {
            (self.progress)(bytes);
            if bytes > size {
                return Err(Stopped::Changed);
            }
            go_on(self.cancel, &self.candidate)
        });
        match result {
            Ok(packed) if packed.content.length == size => Ok(packed),
            Ok(_) => Err(Stopped::Changed),
            Err(CompressError::Stopped(stopped)) => Err(stopped),
            Err(CompressError::Read(cause)) => Err(self.failed_on_original(Step::Read, cause)),
            Err(CompressError::Write(cause)) => Err(self.failed_on_output(Step::Write, output, cause)),
            Err(CompressError::Wrong(what)) => Err(self.output_is_wrong(output, what)),
        }
    }

    /// Step 4: what was proven block by block to be what was read is read back, and must be what was written.
    fn verify(&self, temp: &Temp, written: &Packed, output: &Folder) -> Result<(), Stopped> {
        match codec::verify(FromStart::new(temp.file()), written, |_| self.go_on()) {
            Ok(()) => Ok(()),
            Err(VerifyError::Stopped(stopped)) => Err(stopped),
            Err(VerifyError::Read(cause)) => Err(self.failed_on_output(Step::Verify, output, cause)),
            Err(VerifyError::Wrong(what)) => Err(self.output_is_wrong(output, what)),
        }
    }

    /// Step 7: a writer may have come while nothing was leased.
    fn lease_again(&self) -> Result<(), Stopped> {
        if !self.candidate.leased {
            return Ok(());
        }
        match lease::take(&self.candidate.file) {
            Ok(()) => Ok(()),
            Err(NoLease::Writer) => Err(Stopped::Changed),
            Err(NoLease::Unavailable(cause)) => Err(self.failed_on_original(Step::Look, cause)),
        }
    }

    /// Steps 7 and 8. A name that is taken at the last moment is a conflict to be decided anew.
    fn publish(&mut self, mut temp: Temp, folder: Arc<Folder>, digest: Digest) -> Result<Published, Stopped> {
        const ATTEMPTS: usize = 64;
        for _ in 0..ATTEMPTS {
            let naming = self.choose_name(&folder, Some(digest))?;
            self.look_again()?;
            self.go_on()?;
            let (publication, name) = match naming {
                Naming::Free(name) => (temp.publish(&name)?, name),
                Naming::Over(name) => (temp.publish_over(&name)?, name),
                Naming::Same(twin) => return Ok(Published::Output(Output::of_earlier_run(folder, twin))),
                Naming::Pass(reason) => return Ok(Published::Pass(reason)),
            };
            match publication {
                Publication::Published => {
                    let bytes = self.size_of(&temp, &folder)?;
                    return Ok(Published::Output(Output {
                        folder,
                        name,
                        bytes,
                        made: Made::Now(temp),
                    }));
                }
                Publication::Locked => return Err(Stopped::Changed),
                Publication::NameTaken => {}
            }
        }
        let path = folder.path_of(&self.first_name());
        Err(Error::transient(Step::Publish, path, "every name tried was taken at that moment").into())
    }

    /// Step 7: the descriptor's file must be as the snapshot says, and the name must still be that file's.
    fn look_again(&self) -> Result<(), Stopped> {
        let snapshot = self.candidate.status.fingerprint;
        let now = Status::of(&self.candidate.file)
            .map_err(|errno| self.failed_on_original(Step::Look, errno.into()))?
            .fingerprint;
        match self.parent.status(&self.candidate.name)? {
            None => Err(Stopped::Gone),
            Some(named) if named.fingerprint == snapshot && now == snapshot => Ok(()),
            Some(_) => Err(Stopped::Changed),
        }
    }

    /// Step 8, the original's part: out of the way, so that nobody opens it by its name while it is decided upon.
    fn quarantine(self, output: Output) -> Result<Advanced, Stopped> {
        let bytes_in = self.candidate.status.fingerprint.size;
        let unchanged = self.look_again().and_then(|()| self.go_on());
        let quarantine = match unchanged {
            Ok(()) => Quarantine::of(self.candidate, self.parent, self.warn),
            Err(stopped) => Err((self.candidate.file, stopped)),
        };
        match quarantine {
            Ok(quarantine) => Ok(Retiring::begin(quarantine, output, self.plan)),
            Err((file, stopped)) if output.withdraw(&file)? => Err(stopped),
            // Somebody removed or replaced the original: the output alone has its bytes.
            Err(_) => {
                if self.plan.durable {
                    output.folder.sync()?;
                }
                Ok(Advanced::Done(output.done(bytes_in)))
            }
        }
    }

    /// Step 9 for an original that stays: its output's name is made durable, and that is all.
    fn keep_original(&self, output: &Output) -> Result<Advanced, Stopped> {
        let unchanged = self.look_again();
        let synced = match unchanged {
            Ok(()) if self.plan.durable => output.folder.sync().map_err(Stopped::from),
            unchanged => unchanged,
        };
        match synced {
            Ok(()) => Ok(Advanced::Done(output.done(self.candidate.status.fingerprint.size))),
            Err(stopped) => {
                output.withdraw(&self.candidate.file)?;
                Err(stopped)
            }
        }
    }

    /// Whether the caller wants it still, and no writer has come.
    fn go_on(&self) -> Result<(), Stopped> {
        go_on(self.cancel, &self.candidate)
    }

    fn size_of(&self, temp: &Temp, output: &Folder) -> Result<u64, Stopped> {
        match Status::of(temp.file()) {
            Ok(status) => Ok(status.fingerprint.size),
            Err(errno) => Err(self.failed_on_output(Step::Look, output, errno.into())),
        }
    }

    fn failed_on_original(&self, step: Step, cause: io::Error) -> Stopped {
        Error::new(step, self.parent.path_of(&self.candidate.name), cause).into()
    }

    fn failed_on_output(&self, step: Step, output: &Folder, cause: io::Error) -> Stopped {
        Error::new(step, output.path_of(&self.first_name()), cause).into()
    }

    fn output_is_wrong(&self, output: &Folder, what: &str) -> Stopped {
        let path = output.path_of(&self.first_name());
        Error::transient(Step::Verify, path, format!("the output is wrong: {what}")).into()
    }

    /// The name that the output gets where it is free, and by which failures call it.
    fn first_name(&self) -> OsString {
        let mut name = self.candidate.name.clone();
        name.push(".gz");
        name
    }
}

/// How publishing ended.
enum Published {
    Output(Output),
    Pass(Reason),
}

fn go_on(cancel: &dyn Fn() -> bool, candidate: &Candidate) -> Result<(), Stopped> {
    if cancel() {
        return Err(Stopped::Cancelled);
    }
    if candidate.has_lost_its_lease() {
        return Err(Stopped::Changed);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
