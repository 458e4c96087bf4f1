//! The entries of all files, and how many each watch has.

use std::collections::{BTreeMap, HashMap};

use super::files::Entry;
use super::{FileId, WatchId};

#[derive(Default)]
pub(super) struct Table {
    entries: HashMap<FileId, Entry>,
    counts: BTreeMap<WatchId, usize>,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn len_of(&self, watch: WatchId) -> usize {
        self.counts.get(&watch).copied().unwrap_or(0)
    }

    pub(super) fn get(&self, file: &FileId) -> Option<&Entry> {
        self.entries.get(file)
    }

    pub(super) fn get_mut(&mut self, file: &FileId) -> Option<&mut Entry> {
        self.entries.get_mut(file)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    pub(super) fn insert(&mut self, file: FileId, entry: Entry) {
        let watch = file.watch;
        if self.entries.insert(file, entry).is_none() {
            *self.counts.entry(watch).or_default() += 1;
        }
    }

    pub(super) fn remove(&mut self, file: &FileId) {
        if self.entries.remove(file).is_some() {
            self.count_down(file.watch);
        }
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&FileId, &Entry) -> bool) {
        self.entries.retain(|file, entry| keep(file, entry));
        self.counts.clear();
        for file in self.entries.keys() {
            *self.counts.entry(file.watch).or_default() += 1;
        }
    }

    fn count_down(&mut self, watch: WatchId) {
        if let Some(count) = self.counts.get_mut(&watch) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&watch);
            }
        }
    }
}
