//! Making the control socket, and taking it away again.
//!
//! Who has the [lock file](LockFile) beside the socket, `NAME.lock`, has the socket's name. A socket that is there beside a free lock is a dead
//! agent's and may go, and two agents that start at once cannot take each other's away.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, chmod, chownat, open, unlinkat};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with};

use crate::model::Escaped;
use crate::storage::{LockFile, Sharing, Status, Unlocked};

/// A socket's path has room for so many bytes (unix(7)).
const LONGEST_PATH: usize = 107;

/// Whose members may ask, where there is such a group.
const GROUP: &str = "dwindle";

const MODE: Mode = Mode::RUSR.union(Mode::WUSR).union(Mode::RGRP).union(Mode::WGRP);

/// So many may wait for their connection to be taken.
const BACKLOG: i32 = 128;

/// A control socket that is ours. Dropped, its name is gone.
#[derive(Debug)]
pub(crate) struct Socket {
    listener: UnixListener,
    path: PathBuf,
    /// What we have bound, should something else have the name one day.
    bound: Status,
    _lock: LockFile,
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unavailable {
    /// Another agent, or who knows who, answers there.
    #[error(
        "another agent answers on the control socket {} already. Stop that one first, or give this one a socket of its own (control-socket = PATH)",
        Escaped(path)
    )]
    Taken { path: PathBuf },
    #[error("the control socket {} cannot be made: {why}", Escaped(path))]
    Failed { path: PathBuf, why: String },
}

impl Socket {
    /// Makes the socket, for its user and the group `dwindle`, in a folder that has to be there. What a dead agent left gives way. Does
    /// not wait.
    ///
    /// # Errors
    ///
    /// Both of [`Unavailable`]; then everything is as it was.
    pub(crate) fn claim(path: &Path) -> Result<Self, Unavailable> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        match claim(&path) {
            Ok(socket) => Ok(socket),
            Err(Refused::Taken) => Err(Unavailable::Taken { path }),
            Err(Refused::Failed(why)) => Err(Unavailable::Failed { path, why }),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn listener(&self) -> &UnixListener {
        &self.listener
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let named = named(&self.path).ok().flatten();
        if named.is_some_and(|named| named.fingerprint.same_inode(&self.bound.fingerprint)) {
            let _ = unlink(&self.path);
        }
    }
}

enum Refused {
    Taken,
    Failed(String),
}

impl From<Errno> for Refused {
    fn from(errno: Errno) -> Self {
        Refused::Failed(io::Error::from(errno).to_string())
    }
}

fn claim(path: &Path) -> Result<Socket, Refused> {
    let address = SocketAddrUnix::new(path).map_err(|_| {
        let length = path.as_os_str().len();
        Refused::Failed(format!(
            "its path has {length} bytes, and no more than {LONGEST_PATH} are possible"
        ))
    })?;
    let lock = lock(path)?;
    make_way(path, &address)?;
    let socket = new_socket()?;
    bind(&socket, &address)?;
    let (file, bound) = open_socket(path)?;
    // From here on the name is taken away again when something fails.
    let socket = Socket {
        listener: UnixListener::from(socket),
        path: path.to_owned(),
        bound,
        _lock: lock,
    };
    if let Some(group) = group() {
        // Who is not in it keeps the socket to a group of their own.
        let _ = chownat(&file, "", None, Some(group), AtFlags::EMPTY_PATH);
    }
    // There is no fchmod(2) for such a descriptor.
    chmod(format!("/proc/self/fd/{}", file.as_raw_fd()), MODE)?;
    // Only now can anybody connect.
    listen(&socket.listener, BACKLOG)?;
    Ok(socket)
}

/// The socket's file, so that its rights are given to it and to nothing else: who may write to the folder could put a link in its place.
fn open_socket(path: &Path) -> Result<(OwnedFd, Status), Refused> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = retry_on_intr(|| open(path, flags, Mode::empty()))?;
    let found = Status::of(&file)?;
    if found.kind != FileType::Socket {
        return Err(Refused::Failed("something else has taken its name".to_owned()));
    }
    Ok((file, found))
}

/// Removes the socket of an agent that is dead.
fn make_way(path: &Path, address: &SocketAddrUnix) -> Result<(), Refused> {
    let Some(found) = named(path)? else { return Ok(()) };
    if found.kind != FileType::Socket {
        return Err(Refused::Failed(
            "something else than a socket has its name: look at it, and remove it".to_owned(),
        ));
    }
    match retry_on_intr(|| connect(&new_socket()?, address)) {
        Err(Errno::CONNREFUSED) => Ok(unlink(path)?),
        Err(Errno::NOENT) => Ok(()),
        // AGAIN: so many wait there that there is no place for us.
        Ok(()) | Err(Errno::AGAIN) => Err(Refused::Taken),
        Err(errno) => Err(errno.into()),
    }
}

