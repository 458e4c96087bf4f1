//! The `include` and `exclude` globs of a watch.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};

/// A pattern of `include`, `exclude` or `marker` that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pattern {glob:?} can't be used: {message}")]
#[non_exhaustive]
pub struct PatternError {
    /// The pattern as it was given.
    pub glob: String,
    /// What is wrong with it.
    pub message: String,
}

/// Compiled globs. One without a slash is matched against the name; one with a slash against the path relative to the watched
/// folder. A slash at the beginning, `./`, or the watched folder itself may stand before; a slash at the end means all below.
#[derive(Clone, Debug, Default)]
pub(super) struct Patterns {
    names: Group,
    paths: Group,
    /// Of the globs that end in `/**`, what is before that: the folders of which they match everything.
    trees: Group,
}

impl Patterns {
    /// # Errors
    ///
    /// For the first glob that is empty, malformed, or leads out of `root`.
    pub(super) fn new(globs: &[String], root: &Path) -> Result<Self, PatternError> {
        let (mut names, mut paths, mut trees) = (Vec::new(), Vec::new(), Vec::new());
        for glob in globs {
            let anchored = strip_root(glob, root);
            let relative = anchored.trim_start_matches('/');
            if relative.is_empty() || relative == "." {
                return Err(error(glob, "it matches nothing"));
            }
            if relative.split('/').any(|part| part == "..") {
                return Err(error(glob, "it leads out of the watched folder"));
            }
            if let Some(tree) = relative.strip_suffix("/**").or_else(|| relative.strip_suffix('/')) {
                trees.push((glob, tree.to_owned()));
                paths.push((glob, format!("{tree}/**")));
            } else if anchored.contains('/') || anchored.len() < glob.len() {
                paths.push((glob, relative.to_owned()));
            } else {
                names.push((glob, relative.to_owned()));
            }
        }
        Ok(Patterns {
            names: Group::new(&names)?,
            paths: Group::new(&paths)?,
            trees: Group::new(&trees)?,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.globs.is_empty() && self.paths.globs.is_empty()
    }

    /// The first glob, as it was given, that matches the name or path of a file.
    pub(super) fn find_file(&self, path: &[u8]) -> Option<&str> {
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
        self.names.find(name).or_else(|| self.paths.find(path))
    }

    /// The first glob that matches a folder, or everything below it.
    pub(super) fn find_folder(&self, path: &[u8]) -> Option<&str> {
        self.find_file(path).or_else(|| self.trees.find(path))
    }
}

/// Globs that are matched against the same thing, each with the text it was given as.
#[derive(Clone, Debug, Default)]
struct Group {
    set: GlobSet,
    globs: Vec<String>,
}

impl Group {
    fn new(globs: &[(&String, String)]) -> Result<Self, PatternError> {
        let mut set = GlobSetBuilder::new();
        for (given, glob) in globs {
            let glob = GlobBuilder::new(glob).literal_separator(true).build();
            set.add(glob.map_err(|problem| error(given, &problem.kind().to_string()))?);
        }
        let set = set
            .build()
            .map_err(|problem| error(problem.glob().unwrap_or_default(), &problem.kind().to_string()))?;
        Ok(Group {
            set,
            globs: globs.iter().map(|(given, _)| (*given).clone()).collect(),
        })
    }

    fn find(&self, text: &[u8]) -> Option<&str> {
        if self.globs.is_empty() {
            return None;
        }
        let candidate = Candidate::new(OsStr::from_bytes(text));
        if !self.set.is_match_candidate(&candidate) {
            return None;
        }
        let first = self.set.matches_candidate(&candidate).into_iter().min()?;
        self.globs.get(first).map(String::as_str)
    }
}

/// The glob from the watched folder on: without `./`, or without the folder's own path for who writes globs absolutely.
fn strip_root<'a>(glob: &'a str, root: &Path) -> &'a str {
    let below_root = || {
        let root = root.to_str()?.trim_end_matches('/');
        glob.strip_prefix(root)
            .filter(|rest| !root.is_empty() && rest.starts_with('/'))
    };
    glob.strip_prefix("./").or_else(below_root).unwrap_or(glob)
}

fn error(glob: &str, message: &str) -> PatternError {
    PatternError {
        glob: glob.to_owned(),
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(globs: &[&str]) -> Result<Patterns, PatternError> {
        let globs: Vec<String> = globs.iter().map(|&glob| glob.to_owned()).collect();
        Patterns::new(&globs, Path::new("/srv/inbox/"))
    }

    #[test]
    fn a_bad_pattern_is_named() {
        let cases = [
            ("[a", "unclosed character class; missing ']'"),
            (
                "x/{a,b",
                "unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)",
            ),
            ("", "it matches nothing"),
            ("/", "it matches nothing"),
            ("../other/*.csv", "it leads out of the watched folder"),
        ];
        for (glob, message) in cases {
            let problem = compile(&["*.csv", glob]).expect_err(glob);
            assert_eq!(
                problem,
                PatternError {
                    glob: glob.into(),
                    message: message.into()
                }
            );
            assert_eq!(
                problem.to_string(),
                format!("the pattern {glob:?} can't be used: {message}")
            );
        }
    }

    #[test]
    fn the_first_pattern_that_matches_is_named_as_it_was_given() {
        let patterns = compile(&["*.csv", "./a/*", "a*", "/srv/inbox/b/"]).expect("they are valid");
        assert_eq!(patterns.find_file(b"a/x.csv"), Some("*.csv"));
        assert_eq!(patterns.find_file(b"a/x.txt"), Some("./a/*"));
        assert_eq!(patterns.find_file(b"b/x.txt"), Some("/srv/inbox/b/"));
        assert_eq!(patterns.find_file(b"b"), None);
        assert_eq!(patterns.find_folder(b"b"), Some("/srv/inbox/b/"));
        assert_eq!(patterns.find_file(b"\xff/a\xff"), Some("a*"));
    }
}
