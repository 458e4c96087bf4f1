//! Warnings of two watches that get in each other's way.

use std::ops::Range;
use std::path::Path;

use super::folders::own_folders;
use super::{Diagnostic, Entry};
use crate::model::Escaped;
use crate::policy::{OnConflict, Select, Watch};
use crate::storage::real_path;

pub(super) fn check_overlap(earlier: (&Entry, &Path), later: (&Entry, &Path)) -> Option<Diagnostic> {
    let ((first, first_place), (second, second_place)) = (earlier, later);
    let (message, help) = if first_place == second_place {
        if are_told_apart(&first.watch, &second.watch) {
            return None;
        }
        let message = format!("the folder {} is watched twice", Escaped(&second.watch.path));
        (
            message,
            "put the rules for it into one watch, or give each an `include` of its own",
        )
    } else if covers(&first.watch, first_place, second_place) || covers(&second.watch, second_place, first_place) {
        let [first, second] = [first, second].map(|entry| Escaped(&entry.watch.path));
        let message = format!("two watches overlap: {first} and {second}");
        (
            message,
            "exclude the inner folder from the outer watch, like exclude = [\"inner/\"]",
        )
    } else {
        return None;
    };
    let warning = second.document.warning(second.path.clone(), message);
    let there = first.document.line_of(first.path.clone());
    let label = format!("the other one is at {there}");
    Some(warning.with_label(label).with_help(help))
}

/// Another watch, at `place`, would take what this one is done with; two such would hand it to each other for ever.
pub(super) fn check_taken_again(entry: &Entry, other: &Entry, place: &Path) -> Vec<Diagnostic> {
    let warn = |(key, folder, written): (&str, &Path, Range<usize>)| {
        let folder = real_path(&entry.watch.path.join(folder));
        if folder != place && !covers(&other.watch, place, &folder) {
            return None;
        }
        let message = format!("`{key}` lies in another watched folder, {}", Escaped(&other.watch.path));
        let there = other.document.line_of(other.path.clone());
        let warning = entry.document.warning(written, message);
        let label = format!("what comes there is taken again by the watch at {there}");
        Some(
            warning
                .with_label(label)
                .with_help("name a folder that no watch looks into"),
        )
    };
    own_folders(entry).filter_map(warn).collect()
}

/// With `replace`, files of one name from two folders would take each other's place.
pub(super) fn check_shared_output(first: &Entry, second: &Entry) -> Option<Diagnostic> {
    let folder = |watch: &Watch| Some(real_path(&watch.path.join(watch.output_dir.as_ref()?)));
    let replaces = [first, second]
        .iter()
        .any(|entry| entry.watch.on_conflict == OnConflict::Replace);
    if !replaces || folder(&first.watch)? != folder(&second.watch)? {
        return None;
    }
    let there = first.document.line_of(first.output_dir.clone()?);
    let message = "two watches have the same `output-dir`, and `on-conflict` is \"replace\"";
    let warning = second.document.warning(second.output_dir.clone()?, message);
    Some(
        warning
            .with_label(format!("the other one is at {there}"))
            .with_help("files with the same name replace each other's outputs: use two folders, or \"number\""),
    )
}

/// Whether each says itself what it takes, and not the same.
fn are_told_apart(one: &Watch, other: &Watch) -> bool {
    let says = |watch: &Watch| !watch.include.is_empty();
    says(one) && says(other) && !one.include.iter().any(|pattern| other.include.contains(pattern))
}

/// Whether the watch, which stands at `outer`, looks into `inner`, a folder below it.
fn covers(watch: &Watch, outer: &Path, inner: &Path) -> bool {
    let Ok(relative) = inner.strip_prefix(outer) else {
        return false;
    };
    Select::new(watch).is_ok_and(|select| select.folder(relative).is_ok())
}
