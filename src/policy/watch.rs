//! One watched folder's rules.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::model::Level;

/// A named set of defaults for a [`Watch`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Preset {
    /// Every finished file, in subfolders too.
    #[default]
    Inbox,
    /// Only names that a rotation makes (`app.log.1`, `app.log-20261123`), not in subfolders.
    RotatedLogs,
    /// Text-like web files; the original stays, and its `.gz` is remade when it changes.
    StaticAssets,
}

/// What happens when a `.gz` with other content already has the name that a file would get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnConflict {
    /// The new one is called `FILE.~1~.gz`, `FILE.~2~.gz`, …
    #[default]
    Number,
    /// The new one takes the old one's place.
    Replace,
    /// The file is left as it is.
    Skip,
}

/// How a folder's changes are learned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WatcherChoice {
    /// By the kernel's events where they can be had and trusted, else by polling.
    #[default]
    Auto,
    /// By the kernel's events.
    Native,
    /// By scanning the folder at `poll_interval`.
    Poll,
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
    pub(crate) level: Option<Level>,
    pub(crate) settle: Duration,
    pub(crate) keep_original: bool,
    pub(crate) output_dir: Option<PathBuf>,
    pub(crate) on_conflict: OnConflict,
    pub(crate) watcher: WatcherChoice,
    pub(crate) poll_interval: Duration,
    pub(crate) durable: bool,
}

impl Watch {
    /// A watch on `path` with the preset's defaults.
    pub fn new(path: impl Into<PathBuf>, preset: Preset) -> Self {
        let web = preset == Preset::StaticAssets;
        Watch {
            path: path.into(),
            preset,
            recursive: preset != Preset::RotatedLogs,
            include: Vec::new(),
            exclude: Vec::new(),
            min_size: 0,
            level: None,
            settle: Duration::from_millis(if web { 500 } else { 2000 }),
            keep_original: web,
            output_dir: None,
            on_conflict: if web { OnConflict::Replace } else { OnConflict::Number },
            watcher: WatcherChoice::Auto,
            poll_interval: Duration::from_secs(30),
            durable: true,
        }
    }

    /// The watched folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path that the output of a file would have, were it free; `file` is relative to the folder.
    #[cfg(feature = "cli")]
    pub(crate) fn output_of(&self, file: &Path) -> PathBuf {
        let mut path = match &self.output_dir {
            Some(folder) => self.path.join(folder).join(file),
            None => self.path.join(file),
        };
        path.as_mut_os_string().push(".gz");
        path
    }

    /// Whether subfolders are watched too.
    #[must_use]
    pub fn with_recursive(mut self, recursive: bool) -> Self {
        self.recursive = recursive;
        self
    }

    /// Globs of the files to take; with none, all. One without a slash is matched against the name, one with a slash against the
    /// path relative to the folder. `*` does not cross a slash, `**` does.
    #[must_use]
    pub fn with_include(mut self, globs: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.include = globs.into_iter().map(Into::into).collect();
        self
    }

    /// Globs of the files to pass over, matched like those of [`with_include`](Self::with_include), and stronger than they are.
    #[must_use]
    pub fn with_exclude(mut self, globs: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.exclude = globs.into_iter().map(Into::into).collect();
        self
    }

    /// Files of fewer bytes are left alone.
    #[must_use]
    pub fn with_min_size(mut self, bytes: u64) -> Self {
        self.min_size = bytes;
        self
    }

    /// The level for this folder instead of the agent's.
    #[must_use]
    pub fn with_level(mut self, level: Level) -> Self {
        self.level = Some(level);
        self
    }

    /// How long a file must have been quiet before it counts as finished: since the last event about it and since the newer of its
    /// mtime and ctime.
    #[must_use]
    pub fn with_settle(mut self, settle: Duration) -> Self {
        self.settle = settle;
        self
    }

    /// Whether the original stays beside its `.gz`.
    #[must_use]
    pub fn with_keep_original(mut self, keep: bool) -> Self {
        self.keep_original = keep;
        self
    }

    /// Where the `.gz` files go: relative to the folder unless absolute. The tree of subfolders is kept.
    #[must_use]
    pub fn with_output_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.output_dir = Some(folder.into());
        self
    }

    /// What happens when the output's name is taken by other content.
    #[must_use]
    pub fn with_on_conflict(mut self, on_conflict: OnConflict) -> Self {
        self.on_conflict = on_conflict;
        self
    }

    /// How changes are learned.
    #[must_use]
    pub fn with_watcher(mut self, watcher: WatcherChoice) -> Self {
        self.watcher = watcher;
        self
    }

    /// How often the folder is scanned where it is polled.
    #[must_use]
    pub fn with_poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// Whether outputs are made durable (fsync) before originals are removed. Without it a power cut can lose what was compressed
    /// in the minute before: for scratch data only.
    #[must_use]
    pub fn with_durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }
}
