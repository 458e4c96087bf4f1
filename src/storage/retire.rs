//! The commit's last steps: the published output is made durable, the original in quarantine is removed or moved to where it is to go, and
//! a writer that comes late is waited for. They take time and no processor, so they happen off the workers.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::fsync;
use rustix::io::{Errno, retry_on_intr};

use super::advance::{Advanced, Rest};
use super::commit::{Done, Plan};
use super::conflict::Twin;
use super::dir::Folder;
use super::lease::{self, NoLease};
use super::metadata;
use super::positioned::FromStart;
use super::quarantine::{Quarantine, number_from_one};
use super::status::Status;
use super::syncs::Syncs;
use super::temp::{Publication, Temp};
use crate::codec::{HoldsError, holds};
use crate::model::{Class, Error, Escaped, Fingerprint, Format, Step};

/// So long at least an original is in quarantine before it is removed: whoever had looked its name up just before has opened it by then.
const QUARANTINE: Duration = Duration::from_millis(10);

/// Between two questions whether a late writer is done.
const LATE_WRITER: Duration = Duration::from_millis(100);

/// Between two tries to save what a late writer left.
const RESCUE_AGAIN: Duration = Duration::from_secs(1);

/// A published output.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) folder: Arc<Folder>,
    pub(super) name: OsString,
    pub(super) bytes: u64,
    pub(super) made: Made,
}

/// Who published it.
#[derive(Debug)]
pub(super) enum Made {
    Now(Temp),
    Before(Twin),
    /// Whoever it was, nothing is decided about it any more. Its descriptor is closed: many files wait for late writers at once.
    Done,
}

impl Output {
    pub(super) fn of_earlier_run(folder: Arc<Folder>, twin: Twin) -> Self {
        Output {
            folder,
            name: twin.name.clone(),
            bytes: twin.fingerprint.size,
            made: Made::Before(twin),
        }
    }

    /// The commit's end with this output.
    pub(super) fn done(&self, bytes_in: u64) -> Done {
        Done::Compressed {
            output: self.path(),
            bytes_in,
            bytes_out: self.bytes,
        }
    }

    /// Takes it back where it is ours, unless it alone has the original's bytes: then somebody removed the original. False in that case.
    pub(super) fn withdraw(&self, original: &File) -> Result<bool, Error> {
        let status = Status::of(original).map_err(|errno| Error::new(Step::Look, self.path(), errno))?;
        if status.fingerprint.links == 0 {
            return Ok(false);
        }
        if let Made::Now(temp) = &self.made {
            temp.withdraw(&self.name)?;
        }
        Ok(true)
    }

    /// Whether the bytes are there under a name, for certain. That need not be the name it was given: logrotate renames `F.gz` to `F.2.gz`,
    /// and a program that collects outputs moves them away, as soon as they see it.
    fn is_there(&self, durable: bool) -> Result<bool, Error> {
        let named = self.folder.status(&self.name)?;
        let temp = match &self.made {
            Made::Done => return Ok(named.is_some()),
            Made::Before(twin) => return Ok(named.is_some_and(|named| named.fingerprint == twin.fingerprint)),
            Made::Now(temp) => temp,
        };
        let is_its_own = |named: &Status| temp.made().fingerprint.same_inode(&named.fingerprint);
        if named.as_ref().is_some_and(is_its_own) {
            return Ok(true);
        }
        let failed = |step, errno: Errno| Error::new(step, self.path(), errno);
        let ours = Status::of(temp.file()).map_err(|errno| failed(Step::Look, errno))?;
        if ours.fingerprint.links == 0 {
            return Ok(false);
        }
        // The new name has to survive a power cut as well, in whatever folder it is: on the journaling file systems this sees to that.
        if durable {
            retry_on_intr(|| fsync(temp.file())).map_err(|errno| failed(Step::Sync, errno))?;
        }
        Ok(true)
    }

    fn path(&self) -> PathBuf {
        self.folder.path_of(&self.name)
    }
}

/// A file whose output is published and whose original is in quarantine, or removed a moment ago. Dropped before the removal, the
/// original has its name again and the output is gone.
#[derive(Debug)]
pub(crate) struct Retiring {
    stage: Stage,
    /// The folder the original is moved to instead of being removed.
    done: Option<Arc<Folder>>,
    output: Output,
    format: Format,
    bytes_in: u64,
    durable: bool,
    hold: Duration,
}

