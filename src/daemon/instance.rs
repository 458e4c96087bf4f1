//! The instance lock: a second agent does not start on a folder that another one watches, so that neither recovers what the other is
//! about to finish.
//!
//! There is a lock for each watched folder, named after the folder's device and inode. One for each configuration would miss the same
//! folder in two of them, or in one and on a command line, and a path has many spellings. The lock stays with the folder that was there
//! at the start: one that takes its place later has another inode, and an agent that starts then is not refused. Nor is one that watches a
//! folder inside the other's: whether that is the same work depends on the rules of both.
//!
//! Agents for different shards of one folder share its lock, and each has its own shard's for itself: none starts beside one that takes all
//! files, nor beside one for the same shard.
//!
//! A lock is a [`LockFile`] in the runtime directory. The file's content is only for the message to whoever is refused.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Arc, Weak};

use jiff::Timestamp;
use rustix::fs::{Dir, Mode, OFlags, fstat, major, minor, mkdir, open, stat};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::geteuid;

use crate::model::{Error, Escaped, Step};
use crate::policy::Shard;
use crate::storage::{LockFile, Sharing, Unlocked};

/// Of the service and its instances, and of root.
const FOR_SERVICES: &str = "/run/dwindle";

/// What the runtime directory of an instance begins with (`dwindle@NAME.service`).
const OF_INSTANCES: &str = "/run/dwindle-";

/// Where the agent keeps what is its own while it runs: the first folder of `$RUNTIME_DIRECTORY` (systemd.exec(5)); for root
/// `/run/dwindle`; for others `dwindle` in `$XDG_RUNTIME_DIR`, and `/run/dwindle` where that is not set. Whether it is there is not asked.
pub(crate) fn runtime_directory() -> PathBuf {
    let (service, user) = (env::var_os("RUNTIME_DIRECTORY"), env::var_os("XDG_RUNTIME_DIR"));
    directory_from(service.as_deref(), user.as_deref(), geteuid().is_root())
}

/// Where it keeps its locks: its runtime directory. Instances of the service have one each, and would not see one another's locks there;
/// those that run as the service's user keep them in the service's.
pub(crate) fn lock_directory() -> PathBuf {
    let own = runtime_directory();
    let shared = Path::new(FOR_SERVICES);
    let is_ours = || retry_on_intr(|| stat(shared)).is_ok_and(|found| found.st_uid == geteuid().as_raw());
    if is_of_instance(&own) && is_ours() {
        shared.to_owned()
    } else {
        own
    }
}

/// Where agents of this host may have their runtime directories, for who looks for one: that of the service first, those of its instances
/// (`dwindle@NAME.service`) by name, then that of this user.
pub(crate) fn runtime_directories() -> Vec<PathBuf> {
    let (service, user) = (env::var_os("RUNTIME_DIRECTORY"), env::var_os("XDG_RUNTIME_DIR"));
    let of_service = directory_from(service.as_deref(), None, true);
    let mut of_instances = Vec::new();
    if of_service == Path::new(FOR_SERVICES) {
        let entries = fs::read_dir("/run").into_iter().flatten().flatten();
        of_instances.extend(entries.map(|entry| entry.path()).filter(|path| is_of_instance(path)));
        of_instances.sort_unstable();
    }
    let of_user = directory_from(None, user.as_deref(), false);
    let mut all: Vec<PathBuf> = [of_service].into_iter().chain(of_instances).chain([of_user]).collect();
    all.dedup();
    all
}

fn is_of_instance(directory: &Path) -> bool {
    directory.as_os_str().as_bytes().starts_with(OF_INSTANCES.as_bytes())
}

/// The locks on the watched folders, held until it is dropped, and with it every instance that [followed](Self::follow) it and has the
/// folder, too.
#[derive(Debug)]
pub(crate) struct Instance {
    directory: PathBuf,
    /// Of every folder.
    shard: Option<Shard>,
    locks: BTreeMap<PathBuf, Arc<Lock>>,
    /// Locks of instances that this one followed, which may still be held.
    earlier: Vec<Weak<Lock>>,
}

#[derive(Debug)]
struct Lock {
    folder: LockFile,
    /// Of an agent for a shard, which shares the folder's.
    _shard: Option<LockFile>,
}

/// Why the folders are not ours.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// Another agent has the folder.
    #[error(
        "another agent watches {} already: {}. Stop that one first, or leave the folder to it (lock file: {})",
        Escaped(folder),
        holder_in(content),
        Escaped(lock)
    )]
    Held {
        folder: PathBuf,
        content: OsString,
        lock: PathBuf,
    },
    /// There is no place for locks.
    #[error("no lock can be kept in the runtime directory {}: {why}", Escaped(directory))]
    NoDirectory { directory: PathBuf, why: String },
    /// What has the lock's name was not made by an agent that may keep its locks there.
    #[error(
        "{} is no lock file of an agent here: {why}. Look at it, and remove it",
        Escaped(lock)
    )]
    NotOurs { lock: PathBuf, why: &'static str },
    /// A folder to watch is not there any more.
    #[error(transparent)]
    Folder(Error),
}

