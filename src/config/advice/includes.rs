//! A warning of `include` patterns that never take a file.

use std::ops::Range;
use std::path::Path;

use super::{Diagnostic, Entry};
use crate::model::Reason;
use crate::policy::{Select, Watch};

pub(super) fn check_includes(entry: &Entry) -> Vec<Diagnostic> {
    let globs = entry.watch.include.iter().zip(&entry.include);
    let warn = |(glob, place): (&String, &Range<usize>)| {
        let reason = find_what_beats(&entry.watch, glob)?;
        let warning = entry
            .document
            .warning(place.clone(), "this `include` never takes a file");
        Some(warning.with_label(reason.to_string()))
    };
    globs.filter_map(warn).collect()
}

/// Why every file that the glob can match is passed over, told from samples of what it matches. Answers only where it is certain.
fn find_what_beats(watch: &Watch, glob: &str) -> Option<Reason> {
    if watch.exclude.iter().any(|exclude| exclude == glob) {
        return Some(Reason::Excluded(glob.to_owned()));
    }
    if glob.contains(['[', '{', '\\']) {
        return None;
    }
    let select = Select::new(&watch.clone().with_include([glob])).ok()?;
    let mut first = None;
    for sample in samples(glob) {
        match select.file(Path::new(&sample)) {
            // Filled with nothing, it is no name.
            Err(Reason::NotRegular) => {}
            Err(reason) if is_certain(&reason) => first = first.or(Some(reason)),
            _ => return None,
        }
    }
    first
}

/// Texts that the glob matches, as different as can be. The wildcards become letters that no rule spells out.
fn samples(glob: &str) -> [String; 4] {
    let fill = |glob: &str, deep, flat| glob.replace("**", deep).replace('*', flat).replace('?', "\u{f8}");
    [
        fill(glob, "\u{f8}", "\u{f8}"),
        fill(glob, "\u{f0}/\u{f0}", "\u{f0}\u{f0}"),
        fill(glob, "\u{f8}", ""),
        fill(&glob.replace("**/", ""), "\u{f8}", "\u{f8}"),
    ]
}

/// Whether what a rule says of the samples holds for everything: a class or what only a rotation makes is too fine to be met by them.
fn is_certain(reason: &Reason) -> bool {
    match reason {
        Reason::Excluded(glob) => !glob.contains('['),
        Reason::DotFile
        | Reason::OwnTemporary
        | Reason::InProgress(_)
        | Reason::CompressedSuffix(_)
        | Reason::Marker
        | Reason::InSubfolder
        | Reason::InOutputFolder
        | Reason::InDoneFolder
        | Reason::InFailedFolder => true,
        _ => false,
    }
}
