//! One watched folder as it might be: files come, grow, move and go, and the kernel tells of it, or does not.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::path::{Path, PathBuf};

use fastrand::Rng;

use super::Millis;

/// A folder that cannot be reached is back after this long.
const LONGEST_ABSENCE: Millis = 20_000;

#[allow(clippy::struct_excessive_bools)] // independent traits of a folder, not a state
pub(super) struct Folder {
    pub(super) settle: Millis,
    pub(super) poll_interval: Millis,
    /// The kernel's events are to be had.
    pub(super) native: bool,
    /// Some events never come, and nobody says so.
    pub(super) is_silent: bool,
    /// Originals stay.
    keeps: bool,
    pub(super) is_reachable: bool,
    pub(super) is_removed: bool,
    pub(super) files: BTreeMap<PathBuf, File>,
    subfolders: BTreeSet<PathBuf>,
    /// Subfolders in which events are raised.
    watched: BTreeSet<PathBuf>,
}

#[derive(Clone, Copy)]
pub(super) struct File {
    pub(super) identity: u64,
    pub(super) kind: Kind,
    /// It is being written until then.
    pub(super) written_until: Millis,
    renamed_at: Millis,
    /// Tries that are still to fail.
    pub(super) faults: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    PassedOver,
    Forbidden,
    /// Its job panics.
    Cursed,
    /// It has its `.gz`.
    Done,
}

/// What a job finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Gone,
    Subfolder,
    Unreachable,
    Forbidden,
    Faulty,
    Cursed,
    PassedOver,
    NotYet(Millis),
    Finished,
}

/// What changed.
#[derive(Debug)]
pub(super) enum Change {
    Nothing,
    /// The file has this name now, and is written until then.
    File(PathBuf, Millis),
    /// The folder appeared; with the files in it, and until when they are written.
    Subfolder(PathBuf, Vec<(PathBuf, Millis)>),
}

