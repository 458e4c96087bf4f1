//! The compression level.

use super::Format;

/// How hard to compress to a format, on the scale of the format: 1 is fastest. The default is gzip's 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Level {
    format: Format,
    number: u8,
}

impl Level {
    /// A level of gzip, or nothing where it is not in 1 (fastest) to 9 (smallest). [`Format::level`] has those of the other formats.
    pub fn new(level: u8) -> Option<Self> {
        Format::Gzip.level(level)
    }

    pub(super) fn of(format: Format, number: u8) -> Self {
        Level { format, number }
    }

    /// The format whose level it is.
    pub fn format(self) -> Format {
        self.format
    }

    /// The level as a number.
    pub fn number(self) -> u8 {
        self.number
    }
}

impl Default for Level {
    fn default() -> Self {
        Format::default().default_level()
    }
}
