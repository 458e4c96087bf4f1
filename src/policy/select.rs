//! Is this name ours? The rules of a watch, asked by path and size alone.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::model::Reason;

use super::marker::Marker;
use super::names::{self, Kind, compressed_suffix};
use super::patterns::{PatternError, Patterns};
use super::rule::Rule;
use super::series::rotation;
use super::shard::Shard;
use super::standing::{Newest, Standing};
use super::watch::{Preset, Watch};

#[cfg(feature = "cli")]
mod explain;

/// One watch's rules, compiled.
///
/// The rules that hold in every folder are asked first, then those of the watch; where several pass a file over, the first gives
/// the reason. Paths are relative to the watched folder, of any bytes.
#[derive(Clone, Debug)]
pub(crate) struct Select {
    preset: Preset,
    recursive: bool,
    include: Patterns,
    exclude: Patterns,
    marker: Option<Marker>,
    min_size: u64,
    leave_newest: usize,
    outputs_follow: bool,
    shard: Option<Shard>,
    /// The watch's own folders, as far as they lie in the watched one: relative to that, and the reason why nothing in them is taken.
    own_folders: Vec<(PathBuf, Reason)>,
}

impl Select {
    /// The rules of a watch.
    ///
    /// An `include` takes the place of the web suffixes of [`Preset::StaticAssets`]; with [`Preset::RotatedLogs`] it only narrows,
    /// so that no pattern can lead to a live log. A folder of the watch's own (for outputs, for originals) that is absolute is found to lie in
    /// the watched one only if the watch's path is absolute too.
    ///
    /// # Errors
    ///
    /// For the first pattern, of `include`, `exclude` or `marker`, that can't be used.
    pub(crate) fn new(watch: &Watch) -> Result<Self, PatternError> {
        Ok(Select {
            preset: watch.preset,
            recursive: watch.recursive,
            include: Patterns::new(&watch.include, &watch.path)?,
            exclude: Patterns::new(&watch.exclude, &watch.path)?,
            marker: watch.marker.as_deref().map(Marker::new).transpose()?,
            min_size: watch.min_size,
            leave_newest: watch.leave_newest,
            outputs_follow: watch.outputs_follow(),
            shard: watch.shard,
            own_folders: own_folders(watch),
        })
    }

    /// The rules for files below a folder that a person named: only those that hold everywhere, and of which shard they are.
    pub(crate) fn everything(shard: Option<Shard>) -> Self {
        Select {
            preset: Preset::Inbox,
            recursive: true,
            include: Patterns::default(),
            exclude: Patterns::default(),
            marker: None,
            min_size: 0,
            leave_newest: 0,
            outputs_follow: false,
            shard,
            own_folders: Vec::new(),
        }
    }

    /// Whether a file of this path is taken, as far as the path can tell.
    ///
    /// # Errors
    ///
    /// The reason why it is not.
    pub(crate) fn file(&self, relative: &Path) -> Result<(), Reason> {
        let path = tidy(relative);
        let asked = Asked::file(&path)?;
        let rules = Rule::OF_FOLDERS.iter().chain(&Rule::OF_NAMES);
        rules.copied().try_for_each(|rule| self.ask(rule, asked))
    }

    /// The same, whatever shard it falls to: what all agents on one folder have in common is judged alike by each.
    ///
    /// # Errors
    ///
    /// The reason why it is not.
    pub(crate) fn file_of_any_shard(&self, relative: &Path) -> Result<(), Reason> {
        match self.file(relative) {
            Err(Reason::OtherShard { .. }) => Ok(()),
            verdict => verdict,
        }
    }

    /// Whether it is for this shard to look after a file of this path, taken or not.
    pub(crate) fn is_of_shard(&self, relative: &Path) -> bool {
        self.shard.is_none_or(|shard| shard.has(relative))
    }

    /// Whether it is for this shard to put right what a run left that was killed: with an original in quarantine, the one that the original
    /// falls to, so that of agents which cannot see each other's locks none takes up what another is at.
    pub(crate) fn is_leftover_of_shard(&self, relative: &Path) -> bool {
        let original = relative.file_name().and_then(names::quarantined_original);
        match original {
            Some(original) => self.is_of_shard(&relative.with_file_name(original)),
            None => self.is_of_shard(relative),
        }
    }

