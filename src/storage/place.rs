//! Where a file's output goes, and where the original goes after it.

use std::path::Path;
use std::sync::Arc;

use super::dir::Folder;
use super::tree::make_folders;
use crate::model::Error;

/// A folder for what is made of a file, or for the file itself.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'a> {
    /// The original's folder.
    Beside,
    /// The same subfolder of another folder; what is missing of it is made.
    Tree {
        output: &'a Arc<Folder>,
        /// The watched folder.
        source: &'a Folder,
        /// The original's folder, relative to `source`.
        relative: &'a Path,
    },
}

impl Place<'_> {
    /// The folder for a file that is in `parent`.
    pub(super) fn open(
        &self,
        parent: &Arc<Folder>,
        durable: bool,
        warn: &mut dyn FnMut(String),
    ) -> Result<Arc<Folder>, Error> {
        match *self {
            Place::Beside => Ok(Arc::clone(parent)),
            Place::Tree {
                output,
                source,
                relative,
            } => make_folders(output, source, relative, durable, warn),
        }
    }
}

/// The places of one file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places<'a> {
    pub(crate) output: Place<'a>,
    /// Of an original whose output is published. Without one it is removed. On the original's file system.
    pub(crate) done: Option<Place<'a>>,
}

impl Places<'_> {
    /// The output beside the original, which is removed.
    pub(crate) const BESIDE: Places<'static> = Places {
        output: Place::Beside,
        done: None,
    };

    /// Opens the folder for the original, where it is to have one.
    pub(super) fn open_done(
        &self,
        parent: &Arc<Folder>,
        durable: bool,
        warn: &mut dyn FnMut(String),
    ) -> Result<Option<Arc<Folder>>, Error> {
        self.done.map(|place| place.open(parent, durable, warn)).transpose()
    }
}
