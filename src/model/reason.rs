//! Why a file is passed over.

use std::ffi::OsString;
use std::fmt::{self, Display, Formatter};
use std::path::Path;

use super::Escaped;

/// Why a file or folder is left alone. Printed, it completes the sentence "NAME is passed over: …".
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Its name, or that of a folder on the way to it, begins with a dot.
    DotFile,
    /// It is one of our own unpublished files.
    OwnTemporary,
    /// Its name, or that of a folder on the way to it, is one that programs use while they still write; the pattern.
    InProgress(&'static str),
    /// Its suffix says that it is compressed already; the suffix, without the dot.
    CompressedSuffix(&'static str),
    /// Its first bytes say that it is compressed already; the format.
    CompressedContent(&'static str),
    /// It holds no bytes.
    Empty,
    /// It is smaller than `min-size`.
    TooSmall,
    /// It is a folder, where files were asked for.
    Folder,
    /// It is a device, FIFO or socket.
    NotRegular,
    /// It is a symbolic link, or reached through one.
    SymbolicLink,
    /// Something else is mounted there.
    OtherMount,
    /// It has more than one name.
    HardLinks,
    /// It is marked immutable or append-only.
    Protected,
    /// The kernel grants no lease on it, so nobody can say whether it is still being written; why not.
    NoLease(String),
    /// Its name says that it marks another file as finished.
    Marker,
    /// The file that would mark it as finished is not there yet; that file's name.
    NoMarker(OsString),
    /// It matches none of the `include` patterns.
    NotIncluded,
    /// It matches an `exclude` pattern; the pattern.
    Excluded(String),
    /// The preset takes only names that a rotation makes, and this is none.
    NotRotated,
    /// A dated name without a newer one of its series: it may be the file that is being written.
    PossiblyLive,
    /// One of the newest files of its series, as many of which are left.
    AmongNewest(usize),
    /// The preset takes only text-like web files, and this is none.
    NotWebFile,
    /// It falls to another shard.
    OtherShard {
        /// That one, such as `3/4`.
        of: String,
        /// The one that is taken here.
        own: String,
    },
    /// It lies in a subfolder, and the watch is not recursive.
    InSubfolder,
    /// It lies in the watch's own output folder.
    InOutputFolder,
    /// It lies in the watch's own folder for originals that are done.
    InDoneFolder,
    /// It lies in the watch's own folder for files that could not be compressed.
    InFailedFolder,
    /// Its output is there and up to date.
    UpToDate,
    /// An output with other content has its name, and `on-conflict` says to skip.
    NameTaken,
    /// Its name is too long for our names to be made from it.
    NameTooLong,
}

impl Reason {
    /// One word for logs and metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Reason::DotFile => "dot-file",
            Reason::OwnTemporary => "own-temporary",
            Reason::InProgress(_) => "in-progress",
            Reason::CompressedSuffix(_) => "compressed-suffix",
            Reason::CompressedContent(_) => "compressed-content",
            Reason::Empty => "empty",
            Reason::TooSmall => "too-small",
            Reason::Folder => "folder",
            Reason::NotRegular => "not-regular",
            Reason::SymbolicLink => "symbolic-link",
            Reason::OtherMount => "other-mount",
            Reason::HardLinks => "hard-links",
            Reason::Protected => "protected",
            Reason::NoLease(_) => "no-lease",
            Reason::Marker => "marker",
            Reason::NoMarker(_) => "no-marker",
            Reason::NotIncluded => "not-included",
            Reason::Excluded(_) => "excluded",
            Reason::NotRotated => "not-rotated",
            Reason::PossiblyLive => "possibly-live",
            Reason::AmongNewest(_) => "among-newest",
            Reason::NotWebFile => "not-web-file",
            Reason::OtherShard { .. } => "other-shard",
            Reason::InSubfolder => "in-subfolder",
            Reason::InOutputFolder => "in-output-folder",
            Reason::InDoneFolder => "in-done-folder",
            Reason::InFailedFolder => "in-failed-folder",
            Reason::UpToDate => "up-to-date",
            Reason::NameTaken => "name-taken",
            Reason::NameTooLong => "name-too-long",
        }
    }
}

impl Display for Reason {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Reason::DotFile => f.write_str("dot-files and dot-folders are never taken"),
            Reason::OwnTemporary => f.write_str("it is an unpublished file of dwindle's own"),
            Reason::InProgress(pattern) => write!(f, "the name says that it is still being written ({pattern})"),
            Reason::CompressedSuffix(suffix) => {
                write!(f, "compressed already, by its suffix (.{suffix})")
            }
            Reason::CompressedContent(format) => {
                write!(f, "compressed already, by its first bytes ({format})")
            }
            Reason::Empty => f.write_str("it is empty"),
            Reason::TooSmall => f.write_str("it is smaller than min-size"),
            Reason::Folder => f.write_str("it is a folder"),
            Reason::NotRegular => f.write_str("it is not a regular file"),
            Reason::SymbolicLink => f.write_str("symbolic links are never followed"),
            Reason::OtherMount => f.write_str("something else is mounted there, and mounts are never crossed"),
            Reason::HardLinks => f.write_str("it has more than one name (hard links)"),
            Reason::Protected => f.write_str("it is marked immutable or append-only"),
            Reason::NoLease(why) => write!(
                f,
                "whether somebody still writes to it cannot be known, since no lease can be had ({why}); give CAP_LEASE, or set \
                 writer-check = \"quiet\""
            ),
            Reason::Marker => f.write_str("it only marks another file as finished"),
            Reason::NoMarker(name) => write!(f, "its marker {} is not there", Escaped(Path::new(name))),
            Reason::NotIncluded => f.write_str("no include pattern matches"),
            Reason::Excluded(pattern) => write!(f, "the exclude pattern {pattern:?} matches"),
            Reason::NotRotated => f.write_str("not a name that only a rotation makes (preset rotated-logs)"),
            Reason::PossiblyLive => {
                f.write_str("it may be the live file: nothing newer of its series stands beside it")
            }
            Reason::AmongNewest(1) => f.write_str("it is the newest of its series (leave-newest = 1)"),
            Reason::AmongNewest(many) => {
                write!(f, "it is one of the newest of its series (leave-newest = {many})")
            }
            Reason::NotWebFile => f.write_str("not a text-like web file (preset static-assets)"),
            Reason::OtherShard { of, own } => write!(f, "it falls to shard {of}, and this is {own}"),
            Reason::InSubfolder => f.write_str("it lies in a subfolder, and the watch is not recursive"),
            Reason::InOutputFolder => f.write_str("it lies in the watch's output folder"),
            Reason::InDoneFolder => f.write_str("it lies in the watch's done-dir"),
            Reason::InFailedFolder => f.write_str("it lies in the watch's failed-dir"),
            Reason::UpToDate => f.write_str("its compressed file is there and up to date"),
            Reason::NameTaken => {
                f.write_str("a compressed file with other content has its name (on-conflict = \"skip\")")
            }
            Reason::NameTooLong => {
                f.write_str("its name is too long: more than 235 bytes, or than this file system has room for")
            }
        }
    }
}