    /// Whether files in this folder can be taken: a scan need not descend into any other, nor a watcher watch it. The watched folder
    /// itself, the empty path, always is.
    ///
    /// # Errors
    ///
    /// The reason why none of them is.
    pub(crate) fn folder(&self, relative: &Path) -> Result<(), Reason> {
        let path = tidy(relative);
        let asked = Asked::folder(&path);
        let mut rules = Rule::OF_FOLDERS.iter().copied();
        rules.try_for_each(|rule| self.ask(rule, asked))
    }

    /// Whether a file of this size is taken.
    ///
    /// # Errors
    ///
    /// [`Reason::Empty`] or [`Reason::TooSmall`].
    pub(crate) fn size(&self, bytes: u64) -> Result<(), Reason> {
        match bytes {
            0 => Err(Reason::Empty),
            _ if bytes < self.min_size => Err(Reason::TooSmall),
            _ => Ok(()),
        }
    }

    /// Whether an output goes the way of its original: made anew when that changes, removed when it goes.
    pub(crate) fn outputs_follow(&self) -> bool {
        self.outputs_follow
    }

    /// Where a file that is taken by name has to be judged by the names beside it, too: it may be the live one, or one of the newest.
    pub(crate) fn standing<'a>(&self, name: &'a OsStr) -> Option<Standing<'a>> {
        Standing::of(name, self.preset == Preset::RotatedLogs, self.leave_newest)
    }

    /// To be shown the names of a folder, so as to answer for many [standings](Self::standing) there.
    pub(crate) fn newest(&self) -> Newest {
        Newest::new(self.leave_newest)
    }

    /// Whether the newest of each series are left: then each newer one counts, not only that there is one.
    pub(crate) fn leaves_newest(&self) -> bool {
        self.leave_newest > 0
    }

    /// The name of the marker that has to stand beside a file of this name, if one has to.
    pub(crate) fn marker_of(&self, name: &OsStr) -> Option<OsString> {
        self.marker.as_ref().map(|marker| marker.of(name))
    }

    /// The name of the file that is marked by one of this name, if such a name is a marker's. One of our own never is.
    pub(crate) fn marked_by(&self, name: &OsStr) -> Option<OsString> {
        let marked = self.marker.as_ref()?.marked_by(name)?;
        (!names::is_own_temporary(name.as_bytes())).then_some(marked)
    }

    fn ask(&self, rule: Rule, asked: Asked<'_>) -> Result<(), Reason> {
        let Asked { path, folder, name } = asked;
        let against = |speaks: bool, reason: Reason| if speaks { Err(reason) } else { Ok(()) };
        match rule {
            Rule::FolderNames if folder.is_empty() => Ok(()),
            Rule::FolderNames => parts(folder).try_for_each(ask_folder_name),
            Rule::Recursive => against(!self.recursive && !folder.is_empty(), Reason::InSubfolder),
            Rule::OutputFolder => {
                let folder = Path::new(OsStr::from_bytes(folder));
                let own = self.own_folders.iter().find(|(own, _)| folder.starts_with(own));
                own.map_or(Ok(()), |(_, reason)| Err(reason.clone()))
            }
            Rule::ExcludedFolders if self.exclude.is_empty() || folder.is_empty() => Ok(()),
            Rule::ExcludedFolders => {
                let glob = ancestors(folder).find_map(|folder| self.exclude.find_folder(folder));
                glob.map_or(Ok(()), |glob| Err(Reason::Excluded(glob.to_owned())))
            }
            Rule::MarkerName => against(self.marked_by(OsStr::from_bytes(name)).is_some(), Reason::Marker),
            Rule::OwnTemporary => against(names::is_own_temporary(name), Reason::OwnTemporary),
            Rule::InProgress => {
                let pattern = names::in_progress(name, Kind::File);
                pattern.map_or(Ok(()), |pattern| Err(Reason::InProgress(pattern)))
            }
            Rule::DotFile => against(name.starts_with(b"."), Reason::DotFile),
            Rule::CompressedSuffix => {
                let suffix = compressed_suffix(OsStr::from_bytes(name));
                suffix.map_or(Ok(()), |suffix| Err(Reason::CompressedSuffix(suffix)))
            }
            Rule::Exclude => {
                let glob = self.exclude.find_file(path);
                glob.map_or(Ok(()), |glob| Err(Reason::Excluded(glob.to_owned())))
            }
            Rule::Include => {
                let misses = !self.include.is_empty() && self.include.find_file(path).is_none();
                against(misses, Reason::NotIncluded)
            }
            Rule::Preset => self.ask_preset(name),
            Rule::Shard => match self.shard.filter(|shard| !shard.has_bytes(path)) {
                Some(own) => Err(Reason::OtherShard {
                    of: own.other_of_bytes(path).to_string(),
                    own: own.to_string(),
                }),
                None => Ok(()),
            },
            // These are asked of the file itself.
            Rule::Kind
            | Rule::Marker
            | Rule::Settle
            | Rule::HardLinks
            | Rule::Protected
            | Rule::Size
            | Rule::Content
            | Rule::Series
            | Rule::Writer
            | Rule::Output => Ok(()),
        }
    }

    fn ask_preset(&self, name: &[u8]) -> Result<(), Reason> {
        match self.preset {
            Preset::RotatedLogs if rotation(OsStr::from_bytes(name)).is_none() => Err(Reason::NotRotated),
            Preset::StaticAssets if self.include.is_empty() && !names::is_web_file(name) => Err(Reason::NotWebFile),
            Preset::Inbox | Preset::RotatedLogs | Preset::StaticAssets => Ok(()),
        }
    }
}