#[derive(Debug)]
enum Stage {
    Quarantined(Quarantine),
    Removed(Removed),
    Moved(Moved),
    Over,
}

/// An original without a name.
#[derive(Debug)]
struct Removed {
    file: File,
    leased: bool,
    parent: Arc<Folder>,
    name: OsString,
    fingerprint: Fingerprint,
    /// A writer was seen, and let in: from then on the lease tells whether it is done, and the content, not the times, what it did.
    had_writer: bool,
    /// What was saved of it, as it was then, under this name, which is not durable yet. Writers who came since make it void.
    rescued: Option<(Fingerprint, OsString)>,
    /// That it could not be saved was said.
    said: bool,
}

/// An original in the folder for those that are done, where it still has a name.
#[derive(Debug)]
struct Moved {
    file: File,
    leased: bool,
    /// By which it was known before.
    path: PathBuf,
    name: OsString,
    fingerprint: Fingerprint,
}

impl Retiring {
    pub(super) fn begin(quarantine: Quarantine, done: Option<Arc<Folder>>, output: Output, plan: &Plan) -> Advanced {
        let retiring = Retiring {
            bytes_in: quarantine.fingerprint.size,
            stage: Stage::Quarantined(quarantine),
            done,
            output,
            format: plan.level.format(),
            durable: plan.durable,
            hold: plan.hold,
        };
        Advanced::Later(Rest::Retiring(Box::new(retiring)), QUARANTINE)
    }

    /// Whether what is due is to find out what a late writer did, for which the file is compared with its output.
    pub(super) fn takes_long(&self) -> bool {
        matches!(&self.stage, Stage::Removed(removed) if removed.had_writer)
    }

    /// Step 9, and what of step 11 is like it.
    pub(super) fn enlist(&self, syncs: &mut Syncs) {
        if !self.durable {
            return;
        }
        match (&self.stage, &self.done) {
            (Stage::Quarantined(quarantine), _) => {
                syncs.enlist_folder(&self.output.folder);
                syncs.enlist_folder(&quarantine.parent);
            }
            (Stage::Moved(_), Some(done)) => syncs.enlist_folder(done),
            _ => {}
        }
    }

    /// Whether what is due has to wait for the disk.
    pub(super) fn waits_for_disk(&self) -> bool {
        self.durable && matches!(self.stage, Stage::Quarantined(_) | Stage::Moved(_))
    }

