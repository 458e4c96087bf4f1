//! Where a path leads, for questions about paths alone. What is decided about a file is decided on a folder that is held open instead.

use std::fs::canonicalize;
use std::path::{Path, PathBuf};

/// The path without symbolic links, `.` and `..`, as far as it exists; what is missing of it is left as it is.
pub(crate) fn real_path(path: &Path) -> PathBuf {
    let there = path.ancestors().find_map(|folder| {
        let missing = path.strip_prefix(folder).ok()?;
        Some(canonicalize(folder).ok()?.join(missing))
    });
    // Joined to nothing a path ends with a slash, which is none of its components.
    there.as_deref().unwrap_or(path).components().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_and_dots_go_as_far_as_the_path_exists() {
        let base = tempfile::tempdir().unwrap();
        let real = canonicalize(base.path()).unwrap();
        fs::create_dir_all(base.path().join("a/b")).unwrap();
        symlink("a", base.path().join("link")).unwrap();
        for (path, expected) in [
            ("a/b", "a/b"),
            ("link/b", "a/b"),
            ("a/../link/./b/", "a/b"),
            ("link/new/deep", "a/new/deep"),
            ("a/b/../../new", "new"),
        ] {
            assert_eq!(real_path(&base.path().join(path)), real.join(expected), "{path}");
        }
    }
}
