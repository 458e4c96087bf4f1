//! Folders that were made durable for one batch of files: each once.

use std::collections::HashMap;

use rustix::io::Errno;

use super::dir::Folder;
use crate::model::{Error, Step};

/// Remembers each folder's answer, for as long as nothing more is renamed in them.
#[derive(Debug, Default)]
pub(crate) struct Syncs(HashMap<((u32, u32), u64), Option<i32>>);

impl Syncs {
    /// Makes the names in the folder durable, unless that was done. A failure counts for all that ask.
    pub(super) fn sync(&mut self, folder: &Folder) -> Result<(), Error> {
        let known = self.0.entry(folder.identity()?);
        let failure = known.or_insert_with(|| {
            let failed = folder.sync().err();
            failed.map(|error| error.errno().unwrap_or(Errno::IO.raw_os_error()))
        });
        match *failure {
            None => Ok(()),
            Some(errno) => Err(Error::new(Step::Sync, folder.path(), Errno::from_raw_os_error(errno))),
        }
    }
}
