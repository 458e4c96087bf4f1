//! What was made durable for one batch of files: folders once each, and the content of many files in one go.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use rustix::fs::syncfs;
use rustix::io::{Errno, retry_on_intr};
use rustix::system::uname;

use super::dir::Folder;
use super::remote::kind_of_file_system;
use super::temp::Temp;
use crate::model::{Error, Step};

/// From so many files of one file system on, a syncfs(2) is cheaper than an fsync(2) of each.
const MANY: usize = 4;

/// Magic numbers of statfs(2): file systems of which it is known that syncfs(2) waits for the disk, and tells of an error.
const SYNCED_WHOLE: &[u32] = &[
    0xef53,      // ext4
    0x5846_5342, // XFS
    0x9123_683e, // Btrfs
    0xf2f5_2010, // F2FS
];

type Device = (u32, u32);

/// Remembers each answer. It holds for what was renamed in these folders before it was given, so whoever renames more needs others.
#[derive(Debug, Default)]
pub(crate) struct Syncs {
    folders: HashMap<(Device, u64), Answer>,
    contents: HashMap<Device, Contents>,
    /// Those in which names are to be made durable.
    waiting: Vec<Arc<Folder>>,
}

/// The error number where it failed.
type Answer = Result<(), i32>;

/// Files of one file system that are to be made durable.
#[derive(Debug)]
struct Contents {
    files: usize,
    /// The one that was opened first, or at least before anything was written to any of them. A descriptor tells of every error since it was
    /// opened, so this one tells of all that befell any of them.
    oldest: Arc<File>,
    opened: Instant,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// The first file that needs it decides how it is done.
    Waiting,
    EachByItself,
    Synced(Answer),
}

impl Syncs {
    /// Counts a file in that will be made durable by [`content`](Self::content) soon.
    pub(super) fn enlist(&mut self, temp: &Temp) {
        let contents = self
            .contents
            .entry(temp.made().fingerprint.device)
            .or_insert_with(|| Contents {
                files: 0,
                oldest: temp.shared_file(),
                opened: temp.opened(),
                state: State::Waiting,
            });
        contents.files += 1;
        if temp.opened() < contents.opened {
            contents.oldest = temp.shared_file();
            contents.opened = temp.opened();
        }
    }

    /// Counts a folder in whose names, as they are now, will be made durable by [`folder`](Self::folder) soon.
    pub(super) fn enlist_folder(&mut self, folder: &Arc<Folder>) {
        // Most files of a batch are in the same folder as the one before.
        let mut last = self.waiting.iter().rev().take(2);
        if !last.any(|other| Arc::ptr_eq(other, folder)) {
            self.waiting.push(Arc::clone(folder));
        }
    }

    /// Waits for the disk for all that has enlisted, where that is better than to do so one by one. What it says, each will hear.
    pub(crate) fn make_durable(&mut self) {
        for contents in self.contents.values_mut() {
            contents.answer();
        }
        for folder in std::mem::take(&mut self.waiting) {
            // The failure is remembered, too.
            let _ = self.folder(&folder);
        }
    }

    /// Makes the content of an enlisted file durable. An error of its whole file system counts for all of them: nobody can say whose bytes
    /// it was, and what failed once may seem to succeed later with the bytes gone. So the file goes with the error.
    pub(super) fn content(&mut self, temp: Temp) -> Result<Temp, Error> {
        let contents = self.contents.get_mut(&temp.made().fingerprint.device);
        match contents.and_then(Contents::answer) {
            None => temp.sync(),
            Some(Ok(())) => Ok(temp),
            Some(Err(errno)) => Err(Error::new(Step::Sync, temp.path(), Errno::from_raw_os_error(errno))),
        }
    }

