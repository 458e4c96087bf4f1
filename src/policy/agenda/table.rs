//! The entries of all files, and how many each watch has: in all, and of those that wait after they were found unready.

use std::collections::{BTreeMap, HashMap};

use super::files::Entry;
use super::{FileId, WatchId};

#[derive(Default)]
pub(super) struct Table {
    entries: HashMap<FileId, Entry>,
    counts: BTreeMap<WatchId, Counts>,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    known: usize,
    unready: usize,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn len_of(&self, watch: WatchId) -> usize {
        self.counts.get(&watch).map_or(0, |counts| counts.known)
    }

    pub(super) fn unready_of(&self, watch: WatchId) -> usize {
        self.counts.get(&watch).map_or(0, |counts| counts.unready)
    }

    pub(super) fn get(&self, file: &FileId) -> Option<&Entry> {
        self.entries.get(file)
    }

    /// Whether the entry waits, and is unready, must stay as it is: that is counted.
    pub(super) fn get_mut(&mut self, file: &FileId) -> Option<&mut Entry> {
        self.entries.get_mut(file)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    pub(super) fn insert(&mut self, file: FileId, entry: Entry) {
        let counts = self.counts.entry(file.watch).or_default();
        counts.add(&entry);
        if let Some(former) = self.entries.insert(file, entry) {
            counts.subtract(&former);
        }
    }

    pub(super) fn remove(&mut self, file: &FileId) {
        if let Some(former) = self.entries.remove(file)
            && let Some(counts) = self.counts.get_mut(&file.watch)
        {
            counts.subtract(&former);
            if counts.known == 0 {
                self.counts.remove(&file.watch);
            }
            self.give_back();
        }
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&FileId, &Entry) -> bool) {
        self.entries.retain(|file, entry| keep(file, entry));
        self.counts.clear();
        for (file, entry) in &self.entries {
            self.counts.entry(file.watch).or_default().add(entry);
        }
        self.give_back();
    }

    /// Room that was needed once, and seldom is, goes back: an agent that waits is to be small.
    fn give_back(&mut self) {
        const FEW: usize = 256;
        let (known, room) = (self.entries.len(), self.entries.capacity());
        if room > FEW && known < room / 8 {
            self.entries.shrink_to((2 * known).max(FEW / 2));
        }
    }
}

impl Counts {
    fn add(&mut self, entry: &Entry) {
        self.known += 1;
        self.unready += usize::from(entry.waits_unready());
    }

    fn subtract(&mut self, entry: &Entry) {
        self.known -= 1;
        self.unready -= usize::from(entry.waits_unready());
    }
}
