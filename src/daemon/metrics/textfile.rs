//! The file that `node_exporter`'s textfile collector reads.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Mutex, PoisonError};

use crate::model::{Error, Step};

/// Whoever collects it is another user.
const MODE: u32 = 0o644;

/// The file, which is only ever replaced as a whole: whoever reads it finds all of one moment's metrics, or those of the moment before.
#[derive(Debug)]
pub(crate) struct Textfile {
    path: PathBuf,
    temporary: PathBuf,
    /// Held over each writing, since all have the same temporary file. Whether the last one has begun.
    ended: Mutex<bool>,
}

impl Textfile {
    pub(crate) fn new(path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // No name that the collector would read, nor one that two agents have.
        let temporary = path.with_file_name(format!(".{name}.{}", process::id()));
        Textfile {
            path: path.to_owned(),
            temporary,
            ended: Mutex::new(false),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// That has to be written to.
    pub(crate) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// Replaces what is there. Not synced: after a power cut it is written anew. One call comes after another, and one that comes after the
    /// [last](Self::write_last) does nothing. Blocks.
    ///
    /// # Errors
    ///
    /// When the folder is missing, full, or may not be written to. What was there stays then.
    pub(crate) fn write(&self, text: &str) -> Result<(), Error> {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if *ended { Ok(()) } else { self.replace(text) }
    }

    /// The same, for the last time: nothing older takes its place, though whoever writes that goes on. Blocks.
    ///
    /// # Errors
    ///
    /// As of [`write`](Self::write).
    pub(crate) fn write_last(&self, text: &str) -> Result<(), Error> {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        *ended = true;
        self.replace(text)
    }

    fn replace(&self, text: &str) -> Result<(), Error> {
        let written = self.write_temporary(text).and_then(|()| {
            fs::rename(&self.temporary, &self.path).map_err(|cause| Error::new(Step::Publish, &self.path, cause))
        });
        if written.is_err() {
            let _ = fs::remove_file(&self.temporary);
        }
        written
    }

    fn write_temporary(&self, text: &str) -> Result<(), Error> {
        let fail = |step| move |cause: io::Error| Error::new(step, &self.path, cause);
        // Left by a run that was killed and had the same number, as in a container all have.
        let _ = fs::remove_file(&self.temporary);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(MODE)
            .open(&self.temporary)
            .map_err(fail(Step::Create))?;
        file.write_all(text.as_bytes()).map_err(fail(Step::Write))?;
        // Whatever the umask has taken.
        file.set_permissions(Permissions::from_mode(MODE))
            .map_err(fail(Step::Metadata))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn it_replaces_the_file_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dwindle.prom");
        let textfile = Textfile::new(&path);
        fs::write(&textfile.temporary, "of a run that was killed").unwrap();
        for text in ["a 1\n", "a 2\n"] {
            textfile.write(text).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, MODE);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_reader_finds_all_of_one_writing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dwindle.prom");
        let textfile = Textfile::new(&path);
        let page = |number: usize| format!("a {number}\n").repeat(2000 + number);
        textfile.write(&page(0)).unwrap();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| (1..300).for_each(|number| textfile.write(&page(number)).unwrap()));
            let mut last = 0;
            while !writer.is_finished() {
                let found = fs::read_to_string(&path).unwrap();
                let number = found[2..found.find('\n').unwrap()].parse().unwrap();
                assert!(number >= last);
                assert_eq!(found, page(number));
                last = number;
            }
        });
    }

    #[test]
    fn whoever_else_writes_the_last_page_is_there_in_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dwindle.prom");
        let last = "last 1\n";
        for _ in 0..20 {
            let textfile = Textfile::new(&path);
            let older = "a 1\n".repeat(20_000);
            textfile.write(&older).unwrap();
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| (0..10).for_each(|_| textfile.write(&older).unwrap()));
                }
                textfile.write_last(last).unwrap();
                assert!(fs::read_to_string(&path).unwrap() == last, "an older page");
            });
            assert!(fs::read_to_string(&path).unwrap() == last, "an older page");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn no_link_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, path) = (folder.path().join("victim"), folder.path().join("dwindle.prom"));
        fs::write(&victim, "precious").unwrap();
        let textfile = Textfile::new(&path);
        symlink(&victim, &path).unwrap();
        symlink(&victim, &textfile.temporary).unwrap();
        textfile.write("a 1\n").unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert!(!fs::symlink_metadata(&path).unwrap().is_symlink());
    }

    #[test]
    fn what_fails_is_named_and_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing/dwindle.prom");
        let error = Textfile::new(&missing).write("a 1\n").unwrap_err();
        let expected = format!("cannot create {}: No such file", missing.display());
        assert!(error.to_string().starts_with(&expected), "{error}");

        let taken = folder.path().join("folder.prom");
        fs::create_dir(&taken).unwrap();
        assert!(Textfile::new(&taken).write("a 1\n").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
