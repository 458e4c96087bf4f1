//! Warnings of a watch's folders: what they are, and what they are on.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::{Diagnostic, Entry};
use crate::model::Escaped;
use crate::policy::{Select, WatcherChoice, WriterCheck};
use crate::storage::{Folder, lease_obstacle, remote_file_system};

pub(super) fn check_folder(entry: &Entry) -> Option<Diagnostic> {
    let path = &entry.watch.path;
    let label = match fs::metadata(path) {
        Ok(found) if found.is_dir() => return None,
        Ok(_) => "not a folder".to_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => "there is no such folder now".to_owned(),
        Err(error) => format!("cannot be looked at: {error}"),
    };
    let message = format!("cannot watch {}", Escaped(path));
    let warning = entry.document.warning(entry.path.clone(), message).with_label(label);
    let written = entry.written_path.to_string_lossy();
    Some(if written.starts_with('~') {
        warning.with_help("`~` is not expanded: write the folder in full")
    } else if written.contains('$') {
        warning.with_help("environment variables are not expanded: write the folder in full")
    } else if entry.written_path.is_relative() {
        warning.with_help("a relative path starts at the folder of the configuration file")
    } else {
        warning
    })
}

/// Where the kernel cannot see who writes, every file would be left alone, and nothing be told of changes.
pub(super) fn check_file_system(entry: &Entry) -> Option<Diagnostic> {
    let watch = &entry.watch;
    let folder = Folder::open(&watch.path).ok()?;
    let path = Escaped(&watch.path);
    let warning = |message: String| entry.document.warning(entry.path.clone(), message);
    if let Some(name) = remote_file_system(&folder) {
        if watch.writer_check == WriterCheck::Lease {
            let label = format!("on {name}, others may write unseen, so no lease can tell");
            let help = "writer-check = \"quiet\" trusts that a file is finished when it has been quiet for settle";
            let warning = warning(format!("files in {path} will be left alone"));
            return Some(warning.with_label(label).with_help(help));
        }
        let label = format!("changes on {name} may happen where this kernel does not see them");
        return match watch.watcher {
            WatcherChoice::Poll => None,
            WatcherChoice::Auto => {
                let warning = warning(format!("{path} will be polled every {:?}", watch.poll_interval));
                Some(
                    warning
                        .with_label(label)
                        .with_help("watcher = \"poll\" says that this is meant"),
                )
            }
            WatcherChoice::Native => {
                let warning = warning(format!("files in {path} may be noticed only after 15 minutes"));
                Some(
                    warning
                        .with_label(label)
                        .with_help("watcher = \"poll\" looks at it again and again"),
                )
            }
        };
    }
    if watch.writer_check != WriterCheck::Lease {
        return None;
    }
    let obstacle = lease_obstacle(&folder, &Arc::new(Select::new(watch).ok()?))?;
    let warning = warning(format!("files in {path} will be left alone"));
    Some(warning.with_label(format!("no lease can be had: {obstacle}")).with_help(
        "run the agent as their owner or with CAP_LEASE, as the systemd unit does, or set writer-check = \"quiet\"",
    ))
}

/// What is missing of their paths would be made, which a file in the way keeps from being done: the watch would not begin.
pub(super) fn check_places(entry: &Entry) -> Vec<Diagnostic> {
    let warn = |(key, folder, place): (&str, &Path, Range<usize>)| {
        let folder = entry.watch.path.join(folder);
        let (there, found) = folder
            .ancestors()
            .find_map(|path| Some((path, fs::metadata(path).ok()?)))?;
        if found.is_dir() {
            return None;
        }
        let message = format!("`{key}` cannot be a folder");
        let label = format!("{} is a file: the watch would not begin", Escaped(there));
        Some(entry.document.warning(place, message).with_label(label))
    };
    folders(entry).filter_map(warn).collect()
}

/// Originals are renamed into these, which no rename can do across file systems: the watch would not begin. What is missing of their
/// paths would be made where the nearest folder is that is there.
pub(super) fn check_own_folders(entry: &Entry) -> Vec<Diagnostic> {
    let watched = Folder::open(&entry.watch.path).ok();
    let warn = |(key, folder, place): (&str, &Path, Range<usize>)| {
        let folder = entry.watch.path.join(folder);
        let there = folder.ancestors().find_map(|folder| Folder::open(folder).ok())?;
        if there.can_take_from(watched.as_ref()?).unwrap_or(true) {
            return None;
        }
        let message = format!("`{key}` is on another file system than the watched folder");
        let warning = entry.document.warning(place, message);
        let help =
            "originals are moved there by a rename, which stays on one file system: name a folder on the same one";
        Some(warning.with_label("the watch would not begin").with_help(help))
    };
    own_folders(entry).filter_map(warn).collect()
}

/// The folders of a watch that are made where they are missing: the key, the folder as it is written, and where.
pub(super) fn folders(entry: &Entry) -> impl Iterator<Item = (&'static str, &Path, Range<usize>)> {
    let watch = &entry.watch;
    let outputs = watch.output_dir.as_deref().zip(entry.output_dir.clone());
    let outputs = outputs.map(|(folder, place)| ("output-dir", folder, place));
    outputs.into_iter().chain(own_folders(entry))
}

/// Those of them that originals go to.
pub(super) fn own_folders(entry: &Entry) -> impl Iterator<Item = (&'static str, &Path, Range<usize>)> {
    let watch = &entry.watch;
    let folders = [
        ("done-dir", &watch.done_dir, &entry.done_dir),
        ("failed-dir", &watch.failed_dir, &entry.failed_dir),
    ];
    folders
        .into_iter()
        .filter_map(|(key, folder, place)| Some((key, folder.as_deref()?, place.clone()?)))
}
