//! One watched folder's rules.

use std::path::{Path, PathBuf};
use std::time::Duration;

#[cfg(feature = "config")]
use super::hooks::Hooks;
use super::retention::Retention;
use super::shard::Shard;
use crate::model::{Format, Level};

/// A named set of defaults for a [`Watch`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Preset {
    /// Every finished file, in subfolders too.
    #[default]
    Inbox,
    /// Only names that a rotation makes (`app.log.1`, `app.log-20261123`), not in subfolders.
    RotatedLogs,
    /// Text-like web files; the original stays, and its output is remade when it changes.
    StaticAssets,
}

/// What happens when an output with other content already has the name that a file would get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnConflict {
    /// The new one is called `FILE.~1~.gz`, `FILE.~2~.gz`, …, with the format's suffix.
    #[default]
    Number,
    /// The new one takes the old one's place.
    Replace,
    /// The file is left as it is.
    Skip,
}

/// How a folder's changes are learned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WatcherChoice {
    /// By the agent's [`Watcher`](crate::Watcher) where its events can be had and trusted, else by polling: without a watcher, and on
    /// network and FUSE file systems.
    #[default]
    Auto,
    /// By the agent's watcher on any file system; by polling only where the watcher refuses the folder, or there is none.
    Native,
    /// By scanning the folder at its [poll interval](Watch::with_poll_interval).
    Poll,
}

/// How it is known that nobody writes to a file any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WriterCheck {
    /// The kernel says so: it grants a lease (fcntl(2), `F_SETLEASE`) only while nobody has the file open for writing or mapped writable,
    /// and tells when somebody comes. Needs the file's owner or `CAP_LEASE`, and a local file system. Whoever opens a file for writing
    /// that is being compressed waits in open(2) for a moment. The process may get SIGURG, which one that handles it has to expect.
    #[default]
    Lease,
    /// It has been quiet for the settle time. A program that keeps a file open and silent for longer may lose what it writes then.
    Quiet,
}

/// One folder and the rules for what is in it. Built with the `with_…` methods; what is not said has the preset's default.
///
/// ```
/// use std::time::Duration;
/// use dwindle::{Preset, Watch};
///
/// let watch = Watch::new("/srv/inbox", Preset::Inbox)
///     .with_include(["*.csv", "reports/**/*.txt"])
///     .with_settle(Duration::from_secs(5));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    pub(crate) path: PathBuf,
    pub(crate) preset: Preset,
    pub(crate) recursive: bool,
    pub(crate) include: Vec<String>,
    pub(crate) exclude: Vec<String>,
    pub(crate) min_size: u64,
    pub(crate) format: Format,
    /// Of the format.
    pub(crate) level: Option<Level>,
    pub(crate) settle: Duration,
    pub(crate) writer_check: WriterCheck,
    pub(crate) marker: Option<String>,
    pub(crate) keep_original: bool,
    pub(crate) output_dir: Option<PathBuf>,
    pub(crate) done_dir: Option<PathBuf>,
    pub(crate) failed_dir: Option<PathBuf>,
    pub(crate) on_conflict: OnConflict,
    pub(crate) leave_newest: usize,
    pub(crate) watcher: WatcherChoice,
    pub(crate) poll_interval: Duration,
    pub(crate) durable: bool,
    pub(crate) retention: Retention,
    #[cfg(feature = "config")]
    pub(crate) hooks: Hooks,
    pub(crate) shard: Option<Shard>,
}

impl Watch {
    /// A watch on `path` with the preset's defaults. Looks at nothing: [`Agent::add_watch`](crate::Agent::add_watch) opens the folder. A
    /// relative path is relative to the process's working folder at each time when it is opened.
    pub fn new(path: impl Into<PathBuf>, preset: Preset) -> Self {
        let web = preset == Preset::StaticAssets;
        Watch {
            path: path.into(),
            preset,
            recursive: preset != Preset::RotatedLogs,
            include: Vec::new(),
            exclude: Vec::new(),
            min_size: 0,
            format: Format::default(),
            level: None,
            settle: Duration::from_millis(if web { 500 } else { 2000 }),
            writer_check: WriterCheck::Lease,
            marker: None,
            keep_original: web,
            output_dir: None,
            done_dir: None,
            failed_dir: None,
            on_conflict: if web { OnConflict::Skip } else { OnConflict::Number },
            leave_newest: 0,
            watcher: WatcherChoice::Auto,
            poll_interval: Duration::from_secs(30),
            durable: true,
            retention: Retention::default(),
            #[cfg(feature = "config")]
            hooks: Hooks::default(),
            shard: None,
        }
    }

