//! The rules by name, in the order in which they are asked, for whoever wants to know all their answers.

use std::time::Duration;

use crate::model::Reason;

/// A rule.
// The core asks only those about paths by name.
#[cfg_attr(not(feature = "cli"), allow(dead_code))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    // Asked by path alone.
    FolderNames,
    Recursive,
    OutputFolder,
    ExcludedFolders,
    MarkerName,
    OwnTemporary,
    InProgress,
    DotFile,
    CompressedSuffix,
    Exclude,
    Include,
    Preset,
    Shard,
    // Asked of the file.
    Kind,
    Marker,
    Settle,
    HardLinks,
    Protected,
    Size,
    Content,
    Series,
    Writer,
    // Asked of what is there already.
    Output,
}

impl Rule {
    /// What is asked of a folder, by its path.
    pub(super) const OF_FOLDERS: [Rule; 4] = [
        Rule::FolderNames,
        Rule::Recursive,
        Rule::OutputFolder,
        Rule::ExcludedFolders,
    ];

    /// What is asked of a file, by its path, after what is asked of its folder.
    pub(super) const OF_NAMES: [Rule; 9] = [
        Rule::MarkerName,
        Rule::OwnTemporary,
        Rule::InProgress,
        Rule::DotFile,
        Rule::CompressedSuffix,
        Rule::Exclude,
        Rule::Include,
        Rule::Preset,
        Rule::Shard,
    ];

    /// A few letters.
    #[cfg(feature = "cli")]
    pub(crate) fn title(self) -> &'static str {
        match self {
            Rule::FolderNames => "folder names",
            Rule::Recursive => "recursive",
            Rule::OutputFolder => "output-dir",
            Rule::ExcludedFolders => "folder exclude",
            Rule::MarkerName => "marker's name",
            Rule::OwnTemporary => "dwindle's own",
            Rule::InProgress => "in progress",
            Rule::DotFile => "dot-file",
            Rule::CompressedSuffix => "suffix",
            Rule::Exclude => "exclude",
            Rule::Include => "include",
            Rule::Preset => "preset",
            Rule::Shard => "shard",
            Rule::Kind => "kind",
            Rule::Marker => "marker",
            Rule::Settle => "settle",
            Rule::HardLinks => "hard links",
            Rule::Protected => "protected",
            Rule::Size => "size",
            Rule::Content => "content",
            Rule::Series => "series",
            Rule::Writer => "writer",
            Rule::Output => "output",
        }
    }
}

/// What a rule says of a file.
#[cfg_attr(not(feature = "cli"), allow(dead_code))]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Nothing against it; what was found, in a few words.
    Yes(String),
    No(Reason),
    /// Not yet, but after this long.
    NotBefore(Duration),
    /// Not while somebody has it open for writing.
    InUse,
    /// It cannot be asked; why.
    Unknown(String),
}

impl Answer {
    /// Whether the file is left alone for its sake, now or for good.
    #[cfg(feature = "cli")]
    pub(crate) fn decides(&self) -> bool {
        !matches!(self, Answer::Yes(_) | Answer::Unknown(_))
    }
}
