//! A watched folder and the watch's other folders, open, and where in them a file's output and the file itself go.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::{Error, Escaped, Format, Observer, Step};
use crate::policy::{Select, Watch, original_of as original_name_of};
use crate::storage::{Folder, Pair, Place, Places, real_path};

/// What the paths of a watch led to when they were last opened.
pub(super) struct Root {
    pub(super) folder: Arc<Folder>,
    pub(super) output: Option<Arc<Folder>>,
    done: Option<Arc<Folder>>,
    failed: Option<Arc<Folder>>,
}

impl Root {
    /// Opens the watched folder, and the others, which are made where they are missing.
    ///
    /// # Errors
    ///
    /// When one cannot be opened or made, or originals could not go there.
    pub(super) fn open(watch: &Watch, select: &Select) -> Result<Self, Error> {
        let folder = Arc::new(Folder::open(&watch.path)?);
        // Where nothing below it can be opened at all, that is said now.
        folder.folder(Path::new(""))?;
        Self::around(folder, watch, select)
    }

    /// The same folder, with the others opened or made anew.
    pub(super) fn renew(&self, watch: &Watch, select: &Select) -> Result<Self, Error> {
        Self::around(Arc::clone(&self.folder), watch, select)
    }

    fn around(folder: Arc<Folder>, watch: &Watch, select: &Select) -> Result<Self, Error> {
        let output = watch.output_dir.as_deref();
        let output = output
            .map(|path| folder.open_or_make_output(path).map(Arc::new))
            .transpose()?;
        let done = watch.done_dir.as_deref().filter(|_| !watch.keep_original);
        let [done, failed] = [done, watch.failed_dir.as_deref()].map(|path| {
            let opened = path.map(|path| open_for_originals(&folder, path, watch, select).map(Arc::new));
            opened.transpose()
        });
        let (done, failed) = (done?, failed?);
        Ok(Root {
            folder,
            output,
            done,
            failed,
        })
    }

    /// Whether the paths of the other folders still lead to them.
    pub(super) fn others_have_their_paths(&self) -> bool {
        let others = [&self.output, &self.done, &self.failed];
        others.into_iter().flatten().all(|folder| folder.has_its_path())
    }

    /// Where the output of a file goes, which is below the watched folder, and the file after it.
    pub(super) fn places_of<'a>(&'a self, file: &'a Path) -> Places<'a> {
        let tree = |folder| self.tree(folder, file);
        Places {
            output: self.output.as_ref().map_or(Place::Beside, tree),
            done: self.done.as_ref().map(tree),
        }
    }

    /// Removes the outputs of a file that will get no new ones, where they follow their original and are not up to date; not that in the
    /// format that is `coming`. `parent` is the file's folder, if that is there.
    pub(super) fn withdraw(
        &self,
        watched: &Path,
        parent: Option<&Folder>,
        file: &Path,
        coming: Option<Format>,
        observer: &dyn Observer,
    ) -> Result<(), Error> {
        let (Some(relative), Some(name)) = (file.parent(), file.file_name()) else {
            return Ok(());
        };
        let apart = match &self.output {
            Some(output) => Pair::output_below(output, relative)?,
            None => None,
        };
        let Some(output) = apart.as_ref().or(parent.filter(|_| self.output.is_none())) else {
            return Ok(());
        };
        for pair in Pair::all(parent, output, name).filter(|pair| coming != Some(pair.format)) {
            if let Some(output) = pair.remove_outdated()? {
                observer.withdrawn(watched, file, &output);
            }
        }
        Ok(())
    }

    /// Where the file goes when it is given up.
    pub(super) fn failed_place_of<'a>(&'a self, file: &'a Path) -> Option<Place<'a>> {
        self.failed.as_ref().map(|folder| self.tree(folder, file))
    }

    fn tree<'a>(&'a self, output: &'a Arc<Folder>, file: &'a Path) -> Place<'a> {
        Place::Tree {
            output,
            source: &self.folder,
            relative: file.parent().unwrap_or(Path::new("")),
        }
    }
}

/// The path of the file that an output of this path would be of.
pub(super) fn original_of(output: &Path) -> Option<PathBuf> {
    Some(output.with_file_name(original_name_of(output.file_name()?)?))
}

/// A folder that originals are moved to by a rename, and in which the watch must not find them again.
fn open_for_originals(root: &Folder, path: &Path, watch: &Watch, select: &Select) -> Result<Folder, Error> {
    let folder = root.open_or_make_output(path)?;
    let refused = |why: String| Err(Error::permanent(Step::Open, folder.path(), why));
    let watched = Escaped(&watch.path);
    if !folder.can_take_from(root)? {
        return refused(format!(
            "it is on another file system or mount than {watched}, and originals can only be renamed into it"
        ));
    }
    // By the paths as they are, which symbolic links may have led here.
    let watched = real_path(&watch.path);
    if let Ok(inside) = real_path(&watch.path.join(path)).strip_prefix(&watched)
        && select.folder(inside).is_ok()
    {
        return refused(format!(
            "files in it would be taken again, since {} is watched",
            Escaped(&watched)
        ));
    }
    Ok(folder)
}