impl Folder {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let native = rng.u8(..6) > 0;
        let mut folder = Folder {
            settle: rng.u64(0..5_000),
            poll_interval: rng.u64(10_000..120_000),
            native,
            is_silent: native && rng.u8(..6) == 0,
            keeps: rng.u8(..4) == 0,
            is_reachable: rng.u8(..16) > 0,
            is_removed: false,
            files: BTreeMap::new(),
            subfolders: BTreeSet::from([PathBuf::new()]),
            watched: BTreeSet::new(),
        };
        for _ in 0..rng.u64(0..8) {
            folder.create(rng, 0);
        }
        folder
    }

    pub(super) fn absence(rng: &mut Rng) -> Millis {
        rng.u64(0..LONGEST_ABSENCE)
    }

    pub(super) fn change(&mut self, rng: &mut Rng, now: Millis) -> Change {
        match rng.u8(..24) {
            0..=14 => self.create(rng, now),
            15..=17 => self.rename(rng, now),
            18..=19 => {
                let name = self.pick(rng);
                name.and_then(|name| self.files.remove(&name));
                Change::Nothing
            }
            20 => self.remove_subfolder(rng),
            _ => self.make_subfolder(rng, now),
        }
    }

    pub(super) fn become_unreachable(&mut self) {
        self.is_reachable = false;
        self.watched.clear();
    }

    /// Whether the kernel tells of what has this name.
    pub(super) fn tells_of(&self, path: &Path) -> bool {
        self.native && self.watched.contains(path.parent().unwrap_or(Path::new("")))
    }

    /// The folder and what is below it are watched from now on.
    pub(super) fn watch(&mut self, folder: &Path) {
        let below = self.subfolders.iter().filter(|known| known.starts_with(folder));
        self.watched.extend(below.cloned());
    }

    /// The next files of a scan of a folder, after the last one it found, and whether these are all.
    pub(super) fn list(&self, folder: &Path, last: Option<&PathBuf>, most: usize) -> (Vec<PathBuf>, bool) {
        let after = last.map_or(Unbounded, Excluded);
        let rest = self.files.range::<PathBuf, _>((after, Unbounded)).map(|file| file.0);
        let found: Vec<PathBuf> = rest
            .filter(|path| path.starts_with(folder))
            .take(most)
            .cloned()
            .collect();
        let end = found.len() < most;
        (found, end)
    }

    pub(super) fn look(&mut self, path: &Path, now: Millis) -> Look {
        if !self.is_reachable {
            return Look::Unreachable;
        }
        if self.subfolders.contains(path) {
            return Look::Subfolder;
        }
        let settle = self.settle;
        let Some(file) = self.files.get_mut(path) else {
            return Look::Gone;
        };
        let quiet = now - file.changed(now);
        match file.kind {
            Kind::PassedOver | Kind::Done => Look::PassedOver,
            Kind::Forbidden => Look::Forbidden,
            Kind::Cursed => Look::Cursed,
            Kind::Plain if quiet < settle => Look::NotYet(settle.saturating_sub(quiet)),
            Kind::Plain if file.faults > 0 => {
                file.faults -= 1;
                Look::Faulty
            }
            Kind::Plain => Look::Finished,
        }
    }

    /// A writer comes back to the file in this very moment.
    pub(super) fn touch(&mut self, path: &Path, now: Millis) {
        if let Some(file) = self.files.get_mut(path) {
            file.renamed_at = now;
        }
    }

    /// Gives a finished file its `.gz`.
    pub(super) fn compress(&mut self, path: &Path) {
        if let Some(file) = self.files.get_mut(path) {
            file.kind = Kind::Done;
        }
        if !self.keeps {
            self.files.remove(path);
        }
    }

    fn create(&mut self, rng: &mut Rng, now: Millis) -> Change {
        let folder = rng.choice(self.subfolders.iter()).cloned().unwrap_or_default();
        let path = folder.join(format!("f{}", rng.u8(..16)));
        let file = File::new(rng, now);
        self.files.insert(path.clone(), file);
        Change::File(path, file.written_until)
    }

    fn rename(&mut self, rng: &mut Rng, now: Millis) -> Change {
        let Some((old, mut file)) = self.pick(rng).and_then(|name| self.files.remove_entry(&name)) else {
            return Change::Nothing;
        };
        file.renamed_at = now;
        let path = old.with_file_name(format!("f{}", rng.u8(..16)));
        self.files.insert(path.clone(), file);
        Change::File(path, file.written_until)
    }

    fn make_subfolder(&mut self, rng: &mut Rng, now: Millis) -> Change {
        let parent = rng.choice(self.subfolders.iter()).cloned().unwrap_or_default();
        let folder = parent.join(format!("d{}", rng.u8(..6)));
        if !self.subfolders.insert(folder.clone()) {
            return Change::Nothing;
        }
        let mut files = Vec::new();
        for number in 0..rng.u8(..5) {
            let path = folder.join(format!("f{number}"));
            let file = File::new(rng, now);
            self.files.insert(path.clone(), file);
            files.push((path, file.written_until));
        }
        Change::Subfolder(folder, files)
    }

    fn remove_subfolder(&mut self, rng: &mut Rng) -> Change {
        let below = self.subfolders.iter().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = rng.choice(below.collect::<Vec<_>>()).cloned() {
            self.subfolders.retain(|known| !known.starts_with(&folder));
            self.watched.retain(|known| !known.starts_with(&folder));
            self.files.retain(|file, _| !file.starts_with(&folder));
        }
        Change::Nothing
    }

    fn pick(&self, rng: &mut Rng) -> Option<PathBuf> {
        rng.choice(self.files.keys()).cloned()
    }
}

impl File {
    fn new(rng: &mut Rng, now: Millis) -> Self {
        let kind = match rng.u8(..20) {
            0..=1 => Kind::PassedOver,
            2..=3 => Kind::Forbidden,
            4 => Kind::Cursed,
            _ => Kind::Plain,
        };
        let takes = if rng.bool() { 0 } else { rng.u64(1..8_000) };
        File {
            identity: rng.u64(..),
            kind,
            written_until: now + takes,
            renamed_at: now,
            faults: if rng.u8(..5) == 0 { rng.u32(1..4) } else { 0 },
        }
    }

    /// The newer of mtime and ctime.
    fn changed(&self, now: Millis) -> Millis {
        self.written_until.min(now).max(self.renamed_at)
    }

    /// When it was changed last, or will have been.
    pub(super) fn finished_at(&self) -> Millis {
        self.written_until.max(self.renamed_at)
    }

    pub(super) fn bytes(&self) -> u64 {
        10 + self.identity % 1000
    }
}
