//! The commit: how a file becomes its `.gz` without a moment at which a crash, a full disk or a writer could lose a byte.
//!
//! [`Commit::run`] reads like the protocol, step by numbered step; the numbers are those of the promise's description.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, unlinkat};
use rustix::io::{Errno, retry_on_intr};

use super::conflict::{self, Naming, Question, Twin};
use super::dir::Folder;
use super::metadata;
use super::positioned::FromStart;
use super::publish::{Publication, Temp};
use super::ready::Candidate;
use super::status::Status;
use super::stopped::Stopped;
use super::tree::make_folders;
use crate::codec::{self, CompressError, Digest, Header, VerifyError};
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

/// How a commit ended, where nothing failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// The output is published, and the original removed unless it is kept.
    Compressed {
        output: PathBuf,
        bytes_in: u64,
        bytes_out: u64,
    },
    /// The output was there already, whole and with the same bytes; the original is removed.
    Finished {
        output: PathBuf,
        bytes_in: u64,
        bytes_out: u64,
    },
    /// The file is left as it is.
    Pass(Reason),
    /// It was touched while we worked. Nothing is published; look again.
    Changed,
    /// It went away while we worked. Nothing is published.
    Gone,
    /// The caller cancelled. Nothing is published and nothing left behind.
    Cancelled,
}

/// Turns a file that was found ready into its `.gz`, and removes it unless it is kept. Blocks, for as long as compressing takes.
///
/// `parent` is the folder in which it was found. `cancel` is asked between blocks of at most 256 KiB and the last time just before
/// publishing; `progress` hears how many bytes of the original have been read; `warn` hears what was less than perfect about the output's
/// metadata.
///
/// Whatever happens, the original's bytes are under a name: its own, or, once they were verified, the output's.
///
/// # Errors
///
/// When a step failed. The original is still there; the output is not, unless it was the original's removal that failed.
pub(crate) fn commit(
    candidate: &Candidate,
    parent: &Folder,
    plan: &Plan<'_>,
    cancel: &dyn Fn() -> bool,
    progress: &mut dyn FnMut(u64),
    warn: &mut dyn FnMut(String),
) -> Result<Done, Error> {
    let mut commit = Commit {
        candidate,
        parent,
        plan,
        cancel,
        progress,
        warn,
    };
    match commit.run() {
        Ok(done) => Ok(done),
        Err(Stopped::Changed) => Ok(Done::Changed),
        Err(Stopped::Gone) => Ok(Done::Gone),
        Err(Stopped::Cancelled) => Ok(Done::Cancelled),
        Err(Stopped::Failed(error)) => Err(error),
    }
}

struct Commit<'a> {
    candidate: &'a Candidate,
    parent: &'a Folder,
    plan: &'a Plan<'a>,
    cancel: &'a dyn Fn() -> bool,
    progress: &'a mut dyn FnMut(u64),
    warn: &'a mut dyn FnMut(String),
}