    /// Whether an output goes the way of its original: made anew when that changes, removed when it goes.
    pub(crate) fn outputs_follow(&self) -> bool {
        self.preset == Preset::StaticAssets && self.keep_original
    }

    /// The watched folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of the outputs.
    pub(crate) fn output_folder(&self) -> PathBuf {
        self.output_dir
            .as_ref()
            .map_or_else(|| self.path.clone(), |folder| self.path.join(folder))
    }

    /// Whether anything in the watched folder itself is ever made, renamed or removed.
    #[cfg(feature = "cli")]
    pub(crate) fn writes_to_its_folder(&self) -> bool {
        let moves = self.marker.is_some() || self.failed_dir.is_some();
        !self.keep_original || moves || self.output_folder() == self.path
    }

    /// The path that the output of a file would have, were it free; `file` is relative to the folder.
    #[cfg(feature = "cli")]
    pub(crate) fn output_of(&self, file: &Path) -> PathBuf {
        let mut path = match &self.output_dir {
            Some(folder) => self.path.join(folder).join(file),
            None => self.path.join(file),
        };
        path.as_mut_os_string().push(self.format.suffix());
        path
    }

    /// Whether subfolders are watched too. Default: yes; no for [`Preset::RotatedLogs`].
    #[must_use]
    pub fn with_recursive(mut self, recursive: bool) -> Self {
        self.recursive = recursive;
        self
    }

    /// Globs of the files to take; with none, the default, all. One without a slash is matched against the name, one with a slash
    /// against the path relative to the folder. `*` does not cross a slash, `**` does. A wrong one is an error of
    /// [`Agent::add_watch`](crate::Agent::add_watch).
    #[must_use]
    pub fn with_include(mut self, globs: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.include = globs.into_iter().map(Into::into).collect();
        self
    }

    /// Globs of the files to pass over, matched like those of [`with_include`](Self::with_include), and stronger than they are. Default: none.
    #[must_use]
    pub fn with_exclude(mut self, globs: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.exclude = globs.into_iter().map(Into::into).collect();
        self
    }

    /// Files of fewer bytes are left alone. Default: 0, but an empty file is never taken.
    #[must_use]
    pub fn with_min_size(mut self, bytes: u64) -> Self {
        self.min_size = bytes;
        self
    }

    /// What files become. Default: [`Format::Gzip`]. Forgets a level of another format.
    #[must_use]
    pub fn with_format(mut self, format: Format) -> Self {
        self.format = format;
        self.level = self.level.filter(|level| level.format() == format);
        self
    }

    /// The level for this folder, and with it the format. Default: the agent's for its own format, otherwise the format's.
    #[must_use]
    pub fn with_level(mut self, level: Level) -> Self {
        self.format = level.format();
        self.level = Some(level);
        self
    }

    /// The level that counts where `general` is that of watches that say none.
    pub(crate) fn level_or(&self, general: Level) -> Level {
        let general = Some(general).filter(|level| level.format() == self.format);
        self.level.or(general).unwrap_or(self.format.default_level())
    }

    /// How long a file must have been quiet before it counts as finished: since the last event about it and since the newer of its
    /// mtime and ctime. Default: 2 s; 500 ms for [`Preset::StaticAssets`]. With zero, whoever writes must keep the file open, or use
    /// another name, until it is finished.
    #[must_use]
    pub fn with_settle(mut self, settle: Duration) -> Self {
        self.settle = settle;
        self
    }

    /// How it is known that nobody writes to a file any more. Default: [`WriterCheck::Lease`].
    #[must_use]
    pub fn with_writer_check(mut self, check: WriterCheck) -> Self {
        self.writer_check = check;
        self
    }

    /// Takes a file only when its marker stands beside it, a regular file of any content; `{name}` in the pattern stands for the
    /// file's name, as in `{name}.done`. A file without one waits for it. The marker is removed once its file is compressed, whether
    /// or not the original is kept, unless it was replaced or written to meanwhile; it is never compressed itself. Default: no marker. A
    /// wrong pattern is an error of [`Agent::add_watch`](crate::Agent::add_watch).
    #[must_use]
    pub fn with_marker(mut self, pattern: impl Into<String>) -> Self {
        self.marker = Some(pattern.into());
        self
    }

