//! What a file becomes.
//!
//! Another format is a variant here, a folder in `codec/`, and a line in each `match` that the compiler then asks for.

use super::Level;

/// The format of an output, and with it the suffix of its name and the scale of its levels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// `FILE.gz`: one member of RFC 1952. Levels 1 to 9, 6 where none is given.
    #[default]
    Gzip,
    /// `FILE.zst`: one frame of RFC 8878, with the content's size and a checksum. Levels 1 to 19, 3 where none is given. Needs the
    /// feature `zstd`.
    #[cfg(feature = "zstd")]
    Zstd,
}

impl Format {
    /// All that are built in.
    #[cfg(feature = "zstd")]
    pub(crate) const ALL: &'static [Format] = &[Format::Gzip, Format::Zstd];
    /// All that are built in.
    #[cfg(not(feature = "zstd"))]
    pub(crate) const ALL: &'static [Format] = &[Format::Gzip];

    /// What a person calls it: `gzip`, `zstd`.
    #[cfg(feature = "config")]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Format::Gzip => "gzip",
            #[cfg(feature = "zstd")]
            Format::Zstd => "zstd",
        }
    }

    /// The format that a person calls so.
    #[cfg(feature = "config")]
    pub(crate) fn named(name: &str) -> Option<Format> {
        Format::ALL.iter().copied().find(|format| format.name() == name)
    }

    /// What an output's name has behind its original's, the dot included.
    pub fn suffix(self) -> &'static str {
        match self {
            Format::Gzip => ".gz",
            #[cfg(feature = "zstd")]
            Format::Zstd => ".zst",
        }
    }

    /// The level of this number, or nothing where the format has none such.
    pub fn level(self, number: u8) -> Option<Level> {
        (1..=self.highest_level())
            .contains(&number)
            .then_some(Level::of(self, number))
    }

    /// The level where none is given.
    pub fn default_level(self) -> Level {
        match self {
            Format::Gzip => Level::of(self, 6),
            #[cfg(feature = "zstd")]
            Format::Zstd => Level::of(self, 3),
        }
    }

    /// The number of the level whose outputs are smallest; 1 is that which is fastest.
    pub(crate) fn highest_level(self) -> u8 {
        match self {
            Format::Gzip => 9,
            // zstd(1) asks for --ultra to go beyond, since it takes much memory, of the reader too.
            #[cfg(feature = "zstd")]
            Format::Zstd => 19,
        }
    }
}
