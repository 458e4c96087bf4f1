//! The marker: a file beside another one, by whose arrival a program says that it has finished that one.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::patterns::PatternError;

/// How a marker is named after its file: the pattern `{name}.done` makes `a.csv.done` of `a.csv`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Marker {
    before: Vec<u8>,
    after: Vec<u8>,
}

/// What stands for the file's name.
const NAME: &str = "{name}";

impl Marker {
    /// # Errors
    ///
    /// For a pattern that makes no name of its own in the file's folder of each file, and for one that could make the name of
    /// something that is not to be removed: an output, or what dwindle has put out of a writer's way.
    pub(crate) fn new(pattern: &str) -> Result<Self, PatternError> {
        let refuse = |message: &str| {
            Err(PatternError {
                glob: pattern.to_owned(),
                message: message.to_owned(),
            })
        };
        let Some((before, after)) = pattern.split_once(NAME) else {
            return refuse("a marker needs {name} in it, which stands for the file's name, like \"{name}.done\"");
        };
        if after.contains(NAME) {
            return refuse("{name} can stand only once in a marker");
        }
        if pattern.contains('/') {
            return refuse("a marker is a name without a slash: it stands in its file's folder");
        }
        if pattern.contains('\0') {
            return refuse("a name cannot contain a NUL byte");
        }
        if pattern == NAME {
            return refuse("a file cannot be its own marker: write something before or after {name}");
        }
        if may_end_like_an_output(after) {
            return refuse("a marker cannot be named like a .gz or .zst: it is removed once its file is compressed");
        }
        if pattern.contains(".dwindle-") {
            return refuse("names with .dwindle- are dwindle's own");
        }
        Ok(Marker {
            before: before.into(),
            after: after.into(),
        })
    }

    /// The name of a file's marker.
    pub(super) fn of(&self, name: &OsStr) -> OsString {
        OsString::from_vec([&self.before, name.as_bytes(), &self.after].concat())
    }

    /// The name of the file that a marker of this name marks; nothing where it is no marker's name.
    pub(super) fn marked_by(&self, name: &OsStr) -> Option<OsString> {
        let name = name
            .as_bytes()
            .strip_prefix(&*self.before)?
            .strip_suffix(&*self.after)?;
        // These are no files' names.
        (!matches!(name, b"" | b"." | b"..")).then(|| OsStr::from_bytes(name).to_owned())
    }
}

/// Whether some file's marker could have the name of another file's output. Where nothing follows the name, the marker ends as the
/// file does, and no file that is taken ends as an output.
fn may_end_like_an_output(after: &str) -> bool {
    // Those of formats too that are not built in: another dwindle may have made them.
    const OUTPUTS: [&str; 2] = [".gz", ".zst"];
    !after.is_empty()
        && OUTPUTS
            .iter()
            .any(|output| after.ends_with(output) || output.ends_with(after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_and_its_file_lead_to_each_other() {
        let cases: [(&str, &[u8], &[u8]); 6] = [
            ("{name}.done", b"a.csv", b"a.csv.done"),
            ("{name}.done", b"a.done", b"a.done.done"),
            (".{name}.ok", b"a\n\xff", b".a\n\xff.ok"),
            ("done-{name}", b"a.csv", b"done-a.csv"),
            ("_{name}_", b"_", b"___"),
            ("{x}{name}{", b"a", b"{x}a{"),
        ];
        for (pattern, file, marker) in cases {
            let rule = Marker::new(pattern).unwrap_or_else(|problem| panic!("{problem}"));
            let (file, marker) = (OsStr::from_bytes(file), OsStr::from_bytes(marker));
            assert_eq!(rule.of(file), marker, "{pattern}");
            assert_eq!(rule.marked_by(marker).as_deref(), Some(file), "{pattern}");
        }
    }

    #[test]
    fn other_names_mark_nothing() {
        for (pattern, name) in [
            ("{name}.done", ".done"),
            ("{name}.done", "..done"),
            ("{name}.done", "...done"),
            ("{name}.done", "a.csv"),
            ("{name}.done", "a.done.csv"),
            ("{name}.done", "a.DONE"),
            ("done-{name}", "a-done-b"),
            ("done-{name}", "done-"),
            ("aa{name}aa", "aaa"),
            ("aa{name}aa", "aaaa"),
        ] {
            let rule = Marker::new(pattern).unwrap_or_else(|problem| panic!("{problem}"));
            assert_eq!(rule.marked_by(OsStr::new(name)), None, "{name} by {pattern}");
        }
    }

    #[test]
    fn patterns_that_could_not_work_or_would_cost_data_are_refused() {
        for (pattern, part) in [
            ("", "needs {name}"),
            (".done", "needs {name}"),
            ("{Name}.done", "needs {name}"),
            ("{name}-{name}", "only once"),
            ("done/{name}", "without a slash"),
            ("../{name}", "without a slash"),
            ("{name}\0", "NUL"),
            ("{name}", "its own marker"),
            ("{name}.gz", "like a .gz"),
            ("{name}.~1~.gz", "like a .gz"),
            ("{name}gz", "like a .gz"),
            ("x{name}z", "like a .gz"),
            ("{name}.zst", "or .zst"),
            ("{name}st", "or .zst"),
            ("{name}.dwindle-conflict-1", "dwindle's own"),
            (".dwindle-{name}", "dwindle's own"),
        ] {
            let problem = Marker::new(pattern).expect_err(pattern);
            assert_eq!(problem.glob, pattern);
            assert!(problem.message.contains(part), "{problem}");
        }
    }
}