impl Instance {
    /// Locks every folder, or the shard of each, once, however often and by whatever path it is named; all or none. `directory` is made, for this user
    /// alone, where it is missing. `configuration` is what the next one who asks is told. Does not wait for a lock.
    ///
    /// # Errors
    ///
    /// Each of [`Refused`]; nothing stays locked then.
    pub(crate) fn lock<'a>(
        directory: &Path,
        folders: impl IntoIterator<Item = &'a Path>,
        shard: Option<Shard>,
        configuration: &OsStr,
    ) -> Result<Self, Refused> {
        let nothing = Instance {
            directory: directory.to_owned(),
            shard,
            locks: BTreeMap::new(),
            earlier: Vec::new(),
        };
        nothing.follow(folders, configuration)
    }

    /// The locks on other folders. What is locked already stays so without a gap, by its path: that a folder is not there for now, or is
    /// another one, is no matter then. What is not wanted any more is released when `self` is dropped.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock); `self` is as it was.
    pub(crate) fn follow<'a>(
        &self,
        folders: impl IntoIterator<Item = &'a Path>,
        configuration: &OsStr,
    ) -> Result<Self, Refused> {
        let held = self.locks.values().map(Arc::downgrade);
        let held = held.chain(self.earlier.iter().cloned());
        let mut instance = Instance {
            directory: self.directory.clone(),
            shard: self.shard,
            locks: BTreeMap::new(),
            earlier: held.filter(|lock| lock.strong_count() > 0).collect(),
        };
        // In the order of their names: of two agents that start on the same folders at once, one gets them all.
        let mut names = BTreeMap::<String, Vec<&Path>>::new();
        for folder in folders {
            match self.locks.get(folder) {
                Some(lock) => drop(instance.locks.insert(folder.to_owned(), Arc::clone(lock))),
                None => names.entry(name_for(folder)?).or_default().push(folder),
            }
        }
        if !names.is_empty() {
            instance.acquire(names, configuration)?;
        }
        Ok(instance)
    }

    fn acquire(&mut self, names: BTreeMap<String, Vec<&Path>>, configuration: &OsStr) -> Result<(), Refused> {
        let directory = open_directory(&self.directory).map_err(|why| no_directory(&self.directory, why))?;
        let directory = Arc::new(directory);
        let since = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default();
        let shard = self.shard.map_or_else(String::new, |shard| format!(", shard {shard}"));
        let mut content = format!("process {}{shard}, since {since}, configured by ", process::id()).into_bytes();
        content.extend_from_slice(configuration.as_bytes());
        for (name, folders) in names {
            let mut earlier = self.earlier.iter().filter_map(Weak::upgrade);
            let lock = if let Some(lock) = earlier.find(|lock| lock.folder.name() == lock_name(&name, None).as_str()) {
                lock
            } else {
                let lock = Lock::acquire(&directory, &name, self.shard, &content);
                Arc::new(lock.map_err(|(name, unlocked)| refused(&name, unlocked, folders[0], &self.directory))?)
            };
            let folders = folders.into_iter().map(Path::to_owned);
            self.locks.extend(folders.map(|folder| (folder, Arc::clone(&lock))));
        }
        Ok(())
    }
}

impl Lock {
    /// With the failure comes the name of the lock that could not be had.
    fn acquire(
        directory: &Arc<File>,
        name: &str,
        shard: Option<Shard>,
        content: &[u8],
    ) -> Result<Self, (String, Unlocked)> {
        let take = |name: String, sharing| match LockFile::take(directory, OsStr::new(&name), sharing) {
            Ok(lock) => Ok(lock),
            // Those who share it say nothing in it.
            Err(Unlocked::Held(holder)) if holder.is_empty() => Err(holder_of_shard(directory, &name)
                .map_or((name, Unlocked::Held(holder)), |(name, holder)| {
                    (name, Unlocked::Held(holder))
                })),
            Err(unlocked) => Err((name, unlocked)),
        };
        let folder = take(lock_name(name, None), sharing_of(shard))?;
        let Some(shard) = shard else {
            folder.tell(content);
            return Ok(Lock { folder, _shard: None });
        };
        folder.tell(b"");
        let shard = take(lock_name(name, Some(shard)), Sharing::Alone)?;
        shard.tell(content);
        Ok(Lock {
            folder,
            _shard: Some(shard),
        })
    }
}