    /// Does what is due: first steps 9 and 10, later step 11. Blocks. `syncs` remembers which folders were made durable for this batch of
    /// files. With `give_up` a late writer is waited for no longer than once, and what it wrote until then is saved.
    ///
    /// # Errors
    ///
    /// When a step failed; the original has its name again, and the output is gone, unless it was the removal that failed.
    pub(super) fn advance(
        mut self: Box<Self>,
        syncs: &mut Syncs,
        give_up: bool,
        warn: &mut dyn FnMut(String),
    ) -> Result<Advanced, Error> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Quarantined(quarantine) => self.remove(quarantine, syncs, warn),
            Stage::Removed(removed) => self.let_go(removed, give_up, warn),
            Stage::Moved(moved) => {
                self.leave(&moved, syncs, warn);
                Ok(Advanced::Done(self.output.done(self.bytes_in)))
            }
            Stage::Over => Ok(Advanced::Done(Done::Gone)),
        }
    }

    fn remove(
        mut self: Box<Self>,
        quarantine: Quarantine,
        syncs: &mut Syncs,
        warn: &mut dyn FnMut(String),
    ) -> Result<Advanced, Error> {
        // 9
        if self.durable
            && let Err(error) = self.sync(&quarantine, syncs)
        {
            self.take_back(&quarantine, warn)?;
            return Err(error);
        }
        // 10
        match self.is_untouched(&quarantine) {
            Ok(true) => {}
            Ok(false) if !quarantine.has_a_name() => {
                // Its owner removed it, and our output alone has the bytes.
                return Ok(Advanced::Done(self.output.done(self.bytes_in)));
            }
            untouched => {
                self.take_back(&quarantine, warn)?;
                return untouched.map(|_| Advanced::Done(Done::Changed));
            }
        }
        let removed = match &self.done {
            None => quarantine.remove().map(|()| None),
            Some(done) => quarantine.move_to(done).map(Some),
        };
        let moved_to = match removed {
            Ok(moved_to) => moved_to,
            Err(error) if quarantine.has_a_name() => {
                // The output stays: it is whole and durable, and the next look finds it there.
                quarantine.put_back(warn)?;
                return Err(error);
            }
            Err(_) => None,
        };
        self.output.made = Made::Done;
        let Quarantine {
            file,
            leased,
            parent,
            original: name,
            fingerprint,
            ..
        } = quarantine;
        self.stage = match moved_to {
            Some(new_name) => Stage::Moved(Moved {
                file,
                leased,
                path: parent.path_of(&name),
                name: new_name,
                fingerprint,
            }),
            None => Stage::Removed(Removed {
                file,
                leased,
                parent,
                name,
                fingerprint,
                had_writer: false,
                rescued: None,
                said: false,
            }),
        };
        let hold = self.hold;
        Ok(Advanced::Later(Rest::Retiring(self), hold))
    }

    fn sync(&self, quarantine: &Quarantine, syncs: &mut Syncs) -> Result<(), Error> {
        syncs.folder(&self.output.folder)?;
        if Arc::ptr_eq(&self.output.folder, &quarantine.parent) {
            return Ok(());
        }
        syncs.folder(&quarantine.parent)
    }

    fn is_untouched(&self, quarantine: &Quarantine) -> Result<bool, Error> {
        Ok(quarantine.is_untouched()? && self.output.is_there(self.durable)?)
    }

    fn take_back(&self, quarantine: &Quarantine, warn: &mut dyn FnMut(String)) -> Result<(), Error> {
        quarantine.put_back(warn)?;
        self.output.withdraw(&quarantine.file).map(drop)
    }

    /// Step 11 where the original was moved: what a late writer writes has a name there. Only its output has not got it.
    fn leave(&self, moved: &Moved, syncs: &mut Syncs, warn: &mut dyn FnMut(String)) {
        let Some(done) = &self.done else { return };
        if self.durable
            && let Err(error) = syncs.folder(done)
        {
            // The output is durable, and whichever of its two names the original has after a crash, it has one.
            warn(error.to_string());
        }
        if moved.was_written_to() {
            warn(format!(
                "somebody wrote to {} while it was being moved; what was written is in {}, but not in {}",
                Escaped(&moved.path),
                Escaped(&done.path_of(&moved.name)),
                Escaped(&self.output.path())
            ));
        }
    }

    /// Step 11: who opened the file by its name before it lost that may write to it still.
    fn let_go(
        mut self: Box<Self>,
        mut removed: Removed,
        give_up: bool,
        warn: &mut dyn FnMut(String),
    ) -> Result<Advanced, Error> {
        // One that only now comes in is given its moment all the same, or it would write to what nobody can reach.
        let is_new = !removed.had_writer;
        let has_writer = removed.has_writer() || (is_new && removed.is_changed());
        if has_writer && (is_new || !give_up) {
            removed.had_writer = true;
            removed.rescued = None;
            self.stage = Stage::Removed(removed);
            return Ok(Advanced::Later(Rest::Retiring(self), LATE_WRITER));
        }
        match self.rescue(&mut removed, warn) {
            Ok(()) => Ok(Advanced::Done(self.output.done(self.bytes_in))),
            Err(error) if give_up => Err(error),
            Err(error) => {
                removed.had_writer = true;
                if !std::mem::replace(&mut removed.said, true) {
                    warn(format!(
                        "{error}; what a late writer added to it is still held open, and will be saved later"
                    ));
                }
                self.stage = Stage::Removed(removed);
                Ok(Advanced::Later(Rest::Retiring(self), RESCUE_AGAIN))
            }
        }
    }

    /// Saves what a late writer left, where there is any.
    fn rescue(&self, removed: &mut Removed, warn: &mut dyn FnMut(String)) -> Result<(), Error> {
        if !removed.had_writer {
            return Ok(());
        }
        let now = removed.fingerprint_now()?;
        let name = match removed.rescued.take() {
            Some((then, name)) if then == now => name,
            _ => match self.first_unsaved_byte(removed, &now)? {
                Some(from) => Self::copy_from(from, removed, warn)?,
                None => return Ok(()),
            },
        };
        if let Err(error) = removed.parent.sync() {
            removed.rescued = Some((now, name));
            return Err(error);
        }
        warn(format!(
            "somebody wrote to {} while it was being removed; what was written is in {}",
            Escaped(&removed.path()),
            Escaped(&removed.parent.path_of(&name))
        ));
        Ok(())
    }

    /// Copies what is there from this byte on, and returns the name it got.
    fn copy_from(from: u64, removed: &Removed, warn: &mut dyn FnMut(String)) -> Result<OsString, Error> {
        let failed = |step, cause: io::Error| Error::new(step, removed.path(), cause);
        let temp = Temp::create(&removed.parent, &removed.name)?;
        let mut source = &removed.file;
        source
            .seek(SeekFrom::Start(from))
            .map_err(|cause| failed(Step::Read, cause))?;
        io::copy(&mut source, &mut temp.file()).map_err(|cause| failed(Step::Write, cause))?;
        let status = Status::of(&removed.file).map_err(|errno| failed(Step::Look, errno.into()))?;
        metadata::copy(&removed.file, &status, temp.file(), temp.made(), warn);
        let mut temp = temp.sync()?;
        let rescued = number_from_one(&removed.name, "rescued", |name| match temp.publish(name) {
            Ok(Publication::Published) => Ok(()),
            Ok(_) => Err(Errno::EXIST),
            Err(error) => Err(error.errno().map_or(Errno::IO, Errno::from_raw_os_error)),
        });
        rescued.map_err(|errno| failed(Step::Publish, errno.into()))
    }

    /// Nothing where the output has all that the file has. The content is asked, since a mapping changes no times.
    fn first_unsaved_byte(&self, removed: &Removed, now: &Fingerprint) -> Result<Option<u64>, Error> {
        if self.has_bytes(removed, now.size)? {
            return Ok(None);
        }
        let size = removed.fingerprint.size;
        let only_added = now.size > size && self.has_bytes(removed, size)?;
        Ok(Some(if only_added { size } else { 0 }))
    }

    /// Whether the output holds the first so many bytes of the file, and no more.
    fn has_bytes(&self, removed: &Removed, length: u64) -> Result<bool, Error> {
        let output = match self.output.folder.open_file(&self.output.name) {
            // Somebody took it away, or put what cannot be read in its place.
            Err(error) if error.class() == Class::Permanent => return Ok(false),
            output => output?,
        };
        let output = FromStart::new(&output);
        let original = FromStart::new(&removed.file).take(length);
        holds(self.format, output, original, |_| Ok::<_, Error>(())).map_err(|error| match error {
            HoldsError::Stopped(error) => error,
            HoldsError::Output(cause) => Error::new(Step::Read, self.output.path(), cause),
            HoldsError::Source(cause) => Error::new(Step::Read, removed.path(), cause),
        })
    }
}

