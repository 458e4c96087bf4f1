//! What name a file's output gets, given what is there already. Nothing that exists is touched here.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::fs::FileExt;

use rustix::fs::{Advice, FileType, fadvise, fsync};
use rustix::io::{Errno, retry_on_intr};

use super::commit::Renew;
use super::dir::Folder;
use super::follow;
use super::lease;
use super::lock::{Locked, lock};
use super::positioned::FromStart;
use super::quarantine::numbered_name;
use super::ready::Candidate;
use super::status::Status;
use super::stopped::Stopped;
use crate::codec::{Digest, HoldsError, holds, may_hold};
use crate::model::{Error, Fingerprint, Format, Reason, Step};
use crate::policy::{OnConflict, QUARANTINE_ADDS};

/// The highest N of `FILE.~N~.gz`, or whatever suffix the format has.
const HIGHEST_NUMBER: u32 = 9999;

/// Linux's limit for a name; a file system may have a lower one.
const LONGEST_NAME: usize = 255;

/// How an output gets its name.
#[derive(Debug)]
pub(super) enum Naming {
    /// Nothing has this name.
    Free(OsString),
    /// A regular file of other content, or an earlier output that follows its original, has this name and is to be replaced, as long as it
    /// is the one that was looked at.
    Over(OsString, Fingerprint),
    /// An output of the same content is there: an earlier run came so far.
    Same(Twin),
    /// The file is left as it is.
    Pass(Reason),
}

/// An output that holds exactly the original's bytes. Where that was asked for, its content is durable. It stays locked until this is
/// dropped, so whoever published it can't be about to take it back.
#[derive(Debug)]
pub(super) struct Twin {
    pub(super) name: OsString,
    pub(super) fingerprint: Fingerprint,
    _locked: File,
}

/// The question that [`decide`] answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub(super) candidate: &'a Candidate,
    /// The candidate's folder.
    pub(super) parent: &'a Folder,
    pub(super) output: &'a Folder,
    pub(super) format: Format,
    pub(super) on_conflict: OnConflict,
    pub(super) keep_original: bool,
    pub(super) renew: Renew,
    pub(super) durable: bool,
    /// Of the original, once it is known.
    pub(super) digest: Option<Digest>,
}

/// Looks at `FILE.gz`, `FILE.~1~.gz` and so on, until one settles the matter. Reads what is there only where its length says that it may
/// hold the same bytes. `check` is called between blocks, and stops it by an error.
pub(super) fn decide(
    question: &Question<'_>,
    check: &mut dyn FnMut() -> Result<(), Stopped>,
) -> Result<Naming, Stopped> {
    if is_being_made_otherwise(question)? {
        return Err(Stopped::Changed);
    }
    for number in 0..=HIGHEST_NUMBER {
        if number > 0 {
            check()?;
        }
        let name = output_name(&question.candidate.name, number, question.format);
        if is_too_long(question, &name) {
            return Ok(Naming::Pass(Reason::NameTooLong));
        }
        let there = match examine(question, &name, check)? {
            There::Nothing => return Ok(Naming::Free(name)),
            There::NameTooLong => return Ok(Naming::Pass(Reason::NameTooLong)),
            There::UpToDate => return Ok(Naming::Pass(Reason::UpToDate)),
            There::Outdated(fingerprint) => return Ok(Naming::Over(name, fingerprint)),
            There::Same(..) if question.keep_original => return Ok(Naming::Pass(Reason::UpToDate)),
            There::Same(fingerprint, locked) => {
                return Ok(Naming::Same(Twin {
                    name,
                    fingerprint,
                    _locked: locked,
                }));
            }
            other => other,
        };
        match (question.on_conflict, there) {
            (OnConflict::Number, _) => {}
            (OnConflict::Replace, There::OtherFile(fingerprint)) => return Ok(Naming::Over(name, fingerprint)),
            (OnConflict::Replace | OnConflict::Skip, _) => break,
        }
    }
    Ok(Naming::Pass(Reason::NameTaken))
}

/// The name of the first output, unless there is more to ask than whether that is free.
pub(super) fn unless_contested(question: &Question<'_>) -> Result<Option<OsString>, Error> {
    let name = output_name(&question.candidate.name, 0, question.format);
    let is_plain = !is_too_long(question, &name) && !is_being_made_otherwise(question)?;
    Ok(is_plain.then_some(name))
}

fn is_too_long(question: &Question<'_>, output: &OsStr) -> bool {
    output.len() > LONGEST_NAME
        || !question.keep_original && question.candidate.name.len() + QUARANTINE_ADDS > LONGEST_NAME
}

/// `FILE.gz` for number 0, else `FILE.~N~.gz`, with the format's suffix.
pub(super) fn output_name(name: &OsStr, number: u32, format: Format) -> OsString {
    let mut output = numbered_name(name, number);
    output.push(format.suffix());
    output
}

