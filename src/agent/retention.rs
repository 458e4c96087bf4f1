//! Surplus outputs of a watch: which they are, and their end.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::model::{Error, Escaped, Step, Surplus};
use crate::policy::{Kept, Select, Watch};
use crate::storage::{Folder, Outputs, Removal, real_path};

use super::job::{Area, Cancel, Retained};

/// So many are removed in one go.
const MOST: usize = 1024;

/// A watch, with its folders open.
pub(super) struct Retention<'a> {
    pub(super) watch: &'a Watch,
    pub(super) select: &'a Arc<Select>,
    pub(super) source: &'a Folder,
    /// Of the outputs, where it is another one.
    pub(super) output: Option<&'a Folder>,
}

impl Retention<'_> {
    /// Removes what is surplus, and tells `warn` what cannot be. `others` are the folders of other watches.
    pub(super) fn apply(&self, others: &[Area], cancel: &Cancel, warn: &mut dyn FnMut(&Error)) -> Retained {
        let mut retained = Retained::default();
        let foreign = self.foreign(others);
        let outputs = self.outputs(&foreign);
        let surplus = match self.find(&outputs, others, cancel) {
            Ok(surplus) => surplus,
            Err(error) => {
                warn(&error);
                return retained;
            }
        };
        retained.again = surplus.len() > MOST;
        for (output, why) in surplus.into_iter().take(MOST) {
            if cancel.is_cancelled() {
                break;
            }
            match outputs.remove(&output) {
                Ok(Removal::Removed) => retained.removed.push((outputs.folder.path().join(&output.path), why)),
                Ok(Removal::Left) => {}
                Ok(Removal::Busy) => retained.again = true,
                Err(error) => warn(&error),
            }
        }
        retained
    }

    /// What would be removed, as whole paths.
    #[cfg(feature = "cli")]
    pub(super) fn prospects(&self, others: &[Area]) -> Result<Vec<(PathBuf, Surplus)>, Error> {
        let foreign = self.foreign(others);
        let outputs = self.outputs(&foreign);
        let surplus = self.find(&outputs, others, &Cancel::default())?.into_iter();
        let whole = |(output, why): (Kept, Surplus)| (outputs.folder.path().join(output.path), why);
        Ok(surplus.map(whole).collect())
    }

    fn find(&self, outputs: &Outputs<'_>, others: &[Area], cancel: &Cancel) -> Result<Vec<(Kept, Surplus)>, Error> {
        if self.is_shared(others) {
            let message = format!(
                "another watch puts its outputs there too, and whose one is cannot be told; nothing in {} is removed",
                Escaped(outputs.folder.path())
            );
            return Err(Error::permanent(Step::Remove, outputs.folder.path(), message));
        }
        let found = outputs.find(&|| cancel.is_cancelled())?;
        if cancel.is_cancelled() {
            return Ok(Vec::new());
        }
        Ok(self.watch.retention.surplus(found, SystemTime::now()))
    }

    fn outputs<'b>(&'b self, foreign: &'b [PathBuf]) -> Outputs<'b> {
        Outputs {
            source: self.source,
            folder: self.output.unwrap_or(self.source),
            select: self.select,
            format: self.watch.format,
            foreign,
            settle: self.watch.settle,
            writer_check: self.watch.writer_check,
        }
    }

    /// The others' folders below that of our outputs, relative to it.
    fn foreign(&self, others: &[Area]) -> Vec<PathBuf> {
        let own = real_path(&self.watch.output_folder());
        let below = |other: &Path| Some(real_path(other).strip_prefix(&own).ok()?.to_owned());
        let below = others.iter().flat_map(Area::folders).filter_map(below);
        below.filter(|folder| !folder.as_os_str().is_empty()).collect()
    }

    /// Whether outputs of another watch may be among ours: it puts them there, or keeps them as a tree that ours is a part of.
    fn is_shared(&self, others: &[Area]) -> bool {
        let (own, source) = (real_path(&self.watch.output_folder()), real_path(self.watch.path()));
        others.iter().any(|other| {
            let holds = |outputs: &PathBuf| own.starts_with(real_path(outputs));
            let watched = real_path(&other.watched);
            // Of two that watch one folder each has its own outputs.
            (watched == own && watched != source) || other.outputs.as_ref().is_some_and(holds)
        })
    }
}