impl Removed {
    /// Whether somebody has it open for writing, or waits for our lease to end to have so.
    fn has_writer(&mut self) -> bool {
        if !self.leased {
            return false;
        }
        // Unbroken since it was taken: nobody has come, which a lease taken anew could not say better.
        if !self.had_writer && lease::is_held(&self.file) {
            return false;
        }
        lease::release(&self.file);
        // Whoever waits must come in before the lease is asked for again, or it would wait for the next.
        let has_writer = !self.had_writer || matches!(lease::take(&self.file), Err(NoLease::Writer));
        self.had_writer = true;
        has_writer
    }

    /// Or may be: a writer came and went where no lease could tell of it.
    fn is_changed(&self) -> bool {
        let as_it_was = (self.fingerprint.size, self.fingerprint.modified);
        let now = self.fingerprint_now();
        !now.is_ok_and(|now| (now.size, now.modified) == as_it_was)
    }

    fn fingerprint_now(&self) -> Result<Fingerprint, Error> {
        let status = Status::of(&self.file).map_err(|errno| Error::new(Step::Look, self.path(), errno))?;
        Ok(status.fingerprint)
    }

    fn path(&self) -> PathBuf {
        self.parent.path_of(&self.name)
    }
}

impl Moved {
    /// Or is about to be: somebody has it open for writing, or waits for our lease to end to have so.
    fn was_written_to(&self) -> bool {
        let has_writer = self.leased
            && (!lease::is_held(&self.file) || {
                lease::release(&self.file);
                matches!(lease::take(&self.file), Err(NoLease::Writer))
            });
        let now = Status::of(&self.file).map(|status| (status.fingerprint.size, status.fingerprint.modified));
        has_writer || now.is_ok_and(|now| now != (self.fingerprint.size, self.fingerprint.modified))
    }
}

impl Drop for Retiring {
    fn drop(&mut self) {
        if let Stage::Quarantined(quarantine) = &self.stage {
            // Nobody is left to tell. What cannot be undone is found and undone by the next start.
            let _ = self.take_back(quarantine, &mut |_| ());
        }
    }
}