/// A path that rules are asked about.
#[derive(Clone, Copy, Debug)]
struct Asked<'a> {
    path: &'a [u8],
    /// Empty for the watched folder itself.
    folder: &'a [u8],
    /// Empty where it is a folder that is asked about.
    name: &'a [u8],
}

impl<'a> Asked<'a> {
    fn file(path: &'a [u8]) -> Result<Self, Reason> {
        let (folder, name) = split_name(path);
        if name.is_empty() {
            return Err(Reason::NotRegular);
        }
        Ok(Asked { path, folder, name })
    }

    fn folder(path: &'a [u8]) -> Self {
        Asked {
            path,
            folder: path,
            name: &[],
        }
    }
}

/// The rules about a folder's name that hold everywhere. The one that says most is asked first: many a name of the other kinds
/// begins with a dot.
fn ask_folder_name(name: &[u8]) -> Result<(), Reason> {
    if names::is_own_temporary(name) {
        return Err(Reason::OwnTemporary);
    }
    if let Some(pattern) = names::in_progress(name, Kind::Folder) {
        return Err(Reason::InProgress(pattern));
    }
    if name.starts_with(b".") {
        return Err(Reason::DotFile);
    }
    Ok(())
}

fn parts(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/')
}

/// The path's bytes without empty parts and `.`, which are no names. A `..` stays, and is passed over as a dot-file.
pub(super) fn tidy(path: &Path) -> Cow<'_, [u8]> {
    let bytes = path.as_os_str().as_bytes();
    let is_name = |part: &&[u8]| !part.is_empty() && *part != b".";
    let mut parts = bytes.split(|&byte| byte == b'/');
    if parts.all(|part| is_name(&part)) {
        return Cow::Borrowed(bytes);
    }
    let parts: Vec<&[u8]> = bytes.split(|&byte| byte == b'/').filter(is_name).collect();
    Cow::Owned(parts.join(&b'/'))
}

/// A tidy path's folder, empty for the watched folder itself, and its last name.
fn split_name(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (
            path.get(..slash).unwrap_or_default(),
            path.get(slash + 1..).unwrap_or_default(),
        ),
        None => (&[], path),
    }
}

/// `a`, `a/b`, `a/b/c` of `a/b/c`.
fn ancestors(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = path
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'/')
        .map(|(at, _)| at);
    ends.chain([path.len()]).filter_map(|end| path.get(..end))
}

fn own_folders(watch: &Watch) -> Vec<(PathBuf, Reason)> {
    let folders = [
        (&watch.output_dir, Reason::InOutputFolder),
        (&watch.done_dir, Reason::InDoneFolder),
        (&watch.failed_dir, Reason::InFailedFolder),
    ];
    let inside =
        |(folder, reason): (&Option<PathBuf>, Reason)| Some((inside(&watch.path, folder.as_deref()?)?, reason));
    folders.into_iter().filter_map(inside).collect()
}

/// The part of `folder` below `root`, to which it is relative; None if it is `root` itself or elsewhere. By the paths alone: what
/// symbolic links would make of them is not asked.
fn inside(root: &Path, folder: &Path) -> Option<PathBuf> {
    let below = resolve(&root.join(folder)).strip_prefix(resolve(root)).ok()?.to_owned();
    (!below.as_os_str().is_empty()).then_some(below)
}

/// The path without `.` and `..`.
fn resolve(path: &Path) -> PathBuf {
    let mut resolved = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(resolved.components().next_back(), Some(Component::Normal(_))) => {
                resolved.pop();
            }
            _ => resolved.push(part),
        }
    }
    resolved
}

#[cfg(test)]
mod tests;
