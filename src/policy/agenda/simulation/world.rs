//! Watched folders as they might be: files come, grow, move and go, with or without anybody being told.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fastrand::Rng;

use super::super::{Outcome, Timing, WatchId};
use crate::model::Class;

/// Milliseconds since the start.
pub(super) type Millis = u64;

#[allow(clippy::struct_excessive_bools)] // four independent traits of a folder, not a state
pub(super) struct Folder {
    pub(super) watch: WatchId,
    pub(super) timing: Timing,
    /// Events are missing without a word, and only sweeps find what they would have told.
    pub(super) is_silent: bool,
    /// Originals stay.
    keeps: bool,
    pub(super) files: BTreeMap<PathBuf, File>,
    subfolders: BTreeSet<PathBuf>,
    pub(super) is_reachable: bool,
    /// Events are raised; not so from the folder's loss until it is scanned again.
    pub(super) is_watched: bool,
    scan: Option<(PathBuf, Option<PathBuf>)>,
}

#[derive(Clone, Copy)]
pub(super) struct File {
    identity: u64,
    pub(super) kind: Kind,
    /// It is being written until then.
    written_until: Millis,
    renamed_at: Millis,
    /// Tries that are still to fail.
    faults: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    PassedOver,
    Forbidden,
    /// A writer never lets go of it.
    Held,
    /// Every try fails.
    Failing,
}

/// What a worker saw when it began: by it the end is judged.
#[derive(Clone, Copy)]
pub(super) enum Look {
    Answer(Outcome),
    Compress { identity: u64 },
}

/// What changed.
#[derive(Debug)]
pub(super) enum Change {
    Nothing,
    /// The file has this name now, and is written until then.
    File(PathBuf, Millis),
    /// The folder appeared; with the files in it that are still being written.
    Subfolder(PathBuf, Vec<(PathBuf, Millis)>),
}

impl Folder {
    pub(super) fn new(watch: WatchId, rng: &mut Rng) -> Self {
        let is_silent = rng.u8(..4) == 0;
        let settle = Duration::from_millis(rng.u64(0..5_000));
        let rescan_every = if is_silent {
            Duration::from_secs(rng.u64(5..60))
        } else {
            Duration::from_secs(3 * 60 * 60)
        };
        let mut folder = Folder {
            watch,
            timing: Timing { settle, rescan_every },
            is_silent,
            keeps: rng.u8(..4) == 0,
            files: BTreeMap::new(),
            subfolders: BTreeSet::from([PathBuf::new()]),
            is_reachable: true,
            is_watched: true,
            scan: None,
        };
        for _ in 0..rng.u64(0..12) {
            folder.create(rng, 0);
        }
        folder
    }

    pub(super) fn change(&mut self, rng: &mut Rng, now: Millis) -> Change {
        match rng.u8(..20) {
            0..=12 => self.create(rng, now),
            13..=15 => self.rename(rng, now),
            16..=17 => {
                let name = self.pick(rng);
                name.and_then(|name| self.files.remove(&name));
                Change::Nothing
            }
            _ => self.make_subfolder(rng, now),
        }
    }

    /// A scan from the folder's beginning.
    pub(super) fn begin_scan(&mut self, folder: &Path) {
        self.scan = Some((folder.to_owned(), None));
        self.is_watched |= self.is_reachable && folder.as_os_str().is_empty();
    }

    /// The next files of the scan, and whether it has ended; nothing where the folder cannot be reached.
    pub(super) fn scan_on(&mut self, most: usize, rng: &mut Rng) -> Option<(Vec<PathBuf>, bool)> {
        let (folder, last) = self.scan.take().filter(|_| self.is_reachable)?;
        let after = last.as_ref().map_or(Unbounded, Excluded);
        let mut rest = self.files.range::<PathBuf, _>((after, Unbounded)).map(|file| file.0);
        let batch = rng.usize(1..=most.min(8));
        let found: Vec<PathBuf> = rest
            .by_ref()
            .filter(|path| path.starts_with(&folder))
            .take(batch)
            .cloned()
            .collect();
        let end = found.len() < batch;
        if let Some(last) = found.last().cloned().filter(|_| !end) {
            self.scan = Some((folder, Some(last)));
        }
        Some((found, end))
    }