    /// Makes the names in the folder durable, unless that was done. A failure counts for all that ask.
    pub(super) fn folder(&mut self, folder: &Folder) -> Result<(), Error> {
        let answer = self.folders.entry(folder.identity()?).or_insert_with(|| {
            let failure = |error: Error| error.errno().unwrap_or(Errno::IO.raw_os_error());
            folder.sync().map_err(failure)
        });
        answer.map_err(|errno| Error::new(Step::Sync, folder.path(), Errno::from_raw_os_error(errno)))
    }
}

impl Contents {
    /// What syncfs(2) says, once for all; nothing where each file is to be made durable by itself.
    fn answer(&mut self) -> Option<Answer> {
        if let State::Waiting = self.state {
            self.state = self.sync();
        }
        match self.state {
            State::Synced(answer) => Some(answer),
            State::Waiting | State::EachByItself => None,
        }
    }

    fn sync(&self) -> State {
        if self.files < MANY || !is_synced_whole(&self.oldest) {
            return State::EachByItself;
        }
        match retry_on_intr(|| syncfs(&self.oldest)) {
            // Forbidden, by seccomp(2) for one.
            Err(Errno::NOSYS | Errno::PERM) => State::EachByItself,
            result => State::Synced(result.map_err(Errno::raw_os_error)),
        }
    }
}

/// Whether syncfs(2) on this file's file system tells of errors: kernels before 5.8 never do.
fn is_synced_whole(file: &File) -> bool {
    static TELLS_ERRORS: LazyLock<bool> = LazyLock::new(|| {
        let release = uname().release().to_string_lossy().into_owned();
        is_at_least(&release, (5, 8))
    });
    *TELLS_ERRORS && kind_of_file_system(file).is_some_and(|kind| SYNCED_WHOLE.contains(&kind))
}

/// False for a release that cannot be read.
fn is_at_least(release: &str, version: (u32, u32)) -> bool {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= version,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    /// Later ones hear nothing of an error that befell the earlier ones' bytes before they were opened.
    #[test]
    fn the_file_that_was_opened_first_answers_for_all_however_they_come() {
        let base = tempfile::tempdir().unwrap();
        let folder = Arc::new(Folder::open(base.path()).unwrap());
        let temps: Vec<_> = (0..5)
            .map(|_| Temp::create(&folder, OsStr::new("F.gz")).unwrap())
            .collect();
        for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 4, 0, 3, 1]] {
            let mut syncs = Syncs::default();
            for index in order {
                syncs.enlist(&temps[index]);
            }
            let contents: Vec<_> = syncs.contents.values().collect();
            assert_eq!((contents.len(), contents[0].files), (1, 5));
            assert!(Arc::ptr_eq(&contents[0].oldest, &temps[0].shared_file()), "{order:?}");
        }
        let mut syncs = Syncs::default();
        for temp in &temps {
            syncs.enlist(temp);
        }
        for temp in temps {
            syncs.content(temp).unwrap();
        }
    }

    #[test]
    fn a_folder_that_many_share_is_waited_for_once_and_others_too() {
        let base = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| {
            std::fs::create_dir(base.path().join(name)).unwrap();
            Arc::new(Folder::open(&base.path().join(name)).unwrap())
        });
        let mut syncs = Syncs::default();
        for folder in [&one, &other, &one, &other] {
            syncs.enlist_folder(folder);
        }
        assert_eq!(syncs.waiting.len(), 2);
        syncs.make_durable();
        for folder in [one, other] {
            assert_eq!(syncs.folders.get(&folder.identity().unwrap()), Some(&Ok(())));
        }
    }

    #[test]
    fn releases_are_compared_as_numbers() {
        for (release, expected) in [
            ("5.8.0", true),
            ("5.10.0-28-amd64", true),
            ("6.1+", true),
            ("10.0", true),
            ("5.7.19", false),
            ("4.19.0", false),
            ("5", false),
            ("", false),
            ("linux", false),
        ] {
            assert_eq!(is_at_least(release, (5, 8)), expected, "{release}");
        }
    }
}
