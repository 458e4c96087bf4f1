//! A folder under the agent's eyes: the configuration that says so, files on their way into it, and what must have become of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use rustix::process::geteuid;

use super::files::Kept;
use super::gz::read_with_flate2;
use super::programs::{self, while_none_is_started};
use super::run::{Output, Running};
use super::{Data, Dwindle, Original, Sandbox, assert_gz_of, names_below};

/// A sandbox with the folder `inbox`, which is watched, and `outside`, which is not.
pub(crate) struct Inbox {
    pub(crate) sandbox: Sandbox,
    pub(crate) path: PathBuf,
    pub(crate) outside: PathBuf,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self::of(Sandbox::new())
    }

    pub(crate) fn of(sandbox: Sandbox) -> Self {
        Inbox {
            path: sandbox.folder("inbox"),
            outside: sandbox.folder("outside"),
            sandbox,
        }
    }

    /// The program with a configuration of one watch; `keys` are the watch's.
    pub(crate) fn dwindle(&self, keys: &str) -> Dwindle {
        self.dwindle_with("", keys)
    }

    /// The same with keys that stand before the watch.
    pub(crate) fn dwindle_with(&self, general: &str, keys: &str) -> Dwindle {
        let path = self.path.display();
        let text = format!("{general}\n[[watch]]\npath = \"{path}\"\n{keys}\n");
        let config = self.sandbox.file("dwindle.toml", text);
        Dwindle::new(&self.sandbox).args(["run", "-c"]).args([config])
    }

    /// Starts the agent, with the keys of its one watch, and waits until it watches.
    pub(crate) fn watch(&self, keys: &str) -> Running {
        let mut running = self.dwindle(keys).start();
        running.wait_for_text(if keys.contains("poll") { "polling" } else { "watching" });
        running
    }

    /// Waits until there is, beside the names in `others`, exactly a `.gz` for each original, and checks all that is promised of them.
    pub(crate) fn wait_for_gz_of(&self, running: &mut Running, originals: &[Arrival], others: &[&str]) {
        running.wait_for_names(&self.path, names_with_gz_of(originals, others));
        for Arrival { folder, original } in originals {
            assert_gz_of(&original.gz_in(&self.path.join(folder)), original);
        }
    }

    /// The same of many files, without the two readers that are programs of their own.
    pub(crate) fn wait_for_many_gz_of(&self, running: &mut Running, originals: &[Arrival], others: &[&str]) {
        running.wait_for_names(&self.path, names_with_gz_of(originals, others));
        for Arrival { folder, original } in originals {
            let path = original.gz_in(&self.path.join(folder));
            assert_eq!(read_with_flate2(&path).content, original.content, "{}", path.display());
            assert_eq!(Kept::of(&path), original.kept, "{}", path.display());
        }
    }
}

/// A file on its way to a subfolder (empty: the inbox itself), as it will be when it is complete.
pub(crate) struct Arrival {
    pub(crate) folder: PathBuf,
    pub(crate) original: Original,
}

impl Arrival {
    /// Content of any size up to 100 KB, and metadata that no file has by default.
    pub(crate) fn new(data: &mut Data, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let size = data.number(1..100_000);
        let content = match data.number(0..4) {
            0 => data.random_bytes(size),
            _ => data.log_text(size),
        };
        Arrival {
            folder: path.parent().expect("a file's path").to_owned(),
            original: Original {
                name: path.file_name().expect("a file's path").to_owned(),
                content,
                kept: unusual_metadata(data),
            },
        }
    }

    /// So many, with names that the source of data makes up.
    pub(crate) fn several(data: &mut Data, count: usize) -> Vec<Self> {
        (0..count)
            .map(|_| {
                let name = data.name("csv");
                Arrival::new(data, name)
            })
            .collect()
    }

    /// Where it is to arrive.
    pub(crate) fn path_in(&self, inbox: &Path) -> PathBuf {
        inbox.join(&self.folder).join(&self.original.name)
    }

    /// Writes it to `path`. It is open for writing until it is complete, so that the program does not take it before, however long that takes.
    pub(crate) fn write_to(&self, path: &Path) {
        while_none_is_started(|| {
            let file = File::create(path).and_then(|mut file| {
                file.write_all(&self.original.content)?;
                Ok(file)
            });
            self.put_metadata_on(&file.unwrap_or_else(|error| panic!("{}: {error}", path.display())));
        });
    }