impl Commit<'_> {
    fn run(&mut self) -> Result<Done, Stopped> {
        // 1: the candidate comes open, with the snapshot that found it ready.
        let output = self.open_output()?;
        // What an earlier run left, and what can't have a name, is known before the work.
        match self.choose_name(&output, None)? {
            Naming::Pass(reason) => return Ok(Done::Pass(reason)),
            Naming::Same(twin) => return self.finish_earlier_run(&output, &twin),
            Naming::Free(_) | Naming::Over(_) => {}
        }
        // 2
        let temp = Temp::create(&output, &self.first_name())?;
        // 3
        let digest = self.compress(&temp, &output)?;
        // 4
        self.verify(&temp, digest, &output)?;
        // 5
        metadata::copy(&self.candidate.file, &self.candidate.status, temp.file(), self.warn);
        // 6
        let mut temp = if self.plan.durable { temp.sync()? } else { temp };
        let bytes_out = self.size_of(&temp, &output)?;
        // 7, 8
        let name = match self.publish(&mut temp, &output, digest)? {
            Published::As(name) => name,
            Published::Pass(reason) => return Ok(Done::Pass(reason)),
            Published::Before(twin) => return self.finish_earlier_run(&output, &twin),
        };
        // 9, 10
        self.settle(&temp, &output, &name)?;
        Ok(Done::Compressed {
            output: output.path_of(&name),
            bytes_in: digest.length,
            bytes_out,
        })
    }

    fn open_output(&mut self) -> Result<Folder, Stopped> {
        Ok(match self.plan.output {
            OutputPlace::Beside => self.parent.duplicate()?,
            OutputPlace::Tree {
                output,
                source,
                relative,
            } => make_folders(output, source, relative, self.plan.durable, self.warn)?,
        })
    }

    fn choose_name(&mut self, output: &Folder, digest: Option<Digest>) -> Result<Naming, Stopped> {
        let question = Question {
            candidate: self.candidate,
            parent: self.parent,
            output,
            on_conflict: self.plan.on_conflict,
            keep_original: self.plan.keep_original,
            renew: self.plan.renew,
            durable: self.plan.durable,
            digest,
        };
        let cancel = self.cancel;
        conflict::decide(&question, &mut || go_on(cancel))
    }

    /// Step 3: read, never mapped: a truncation would be a SIGBUS. Exactly as many bytes as the snapshot says, or it has changed.
    fn compress(&mut self, temp: &Temp<'_>, output: &Folder) -> Result<Digest, Stopped> {
        let size = self.candidate.status.fingerprint.size;
        let header = Header {
            name: self.candidate.name.as_encoded_bytes(),
            modified: u32::try_from(self.candidate.status.fingerprint.modified.seconds).unwrap_or(0),
        };
        let source = FromStart::new(&self.candidate.file);
        let (cancel, progress) = (self.cancel, &mut *self.progress);
        let result = codec::compress(source, temp.file(), &header, self.plan.level, |bytes| {
            progress(bytes);
            if bytes > size {
                return Err(Stopped::Changed);
            }
            go_on(cancel)
        });
        match result {
            Ok(digest) if digest.length == size => Ok(digest),
            Ok(_) => Err(Stopped::Changed),
            Err(CompressError::Stopped(stopped)) => Err(stopped),
            Err(CompressError::Read(cause)) => Err(self.failed_on_original(Step::Read, cause)),
            Err(CompressError::Write(cause)) => Err(self.failed_on_output(Step::Write, output, cause)),
        }
    }

    /// Step 4: what was written is read back and must be what was read.
    fn verify(&self, temp: &Temp<'_>, digest: Digest, output: &Folder) -> Result<(), Stopped> {
        match codec::verify(FromStart::new(temp.file()), digest, |_| go_on(self.cancel)) {
            Ok(()) => Ok(()),
            Err(VerifyError::Stopped(stopped)) => Err(stopped),
            Err(VerifyError::Read(cause)) => Err(self.failed_on_output(Step::Verify, output, cause)),
            Err(VerifyError::Wrong(what)) => {
                let path = output.path_of(&self.first_name());
                let message = format!("what was written is wrong: {what}");
                Err(Error::transient(Step::Verify, path, message).into())
            }
        }
    }

    /// Steps 7 and 8. A name that is taken at the last moment is a conflict to be decided anew.
    fn publish(&mut self, temp: &mut Temp<'_>, output: &Folder, digest: Digest) -> Result<Published, Stopped> {
        const ATTEMPTS: usize = 64;
        for _ in 0..ATTEMPTS {
            let naming = self.choose_name(output, Some(digest))?;
            self.look_again()?;
            go_on(self.cancel)?;
            let (publication, name) = match naming {
                Naming::Free(name) => (temp.publish(&name)?, name),
                Naming::Over(name) => (temp.publish_over(&name)?, name),
                Naming::Same(twin) => return Ok(Published::Before(twin)),
                Naming::Pass(reason) => return Ok(Published::Pass(reason)),
            };
            if publication == Publication::Published {
                return Ok(Published::As(name));
            }
        }
        let path = output.path_of(&self.first_name());
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

    /// Steps 9 and 10: make the name durable, and only then remove the original, if it still is what was compressed.
    fn settle(&mut self, temp: &Temp<'_>, output: &Folder, name: &OsStr) -> Result<(), Stopped> {
        if self.plan.durable
            && let Err(error) = output.sync()
        {
            self.withdraw(temp, name)?;
            return Err(error.into());
        }
        if self.plan.keep_original {
            return Ok(());
        }
        match self.look_again() {
            Ok(()) => self.remove_original(),
            Err(stopped) if self.withdraw(temp, name)? => Err(stopped),
            // Nothing else has the bytes any more.
            Err(_) => Ok(()),
        }
    }

    /// Takes the output back, unless it alone has the bytes: then another process finished our work and removed the original. Whether
    /// it was taken back.
    fn withdraw(&self, temp: &Temp<'_>, name: &OsStr) -> Result<bool, Stopped> {
        let original =
            Status::of(&self.candidate.file).map_err(|errno| self.failed_on_original(Step::Look, errno.into()))?;
        if original.fingerprint.links == 0 {
            return Ok(false);
        }
        temp.withdraw(name)?;
        Ok(true)
    }

    /// Not undone when it fails: the kernel may say so of a removal that happened. The next look finds the work of an earlier run.
    fn remove_original(&self) -> Result<(), Stopped> {
        match retry_on_intr(|| unlinkat(self.parent, &self.candidate.name, AtFlags::empty())) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(self.failed_on_original(Step::Remove, errno.into())),
        }
    }

    /// Steps 7, 9 and 10 for an output that an earlier run published. Its bytes are the original's, and durable.
    fn finish_earlier_run(&mut self, output: &Folder, twin: &Twin) -> Result<Done, Stopped> {
        if self.plan.durable {
            output.sync()?;
        }
        go_on(self.cancel)?;
        match output.status(&twin.name)? {
            Some(named) if named.fingerprint == twin.fingerprint => {}
            _ => return Err(Stopped::Changed),
        }
        self.look_again()?;
        self.remove_original()?;
        Ok(Done::Finished {
            output: output.path_of(&twin.name),
            bytes_in: self.candidate.status.fingerprint.size,
            bytes_out: twin.fingerprint.size,
        })
    }

    fn size_of(&self, temp: &Temp<'_>, output: &Folder) -> Result<u64, Stopped> {
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

    /// The name that the output gets where it is free, and by which failures call it.
    fn first_name(&self) -> OsString {
        let mut name = self.candidate.name.clone();
        name.push(".gz");
        name
    }
}

/// How publishing ended.
enum Published {
    As(OsString),
    Pass(Reason),
    /// By somebody else, with the same bytes.
    Before(Twin),
}

fn go_on(cancel: &dyn Fn() -> bool) -> Result<(), Stopped> {
    if cancel() { Err(Stopped::Cancelled) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