/// Whether somebody writes to what has the name of the original's output in another format: it may be half of their work on the original.
fn is_being_made_otherwise(question: &Question<'_>) -> Result<bool, Error> {
    for format in Format::ALL.iter().filter(|format| **format != question.format) {
        let name = output_name(&question.candidate.name, 0, *format);
        // What cannot be looked at, such as a name that is too long, nobody is making.
        let status = if name.len() > LONGEST_NAME {
            None
        } else {
            question.output.status(&name)?
        };
        let Some(status) = status.filter(Status::is_file) else {
            continue;
        };
        match question.output.open_file(&name) {
            Ok(file) if lease::may_have_writer(&file, &status.fingerprint) => return Ok(true),
            _ => {}
        }
    }
    Ok(false)
}

/// What has an output's name.
enum There {
    Nothing,
    /// The folder's file system cannot have such a name.
    NameTooLong,
    /// A regular file with the original's mtime, which nothing has touched since, and originals are kept.
    UpToDate,
    /// What was made of the original as it was before, and follows it.
    Outdated(Fingerprint),
    /// A regular file that holds the original's bytes, locked.
    Same(Fingerprint, File),
    /// A regular file that holds others, or may not be read.
    OtherFile(Fingerprint),
    /// A folder, symbolic link or the like.
    NoFile,
}

fn examine(
    question: &Question<'_>,
    name: &OsStr,
    check: &mut dyn FnMut() -> Result<(), Stopped>,
) -> Result<There, Stopped> {
    let Question { candidate, output, .. } = question;
    let status = match output.status(name) {
        Ok(None) => return Ok(There::Nothing),
        Ok(Some(status)) => status,
        Err(error) if error.errno() == Some(Errno::NAMETOOLONG.raw_os_error()) => return Ok(There::NameTooLong),
        Err(error) => return Err(error.into()),
    };
    if status.kind != FileType::RegularFile {
        return Ok(There::NoFile);
    }
    // Whoever gives a changed file the time of the one before is seen by its ctime, which nobody can set. Clocks of file systems tick some
    // hundred times a second: what changed in the same moment may have changed after it.
    let (is, was) = (&candidate.status.fingerprint, &status.fingerprint);
    if question.keep_original && question.renew != Renew::All && was.modified == is.modified && was.changed > is.changed
    {
        return Ok(There::UpToDate);
    }
    let file = match output.open_file(name) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return Ok(There::OtherFile(*was)),
        // It was there a moment ago: somebody is at work here.
        Err(error) if super::dir::is_gone(&error) => return Err(Stopped::Changed),
        Err(error) => return Err(error.into()),
    };
    // It may be half of somebody's work, such as logrotate's, and then it is no conflict yet.
    if lease::may_have_writer(&file, was) {
        return Err(Stopped::Changed);
    }
    if question.renew == Renew::Followers {
        let mark = follow::mark_of(question.format, &file, was.size, &candidate.name);
        let mark = mark.map_err(|error| Error::new(Step::Read, output.path_of(name), error))?;
        // Elsewhere another clock may be in use, by which it would always be the older one.
        if mark.is_some() && (was.modified != is.modified || was.device == is.device) {
            return Ok(There::Outdated(*was));
        }
    } else if question.keep_original && question.on_conflict == OnConflict::Replace {
        // Made anew even where the bytes are the same, so that the times tell the next time.
        return Ok(There::OtherFile(*was));
    }
    same(question, name, file, check)
}

/// Whether the file holds the original's bytes.
fn same(
    question: &Question<'_>,
    name: &OsStr,
    mut file: File,
    check: &mut dyn FnMut() -> Result<(), Stopped>,
) -> Result<There, Stopped> {
    let failed = |step, cause: std::io::Error| Error::new(step, question.output.path_of(name), cause);
    let status = Status::of(&file).map_err(|errno| failed(Step::Look, errno.into()))?;
    let may_be = status.kind == FileType::RegularFile
        && may_hold(
            question.format,
            status.fingerprint.size,
            question.candidate.status.fingerprint.size,
            question.digest,
            |buffer, offset| file.read_exact_at(buffer, offset),
        )
        .map_err(|error| failed(Step::Read, error))?;
    if !may_be {
        return Ok(There::OtherFile(status.fingerprint));
    }
    // Whoever published it locks it until the original is gone or the output taken back.
    lock(&mut file).map_err(|stopped| match stopped {
        Locked::ByAnother => Stopped::Changed,
        Locked::Failed(errno) => failed(Step::Look, errno.into()).into(),
    })?;
    if question.durable {
        // After a failed fsync of an earlier run this one may succeed and only the cache hold the bytes. So the cache is dropped before
        // they are compared, and it is the disk that answers.
        retry_on_intr(|| fsync(&file)).map_err(|errno| failed(Step::Sync, errno.into()))?;
        let _ = fadvise(&file, 0, None, Advice::DontNeed);
    }
    let original = FromStart::new(&question.candidate.file);
    match holds(question.format, FromStart::new(&file), original, |_| check()) {
        Ok(true) => Ok(There::Same(status.fingerprint, file)),
        Ok(false) => Ok(There::OtherFile(status.fingerprint)),
        Err(HoldsError::Stopped(stopped)) => Err(stopped),
        Err(HoldsError::Output(error)) => Err(failed(Step::Read, error).into()),
        Err(HoldsError::Source(error)) => {
            let path = question.parent.path_of(&question.candidate.name);
            Err(Error::new(Step::Read, path, error).into())
        }
    }
}
