//! Warnings: what is legal in a configuration, but unlikely to be meant.

mod folders;
mod includes;
mod links;
mod pairs;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use super::diagnostic::Diagnostic;
use super::file::Entry;
use crate::policy::WatcherChoice;
use crate::storage::real_path;

use folders::{check_file_system, check_folder, check_own_folders, check_places};
use includes::check_includes;
use links::check_links;
use pairs::{check_overlap, check_shared_output, check_taken_again};

/// Looks at all watches together. Asks the file system whether their folders are there.
pub(super) fn warn(entries: &[Entry]) -> Vec<Diagnostic> {
    let places: Vec<PathBuf> = entries.iter().map(|entry| real_path(&entry.watch.path)).collect();
    let mut warnings = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        warnings.extend(check_folder(entry));
        warnings.extend(check_file_system(entry));
        warnings.extend(entry.hook_warnings.iter().cloned());
        warnings.extend(check_places(entry));
        warnings.extend(check_own_folders(entry));
        warnings.extend(check_links(entry));
        for earlier in 0..index {
            warnings.extend(check_overlap(
                (&entries[earlier], &places[earlier]),
                (entry, &places[index]),
            ));
            warnings.extend(check_shared_output(&entries[earlier], entry));
        }
        for (other, place) in entries
            .iter()
            .zip(&places)
            .filter(|(other, _)| !std::ptr::eq(*other, entry))
        {
            warnings.extend(check_taken_again(entry, other, place));
        }
        warnings.extend(check_includes(entry));
        warnings.extend(check_poll_interval(entry));
    }
    warnings
}

fn check_poll_interval(entry: &Entry) -> Option<Diagnostic> {
    let place = entry.poll_interval.clone()?;
    (entry.watch.watcher == WatcherChoice::Native).then(|| {
        entry
            .document
            .warning(place, "`poll-interval` has no effect")
            .with_label("`watcher` is \"native\"")
    })
}
