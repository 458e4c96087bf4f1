//! Rotated files that were passed over until another one comes beside them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::standing::is_successor;

/// More are left to the next sweep: each series has only a few.
const MOST: usize = 4096;

/// The files that wait for a successor. Paths are relative to the watched folder.
#[derive(Debug, Default)]
pub(crate) struct Waiting(BTreeSet<PathBuf>);

impl Waiting {
    pub(crate) fn add(&mut self, file: &Path) {
        if self.0.len() < MOST {
            self.0.insert(file.to_owned());
        }
    }

    pub(crate) fn remove(&mut self, file: &Path) {
        self.0.remove(file);
    }

    /// Takes out those that may wait for this one.
    pub(crate) fn take_for(&mut self, newcomer: &Path) -> Vec<PathBuf> {
        let Some(name) = newcomer.file_name().filter(|_| !self.0.is_empty()) else {
            return Vec::new();
        };
        let waits_for_it = |waiting: &&PathBuf| {
            waiting.parent() == newcomer.parent()
                && waiting.file_name().is_some_and(|waiting| is_successor(name, waiting))
        };
        let taken: Vec<PathBuf> = self.0.iter().filter(waits_for_it).cloned().collect();
        for file in &taken {
            self.0.remove(file);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(files: &[&str]) -> Waiting {
        let mut waiting = Waiting::default();
        for file in files {
            waiting.add(Path::new(file));
        }
        waiting
    }

    #[test]
    fn a_successor_takes_out_those_of_its_series_in_its_folder() {
        let mut waiting = waiting(&[
            "app.log-20261123",
            "app.log-20261125",
            "other.log-20261123",
            "sub/app.log-20261123",
        ]);
        assert!(waiting.take_for(Path::new("app.log-20261122")).is_empty());
        assert_eq!(
            waiting.take_for(Path::new("app.log-20261124")),
            [PathBuf::from("app.log-20261123")]
        );
        assert_eq!(
            waiting.take_for(Path::new("app.log")),
            [PathBuf::from("app.log-20261125")]
        );
        assert_eq!(
            waiting.take_for(Path::new("sub/app.log")),
            [PathBuf::from("sub/app.log-20261123")]
        );
        waiting.remove(Path::new("other.log-20261123"));
        assert!(waiting.0.is_empty());
    }

    #[test]
    fn there_is_an_end_to_it() {
        let mut waiting = Waiting::default();
        (0..2 * MOST).for_each(|number| waiting.add(Path::new(&format!("{number}.log.1"))));
        assert_eq!(waiting.0.len(), MOST);
    }
}
