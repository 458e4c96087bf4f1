//! Which files are read, in which order, and how they become one configuration.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::retry_on_intr;

use super::advice;
use super::diagnostic::{Diagnostic, Document};
use super::file::{self, Entry, File};
use super::metrics;
use super::{Config, Log};
use crate::model::Escaped;

/// Where the configuration stands when no file is named.
const ROOT: &str = "/etc/dwindle";
/// A larger file is no configuration, but a device or a mistake.
const LARGEST_FILE: u64 = 1024 * 1024;
/// So many seconds who writes to a pipe may take until something comes.
const LONGEST_WAIT: i64 = 5;

/// A configuration that can be used.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    /// The files it comes from, in the order in which they were merged. None: nothing was named and nothing stands at `/etc/dwindle`.
    pub(crate) files: Vec<PathBuf>,
    /// Of each watch, where it stands: `FILE:LINE`.
    pub(crate) places: Vec<String>,
    /// What is legal, but unlikely to be meant.
    pub(crate) warnings: Vec<Diagnostic>,
}

/// Reads and merges the files named, or with none the [default ones](default_files). Later files override single values; their
/// watches are added. Blocks on the file system, also to look whether the watched folders are there.
///
/// # Errors
///
/// Everything that is wrong, in all files.
pub(crate) fn load(files: &[PathBuf]) -> Result<Loaded, Vec<Diagnostic>> {
    let Merged {
        files,
        mut config,
        entries,
        published,
    } = read_all(files)?;
    if let Some(problem) = metrics::refuse(&published, &entries) {
        return Err(vec![problem]);
    }
    let mut warnings = advice::warn(&entries);
    warnings.extend(metrics::warn(&published));
    let places = entries.iter().map(|entry| entry.document.line_of(entry.path.clone()));
    let places = places.collect();
    config.watches = entries.into_iter().map(|entry| entry.watch).collect();
    Ok(Loaded {
        config,
        files,
        places,
        warnings,
    })
}

/// What is wrong with a configuration that watches nothing. It is one all the same, which a drop-in may add to.
pub(crate) fn nothing_watched() -> Diagnostic {
    Diagnostic::error("nothing is watched: the configuration has no [[watch]]")
        .with_help("add [[watch]] and below it a line like path = \"/srv/inbox\"")
}

/// The control socket that the files which [`load`] reads name. Looks at nothing else.
///
/// # Errors
///
/// As [`load`].
pub(crate) fn control_socket(files: &[PathBuf]) -> Result<Option<PathBuf>, Vec<Diagnostic>> {
    read_all(files).map(|merged| merged.config.control_socket)
}

/// What all files say together; the watches are apart still.
struct Merged {
    files: Vec<PathBuf>,
    config: Config,
    entries: Vec<Entry>,
    published: metrics::Keys,
}

fn read_all(files: &[PathBuf]) -> Result<Merged, Vec<Diagnostic>> {
    let files = if files.is_empty() {
        default_files().map_err(|error| {
            let message = format!("cannot look for configuration files in {ROOT}: {error}");
            vec![Diagnostic::error(message)]
        })?
    } else {
        files.to_vec()
    };
    let mut config = Config::default();
    let mut entries = Vec::new();
    let mut published = metrics::Keys::default();
    let mut problems = Vec::new();
    for path in &files {
        match read(path).and_then(|text| file::parse(path, &text)) {
            Ok(file) => merge(&mut config, &mut entries, &mut published, file),
            Err(found) => problems.extend(found),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    config.metrics = published.values();
    Ok(Merged {
        files,
        config,
        entries,
        published,
    })
}

/// The files at `/etc/dwindle`: `config.toml`, then `conf.d/*.toml` by name; those of them that exist.
pub(crate) fn default_files() -> io::Result<Vec<PathBuf>> {
    default_files_in(Path::new(ROOT))
}

/// As [`default_files`], at another place. Hidden files are not read: editors leave them behind.
pub(super) fn default_files_in(root: &Path) -> io::Result<Vec<PathBuf>> {
    let main = root.join("config.toml");
    let mut drop_ins = Vec::new();
    if let Some(folder) = present(fs::read_dir(root.join("conf.d")))? {
        for entry in folder {
            let path = entry?.path();
            let hidden = path
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if path.extension().is_some_and(|extension| extension == "toml") && !hidden {
                drop_ins.push(path);
            }
        }
    }
    drop_ins.sort_unstable();
    // A dangling link is a mistake to report, not an absent file.
    let main = present(fs::symlink_metadata(&main))?.map(|_| main);
    Ok(main.into_iter().chain(drop_ins).collect())
}

fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn read(path: &Path) -> Result<String, Vec<Diagnostic>> {
    let fail = |message: String| vec![Diagnostic::error(message)];
    let mut bytes = Vec::new();
    open(path)
        .and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut bytes))
        .map_err(|error| fail(format!("cannot read the configuration {}: {error}", Escaped(path))))?;
    if bytes.len() as u64 > LARGEST_FILE {
        let message = format!("{} is larger than 1 MiB: not a configuration", Escaped(path));
        return Err(fail(message));
    }
    String::from_utf8(bytes).map_err(|error| {
        let start = error.utf8_error().valid_up_to();
        let document = Document {
            path: path.to_owned(),
            text: String::from_utf8_lossy(error.as_bytes()).into_owned(),
        };
        let problem = document.error(start..start + 1, "not valid TOML: the file is not UTF-8");
        vec![problem.with_label("the first byte that is not")]
    })
}

