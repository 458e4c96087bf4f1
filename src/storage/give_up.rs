//! A file that could not be compressed goes to the folder for such files, with a text beside it that says why.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::fs::{FileType, RenameFlags, renameat_with};
use rustix::io::{Errno, retry_on_intr};

use super::dir::Folder;
use super::lease::{self, NoLease};
use super::metadata;
use super::place::Place;
use super::quarantine::{HIGHEST_NUMBER, numbered_name};
use super::remote::remote_file_system;
use super::status::Status;
use super::temp::{Publication, Temp};
use crate::model::{Error, Fingerprint, Step};
use crate::policy::WriterCheck;

/// A file to be given up, and how.
#[derive(Debug)]
pub(crate) struct GiveUp<'a> {
    pub(crate) parent: &'a Arc<Folder>,
    pub(crate) name: &'a OsStr,
    /// As it was before the try that failed.
    pub(crate) seen: Fingerprint,
    pub(crate) settle: Duration,
    pub(crate) writer_check: WriterCheck,
    /// Where it goes, on its own file system.
    pub(crate) place: Place<'a>,
    pub(crate) durable: bool,
}

impl GiveUp<'_> {
    /// Moves the file, and publishes `reason` beside it as `NAME.reason`. Both get the same number where one of the names is taken:
    /// `NAME.~1~` and `NAME.~1~.reason`. Returns the file's new path; nothing where it was touched meanwhile or somebody has it open for
    /// writing, so that it stays as it is. Blocks. `warn` hears what was less than perfect.
    ///
    /// The reason comes first, durable: a crash in between leaves the file where it was, and a text that nobody needs.
    ///
    /// # Errors
    ///
    /// When a step failed; the file has its name still, or again.
    pub(crate) fn run(&self, reason: &str, warn: &mut dyn FnMut(String)) -> Result<Option<PathBuf>, Error> {
        let Some(status) = self.at_rest()? else {
            return Ok(None);
        };
        // Held until the end, where it can be had: whoever opens the file for writing meanwhile waits until it has its new name.
        let leased = match self.lease() {
            Ok(file) => file,
            Err(Writer) => return Ok(None),
        };
        let folder = self.place.open(self.parent, self.durable, warn)?;
        let mut temp = self.write(reason, &folder, &status, warn)?;
        for number in 0..=HIGHEST_NUMBER {
            let name = numbered_name(self.name, number);
            let mut reason_name = name.clone();
            reason_name.push(".reason");
            if folder.status(&name)?.is_some() || temp.publish(&reason_name)? != Publication::Published {
                continue;
            }
            match self.move_to(&folder, &name, &status) {
                Ok(true) => {
                    drop(leased);
                    self.sync(&folder, warn);
                    return Ok(Some(folder.path_of(&name)));
                }
                moved => {
                    temp.withdraw(&reason_name)?;
                    match moved {
                        Ok(_) => return Ok(None),
                        Err(Errno::EXIST) => temp = self.write(reason, &folder, &status, warn)?,
                        Err(errno) => return Err(self.failed(Step::Remove, errno)),
                    }
                }
            }
        }
        Err(self.failed(Step::Remove, Errno::EXIST))
    }

    /// The file's status, if it is the one that was seen, nobody had touched it for its settle time then, and nobody wrote to it since. Its
    /// ctime now would not tell: a try that got as far as the quarantine, and put the file back, has changed it.
    fn at_rest(&self) -> Result<Option<Status>, Error> {
        let found = self.parent.status(self.name)?;
        Ok(found.filter(|status| {
            status.kind == FileType::RegularFile
                && status.fingerprint.same_content(&self.seen)
                && self.seen.quiet_for(SystemTime::now()) >= self.settle
        }))
    }

    /// A lease on the file. One that may not be read can't be asked, and has been quiet.
    fn lease(&self) -> Result<Option<std::fs::File>, Writer> {
        if self.writer_check == WriterCheck::Quiet || remote_file_system(self.parent).is_some() {
            return Ok(None);
        }
        let Ok(file) = self.parent.open_file(self.name) else {
            return Ok(None);
        };
        match lease::take(&file) {
            Err(NoLease::Writer) => Err(Writer),
            Ok(()) | Err(NoLease::Unavailable(_)) => Ok(Some(file)),
        }
    }

    fn write(
        &self,
        reason: &str,
        folder: &Arc<Folder>,
        status: &Status,
        warn: &mut dyn FnMut(String),
    ) -> Result<Temp, Error> {
        let mut name = OsString::from(self.name);
        name.push(".reason");
        let temp = Temp::create(folder, &name)?;
        let written = temp.file().write_all(reason.as_bytes());
        written.map_err(|cause| Error::new(Step::Write, temp.path(), cause))?;
        metadata::copy_owner(status, temp.file(), warn);
        if self.durable { temp.sync() } else { Ok(temp) }
    }

    /// One rename that replaces nothing. Whoever owns the folder may give the name to another file in this very moment, which gets it back
    /// then: false.
    fn move_to(&self, folder: &Folder, name: &OsStr, status: &Status) -> Result<bool, Errno> {
        rename(self.parent, self.name, folder, name)?;
        let moved = Status::of_name(folder, name).map(|moved| moved.fingerprint.same_inode(&status.fingerprint));
        if moved == Ok(true) {
            return Ok(true);
        }
        rename(folder, name, self.parent, self.name)?;
        Ok(false)
    }

    /// The file has a name, whichever of the two it is after a crash.
    fn sync(&self, folder: &Folder, warn: &mut dyn FnMut(String)) {
        if !self.durable {
            return;
        }
        for folder in [folder, self.parent] {
            if let Err(error) = folder.sync() {
                warn(error.to_string());
            }
        }
    }

    fn failed(&self, step: Step, errno: Errno) -> Error {
        Error::new(step, self.parent.path_of(self.name), errno)
    }
}

/// Somebody has the file open for writing.
struct Writer;

/// A link and a removal would not do instead where the flag is not known: what is removed could be another file.
fn rename(from: &Folder, old: &OsStr, to: &Folder, new: &OsStr) -> rustix::io::Result<()> {
    retry_on_intr(|| renameat_with(from, old, to, new, RenameFlags::NOREPLACE))
}
