//! Why the work on a file ended before its end.

use super::advance::Advanced;
use super::commit::Done;
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

impl Stopped {
    /// As the end of a commit.
    pub(super) fn into_advanced(self) -> Result<Advanced, Error> {
        Ok(Advanced::Done(match self {
            Stopped::Changed => Done::Changed,
            Stopped::Gone => Done::Gone,
            Stopped::Cancelled => Done::Cancelled,
            Stopped::Failed(error) => return Err(error),
        }))
    }
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Stopped::Failed(error)
    }
}
