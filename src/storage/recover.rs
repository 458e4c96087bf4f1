//! What a run that was killed left behind: originals in quarantine, and outputs that were not published. Both have names of our own, and
//! are locked for as long as somebody is at them; the kernel drops the lock with its holder.
//!
//! Interruptible at any moment: each step leaves what the next run finds and goes on with.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, Dir, FileType, unlinkat};
use rustix::io::{Errno, retry_on_intr};

use super::commit::Renew;
use super::conflict::{self, Naming, Question};
use super::dir::{Folder, is_gone, name_of};
use super::lock::{Locked, lock};
use super::place::Places;
use super::quarantine::{cannot_move, move_numbered, put_back_beside};
use super::ready::Candidate;
use super::remote::remote_file_system;
use super::status::Status;
use super::stopped::Stopped;
use super::temp::move_without_replacing;
use crate::model::{Error, Format, Step};
use crate::policy::{OnConflict, is_unpublished, quarantined_original};

/// On a network file system, whose locks may not reach other hosts, an output without its own name is removed when nobody has written to it for
/// this long. On which of them its maker is, its name does not tell, as that of an original in quarantine does (by its shard).
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// What became of something that an earlier run left.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Recovered {
    /// An original has this name again: its own, or, where that was taken, one in sight.
    Original(OsString),
    /// It was removed, or moved to where originals go: an output holds its bytes. Or it was an output that nobody published.
    Removed,
    /// Somebody is at it, or it is not there any more, or it is no file of ours.
    Left,
}

/// Whether the name is one that only an earlier run can have left.
pub(crate) fn is_leftover(name: &OsStr) -> bool {
    is_unpublished(name) || quarantined_original(name).is_some()
}

/// Recovers what has this name in the folder. Blocks, where an output is compared for as long as reading it takes.
///
/// # Errors
///
/// When a step failed; it is still there, and the next run finds it.
pub(crate) fn recover(
    parent: &Arc<Folder>,
    name: &OsStr,
    places: &Places<'_>,
    durable: bool,
    warn: &mut dyn FnMut(String),
) -> Result<Recovered, Error> {
    let Some(candidate) = abandoned(parent, name)? else {
        return Ok(Recovered::Left);
    };
    match quarantined_original(name) {
        None => remove(parent, name),
        Some(original) => {
            let original = original.to_owned();
            restore(
                parent,
                name,
                Candidate {
                    name: original,
                    ..candidate
                },
                places,
                durable,
                warn,
            )
        }
    }
}

/// The name in quarantine of an original that has not its own, where it is in this folder.
///
/// # Errors
///
/// When the folder cannot be listed.
pub(crate) fn quarantine_of(parent: &Folder, original: &OsStr) -> Result<Option<OsString>, Error> {
    let failed = |errno: Errno| Error::new(Step::List, parent.path(), errno);
    for entry in Dir::read_from(parent).map_err(failed)? {
        let name = name_of(&entry.map_err(failed)?);
        if quarantined_original(&name) == Some(original) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// The file that has the name, if nobody is at it.
fn abandoned(parent: &Folder, name: &OsStr) -> Result<Option<Candidate>, Error> {
    if !is_file(parent.status(name)?) {
        return Ok(None);
    }
    let mut file = match parent.open_file(name) {
        Err(error) if is_gone(&error) => return Ok(None),
        file => file?,
    };
    match lock(&mut file) {
        Ok(()) => {}
        Err(Locked::ByAnother) => return Ok(None),
        Err(Locked::Failed(errno)) => return Err(Error::new(Step::Open, parent.path_of(name), errno)),
    }
    // Whoever was at it may have ended a moment ago, and the name have gone with that.
    let status = Status::of(&file).map_err(|errno| Error::new(Step::Look, parent.path_of(name), errno))?;
    let quiet = status.fingerprint.quiet_for(SystemTime::now());
    if is_unpublished(name) && remote_file_system(parent).is_some() && quiet < LONGEST_PAUSE {
        return Ok(None);
    }
    let named = parent.status(name)?;
    let is_same = named.is_some_and(|named| named.fingerprint == status.fingerprint);
    Ok((is_same && is_file(Some(status))).then(|| Candidate {
        file,
        name: name.to_owned(),
        status,
        leased: false,
        marker: None,
    }))
}

fn is_file(status: Option<Status>) -> bool {
    status.is_some_and(|status| status.kind == FileType::RegularFile)
}

/// Gives an original its name again. Where another file has it by now, an output that holds the bytes is as good.
fn restore(
    parent: &Arc<Folder>,
    name: &OsStr,
    candidate: Candidate,
    places: &Places<'_>,
    durable: bool,
    warn: &mut dyn FnMut(String),
) -> Result<Recovered, Error> {
    let sync = |folder: &Folder| if durable { folder.sync() } else { Ok(()) };
    match move_without_replacing(parent, name, &candidate.name) {
        Ok(()) => return sync(parent).map(|()| Recovered::Original(candidate.name)),
        Err(Errno::EXIST) => {}
        Err(Errno::NOENT) => return Ok(Recovered::Left),
        Err(errno) => return Err(Error::new(Step::Publish, parent.path_of(&candidate.name), errno)),
    }
    let output = places.output.open(parent, durable, warn)?;
    // The run that was killed may have had another format to make.
    for format in Format::ALL {
        let question = Question {
            candidate: &candidate,
            parent,
            output: &output,
            format: *format,
            on_conflict: OnConflict::Number,
            keep_original: false,
            renew: Renew::None,
            durable,
            digest: None,
        };
        match conflict::decide(&question, &mut || Ok(())) {
            Ok(Naming::Same(_twin)) => {
                sync(&output)?;
                return retire(parent, name, &candidate.name, places, durable, warn);
            }
            Ok(_) => {}
            // Its maker is not done with an output: another time.
            Err(Stopped::Changed | Stopped::Gone | Stopped::Cancelled) => return Ok(Recovered::Left),
            Err(Stopped::Failed(error)) => return Err(error),
        }
    }
    let conflict = put_back_beside(parent, name, &candidate.name, warn)?;
    sync(parent).map(|()| Recovered::Original(conflict))
}

/// Removes an original that an output holds, or moves it to where originals go.
fn retire(
    parent: &Arc<Folder>,
    name: &OsStr,
    original: &OsStr,
    places: &Places<'_>,
    durable: bool,
    warn: &mut dyn FnMut(String),
) -> Result<Recovered, Error> {
    let Some(done) = places.open_done(parent, durable, warn)? else {
        return remove(parent, name);
    };
    match move_numbered(parent, name, &done, original) {
        Ok(_) if durable => done.sync().map(|()| Recovered::Removed),
        Ok(_) => Ok(Recovered::Removed),
        Err(Errno::NOENT) => Ok(Recovered::Left),
        Err(errno) => Err(cannot_move(&done, original, errno)),
    }
}

fn remove(parent: &Folder, name: &OsStr) -> Result<Recovered, Error> {
    match retry_on_intr(|| unlinkat(parent, name, AtFlags::empty())) {
        Ok(()) | Err(Errno::NOENT) => Ok(Recovered::Removed),
        Err(errno) => Err(Error::new(Step::Remove, parent.path_of(name), errno)),
    }
}
