//! What failed: the step, the path, the cause, and whether trying again can help.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::Escaped;

/// A step of the work on one file or folder that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Step {
    /// Opening the file or folder.
    Open,
    /// Looking at a file's metadata.
    Look,
    /// Listing a folder.
    List,
    /// Asking the kernel for a folder's events.
    Watch,
    /// Making an output folder, or an unpublished output file.
    Create,
    /// Reading the original.
    Read,
    /// Compressing, and writing the output.
    Write,
    /// Reading the output back and comparing it with the original.
    Verify,
    /// Giving the output its owner, mode and times.
    Metadata,
    /// Making output or folder durable (fsync).
    Sync,
    /// Giving the output its name.
    Publish,
    /// Removing the original.
    Remove,
    /// Giving the original, which is done, its name in the folder for such originals ([`Watch::with_done_dir`](crate::Watch::with_done_dir)).
    Move,
}

impl Step {
    /// The step as a verb, for "cannot … PATH", and as the field `step` of a log event.
    pub fn verb(self) -> &'static str {
        match self {
            Step::Open => "open",
            Step::Look => "look at",
            Step::List => "list",
            Step::Watch => "watch",
            Step::Create => "create",
            Step::Read => "read",
            Step::Write => "write",
            Step::Verify => "verify",
            Step::Metadata => "copy metadata to",
            Step::Sync => "sync",
            Step::Publish => "publish",
            Step::Remove => "remove",
            Step::Move => "move the original to",
        }
    }
}

/// Whether trying again, with nothing changed by a person, can help. There will be no third class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// It may pass by itself: no space, too many open files, an input/output error.
    Transient,
    /// It stays until somebody changes the file, its permissions or the configuration.
    Permanent,
}

impl Class {
    /// The word used in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Transient => "transient",
            Class::Permanent => "permanent",
        }
    }
}

/// A failure on one path. The original is still there whenever one of these is returned.
#[derive(Debug, thiserror::Error)]
#[error("cannot {} {}: {cause}", step.verb(), Escaped(path))]
pub struct Error {
    step: Step,
    path: PathBuf,
    class: Class,
    // Told in the sentence, and so not again as the source: whoever prints the whole chain would say it twice.
    cause: io::Error,
}

impl Error {
    /// A failed system call; its class follows from the error number.
    pub(crate) fn new(step: Step, path: impl Into<PathBuf>, cause: impl Into<io::Error>) -> Self {
        let cause = cause.into();
        Error {
            step,
            path: path.into(),
            class: class_of(&cause),
            cause,
        }
    }

    /// A failure that is no system call's, in words; trying again does not help.
    pub(crate) fn permanent(step: Step, path: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Error {
            step,
            path: path.into(),
            class: Class::Permanent,
            cause: io::Error::other(message.into()),
        }
    }

    /// A failure that is no system call's, in words; it may pass.
    pub(crate) fn transient(step: Step, path: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Error {
            class: Class::Transient,
            ..Error::permanent(step, path, message)
        }
    }

    /// The step that failed.
    pub fn step(&self) -> Step {
        self.step
    }

    /// The path it failed on, as given by the system: not escaped for printing ([`Display`](std::fmt::Display) is).
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether trying again can help.
    pub fn class(&self) -> Class {
        self.class
    }

    /// Whether it would be the same for every other file in that place, and may pass: the disk is full, or was made read-only.
    pub(crate) fn is_no_room(&self) -> bool {
        let errnos = [Errno::NOSPC, Errno::DQUOT, Errno::ROFS];
        errnos.iter().any(|errno| self.errno() == Some(errno.raw_os_error()))
    }

    /// Whether it is about this one original, so that it says nothing of the others: not the output's folder, nor a limit of the process.
    pub(crate) fn is_of_file(&self, original: &Path) -> bool {
        let of_all = [
            Errno::MFILE,
            Errno::NFILE,
            Errno::NOMEM,
            Errno::NOSPC,
            Errno::DQUOT,
            Errno::ROFS,
        ];
        if of_all.iter().any(|errno| self.errno() == Some(errno.raw_os_error())) {
            return false;
        }
        // Of the output: bytes that are not those that were written, and one that becomes too large. That they can't be read back is the
        // disk's doing.
        let of_its_output = match self.step {
            Step::Verify => self.errno().is_none(),
            Step::Write => self.class == Class::Permanent,
            _ => false,
        };
        self.path == original || of_its_output
    }

    /// The system's error number, where the cause is a system call.
    pub fn errno(&self) -> Option<i32> {
        self.cause.raw_os_error()
    }

    /// The kind of the cause.
    pub fn kind(&self) -> io::ErrorKind {
        self.cause.kind()
    }
}

/// Permanent is what only a person can change; everything unknown is worth another try.
fn class_of(cause: &io::Error) -> Class {
    use io::ErrorKind as Kind;
    // A symbolic link in the way; the kind of it has no stable name.
    if cause.raw_os_error() == Some(Errno::LOOP.raw_os_error()) {
        return Class::Permanent;
    }
    match cause.kind() {
        Kind::PermissionDenied
        | Kind::NotFound
        | Kind::AlreadyExists
        | Kind::NotADirectory
        | Kind::IsADirectory
        | Kind::InvalidInput
        | Kind::InvalidFilename
        | Kind::Unsupported
        | Kind::CrossesDevices
        | Kind::TooManyLinks
        | Kind::FileTooLarge => Class::Permanent,
        _ => Class::Transient,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_step_path_and_cause_with_the_path_escaped() {
        let error = Error::new(Step::Read, "in\nbox/a", io::Error::from_raw_os_error(5));
        assert_eq!(
            error.to_string(),
            "cannot read in\\nbox/a: Input/output error (os error 5)"
        );
        assert_eq!(error.class(), Class::Transient);
        assert_eq!(error.errno(), Some(5));
    }

    #[test]
    fn missing_permission_is_permanent_and_a_full_disk_is_not() {
        let class = |errno| Error::new(Step::Open, "a", io::Error::from_raw_os_error(errno)).class();
        assert_eq!(class(13), Class::Permanent);
        assert_eq!(class(28), Class::Transient);
        assert_eq!(class(24), Class::Transient);
    }

    #[test]
    fn an_output_that_is_wrong_is_of_its_file_and_one_that_cannot_be_read_back_is_not() {
        let original = Path::new("a");
        assert!(Error::transient(Step::Verify, "a.gz", "the output is wrong").is_of_file(original));
        assert!(!Error::new(Step::Verify, "a.gz", Errno::IO).is_of_file(original));
        assert!(Error::new(Step::Write, "a.gz", Errno::FBIG).is_of_file(original));
        assert!(Error::new(Step::Read, "a", Errno::IO).is_of_file(original));
    }

    #[test]
    fn a_symbolic_link_in_the_way_is_permanent_and_a_read_only_file_system_is_not() {
        let class = |errno: Errno| Error::new(Step::Open, "a", errno).class();
        assert_eq!(class(Errno::LOOP), Class::Permanent);
        assert_eq!(class(Errno::ROFS), Class::Transient);
    }
}
