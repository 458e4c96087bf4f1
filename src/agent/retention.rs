//! Surplus outputs of a watch: which they are, and their end.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::model::{Error, Escaped, Step, Surplus};
use crate::policy::{Kept, Remains, Select, Watch};
use crate::storage::{Folder, Outputs, Removal, real_path};

use super::job::{Area, Cancel, Retained};

/// More than so many are not remembered at once, in some ten megabytes; the oldest are.
pub(super) const MOST: usize = 65_536;

/// A watch, with its folders open.
pub(super) struct Retention<'a> {
    pub(super) watch: &'a Watch,
    pub(super) select: &'a Arc<Select>,
    pub(super) source: &'a Folder,
    /// Of the outputs, where it is another one.
    pub(super) output: Option<&'a Folder>,
    /// So many outputs are remembered at once.
    pub(super) most: usize,
}

impl Retention<'_> {
    /// Removes what is surplus, and tells of each; `warn` is told what cannot be. `others` are the folders of other watches.
    pub(super) fn apply(
        &self,
        others: &[Area],
        cancel: &Cancel,
        tell: &mut dyn FnMut(&Path, Surplus),
        warn: &mut dyn FnMut(&Error),
    ) -> Retained {
        let mut retained = Retained::default();
        let foreign = self.foreign(others);
        let outputs = self.outputs(&foreign);
        let (surplus, is_part) = match self.find(&outputs, others, cancel) {
            Ok(found) => found,
            Err(error) => {
                warn(&error);
                return retained;
            }
        };
        for (output, why) in surplus {
            if cancel.is_cancelled() {
                break;
            }
            match outputs.remove(&output) {
                Ok(Removal::Removed) => {
                    retained.removed += 1;
                    tell(&outputs.folder.path().join(&output.path), why);
                }
                Ok(Removal::Left) => {}
                Ok(Removal::Busy) => retained.left = Remains::Busy,
                Err(error) => warn(&error),
            }
        }
        // Without any that went, the next look would find the same ones.
        if is_part && retained.removed > 0 {
            retained.left = Remains::More;
        }
        retained
    }

    /// What would be removed, as whole paths.
    #[cfg(feature = "cli")]
    pub(super) fn prospects(&self, others: &[Area]) -> Result<Vec<(PathBuf, Surplus)>, Error> {
        let foreign = self.foreign(others);
        let outputs = self.outputs(&foreign);
        let (surplus, _) = self.find(&outputs, others, &Cancel::default())?;
        let whole = |(output, why): (Kept, Surplus)| (outputs.folder.path().join(output.path), why);
        Ok(surplus.into_iter().map(whole).collect())
    }

    /// What is surplus, and whether there are newer outputs that were not asked for.
    fn find(
        &self,
        outputs: &Outputs<'_>,
        others: &[Area],
        cancel: &Cancel,
    ) -> Result<(Vec<(Kept, Surplus)>, bool), Error> {
        if self.is_shared(others) {
            let message = format!(
                "another watch puts its outputs there too, and whose one is cannot be told; nothing in {} is removed",
                Escaped(outputs.folder.path())
            );
            return Err(Error::permanent(Step::Remove, outputs.folder.path(), message));
        }
        let found = outputs.find(self.most, &|| cancel.is_cancelled())?;
        if cancel.is_cancelled() {
            return Ok((Vec::new(), false));
        }
        let mut surplus = self.watch.retention.surplus(found.outputs, SystemTime::now());
        // The limits are about the outputs of all shards; each removes its own.
        surplus.retain(|(output, _)| outputs.is_of_shard(output));
        Ok((surplus, found.is_part))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Preset;
    use std::fs::{self, File};
    use std::time::Duration;

    /// Begins as gzip's do.
    const GZ: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0";

    #[test]
    fn of_more_than_can_be_remembered_the_oldest_go_first_until_none_is_left() {
        let folder = tempfile::tempdir().unwrap();
        for number in 1..=20 {
            let path = folder.path().join(format!("F.~{number}~.gz"));
            fs::write(&path, GZ).unwrap();
            let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(number);
            File::options()
                .write(true)
                .open(&path)
                .unwrap()
                .set_modified(modified)
                .unwrap();
        }
        let watch = Watch::new(folder.path(), Preset::Inbox)
            .with_settle(Duration::ZERO)
            .with_keep_count(2);
        let retention = Retention {
            watch: &watch,
            select: &Arc::new(Select::new(&watch).unwrap()),
            source: &Folder::open(folder.path()).unwrap(),
            output: None,
            most: 8,
        };
        let mut told = Vec::new();
        let mut apply = || {
            let mut tell = |output: &Path, why| told.push((output.to_owned(), why));
            retention.apply(&[], &Cancel::default(), &mut tell, &mut |error| panic!("{error}"))
        };
        let looked = |removed, left| Retained { removed, left };
        // The newest two of those that a look is about stay in it, so the last one is about all that there are.
        assert_eq!(apply(), looked(6, Remains::More));
        assert_eq!(apply(), looked(6, Remains::More));
        assert_eq!(apply(), looked(6, Remains::Nothing));
        assert_eq!(apply(), looked(0, Remains::Nothing));
        let expected = (1..=18).map(|number| (folder.path().join(format!("F.~{number}~.gz")), Surplus::Count));
        assert_eq!(told, expected.collect::<Vec<_>>());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