fn sharing_of(shard: Option<Shard>) -> Sharing {
    shard.map_or(Sharing::Alone, |_| Sharing::WithOthers)
}

/// A lock by this name that could not be had.
fn refused(name: &str, unlocked: Unlocked, folder: &Path, directory: &Path) -> Refused {
    let lock = directory.join(name);
    match unlocked {
        Unlocked::Held(content) => Refused::Held {
            folder: folder.to_owned(),
            content,
            lock,
        },
        Unlocked::NotOurs(why) => Refused::NotOurs { lock, why },
        Unlocked::Call(errno) => no_directory(directory, reason(errno)),
    }
}

/// One of the agents that share a folder's lock, by the lock of its shard: that one's name and content. Nothing where that cannot be told.
fn holder_of_shard(directory: &Arc<File>, lock: &str) -> Option<(String, OsString)> {
    let of_shards = format!("{}-shard-", lock.strip_suffix(".lock")?);
    let names = Dir::read_from(directory).ok()?.flatten();
    let mut names = names.filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned));
    names.find_map(|name| {
        name.strip_prefix(&of_shards)?;
        match LockFile::take(directory, OsStr::new(&name), Sharing::WithOthers) {
            Err(Unlocked::Held(content)) => Some((name, content)),
            _ => None,
        }
    })
}

/// Opens the directory, which is made where it is missing, unless it is somebody else's or others may write to it: whoever can change
/// names in it can give us any file to lock. That of the service is good enough for root, who made it.
fn open_directory(path: &Path) -> Result<File, String> {
    // Without a slash at the end, which would have a symbolic link followed.
    let path: PathBuf = path.components().collect();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = || retry_on_intr(|| open(&path, flags, Mode::empty()));
    let opened = match open() {
        Err(Errno::NOENT) => match retry_on_intr(|| mkdir(&path, Mode::RWXU)) {
            Ok(()) | Err(Errno::EXIST) => open(),
            Err(Errno::NOENT) => return Err("the folder that it would be in is not there".to_owned()),
            Err(errno) => return Err(format!("it cannot be made: {}", reason(errno))),
        },
        opened => opened,
    };
    let directory = match opened {
        Ok(directory) => directory,
        Err(Errno::NOTDIR | Errno::LOOP) => return Err("it is a symbolic link, or no folder".to_owned()),
        Err(errno) => return Err(reason(errno)),
    };
    let status = retry_on_intr(|| fstat(&directory)).map_err(reason)?;
    let user = geteuid();
    if status.st_uid != user.as_raw() && !(user.is_root() && path == Path::new(FOR_SERVICES)) {
        return Err(format!("it belongs to another user (uid {})", status.st_uid));
    }
    if Mode::from_raw_mode(status.st_mode).intersects(Mode::WGRP | Mode::WOTH) {
        return Err("others may write to it (chmod go-w)".to_owned());
    }
    Ok(directory.into())
}

/// What the names of the folder's locks begin with. Symbolic links are followed, as the agent itself follows those in a path that it is given.
fn name_for(folder: &Path) -> Result<String, Refused> {
    let status =
        retry_on_intr(|| stat(folder)).map_err(|errno| Refused::Folder(Error::new(Step::Look, folder, errno)))?;
    Ok(format!(
        "watch-{}-{}-{}",
        major(status.st_dev),
        minor(status.st_dev),
        status.st_ino
    ))
}

fn lock_name(folder: &str, shard: Option<Shard>) -> String {
    match shard {
        None => format!("{folder}.lock"),
        // No name has a slash in it.
        Some(shard) => format!("{folder}-shard-{}.lock", shard.to_string().replace('/', "-of-")),
    }
}

fn directory_from(service: Option<&OsStr>, user: Option<&OsStr>, is_root: bool) -> PathBuf {
    let first = service.and_then(|list| env::split_paths(list).next());
    let of_user = || Some(Path::new(user?).join("dwindle"));
    // A relative path would mean another folder for each agent.
    let absolute = |path: &PathBuf| path.is_absolute();
    first
        .filter(absolute)
        .or_else(|| if is_root { None } else { of_user().filter(absolute) })
        .unwrap_or_else(|| PathBuf::from(FOR_SERVICES))
}

fn no_directory(directory: &Path, why: String) -> Refused {
    Refused::NoDirectory {
        directory: directory.to_owned(),
        why,
    }
}

fn reason(errno: Errno) -> String {
    io::Error::from(errno).to_string()
}

fn holder_in(content: &OsStr) -> String {
    if content.is_empty() {
        // Locked just now, and not written yet.
        return "which process, its lock does not say yet".to_owned();
    }
    Escaped(Path::new(content)).to_string()
}

#[cfg(test)]
mod tests;
