//! Why the work on a file ended before its end.

use crate::model::Error;

/// Nothing was published, or it was withdrawn; the original is as it was left by whoever touched it.
#[derive(Debug)]
pub(super) enum Stopped {
    /// A step failed.
    Failed(Error),
    /// The file was touched meanwhile.
    Changed,
    /// The file's name was removed, or given to nothing, meanwhile.
    Gone,
    /// The caller wants no more of it.
    Cancelled,
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Stopped::Failed(error)
    }
}