    /// What `cp -p` does last.
    pub(crate) fn put_metadata_on(&self, file: &File) {
        let kept = &self.original.kept;
        let result = (|| {
            for (name, value) in &kept.extended {
                rustix::fs::fsetxattr(file, name, value, rustix::fs::XattrFlags::empty())?;
            }
            let (owner, group) = kept.owner;
            std::os::unix::fs::fchown(file, Some(owner), Some(group))?;
            let (seconds, nanoseconds) = kept.modified;
            let (seconds, nanoseconds) = (u64::try_from(seconds), u32::try_from(nanoseconds));
            let since_epoch = Duration::new(seconds.expect("after 1970"), nanoseconds.expect("less than 1e9"));
            file.set_permissions(Permissions::from_mode(kept.mode))?;
            file.set_modified(SystemTime::UNIX_EPOCH + since_epoch)
        })();
        result.unwrap_or_else(|error: std::io::Error| panic!("{}: {error}", self.original.name.display()));
    }
}

/// Copies with all metadata, by cp(1): into the final name from the first byte on. What has the name and may not be written is replaced.
pub(crate) fn copy(from: &[PathBuf], to: &Path) {
    let mut copy = Command::new("cp");
    let status = programs::status(copy.arg("-af").arg("--").args(from).arg(to));
    assert!(status.expect("cp starts").success(), "{copy:?}");
}

impl Output {
    /// Checks that it ended well, and that the report says so many were compressed and nothing failed or was left.
    pub(crate) fn expect_compressed(self, count: usize) -> Self {
        let output = self.expect_code(0);
        let report = output.report();
        assert_eq!(
            (report.compressed, report.failed, report.left),
            (count as u64, 0, 0),
            "{output}"
        );
        output
    }
}

/// Each `.gz`, each folder on the way to one, and the others.
pub(crate) fn names_with_gz_of(originals: &[Arrival], others: &[&str]) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = others.iter().map(|name| (*name).to_owned()).collect();
    for Arrival { folder, original } in originals {
        names.insert(original.gz_in(folder).to_string_lossy().into_owned());
        let folders = folder.ancestors().filter(|folder| !folder.as_os_str().is_empty());
        names.extend(folders.map(|folder| format!("{}/", folder.display())));
    }
    names
}

fn unusual_metadata(data: &mut Data) -> Kept {
    let modes = [0o600, 0o640, 0o644, 0o664, 0o755, 0o444, 0o400];
    let mode = modes[data.number(0..modes.len())];
    let owner = if geteuid().is_root() {
        (number(data, 1000..2000), number(data, 2000..3000))
    } else {
        let own = fs::metadata("/proc/self").expect("procfs");
        (own.uid(), own.gid())
    };
    let seconds = number(data, 100_000_000..1_700_000_000);
    let nanoseconds = number(data, 0..1_000_000_000);
    let length = data.number(0..100);
    let value = data.random_bytes(length);
    Kept {
        mode,
        owner,
        modified: (seconds.into(), nanoseconds.into()),
        extended: BTreeMap::from([(OsStr::from_bytes(b"user.origin").to_owned(), value)]),
    }
}

fn number(data: &mut Data, range: Range<usize>) -> u32 {
    u32::try_from(data.number(range)).expect("a range of small numbers")
}

/// What must not change of a file that the program has to leave alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    inode: u64,
    mode: u32,
    links: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl State {
    /// Whether it is the same file with the same content: a rename changes only its last change.
    pub(crate) fn same_file(&self, other: &State) -> bool {
        let renamed = State {
            changed: other.changed,
            ..self.clone()
        };
        renamed == *other
    }
}

/// Every name below a folder, with the state of what has it.
pub(crate) fn state_below(folder: &Path) -> BTreeMap<String, State> {
    let state = |name: String| {
        let metadata = fs::symlink_metadata(folder.join(&name)).ok()?;
        let state = State {
            inode: metadata.ino(),
            mode: metadata.mode(),
            links: metadata.nlink(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        };
        Some((name, state))
    };
    names_below(folder).into_iter().filter_map(state).collect()
}
