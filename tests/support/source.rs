//! The project's own source files, for the checks that read them.

use std::fs;
use std::path::{Path, PathBuf};

/// One file: where it is, relative to the package, and its text.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// Every `.rs` file below a folder of the package, sorted by path.
pub(crate) fn sources_below(folder: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    collect_sources(Path::new(folder), &mut sources);
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn collect_sources(folder: &Path, sources: &mut Vec<Source>) {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    for entry in fs::read_dir(package.join(folder)).expect("a folder of the package") {
        let entry = entry.expect("a readable folder");
        let path = folder.join(entry.file_name());
        if entry.path().is_dir() {
            collect_sources(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(entry.path()).expect("source is UTF-8");
            sources.push(Source { path, text });
        }
    }
}