    pub(super) fn look(&mut self, path: &Path, now: Millis) -> Look {
        if !self.is_reachable {
            return Look::Answer(Outcome::Failed(Class::Transient));
        }
        if self.subfolders.contains(path) {
            return Look::Answer(Outcome::Folder);
        }
        let settle = self.timing.settle;
        let Some(file) = self.files.get_mut(path) else {
            return Look::Answer(Outcome::Gone);
        };
        let quiet = Duration::from_millis(now - file.changed(now));
        match file.kind {
            Kind::PassedOver => Look::Answer(Outcome::Skipped),
            Kind::Forbidden => Look::Answer(Outcome::Failed(Class::Permanent)),
            Kind::Held => Look::Answer(Outcome::InUse),
            Kind::Failing => Look::Answer(Outcome::Failed(Class::Transient)),
            Kind::Plain if quiet < settle => Look::Answer(Outcome::NotYet(settle.saturating_sub(quiet))),
            Kind::Plain if file.faults > 0 => {
                file.faults -= 1;
                let is_full = file.identity.is_multiple_of(5);
                Look::Answer(if is_full {
                    Outcome::NoRoom
                } else {
                    Outcome::Failed(Class::Transient)
                })
            }
            Kind::Plain => Look::Compress {
                identity: file.identity,
            },
        }
    }

    /// The end of the work on a file, which by now may be another one.
    pub(super) fn compress(&mut self, path: &Path, seen: u64, began: Millis, now: Millis) -> Outcome {
        if !self.is_reachable {
            return Outcome::Failed(Class::Transient);
        }
        let settle = self.timing.settle;
        let Some(file) = self.files.get_mut(path) else {
            return Outcome::Gone;
        };
        if file.identity != seen || file.changed(now) > began {
            return Outcome::NotYet(settle);
        }
        file.kind = Kind::PassedOver;
        if !self.keeps {
            self.files.remove(path);
        }
        Outcome::Compressed {
            bytes_in: 10 + seen % 1000,
            bytes_out: 10,
        }
    }

    /// What is to be compressed, and is not.
    pub(super) fn open_work(&self) -> impl Iterator<Item = &PathBuf> {
        let open = self.files.iter().filter(|(_, file)| file.kind == Kind::Plain);
        open.map(|(path, _)| path)
    }

    /// Many files that are not ready for long, or never. Returns the file, and when its writer is done.
    pub(super) fn crowd(&mut self, rng: &mut Rng, now: Millis, count: usize) -> Vec<(PathBuf, Millis)> {
        let mut written = Vec::new();
        for number in 0..count {
            let mut file = File::new(rng, now);
            match rng.u8(..4) {
                0 => file.kind = Kind::Failing,
                1 => file.written_until = now + rng.u64(20_000..120_000),
                _ => file.kind = Kind::Held,
            }
            let path = PathBuf::from(format!("a{number:02}"));
            self.files.insert(path.clone(), file);
            written.push((path, file.written_until));
        }
        written
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
        let mut written = Vec::new();
        for number in 0..rng.u8(..5) {
            let path = folder.join(format!("f{number}"));
            let file = File::new(rng, now);
            self.files.insert(path.clone(), file);
            if file.written_until > now {
                written.push((path, file.written_until));
            }
        }
        Change::Subfolder(folder, written)
    }

    fn pick(&self, rng: &mut Rng) -> Option<PathBuf> {
        rng.choice(self.files.keys()).cloned()
    }
}

impl File {
    fn new(rng: &mut Rng, now: Millis) -> Self {
        let kind = match rng.u8(..10) {
            0 => Kind::PassedOver,
            1 => Kind::Forbidden,
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
}