/// Has the socket's name for us.
fn lock(socket: &Path) -> Result<LockFile, Refused> {
    let (Some(folder), Some(name)) = (socket.parent(), socket.file_name()) else {
        return Err(Errno::ISDIR.into());
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = retry_on_intr(|| open(folder, flags, Mode::empty())).map_err(|errno| match errno {
        Errno::NOENT => Refused::Failed("the folder that it would be in is not there".to_owned()),
        errno => errno.into(),
    })?;
    let mut name = name.to_owned();
    name.push(".lock");
    LockFile::take(&Arc::new(File::from(opened)), &name, Sharing::Alone).map_err(|unlocked| match unlocked {
        Unlocked::Held(_) => Refused::Taken,
        Unlocked::NotOurs(why) => Refused::Failed(format!(
            "{} is no lock file of an agent here: {why}. Look at it, and remove it",
            Escaped(&folder.join(&name))
        )),
        Unlocked::Call(errno) => errno.into(),
    })
}

fn new_socket() -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

/// What has the name, no link followed.
fn named(path: &Path) -> Result<Option<Status>, Errno> {
    match Status::of_name(CWD, path) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn unlink(path: &Path) -> Result<(), Errno> {
    retry_on_intr(|| unlinkat(CWD, path, AtFlags::empty()))
}

/// The group's number, as group(5) has it. What only a directory service knows of is not asked for.
fn group() -> Option<Gid> {
    let groups = fs::read("/etc/group").ok()?;
    groups.split(|&byte| byte == b'\n').find_map(|line| {
        let mut fields = line.split(|&byte| byte == b':');
        if fields.next()? != GROUP.as_bytes() {
            return None;
        }
        let number = std::str::from_utf8(fields.nth(1)?).ok()?;
        number.parse().ok().map(Gid::from_raw)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::geteuid;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::net::UnixStream;
    use tempfile::TempDir;

    fn scene() -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        (folder, path)
    }

    fn names(folder: &TempDir) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn refusal(path: &Path) -> String {
        Socket::claim(path).expect_err("refused").to_string()
    }

    #[test]
    fn a_socket_is_for_its_user_and_a_group_and_goes_with_its_owner() {
        let (folder, path) = scene();
        let socket = Socket::claim(&path).unwrap();
        let metadata = fs::symlink_metadata(&path).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o660);
        if let Some(group) = group().filter(|_| geteuid().is_root()) {
            assert_eq!(metadata.gid(), group.as_raw());
        }
        assert_eq!(names(&folder), ["control.sock", "control.sock.lock"]);
        let lock = fs::metadata(folder.path().join("control.sock.lock")).unwrap();
        assert_eq!(lock.permissions().mode() & 0o7077, 0, "nobody else can hold the lock");
        assert!(UnixStream::connect(&path).is_ok());
        drop(socket);
        assert_eq!(names(&folder), [""; 0]);
    }

    #[test]
    fn one_that_is_held_or_answers_is_taken_and_stays() {
        let (folder, path) = scene();
        let socket = Socket::claim(&path).unwrap();
        let sentence = format!(
            "another agent answers on the control socket {} already. Stop",
            path.display()
        );
        assert!(refusal(&path).starts_with(&sentence), "{}", refusal(&path));
        drop(socket);
        // By somebody who knows nothing of our lock.
        let stranger = UnixListener::bind(&path).unwrap();
        assert!(matches!(Socket::claim(&path), Err(Unavailable::Taken { .. })));
        assert_eq!(names(&folder), ["control.sock"], "the lock is given up again");
        assert!(UnixStream::connect(&path).is_ok());
        // Nobody takes the connections.
        let waiting: Vec<_> = std::iter::from_fn(|| {
            let socket = new_socket().unwrap();
            let address = SocketAddrUnix::new(&path).unwrap();
            connect(&socket, &address).is_ok().then_some(socket)
        })
        .take(10_000)
        .collect();
        assert!(matches!(Socket::claim(&path), Err(Unavailable::Taken { .. })));
        drop((stranger, waiting));
    }

    #[test]
    fn what_a_dead_agent_left_gives_way() {
        let (folder, path) = scene();
        drop(UnixListener::bind(&path).unwrap());
        fs::write(folder.path().join("control.sock.lock"), "").unwrap();
        assert!(UnixStream::connect(&path).is_err());
        let socket = Socket::claim(&path).unwrap();
        assert!(UnixStream::connect(socket.path()).is_ok());
    }

    #[test]
    fn of_many_that_start_at_once_beside_a_dead_socket_one_gets_it() {
        let (_folder, path) = scene();
        drop(UnixListener::bind(&path).unwrap());
        let barrier = std::sync::Barrier::new(16);
        let claimed: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        Socket::claim(&path)
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(
            claimed.iter().filter(|claimed| claimed.is_ok()).count(),
            1,
            "{claimed:?}"
        );
        assert!(
            UnixStream::connect(&path).is_ok(),
            "and it is the one that has the name"
        );
    }

    #[test]
    fn what_is_no_socket_stays_and_what_cannot_be_is_said() {
        let (folder, path) = scene();
        fs::write(&path, "text").unwrap();
        assert!(
            refusal(&path).contains("something else than a socket"),
            "{}",
            refusal(&path)
        );
        assert_eq!(fs::read(&path).unwrap(), b"text");
        let missing = folder.path().join("missing/control.sock");
        assert!(refusal(&missing).ends_with("the folder that it would be in is not there"));
        let long = folder.path().join("x".repeat(120));
        assert!(
            refusal(&long).contains("no more than 107 are possible"),
            "{}",
            refusal(&long)
        );
        let other = folder.path().join("other.sock");
        std::os::unix::fs::symlink("/dev/null", folder.path().join("other.sock.lock")).unwrap();
        assert!(matches!(Socket::claim(&other), Err(Unavailable::Failed { .. })));
        assert!(!other.exists());
    }

    #[test]
    fn what_takes_the_name_of_a_new_socket_is_given_no_rights() {
        let (folder, path) = scene();
        let secret = folder.path().join("secret");
        fs::write(&secret, "text").unwrap();
        std::os::unix::fs::symlink(&secret, &path).unwrap();
        assert!(matches!(open_socket(&path), Err(Refused::Failed(_))));
        assert!(matches!(open_socket(&secret), Err(Refused::Failed(_))));
    }

    #[test]
    fn a_name_that_somebody_else_has_by_now_is_left_to_them() {
        let (_folder, path) = scene();
        let socket = Socket::claim(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let other = UnixListener::bind(&path).unwrap();
        drop(socket);
        assert!(UnixStream::connect(&path).is_ok());
        drop(other);
    }
}