    /// Whether the original stays. Default: no; yes for [`Preset::StaticAssets`].
    #[must_use]
    pub fn with_keep_original(mut self, keep: bool) -> Self {
        self.keep_original = keep;
        self
    }

    /// Where the outputs go: relative to the folder unless absolute. The tree of subfolders is kept. Default: beside the originals.
    #[must_use]
    pub fn with_output_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.output_dir = Some(folder.into());
        self
    }

    /// Where originals go when their `.gz` is published, instead of being removed: relative to the folder unless absolute, and on the same
    /// file system, since they are moved by a rename. The tree of subfolders is kept; where a name is taken, the original becomes
    /// `NAME.~1~`. Means nothing where originals are kept. Nothing in it is ever taken by this watch. Default: none.
    #[must_use]
    pub fn with_done_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.done_dir = Some(folder.into());
        self
    }

    /// Where files go that could not be compressed, on the same terms as [`with_done_dir`](Self::with_done_dir), each with a text
    /// `NAME.reason` beside it. A file goes there when a failure that is its own stays until somebody does something about it, at once, and
    /// when one that may pass has not, after 16 tries in ten minutes. Not for want of room, nor where the output's folder is the trouble, nor
    /// while somebody writes to it. Default: none; such files stay where they are.
    #[must_use]
    pub fn with_failed_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.failed_dir = Some(folder.into());
        self
    }

    /// What happens when the output's name is taken by other content. Default: [`OnConflict::Number`]; [`OnConflict::Skip`] for
    /// [`Preset::StaticAssets`], whose own earlier output is no conflict: it is remade.
    #[must_use]
    pub fn with_on_conflict(mut self, on_conflict: OnConflict) -> Self {
        self.on_conflict = on_conflict;
        self
    }

    /// Leaves the newest files of each rotation series as they are, so many of them; a file is taken when enough newer ones are there.
    /// One that is there compressed counts, and so does a live file with a dated name. Default: 0.
    #[must_use]
    pub fn with_leave_newest(mut self, number: usize) -> Self {
        self.leave_newest = number;
        self
    }

    /// How changes are learned. Default: [`WatcherChoice::Auto`].
    #[must_use]
    pub fn with_watcher(mut self, watcher: WatcherChoice) -> Self {
        self.watcher = watcher;
        self
    }

    /// How long after a scan the folder is scanned again where it is polled; less than 1 s is taken as 1 s. Default: 30 s. A folder with a
    /// watcher's events is scanned every 15 minutes all the same.
    #[must_use]
    pub fn with_poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// Whether outputs are made durable (fsync) before originals are removed. Without it a power cut can lose what was compressed
    /// in the minute before: for scratch data only. Default: yes.
    #[must_use]
    pub fn with_durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// Takes only the files that fall to this shard, so that several agents, on one host or on many, may share a folder. What stands beside a
    /// file counts whatever shard it is of, and so do the outputs that limits are about; but what is removed, made anew or recovered is only
    /// what belongs to a file of this shard. Agents of all N shards, with the same rules otherwise, do together what one without would do. A
    /// file that is renamed may fall to another shard, which takes it as a file that has come. Default: all files.
    #[must_use]
    pub fn with_shard(mut self, shard: Shard) -> Self {
        self.shard = Some(shard);
        self
    }

    /// How long a `.gz` is kept after it was made, or after its time where that is later; an older one is removed. So it is only with those
    /// that this watch would have made: from a name that it takes, in the folder of its outputs, a regular file that begins as gzip's do,
    /// which nobody writes to, and whose original is not there. Default: for ever.
    #[must_use]
    pub fn with_keep_for(mut self, age: Duration) -> Self {
        self.retention.age = Some(age);
        self
    }

    /// How many `.gz` are kept of each series: of one log's rotations in one folder, and else of all the files that had one name. The
    /// oldest by their times are removed, on the terms of [`with_keep_for`](Self::with_keep_for). Default: all.
    #[must_use]
    pub fn with_keep_count(mut self, count: u32) -> Self {
        self.retention.count = Some(count);
        self
    }

    /// How many bytes of `.gz` are kept in all. The oldest by their times are removed, on the terms of
    /// [`with_keep_for`](Self::with_keep_for), and never the newest, however large it is. Default: without a limit.
    #[must_use]
    pub fn with_keep_bytes(mut self, bytes: u64) -> Self {
        self.retention.bytes = Some(bytes);
        self
    }
}
