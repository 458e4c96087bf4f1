//! One watched folder as it might be: files come, grow, move and go, and the kernel tells of it, or does not.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::path::{Path, PathBuf};

use fastrand::Rng;

use super::Millis;
use crate::model::Class;

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
    /// Subfolders that cannot be listed: so many times more, or never.
    unlisted: BTreeMap<PathBuf, Option<u32>>,
}

#[derive(Clone, Copy)]
pub(super) struct File {
    /// Another one under each name that it gets.
    pub(super) identity: u64,
    pub(super) kind: Kind,
    /// It is being written until then.
    pub(super) written_until: Millis,
    renamed_at: Millis,
    /// It has a second name until then, and nothing tells when that goes.
    linked_until: Millis,
    /// Tries that are still to fail.
    faults: u32,
    /// There were such tries.
    fails: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    PassedOver,
    Forbidden,
    /// Its job panics.
    Cursed,
    /// A writer never lets go of it.
    Held,
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
    HardLinked,
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
            unlisted: BTreeMap::new(),
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
        match rng.u8(..25) {
            0..=14 => self.create(rng, now),
            15..=17 => self.rename(rng, now),
            // Removed, or moved to where nobody watches.
            18..=19 => {
                let name = self.pick(rng);
                name.and_then(|name| self.files.remove(&name));
                Change::Nothing
            }
            20 => self.remove_subfolder(rng),
            21 => self.move_subfolder(rng),
            _ => self.make_subfolder(rng, now),
        }
    }

    /// So many files that never become ready.
    pub(super) fn crowd(&mut self, rng: &mut Rng, now: Millis, count: usize) {
        for number in 0..count {
            let kind = Kind::Held;
            let file = File::new(rng, now);
            self.files.insert(format!("a{number:02}").into(), File { kind, ..file });
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

    /// A scan of a folder begins: it and what is below it are watched from now on, but for what cannot be listed, which is returned.
    pub(super) fn enter(&mut self, folder: &Path) -> Vec<(PathBuf, Class)> {
        let mut left_out: Vec<(PathBuf, Class)> = Vec::new();
        for (path, faults) in &mut self.unlisted {
            let is_reached = path.starts_with(folder) && !is_below_one(path, &left_out);
            match faults {
                _ if !is_reached => {}
                None => left_out.push((path.clone(), Class::Permanent)),
                Some(0) => {}
                Some(faults) => {
                    *faults -= 1;
                    left_out.push((path.clone(), Class::Transient));
                }
            }
        }
        let entered = self
            .subfolders
            .iter()
            .filter(|known| known.starts_with(folder) && !is_below_one(known, &left_out));
        self.watched.extend(entered.cloned());
        left_out
    }

    /// The next files of a scan, after the last one it found, and whether these are all.
    pub(super) fn list(
        &self,
        folder: &Path,
        left_out: &[(PathBuf, Class)],
        last: Option<&PathBuf>,
        most: usize,
    ) -> (Vec<PathBuf>, bool) {
        let after = last.map_or(Unbounded, Excluded);
        let rest = self.files.range::<PathBuf, _>((after, Unbounded)).map(|file| file.0);
        let found: Vec<PathBuf> = rest
            .filter(|path| path.starts_with(folder) && !is_below_one(path, left_out))
            .take(most)
            .cloned()
            .collect();
        let end = found.len() < most;
        (found, end)
    }

    /// Whether the file is where no scan will ever come.
    pub(super) fn is_shut_away(&self, path: &Path) -> bool {
        let mut never = self.unlisted.iter().filter(|(_, faults)| faults.is_none());
        never.any(|(folder, _)| path.starts_with(folder))
    }

    /// A file that is to be compressed, and is not.
    pub(super) fn open_work(&self) -> Option<&PathBuf> {
        self.find_open(|_| true)
    }

    /// The same, but for what is passed over for its second name.
    pub(super) fn unlinked_work(&self) -> Option<&PathBuf> {
        self.find_open(|file| !file.is_linked())
    }

    fn find_open(&self, counts: impl Fn(&File) -> bool) -> Option<&PathBuf> {
        let is_open = |path: &Path, file: &File| file.kind == Kind::Plain && !self.is_shut_away(path) && counts(file);
        let mut files = self.files.iter();
        files.find(|(path, file)| is_open(path, file)).map(|(path, _)| path)
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
            Kind::Held => Look::NotYet(settle.max(10_000)),
            Kind::Plain if quiet < settle => Look::NotYet(settle.saturating_sub(quiet)),
            Kind::Plain if now < file.linked_until => Look::HardLinked,
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
        file.identity = rng.u64(..);
        let elsewhere = rng.choice(self.subfolders.iter()).filter(|_| rng.bool()).cloned();
        let folder = elsewhere.unwrap_or_else(|| old.parent().unwrap_or(Path::new("")).to_owned());
        let path = folder.join(format!("f{}", rng.u8(..16)));
        self.files.insert(path.clone(), file);
        Change::File(path, file.written_until)
    }

    fn make_subfolder(&mut self, rng: &mut Rng, now: Millis) -> Change {
        let parent = rng.choice(self.subfolders.iter()).cloned().unwrap_or_default();
        let folder = parent.join(format!("d{}", rng.u8(..6)));
        if !self.subfolders.insert(folder.clone()) {
            return Change::Nothing;
        }
        match rng.u8(..10) {
            0 => drop(self.unlisted.insert(folder.clone(), Some(rng.u32(1..4)))),
            1 => drop(self.unlisted.insert(folder.clone(), None)),
            _ => {}
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
        if let Some(folder) = self.pick_subfolder(rng) {
            self.subfolders.retain(|known| !known.starts_with(&folder));
            self.watched.retain(|known| !known.starts_with(&folder));
            self.unlisted.retain(|known, _| !known.starts_with(&folder));
            self.files.retain(|file, _| !file.starts_with(&folder));
        }
        Change::Nothing
    }

    /// With all that is in it; nothing in it is changed or told of.
    fn move_subfolder(&mut self, rng: &mut Rng) -> Change {
        let Some(old) = self.pick_subfolder(rng) else {
            return Change::Nothing;
        };
        let parents = self.subfolders.iter().filter(|folder| !folder.starts_with(&old));
        let parent = rng.choice(parents.collect::<Vec<_>>()).cloned().unwrap_or_default();
        let new = parent.join(format!("d{}", rng.u8(..6)));
        if self.subfolders.contains(&new) {
            return Change::Nothing;
        }
        let moved = |path: &PathBuf| path.strip_prefix(&old).ok().map(|rest| join(&new, rest));
        self.watched.retain(|known| !known.starts_with(&old));
        self.subfolders = std::mem::take(&mut self.subfolders)
            .into_iter()
            .map(|path| moved(&path).unwrap_or(path))
            .collect();
        self.unlisted = std::mem::take(&mut self.unlisted)
            .into_iter()
            .map(|(path, faults)| (moved(&path).unwrap_or(path), faults))
            .collect();
        for (path, mut file) in std::mem::take(&mut self.files) {
            let path = moved(&path).map_or(path, |path| {
                file.identity = rng.u64(..);
                path
            });
            self.files.insert(path, file);
        }
        let files = self.files.iter().filter(|(path, _)| path.starts_with(&new));
        let files = files.map(|(path, file)| (path.clone(), file.written_until)).collect();
        Change::Subfolder(new, files)
    }

    fn pick_subfolder(&self, rng: &mut Rng) -> Option<PathBuf> {
        let below = self.subfolders.iter().filter(|folder| !folder.as_os_str().is_empty());
        rng.choice(below.collect::<Vec<_>>()).cloned()
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
        let faults = if rng.u8(..5) == 0 { rng.u32(1..4) } else { 0 };
        let takes = if rng.bool() { 0 } else { rng.u64(1..8_000) };
        File {
            identity: rng.u64(..),
            kind,
            written_until: now + takes,
            renamed_at: now,
            linked_until: if rng.u8(..20) == 0 {
                now + rng.u64(1..100_000)
            } else {
                0
            },
            faults,
            fails: faults > 0,
        }
    }

    /// The newer of mtime and ctime.
    fn changed(&self, now: Millis) -> Millis {
        let unlinked_at = Some(self.linked_until).filter(|at| *at <= now).unwrap_or_default();
        self.written_until.min(now).max(self.renamed_at).max(unlinked_at)
    }

    /// When it was changed last, or will have been.
    pub(super) fn finished_at(&self) -> Millis {
        self.written_until.max(self.renamed_at).max(self.linked_until)
    }

    /// Whether tries on it fail, or failed.
    pub(super) fn fails(&self) -> bool {
        self.fails
    }

    /// Whether it has, or once had, a second name.
    pub(super) fn is_linked(&self) -> bool {
        self.linked_until > 0
    }

    pub(super) fn bytes(&self) -> u64 {
        10 + self.identity % 1000
    }
}

fn is_below_one(path: &Path, folders: &[(PathBuf, Class)]) -> bool {
    folders.iter().any(|(folder, _)| path.starts_with(folder))
}

/// Without the slash that joining nothing would leave at the end.
fn join(folder: &Path, rest: &Path) -> PathBuf {
    folder.components().chain(rest.components()).collect()
}
