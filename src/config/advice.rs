//! Warnings: what is legal in a configuration, but unlikely to be meant.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::diagnostic::Diagnostic;
use super::file::Entry;
use super::links::check_links;
use crate::model::{Escaped, Reason};
use crate::policy::{OnConflict, Select, Watch, WatcherChoice, WriterCheck};
use crate::storage::{Folder, lease_obstacle, real_path, remote_file_system};

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

fn check_folder(entry: &Entry) -> Option<Diagnostic> {
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
fn check_file_system(entry: &Entry) -> Option<Diagnostic> {
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
fn check_places(entry: &Entry) -> Vec<Diagnostic> {
    let watch = &entry.watch;
    let outputs = watch.output_dir.as_ref().zip(entry.output_dir.clone());
    let outputs = outputs.map(|(folder, place)| ("output-dir", watch.path.join(folder), place));
    let warn = |(key, folder, place): (&str, PathBuf, Range<usize>)| {
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
    outputs.into_iter().chain(own_folders(entry)).filter_map(warn).collect()
}

/// Originals are renamed into these, which no rename can do across file systems: the watch would not begin. What is missing of their
/// paths would be made where the nearest folder is that is there.
fn check_own_folders(entry: &Entry) -> Vec<Diagnostic> {
    let watched = Folder::open(&entry.watch.path).ok();
    let warn = |(key, folder, place): (&str, PathBuf, Range<usize>)| {
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

/// Another watch, at `place`, would take what this one is done with; two such would hand it to each other for ever.
fn check_taken_again(entry: &Entry, other: &Entry, place: &Path) -> Vec<Diagnostic> {
    let warn = |(key, folder, written): (&str, PathBuf, Range<usize>)| {
        let folder = real_path(&folder);
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

/// Where the originals of a watch go: the key, the folder, and where that is written.
fn own_folders(entry: &Entry) -> impl Iterator<Item = (&'static str, PathBuf, Range<usize>)> {
    let watch = &entry.watch;
    let folders = [
        ("done-dir", &watch.done_dir, &entry.done_dir),
        ("failed-dir", &watch.failed_dir, &entry.failed_dir),
    ];
    folders
        .into_iter()
        .filter_map(|(key, folder, place)| Some((key, watch.path.join(folder.as_ref()?), place.clone()?)))
}

/// Whether each says itself what it takes, and not the same.
fn are_told_apart(one: &Watch, other: &Watch) -> bool {
    let says = |watch: &Watch| !watch.include.is_empty();
    says(one) && says(other) && !one.include.iter().any(|pattern| other.include.contains(pattern))
}

fn check_overlap(earlier: (&Entry, &Path), later: (&Entry, &Path)) -> Option<Diagnostic> {
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

/// Whether the watch, which stands at `outer`, looks into `inner`, a folder below it.
fn covers(watch: &Watch, outer: &Path, inner: &Path) -> bool {
    let Ok(relative) = inner.strip_prefix(outer) else {
        return false;
    };
    Select::new(watch).is_ok_and(|select| select.folder(relative).is_ok())
}

/// With `replace`, files of one name from two folders would take each other's place.
fn check_shared_output(first: &Entry, second: &Entry) -> Option<Diagnostic> {
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

fn check_poll_interval(entry: &Entry) -> Option<Diagnostic> {
    let place = entry.poll_interval.clone()?;
    (entry.watch.watcher == WatcherChoice::Native).then(|| {
        entry
            .document
            .warning(place, "`poll-interval` has no effect")
            .with_label("`watcher` is \"native\"")
    })
}

fn check_includes(entry: &Entry) -> Vec<Diagnostic> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file;

    /// The warnings for a configuration file that stands in `folder`, where `a`, `a/b` and `c` are.
    fn warnings(text: &str) -> Vec<String> {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["a/b", "c"] {
            fs::create_dir_all(folder.path().join(name)).expect("made");
        }
        let path = folder.path().join("x.toml");
        let file = file::parse(&path, text).expect("a legal configuration");
        let root = format!("{}/", folder.path().display());
        let print = |warning: &Diagnostic| warning.to_string().replace(&root, "");
        warn(&file.watches).iter().map(print).collect()
    }

    fn labels(watch: &str) -> Vec<String> {
        let label = |warning: String| {
            let (_, label) = warning.split_once("^ ").expect("has a label");
            label.to_owned()
        };
        warnings(&format!("[[watch]]\npath = \"a\"\n{watch}"))
            .into_iter()
            .map(label)
            .collect()
    }

    #[test]
    fn a_file_where_a_folder_would_be_is_warned_of() {
        for key in ["output-dir", "done-dir", "failed-dir"] {
            for path in ["../x.toml", "../x.toml/below"] {
                let folder = tempfile::tempdir().expect("a folder");
                fs::create_dir(folder.path().join("a")).expect("made");
                let text = format!("[[watch]]\npath = \"a\"\n{key} = \"{path}\"");
                let config = folder.path().join("x.toml");
                fs::write(&config, &text).expect("written");
                let file = file::parse(&config, &text).expect("a legal configuration");
                let printed: Vec<String> = warn(&file.watches).iter().map(ToString::to_string).collect();
                let expected = [
                    format!("`{key}` cannot be a folder"),
                    "the watch would not begin".to_owned(),
                ];
                assert_eq!(printed.len(), 1, "{printed:?}");
                assert!(expected.iter().all(|words| printed[0].contains(words)), "{printed:?}");
            }
        }
    }

    #[test]
    fn two_watches_on_one_folder_that_take_different_files_are_meant() {
        let twice = |first: &str, second: &str| {
            let watch = |include: &str| format!("[[watch]]\npath = \"a\"\n{include}\n");
            warnings(&(watch(first) + &watch(second))).len()
        };
        assert_eq!(twice("include = [\"*.csv\"]", "include = [\"*.log\"]"), 0);
        assert_eq!(twice("include = [\"*.csv\"]", ""), 1);
        assert_eq!(twice("include = [\"*.csv\", \"*.x\"]", "include = [\"*.x\"]"), 1);
    }

    #[test]
    fn a_sound_configuration_has_no_warnings() {
        let text = r#"
[[watch]]
path = "a"
recursive = false
include = ["*.csv", "**/*.txt", "*", "*.g?", "*.{gz,csv}", "log.*"]
exclude = ["a*.csv", "**/tmp/**", "*.[!c]*"]
output-dir = "out"
on-conflict = "replace"
[[watch]]
path = "a/b"
output-dir = "out"
[[watch]]
path = "c"
writer-check = "quiet"
marker = "{name}.done"
include = ["*.csv", "*.d?ne"]
watcher = "poll"
poll-interval = "1s"
"#;
        assert_eq!(warnings(text), [""; 0]);
    }

    #[test]
    fn a_missing_folder() {
        let expected = "\
warning: cannot watch ~/inbox
  --> x.toml:2:8
   |
 2 | path = \"~/inbox\"
   |        ^^^^^^^^^ there is no such folder now
   = help: `~` is not expanded: write the folder in full";
        assert_eq!(warnings("[[watch]]\npath = \"~/inbox\""), [expected]);
        for (path, part) in [
            ("x", "help: a relative path starts at"),
            ("$HOME/x", "help: environment variables are not"),
            ("/nowhere", "there is no such folder now"),
            ("/dev/null", "^ not a folder"),
            ("/dev/null/x", "^ cannot be looked at: Not a directory"),
        ] {
            let found = warnings(&format!("[[watch]]\npath = \"{path}\""));
            assert!(found.len() == 1 && found[0].contains(part), "{found:?}");
        }
    }

    #[test]
    fn a_folder_for_done_files_that_another_watch_would_take_from() {
        for (keys, taken) in [
            ("done-dir = \"../c\"", true),
            ("failed-dir = \"../c/failed\"", true),
            ("done-dir = \"done\"", false),
            ("failed-dir = \"../d\"", false),
        ] {
            let found = warnings(&format!("[[watch]]\npath = \"a\"\n{keys}\n[[watch]]\npath = \"c\""));
            assert_eq!(found.len(), usize::from(taken), "{keys}: {found:?}");
            let told = |warning: &String| warning.contains("taken again by the watch at x.toml:5");
            assert!(found.iter().all(told), "{keys}: {found:?}");
        }
    }

    #[test]
    fn two_watches_on_one_folder_and_one_inside_another() {
        let expected = "\
warning: the folder a/../a is watched twice
  --> x.toml:4:8
   |
 4 | path = \"a/../a\"
   |        ^^^^^^^^ the other one is at x.toml:2
   = help: put the rules for it into one watch, or give each an `include` of its own";
        assert_eq!(
            warnings("[[watch]]\npath = \"a\"\n[[watch]]\npath = \"a/../a\""),
            [expected]
        );
        for (outer, overlap) in [
            ("", true),
            ("exclude = [\"b/**\"]", false),
            ("recursive = false", false),
        ] {
            for text in [
                format!("[[watch]]\npath = \"a\"\n{outer}\n[[watch]]\npath = \"a/b\""),
                format!("[[watch]]\npath = \"a/b\"\n[[watch]]\npath = \"a\"\n{outer}"),
            ] {
                let found = warnings(&text);
                let told = found.len() == 1 && found[0].starts_with("warning: two watches overlap: a");
                assert_eq!(told, overlap, "{text}: {found:?}");
            }
        }
    }

    #[test]
    fn a_shared_output_folder_with_replacement() {
        let text = |conflict: &str| {
            let output = format!("output-dir = \"/nowhere/out\"\non-conflict = \"{conflict}\"");
            format!("[[watch]]\npath = \"a\"\n{output}\n[[watch]]\npath = \"c\"\n{output}")
        };
        let expected = "\
warning: two watches have the same `output-dir`, and `on-conflict` is \"replace\"
  --> x.toml:7:14
   |
 7 | output-dir = \"/nowhere/out\"
   |              ^^^^^^^^^^^^^^ the other one is at x.toml:3
   = help: files with the same name replace each other's outputs: use two folders, or \"number\"";
        assert_eq!(warnings(&text("replace")), [expected]);
        assert_eq!(warnings(&text("number")), [""; 0]);
    }

    #[test]
    fn a_poll_interval_for_a_folder_that_is_never_polled() {
        let expected = "\
warning: `poll-interval` has no effect
  --> x.toml:4:17
   |
 4 | poll-interval = \"1s\"
   |                 ^^^^ `watcher` is \"native\"";
        let text = "[[watch]]\npath = \"a\"\nwatcher = \"native\"\npoll-interval = \"1s\"";
        assert_eq!(warnings(text), [expected]);
    }

    #[test]
    fn an_include_that_is_always_beaten() {
        let expected = "\
warning: this `include` never takes a file
  --> x.toml:3:21
   |
 3 | include = [\"*.csv\", \"*.gz\"]
   |                     ^^^^^^ compressed already, by its suffix (.gz)";
        let text = "[[watch]]\npath = \"a\"\ninclude = [\"*.csv\", \"*.gz\"]";
        assert_eq!(warnings(text), [expected]);
        for (watch, expected) in [
            (
                r#"include = ["x/**/*.tar.xz"]"#,
                "compressed already, by its suffix (.xz)",
            ),
            (r#"include = [".*"]"#, "dot-files and dot-folders are never taken"),
            (
                r#"include = [".cache/*.js"]"#,
                "dot-files and dot-folders are never taken",
            ),
            (
                r#"include = ["*.part"]"#,
                "the name says that it is still being written (*.part)",
            ),
            (
                "include = [\"*.csv\"]\nexclude = [\"*.csv\"]",
                "the exclude pattern \"*.csv\" matches",
            ),
            (
                "include = [\"*.[ct]sv\"]\nexclude = [\"*.[ct]sv\"]",
                "the exclude pattern \"*.[ct]sv\" matches",
            ),
            (
                "include = [\"a*.csv\"]\nexclude = [\"*.csv\"]",
                "the exclude pattern \"*.csv\" matches",
            ),
            (
                "include = [\"x/**\"]\nexclude = [\"x/\"]",
                "the exclude pattern \"x/\" matches",
            ),
            (
                "include = [\"*.done\"]\nmarker = \"{name}.done\"",
                "it only marks another file as finished",
            ),
            (
                "include = [\"x/*.csv\"]\nrecursive = false",
                "it lies in a subfolder, and the watch is not recursive",
            ),
            (
                "include = [\"x/*.csv\"]\noutput-dir = \"x\"",
                "it lies in the watch's output folder",
            ),
        ] {
            assert_eq!(labels(watch), [expected], "{watch}");
        }
    }

    #[test]
    fn an_include_of_which_something_is_left_is_not_warned_of() {
        for watch in [
            "include = [\"*.csv\"]\nexclude = [\"a*.csv\"]",
            "include = [\"a*b\"]\nexclude = [\"a?*b\"]",
            "include = [\"a/**\"]\nexclude = [\"a/*.csv\"]",
            "include = [\"*\"]\nexclude = [\"[!a]*\"]",
            "include = [\"*.[gx]z\"]",
            "include = [\"gz\"]",
            "include = [\"*.csv\"]\nexclude = [\"[!a]*\"]",
            "include = [\"**/*.csv\"]\nrecursive = false",
            "include = [\"*.php\"]\npreset = \"static-assets\"",
            "include = [\"*.log\"]\npreset = \"rotated-logs\"",
        ] {
            assert_eq!(labels(watch), [""; 0], "{watch}");
        }
    }
}
