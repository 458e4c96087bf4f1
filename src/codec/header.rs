//! What an output says of its original.

/// What an output says of the file it was made from, as far as its format has room for it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Header<'a> {
    /// The original's base name, without NUL; empty for none.
    pub(crate) name: &'a [u8],
    /// The original's mtime in seconds since the epoch; 0 for none, or for one that 32 bits cannot hold.
    pub(crate) modified: u32,
    /// Whether the output goes the way of its original. It is marked, so that it is known again on any file system, after any copy: in gzip by
    /// FTEXT, "probably text", which gzip never sets and no reader asks for; in zstd by a skippable frame.
    pub(crate) follows: bool,
    /// The original's length, where that is known beforehand. A source of another length is refused by a format that says it.
    #[cfg_attr(not(feature = "zstd"), allow(dead_code))]
    pub(crate) length: Option<u64>,
}
