//! What stands beside a dated file, and whether by that its writer has gone on to another.

use std::ffi::OsStr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{Dir, FileType};
use rustix::io::Errno;

use super::dir::{Folder, kind_of, name_of};
use crate::model::{Error, Fingerprint, Step};
use crate::policy::{Newest, is_superseded, live_name};

/// For so long after a listing, a newer file that it showed counts though it may be gone since.
const COUNTS_FOR: Duration = Duration::from_secs(60);

/// Times are coarse, on some file systems by two seconds: a folder that was changed so lately may be changed again and look the same.
const COARSE: Duration = Duration::from_secs(3);

/// The last listing of a folder, in short. Without it each of many dated files would be one more listing of all of them.
#[derive(Debug, Default)]
pub(crate) struct Siblings(Mutex<Option<Listing>>);

#[derive(Debug)]
struct Listing {
    /// Of the folder, before it was listed.
    folder: Fingerprint,
    /// Whether an unchanged folder has an unchanged fingerprint, too.
    is_settled: bool,
    at: Instant,
    newest: Newest,
}

impl Siblings {
    /// Whether the writer of the dated file `name` has surely gone on to another: [`is_superseded`] by the regular files beside it. Others
    /// who ask meanwhile wait.
    pub(super) fn supersede(&self, parent: &Folder, name: &OsStr) -> Result<bool, Error> {
        let folder = parent.own_status()?.fingerprint;
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let listing = last.as_ref().filter(|listing| listing.is_of(&folder));
        if listing.is_some_and(|listing| listing.newest.supersedes(name)) || has_live_file(parent, name)? {
            return Ok(true);
        }
        if listing.is_some_and(|listing| listing.is_settled && listing.folder == folder && listing.newest.is_all()) {
            return Ok(false);
        }
        let (listing, is_superseded) = Listing::read(parent, folder, name)?;
        *last = Some(listing);
        Ok(is_superseded)
    }
}

impl Listing {
    fn read(parent: &Folder, folder: Fingerprint, name: &OsStr) -> Result<(Self, bool), Error> {
        let mut listing = Listing {
            is_settled: folder.quiet_for(SystemTime::now()) >= COARSE,
            folder,
            at: Instant::now(),
            newest: Newest::default(),
        };
        let failed = |errno: Errno| Error::new(Step::List, parent.path(), errno);
        let mut is_found = false;
        let mut entries = Dir::read_from(parent).map_err(failed)?;
        while let Some(entry) = entries.read() {
            let entry = entry.map_err(failed)?;
            // A symbolic link to the live file is no sign that there is a newer one.
            if kind_of(&entries, &entry) == Some(FileType::RegularFile) {
                let sibling = name_of(&entry);
                listing.newest.see(&sibling);
                is_found = is_found || is_superseded(name, [sibling.as_os_str()].into_iter());
            }
        }
        Ok((listing, is_found))
    }

    /// Whether what it showed still counts in this folder.
    fn is_of(&self, folder: &Fingerprint) -> bool {
        self.folder.same_inode(folder) && self.at.elapsed() < COUNTS_FOR
    }
}

/// Whether the file that the series has before any rotation is there.
fn has_live_file(parent: &Folder, name: &OsStr) -> Result<bool, Error> {
    let Some(live) = live_name(name).filter(|live| !live.is_empty()) else {
        return Ok(false);
    };
    let status = parent.status(&live)?;
    Ok(status.is_some_and(|status| status.kind == FileType::RegularFile))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    fn asked(siblings: &Siblings, folder: &Path, name: &str) -> bool {
        let folder = Folder::open(folder).unwrap();
        siblings.supersede(&folder, OsStr::new(name)).unwrap()
    }

    fn listed_at(siblings: &Siblings) -> Option<Instant> {
        siblings.0.lock().unwrap().as_ref().map(|listing| listing.at)
    }

    #[test]
    fn many_dated_files_are_known_by_one_listing() {
        let base = tempfile::tempdir().unwrap();
        let names: Vec<String> = (10..32).map(|day| format!("app.log-202601{day}")).collect();
        for name in &names {
            fs::write(base.path().join(name), "text").unwrap();
        }
        let siblings = Siblings::default();
        assert!(asked(&siblings, base.path(), &names[0]));
        let first = listed_at(&siblings);
        for name in &names[..names.len() - 1] {
            // As each is compressed and removed, the folder changes.
            fs::rename(base.path().join(name), base.path().join(format!("{name}.gz"))).unwrap();
            assert!(asked(&siblings, base.path(), name), "{name}");
        }
        assert_eq!(listed_at(&siblings), first);
        assert!(!asked(&siblings, base.path(), names.last().unwrap()));
    }

    #[test]
    fn what_arrives_after_the_listing_is_seen() {
        let base = tempfile::tempdir().unwrap();
        let siblings = Siblings::default();
        fs::write(base.path().join("a.log-20260101"), "text").unwrap();
        fs::write(base.path().join("b.log-20260101"), "text").unwrap();
        assert!(!asked(&siblings, base.path(), "a.log-20260101"));
        assert!(!asked(&siblings, base.path(), "a.log-20260101"));
        fs::write(base.path().join("a.log-20260102"), "text").unwrap();
        assert!(asked(&siblings, base.path(), "a.log-20260101"));
        assert!(!asked(&siblings, base.path(), "a.log-20260102"));
        fs::write(base.path().join("a.log"), "text").unwrap();
        assert!(asked(&siblings, base.path(), "a.log-20260102"));
        assert!(!asked(&siblings, base.path(), "b.log-20260101"));
    }

    #[test]
    fn one_folder_says_nothing_of_another() {
        let base = tempfile::tempdir().unwrap();
        let path = |name: &str| base.path().join(name);
        for name in ["one", "two"] {
            fs::create_dir(path(name)).unwrap();
            fs::write(path(name).join("a.log-20260101"), "text").unwrap();
        }
        fs::write(path("one").join("a.log-20260102"), "text").unwrap();
        let siblings = Siblings::default();
        assert!(asked(&siblings, &path("one"), "a.log-20260101"));
        assert!(!asked(&siblings, &path("two"), "a.log-20260101"));
    }
}
