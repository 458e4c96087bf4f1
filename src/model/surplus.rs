//! Why an output is not kept any longer.

use std::fmt::{self, Display, Formatter};

/// Why a `.gz` is removed again. Printed, it completes the sentence "NAME is removed: …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Surplus {
    /// It is older than the watch keeps any ([`Watch::with_keep_for`](crate::Watch::with_keep_for)).
    Age,
    /// Newer ones of its series are as many as the watch keeps ([`Watch::with_keep_count`](crate::Watch::with_keep_count)).
    Count,
    /// Newer ones have as many bytes as the watch keeps ([`Watch::with_keep_bytes`](crate::Watch::with_keep_bytes)).
    Bytes,
}

impl Surplus {
    /// One word for logs and metrics.
    pub fn label(self) -> &'static str {
        match self {
            Surplus::Age => "keep-for",
            Surplus::Count => "keep-count",
            Surplus::Bytes => "keep-bytes",
        }
    }
}

impl Display for Surplus {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Surplus::Age => "older than keep-for",
            Surplus::Count => "as many newer ones of its series as keep-count says",
            Surplus::Bytes => "the oldest of more than keep-bytes",
        })
    }
}