/// A pipe may stand for a file, as with `-c <(program)`; one that nobody writes to is not waited for.
fn open(path: &Path) -> io::Result<Box<dyn io::Read>> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    Ok(if file.metadata()?.is_file() {
        Box::new(file)
    } else {
        Box::new(Impatient(file))
    })
}

/// Reads what may let itself be waited for, and does not wait long.
struct Impatient(fs::File);

impl io::Read for Impatient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut ready = [PollFd::new(&self.0, PollFlags::IN)];
        let patience = Timespec {
            tv_sec: LONGEST_WAIT,
            tv_nsec: 0,
        };
        if retry_on_intr(|| poll(&mut ready, Some(&patience)))? == 0 {
            let message = format!("it is no regular file, and nothing came from it within {LONGEST_WAIT} s");
            return Err(io::Error::new(io::ErrorKind::TimedOut, message));
        }
        self.0.read(buffer)
    }
}

fn merge(config: &mut Config, entries: &mut Vec<Entry>, published: &mut metrics::Keys, file: File) {
    *config = Config {
        workers: file.workers.or(config.workers),
        level: file.level.unwrap_or(config.level),
        shutdown_timeout: file.shutdown_timeout.unwrap_or(config.shutdown_timeout),
        control_socket: file.control_socket.or(config.control_socket.take()),
        log: Log {
            format: file.log_format.unwrap_or(config.log.format),
            level: file.log_level.unwrap_or(config.log.level),
        },
        ..Config::default()
    };
    published.override_by(file.metrics);
    entries.extend(file.watches);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogLevel;
    use crate::model::Level;
    use crate::policy::Watch;
    use std::os::unix::fs::symlink;

    fn folder_with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("has one")).expect("made");
            fs::write(path, text).expect("written");
        }
        folder
    }

    #[test]
    fn default_files_are_the_main_one_and_the_drop_ins_by_name() {
        let folder = folder_with(&[
            ("conf.d/20-b.toml", ""),
            ("conf.d/10-a.toml", ""),
            ("conf.d/.10-a.toml.swp", ""),
            ("conf.d/.hidden.toml", ""),
            ("conf.d/10-a.toml.bak", ""),
            ("conf.d/README", ""),
            ("config.toml", ""),
        ]);
        let root = folder.path();
        let expected = ["config.toml", "conf.d/10-a.toml", "conf.d/20-b.toml"].map(|name| root.join(name));
        assert_eq!(default_files_in(root).expect("listed"), expected);
    }

    #[test]
    fn default_files_may_be_absent_but_a_dangling_link_is_reported() {
        let folder = folder_with(&[]);
        assert!(
            default_files_in(&folder.path().join("none"))
                .expect("listed")
                .is_empty()
        );
        assert!(default_files_in(folder.path()).expect("listed").is_empty());
        symlink("nowhere", folder.path().join("config.toml")).expect("linked");
        let files = default_files_in(folder.path()).expect("listed");
        assert_eq!(files, [folder.path().join("config.toml")]);
        let problems = load(&files).expect_err("refused");
        assert!(problems[0].message().starts_with("cannot read the configuration"));
    }

    #[test]
    fn later_files_override_values_and_add_watches() {
        let folder = folder_with(&[
            (
                "a.toml",
                "level = 1\nworkers = 2\n[log]\nlevel = \"debug\"\n[[watch]]\npath = \"/a\"",
            ),
            (
                "b.toml",
                "level = 9\n[log]\nformat = \"json\"\n[[watch]]\npath = \"/b\"",
            ),
        ]);
        let files = ["a.toml", "b.toml"].map(|name| folder.path().join(name));
        let loaded = load(&files).expect("loaded");
        assert_eq!(loaded.files, files);
        let config = loaded.config;
        assert_eq!(config.workers, Some(2));
        assert_eq!(config.level.number(), 9);
        assert_eq!(config.log.level, LogLevel::Debug);
        assert_eq!(config.log.format, crate::config::LogFormat::Json);
        let paths: Vec<&Path> = config.watches.iter().map(Watch::path).collect();
        assert_eq!(paths, [Path::new("/a"), Path::new("/b")]);
        assert_eq!(Config::default().level, Level::default());
    }

    #[test]
    fn problems_of_all_files_are_reported_together() {
        let folder = folder_with(&[("a.toml", "levle = 1"), ("b.toml", "workers = 0")]);
        let files = ["a.toml", "missing.toml", "b.toml"].map(|name| folder.path().join(name));
        let problems = load(&files).expect_err("refused");
        let messages: Vec<&str> = problems.iter().map(Diagnostic::message).collect();
        assert_eq!(messages[0], "unknown key `levle` at the top level");
        assert!(messages[1].ends_with("missing.toml: No such file or directory (os error 2)"));
        assert_eq!(messages[2], "wrong value for `workers`");
    }

    #[test]
    fn a_relative_watch_starts_at_the_folder_of_its_file() {
        let folder = folder_with(&[
            ("etc/a.toml", "[[watch]]\npath = \"inbox\"\noutput-dir = \"out\""),
            ("etc/inbox/x", ""),
        ]);
        let loaded = load(&[folder.path().join("etc/a.toml")]).expect("loaded");
        let watch = &loaded.config.watches[0];
        assert_eq!(watch.path(), folder.path().join("etc/inbox"));
        assert_eq!(watch.output_dir.as_deref(), Some(Path::new("out")));
        assert_eq!(loaded.warnings, []);
    }

    #[test]
    fn a_file_that_is_not_utf_8_is_refused_at_its_first_wrong_byte() {
        let folder = folder_with(&[]);
        let path = folder.path().join("a.toml");
        fs::write(&path, b"level = 6\n# K\xe4se").expect("written");
        let problems = load(std::slice::from_ref(&path)).expect_err("refused");
        let expected = format!(
            "error: not valid TOML: the file is not UTF-8\n  --> {}:2:4\n   |\n 2 | # K\u{fffd}se\n   |    ^ the first byte that is not",
            path.display()
        );
        assert_eq!(problems[0].to_string(), expected);
    }

    #[test]
    fn what_never_ends_is_no_configuration() {
        let problems = load(&[PathBuf::from("/dev/zero")]).expect_err("refused");
        assert_eq!(
            problems[0].to_string(),
            "error: /dev/zero is larger than 1 MiB: not a configuration"
        );
    }

    #[test]
    fn a_configuration_without_a_watch_can_be_read_and_has_a_sentence() {
        let folder = folder_with(&[("a.toml", "level = 6")]);
        let loaded = load(&[folder.path().join("a.toml")]).expect("loaded");
        assert!(loaded.config.watches.is_empty() && loaded.warnings.is_empty());
        let expected = "\
error: nothing is watched: the configuration has no [[watch]]
  = help: add [[watch]] and below it a line like path = \"/srv/inbox\"";
        assert_eq!(nothing_watched().to_string(), expected);
    }

    #[test]
    fn a_pipe_may_stand_for_a_file_and_one_that_nobody_writes_to_is_not_waited_for() {
        use rustix::fs::{CWD, Mode, mkfifoat};
        let folder = folder_with(&[]);
        let path = folder.path().join("fifo");
        mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).expect("made");
        let pipe = path.clone();
        let writer = std::thread::spawn(move || fs::write(pipe, "workers = 3"));
        let loaded = load(std::slice::from_ref(&path)).expect("loaded");
        writer.join().expect("no panic").expect("written");
        assert_eq!(loaded.config.workers, Some(3));
    }
}
