//! A warning of symbolic links that a watch's own folders are reached by.

use std::fs;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use super::folders::folders;
use super::{Diagnostic, Entry};
use crate::model::Escaped;

/// On the way from the watched folder on no symbolic link is followed, not even to a folder: the watch would not begin.
pub(super) fn check_links(entry: &Entry) -> Vec<Diagnostic> {
    let warn = |(key, folder, place): (&str, &Path, Range<usize>)| {
        let link = link_on_the_way(&entry.watch.path, folder)?;
        let message = format!("`{key}` cannot be used");
        let label = format!("{} is a symbolic link: the watch would not begin", Escaped(&link));
        let warning = entry.document.warning(place, message).with_label(label);
        Some(warning.with_help("name the folder that it leads to, or one that is none"))
    };
    folders(entry).filter_map(warn).collect()
}

/// The first link on the way to a folder that is opened step by step from the watched one on; one that is named by its whole path, or with
/// `..` in it, is not.
fn link_on_the_way(watched: &Path, folder: &Path) -> Option<PathBuf> {
    let is_step = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    if !folder.components().all(is_step) {
        return None;
    }
    let mut path = watched.to_owned();
    folder.components().find_map(|part| {
        path.push(part);
        let is_link = fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink());
        is_link.then(|| path.clone())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file;

    #[test]
    fn a_folder_of_its_own_that_is_reached_by_a_link() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("a/real/sub")).expect("made");
        std::os::unix::fs::symlink("real", path("a/link")).expect("linked");
        for (own, link) in [
            ("real/sub", None),
            ("new/one", None),
            ("link", Some("a/link")),
            ("./link/sub", Some("a/link")),
            ("../a/link", None),
        ] {
            let found = link_on_the_way(&path("a"), Path::new(own));
            assert_eq!(found, link.map(path), "{own}");
        }
        let absolute = path("a/link");
        assert_eq!(link_on_the_way(&path("a"), &absolute), None);
        let text = "[[watch]]\npath = \"a\"\ndone-dir = \"link\"";
        let file = file::parse(&path("x.toml"), text).expect("a legal configuration");
        let told: Vec<String> = check_links(&file.watches[0]).iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].contains("x.toml:3:12") && told[0].contains("a/link is a symbolic link"),
            "{told:?}"
        );
    }
}
