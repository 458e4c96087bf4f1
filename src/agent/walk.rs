//! The scan of a watched folder: each folder is watched before it is listed, and what a run left that was killed is put right on the way.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::{Error, Observer, Reason};
use crate::policy::Select;
use crate::storage::{Places, Scan, Sight, is_gone, recover};

use super::events::Events;
use super::job::{Batch, Walk};
use super::native::Native;
use super::root::{Root, original_of};

/// A scan that watches each folder before it lists it.
pub(super) struct FolderWalk {
    pub(super) scan: Option<Scan>,
    /// Of the output folder, in which a run that was killed may have left what it had not published; once.
    pub(super) outputs: Option<Scan>,
    /// Whether outputs go with their originals.
    pub(super) outputs_follow: bool,
    pub(super) select: Arc<Select>,
    /// Whether there is any file in the folder.
    pub(super) found_files: bool,
    pub(super) root: Arc<Root>,
    pub(super) events: Events,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) native: Arc<Mutex<Native>>,
    /// What the next batch has to tell.
    pub(super) polling: Option<String>,
    pub(super) failed: Vec<Error>,
}

impl Walk for FolderWalk {
    fn next(&mut self, most: usize) -> Result<Batch, Error> {
        let mut batch = Batch {
            files: Vec::new(),
            end: true,
            failed: std::mem::take(&mut self.failed),
            polling: self.polling.take(),
        };
        let Some(scan) = &mut self.scan else {
            batch.end = self.sweep_outputs(most);
            return Ok(batch);
        };
        let mut outputs = Vec::new();
        let found = scan.next_batch(most, &mut |sight| match sight {
            Sight::PassedOver(path, Reason::CompressedSuffix(_))
                if self.outputs_follow && self.root.output.is_none() =>
            {
                outputs.extend(original_of(path));
            }
            Sight::Entered(folder) => {
                match enter(&self.native, self.root.folder.path(), folder) {
                    Ok(None) => {}
                    Ok(why) => batch.polling = why,
                    Err(error) => self.observer.warning(&error.to_string()),
                }
                if folder.as_os_str().is_empty() && !self.root.folder.has_its_path() {
                    self.events.lost();
                }
            }
            // Of another shard, but a file.
            Sight::PassedOver(_, Reason::OtherShard { .. }) => self.found_files = true,
            Sight::Failed(error) => batch.failed.push(error),
            Sight::PassedOver(..) => {}
        });
        for original in outputs {
            self.withdraw_without_original(&original);
        }
        self.found_files |= !found.files.is_empty();
        let mut files = found.files;
        files.extend(found.leftovers);
        if found.end {
            self.scan = None;
        }
        Ok(Batch {
            files,
            end: found.end && self.outputs.is_none(),
            ..batch
        })
    }
}

impl FolderWalk {
    /// Removes the output of a file that went while nobody was looking.
    fn withdraw_without_original(&self, original: &Path) {
        let (Some(relative), Some(name)) = (original.parent(), original.file_name()) else {
            return;
        };
        if self.select.file(original).is_err() {
            return;
        }
        let withdrawn = match self.root.folder.folder(relative) {
            Ok(parent) => match parent.status(name) {
                // It is a file that is looked at by itself.
                Ok(Some(status)) if status.is_file() => Ok(()),
                Ok(_) => self
                    .root
                    .withdraw(self.root.folder.path(), Some(&parent), original, None, &*self.observer),
                Err(error) => Err(error),
            },
            Err(error) if is_gone(&error) => {
                self.root
                    .withdraw(self.root.folder.path(), None, original, None, &*self.observer)
            }
            Err(error) => Err(error),
        };
        if let Err(error) = withdrawn {
            self.observer.warning(&error.to_string());
        }
    }

    /// Removes some of what nobody is at any more; true at the end.
    fn sweep_outputs(&mut self, most: usize) -> bool {
        let (Some(scan), Some(output)) = (&mut self.outputs, &self.root.output) else {
            return true;
        };
        let mut outputs = Vec::new();
        let found = scan.next_batch(most, &mut |sight| match sight {
            // Where nothing is left at all, it is rather the folder that is gone, with the disk it was on.
            Sight::PassedOver(path, Reason::CompressedSuffix(_)) if self.outputs_follow && self.found_files => {
                outputs.extend(original_of(path));
            }
            _ => {}
        });
        for original in outputs {
            self.withdraw_without_original(&original);
        }
        for path in &found.leftovers {
            let (folder, name) = (
                path.parent().unwrap_or(Path::new("")),
                path.file_name().unwrap_or_default(),
            );
            let recovered = output.folder_or_self(folder).and_then(|parent| {
                let warn = &mut |message: String| self.observer.warning(&message);
                recover(&parent, name, &Places::BESIDE, true, warn)
            });
            if let Err(error) = recovered {
                self.observer.warning(&error.to_string());
            }
        }
        found.end
    }
}

/// [Watches](Native::enter) a folder. A panic under the lock leaves nothing half changed.
fn enter(native: &Mutex<Native>, root: &Path, folder: &Path) -> Result<Option<String>, Error> {
    let mut native = native.lock().unwrap_or_else(PoisonError::into_inner);
    native.enter(root, folder)
}
