//! What stands beside a rotated file, and whether by that its writer has gone on to another, and it is one of the newest.

use std::ffi::OsStr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{Dir, FileType};
use rustix::io::Errno;

use super::dir::{Folder, kind_of, name_of};
use crate::model::{Error, Fingerprint, Reason, Step};
use crate::policy::{Newest, Select, Standing, live_name};

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
    /// Whether by the regular files beside it a file may be taken: its writer has surely gone on to another, and it is not one of the newest
    /// that are left. Others who ask meanwhile wait.
    pub(super) fn ask(&self, parent: &Folder, name: &OsStr, select: &Select) -> Result<Result<(), Reason>, Error> {
        let Some(mut standing) = select.standing(name) else {
            return Ok(Ok(()));
        };
        let folder = parent.own_status()?.fingerprint;
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let listing = last.as_ref().filter(|listing| listing.is_of(&folder));
        for newer in listing.into_iter().flat_map(|listing| listing.newest.newer_than(name)) {
            // Where each of them counts, each must be there still.
            if !select.leaves_newest() || is_file(parent, newer)? {
                standing.see(newer);
            }
        }
        if standing.verdict() == Err(Reason::PossiblyLive)
            && let Some(live) = live_name(name).filter(|live| !live.is_empty())
            && is_file(parent, &live)?
        {
            standing.see(&live);
        }
        let is_up_to_date =
            |listing: &Listing| listing.is_settled && listing.folder == folder && listing.newest.is_all();
        if standing.verdict().is_err() && !listing.is_some_and(is_up_to_date) {
            *last = Some(Listing::read(parent, folder, select, &mut standing)?);
        }
        Ok(standing.verdict())
    }
}

impl Listing {
    fn read(parent: &Folder, folder: Fingerprint, select: &Select, standing: &mut Standing<'_>) -> Result<Self, Error> {
        let mut listing = Listing {
            is_settled: folder.quiet_for(SystemTime::now()) >= COARSE,
            folder,
            at: Instant::now(),
            newest: select.newest(),
        };
        let failed = |errno: Errno| Error::new(Step::List, parent.path(), errno);
        let mut entries = Dir::read_from(parent).map_err(failed)?;
        while let Some(entry) = entries.read() {
            let entry = entry.map_err(failed)?;
            // A symbolic link to the live file is no sign that there is a newer one.
            if kind_of(&entries, &entry) == Some(FileType::RegularFile) {
                let sibling = name_of(&entry);
                listing.newest.see(&sibling);
                standing.see(&sibling);
            }
        }
        Ok(listing)
    }

    /// Whether what it showed still counts in this folder.
    fn is_of(&self, folder: &Fingerprint) -> bool {
        self.folder.same_inode(folder) && self.at.elapsed() < COUNTS_FOR
    }
}

fn is_file(parent: &Folder, name: &OsStr) -> Result<bool, Error> {
    Ok(parent.status(name)?.is_some_and(|status| status.is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Preset, Watch};
    use std::fs;
    use std::path::Path;

    fn asked(siblings: &Siblings, folder: &Path, name: &str) -> bool {
        asked_with(siblings, folder, name, 0)
    }

    fn asked_with(siblings: &Siblings, folder: &Path, name: &str, leave_newest: usize) -> bool {
        let watch = Watch::new(folder, Preset::RotatedLogs).with_leave_newest(leave_newest);
        let select = Select::new(&watch).unwrap();
        let folder = Folder::open(folder).unwrap();
        siblings.ask(&folder, OsStr::new(name), &select).unwrap().is_ok()
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
    fn the_newest_are_left_by_one_listing_and_none_counts_that_is_gone() {
        let base = tempfile::tempdir().unwrap();
        let path = |name: &str| base.path().join(name);
        for number in 1..=20 {
            fs::write(path(&format!("a.log.{number}")), "text").unwrap();
        }
        let siblings = Siblings::default();
        let is_taken = |name: &str| asked_with(&siblings, base.path(), name, 3);
        assert!(is_taken("a.log.20"));
        let first = listed_at(&siblings);
        for number in (4..20).rev() {
            // As each is compressed and removed, the folder changes.
            fs::rename(
                path(&format!("a.log.{}", number + 1)),
                path(&format!("a.log.{}.gz", number + 1)),
            )
            .unwrap();
            assert!(is_taken(&format!("a.log.{number}")), "{number}");
        }
        assert_eq!(listed_at(&siblings), first);
        assert!(!is_taken("a.log.3"));
        fs::remove_file(path("a.log.1")).unwrap();
        assert!(!is_taken("a.log.4"));
        assert!(is_taken("a.log.5"));
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
