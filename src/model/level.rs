//! The compression level.

/// How hard to compress: 1 (fastest) to 9 (smallest), as gzip's. The default is 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(u8);

impl Level {
    /// The level as given, or nothing where it is not in 1 to 9.
    pub fn new(level: u8) -> Option<Self> {
        (1..=9).contains(&level).then_some(Level(level))
    }

    /// The level as a number, 1 to 9.
    pub fn number(self) -> u8 {
        self.0
    }
}

impl Default for Level {
    fn default() -> Self {
        Level(6)
    }
}
