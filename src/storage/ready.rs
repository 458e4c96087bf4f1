//! The look: is this name a file to compress, and now? Events are only hints; this is the truth.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::fs::FileType;
use rustix::io::Errno;

use super::dir::{Folder, is_gone};
use super::lease::{self, NoLease};
use super::marker::Marker;
use super::remote::remote_file_system;
use super::siblings::Siblings;
use super::status::Status;
use crate::model::{Error, Reason, Step};
use crate::policy::{HEAD_BYTES, Select, Watch, WriterCheck, compressed_format};

/// What makes a file of a watched folder ready.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) select: Arc<Select>,
    /// How long nothing may have touched it.
    pub(crate) settle: Duration,
    pub(crate) writer_check: WriterCheck,
    /// What was last seen beside a dated file.
    pub(crate) siblings: Arc<Siblings>,
}

impl Rules {
    /// Those of a watch.
    pub(crate) fn of(watch: &Watch, select: Arc<Select>) -> Self {
        Rules {
            select,
            settle: watch.settle,
            writer_check: watch.writer_check,
            siblings: Arc::default(),
        }
    }
}

/// What a look found.
#[derive(Debug)]
pub(crate) enum Look {
    Ready(Candidate),
    Pass(Reason),
    /// It may be ready after this long, if nothing touches it.
    NotYet(Duration),
    /// Somebody has it open for writing, or mapped writable.
    InUse,
    IsFolder,
    Gone,
}

/// A file to compress: open, and with what was known of it when it was found ready.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) file: File,
    pub(crate) name: OsString,
    pub(crate) status: Status,
    /// Whether a lease on it was taken. It ends with the file.
    pub(crate) leased: bool,
    /// Where one was waited for: to be removed when the file has been dealt with.
    pub(crate) marker: Option<Marker>,
}

impl Candidate {
    /// Whether somebody wants to write to it, as far as a lease tells.
    pub(super) fn has_lost_its_lease(&self) -> bool {
        self.leased && !lease::is_held(&self.file)
    }
}

/// Looks at one name of an open folder. Never follows a symbolic link and never waits on a FIFO or device. Whether name and path are
/// ours to take is not asked here.
///
/// A file is asked whether it is quiet before anything else that a writer may still change: it may yet get its first byte, or lose the
/// second name through which it was published. Only its marker is asked for before that, where it has to have one: while it has none,
/// there is nothing to wait for but the marker, and that raises an event.
pub(crate) fn look(parent: &Folder, name: &OsStr, rules: &Rules, now: SystemTime) -> Result<Look, Error> {
    // Opening alone would do something to a FIFO's writer or to a device, so the name is asked first; the answer counts only after it
    // has been given again by the descriptor.
    let Some(status) = parent.status(name)? else {
        return Ok(Look::Gone);
    };
    if let Some(verdict) = judge_kind(&status) {
        return Ok(verdict);
    }
    let marker = match rules.select.marker_of(name) {
        None => None,
        Some(marker) => match Marker::find(parent, marker.clone())? {
            None => return Ok(Look::Pass(Reason::NoMarker(marker))),
            found => found,
        },
    };
    if let Some(verdict) = judge(&status, rules, now) {
        return Ok(verdict);
    }
    let file = match parent.open_file(name) {
        Ok(file) => file,
        Err(error) => return explain(error),
    };
    let failed = |errno: Errno| Error::new(Step::Look, parent.path_of(name), errno);
    // Before its status is taken: from here on nobody changes the file unnoticed.
    let leased = match rules.writer_check {
        WriterCheck::Quiet => Ok(()),
        WriterCheck::Lease => lease_on(parent, &file),
    };
    let status = Status::of(&file).map_err(failed)?;
    if let Some(verdict) = judge(&status, rules, now) {
        return Ok(verdict);
    }
    let format = format_of(&file, status.fingerprint.size);
    if let Some(format) = format.map_err(|error| Error::new(Step::Read, parent.path_of(name), error))? {
        return Ok(Look::Pass(Reason::CompressedContent(format)));
    }
    if let Err(reason) = rules.siblings.ask(parent, name, &rules.select)? {
        return Ok(Look::Pass(reason));
    }
    match leased {
        Ok(()) => Ok(Look::Ready(Candidate {
            file,
            name: name.to_owned(),
            status,
            leased: rules.writer_check == WriterCheck::Lease,
            marker,
        })),
        Err(NoLease::Writer) => Ok(Look::InUse),
        Err(NoLease::Unavailable(cause)) => Ok(Look::Pass(Reason::NoLease(cause.to_string()))),
    }
}

/// On a file system whose writers may be elsewhere, a lease says nothing, whether it is granted or not.
pub(super) fn lease_on(parent: &Folder, file: &File) -> Result<(), NoLease> {
    match remote_file_system(parent) {
        Some(name) => {
            let message = format!("on {name}, others may write unseen");
            Err(NoLease::Unavailable(std::io::Error::other(message)))
        }
        None => lease::take(file),
    }
}

/// Everything that metadata alone can decide; nothing where nothing speaks against the file.
fn judge(status: &Status, rules: &Rules, now: SystemTime) -> Option<Look> {
    if let Some(verdict) = judge_kind(status) {
        return Some(verdict);
    }
    let quiet = status.fingerprint.quiet_for(now);
    if quiet < rules.settle {
        return Some(Look::NotYet(rules.settle.saturating_sub(quiet)));
    }
    let reason = if status.fingerprint.links > 1 {
        Reason::HardLinks
    } else if status.protected {
        Reason::Protected
    } else {
        rules.select.size(status.fingerprint.size).err()?
    };
    Some(Look::Pass(reason))
}

pub(super) fn judge_kind(status: &Status) -> Option<Look> {
    match status.kind {
        FileType::RegularFile => None,
        FileType::Directory => Some(Look::IsFolder),
        FileType::Symlink => Some(Look::Pass(Reason::SymbolicLink)),
        _ => Some(Look::Pass(Reason::NotRegular)),
    }
}

/// What it means that a name which was a regular file's a moment ago could not be opened.
pub(super) fn explain(error: Error) -> Result<Look, Error> {
    let is = |errno: Errno| error.errno() == Some(errno.raw_os_error());
    if is(Errno::LOOP) {
        Ok(Look::Pass(Reason::SymbolicLink))
    } else if is(Errno::XDEV) {
        Ok(Look::Pass(Reason::OtherMount))
    } else if is(Errno::NXIO) {
        Ok(Look::Pass(Reason::NotRegular))
    } else if is_gone(&error) {
        Ok(Look::Gone)
    } else {
        Err(error)
    }
}

/// Of a short file no more is asked for than it has: that there is nothing behind it is known.
pub(super) fn format_of(file: &File, size: u64) -> std::io::Result<Option<&'static str>> {
    let mut head = [0; HEAD_BYTES];
    let length = usize::try_from(size).map_or(HEAD_BYTES, |size| size.min(HEAD_BYTES));
    let head = head.get_mut(..length).unwrap_or_default();
    let mut filled = 0;
    while let Some(rest) = head.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, filled as u64) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(compressed_format(head.get(..filled).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Preset;
    use crate::storage::select_everything;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;
    use std::path::Path;

    use rustix::fs::{CWD, IFlags, Mode, ioctl_getflags, ioctl_setflags, mkfifoat};

    fn rules(settle: u64) -> Rules {
        Rules {
            select: select_everything(),
            settle: Duration::from_secs(settle),
            writer_check: WriterCheck::Lease,
            siblings: Arc::default(),
        }
    }

    fn rules_of(watch: &Watch) -> Rules {
        let select = Arc::new(Select::new(watch).unwrap());
        Rules::of(watch, select)
    }

    fn look_at(folder: &Path, name: &str) -> Result<Look, Error> {
        let folder = Folder::open(folder).unwrap();
        look(&folder, OsStr::new(name), &rules(0), SystemTime::now())
    }

    fn passed(folder: &Path, name: &str) -> Reason {
        match look_at(folder, name) {
            Ok(Look::Pass(reason)) => reason,
            other => panic!("{name}: {other:?}"),
        }
    }

    #[test]
    fn a_plain_file_is_ready_with_its_metadata() {
        let base = tempfile::tempdir().unwrap();
        fs::write(base.path().join("a"), "text").unwrap();
        fs::set_permissions(base.path().join("a"), Permissions::from_mode(0o640)).unwrap();
        let Ok(Look::Ready(candidate)) = look_at(base.path(), "a") else {
            panic!("not ready");
        };
        assert_eq!(candidate.status.permissions, 0o640);
        assert_eq!(candidate.status.fingerprint.size, 4);
    }

    #[test]
    fn what_is_not_a_regular_file_is_passed_over_without_waiting() {
        let base = tempfile::tempdir().unwrap();
        let path = |name: &str| base.path().join(name);
        symlink("/etc/passwd", path("link")).unwrap();
        symlink("nowhere", path("dangling")).unwrap();
        mkfifoat(CWD, path("fifo"), Mode::RUSR | Mode::WUSR).unwrap();
        let _socket = UnixListener::bind(path("socket")).unwrap();
        fs::create_dir(path("folder")).unwrap();
        assert_eq!(passed(base.path(), "link"), Reason::SymbolicLink);
        assert_eq!(passed(base.path(), "dangling"), Reason::SymbolicLink);
        assert_eq!(passed(base.path(), "fifo"), Reason::NotRegular);
        assert_eq!(passed(base.path(), "socket"), Reason::NotRegular);
        assert!(matches!(look_at(base.path(), "folder"), Ok(Look::IsFolder)));
        assert!(matches!(look_at(base.path(), "missing"), Ok(Look::Gone)));
    }

    #[test]
    fn hard_linked_empty_and_compressed_files_are_passed_over() {
        let base = tempfile::tempdir().unwrap();
        let path = |name: &str| base.path().join(name);
        fs::write(path("a"), "text").unwrap();
        fs::hard_link(path("a"), path("b")).unwrap();
        fs::write(path("empty"), "").unwrap();
        fs::write(path("squeezed"), b"\x1f\x8b\x08 and so on and so on").unwrap();
        assert_eq!(passed(base.path(), "a"), Reason::HardLinks);
        assert_eq!(passed(base.path(), "empty"), Reason::Empty);
        assert!(matches!(passed(base.path(), "squeezed"), Reason::CompressedContent(_)));
    }

    #[test]
    fn a_file_must_be_quiet_before_anything_else_is_held_against_it() {
        let base = tempfile::tempdir().unwrap();
        fs::write(base.path().join("a"), "").unwrap();
        let folder = Folder::open(base.path()).unwrap();
        let look_in = |seconds| {
            let now = SystemTime::now() + Duration::from_secs(seconds);
            look(&folder, OsStr::new("a"), &rules(100), now).unwrap()
        };
        match look_in(40) {
            Look::NotYet(wait) => assert!(wait <= Duration::from_secs(61), "{wait:?}"),
            other => panic!("{other:?}"),
        }
        assert!(matches!(look_in(101), Look::Pass(Reason::Empty)));
    }

    #[test]
    fn a_dated_name_is_ready_only_beside_a_newer_regular_file() {
        let base = tempfile::tempdir().unwrap();
        let path = |name: &str| base.path().join(name);
        let watch = Watch::new(base.path(), Preset::RotatedLogs);
        let rules = rules_of(&watch.with_settle(Duration::ZERO));
        let folder = Folder::open(base.path()).unwrap();
        let look_at_older = || look(&folder, OsStr::new("app.log-20260101"), &rules, SystemTime::now()).unwrap();
        fs::write(path("app.log-20260101"), "text").unwrap();
        symlink("app.log-20260101", path("app.log")).unwrap();
        assert!(matches!(look_at_older(), Look::Pass(Reason::PossiblyLive)));
        for number in 0..100 {
            fs::write(path(&format!("other{number}")), "").unwrap();
        }
        fs::write(path("app.log-20260102"), "text").unwrap();
        assert!(matches!(look_at_older(), Look::Ready(_)));
    }

    #[test]
    fn the_newest_of_a_series_are_not_ready() {
        let base = tempfile::tempdir().unwrap();
        let watch = Watch::new(base.path(), Preset::RotatedLogs).with_leave_newest(2);
        let rules = rules_of(&watch.with_settle(Duration::ZERO));
        let folder = Folder::open(base.path()).unwrap();
        for name in ["a.log", "a.log.1", "a.log.2", "a.log.3", "a.log.9", "b.log.9"] {
            fs::write(base.path().join(name), "text").unwrap();
        }
        for (name, ready) in [
            ("a.log.1", false),
            ("a.log.2", false),
            ("a.log.3", true),
            ("a.log.9", true),
            ("b.log.9", false),
        ] {
            let found = look(&folder, OsStr::new(name), &rules, SystemTime::now()).unwrap();
            assert_eq!(matches!(found, Look::Ready(_)), ready, "{name}");
            assert_eq!(matches!(found, Look::Pass(Reason::AmongNewest(2))), !ready, "{name}");
        }
    }

    #[test]
    fn a_file_is_ready_only_beside_its_marker_and_is_not_waited_for_before() {
        let base = tempfile::tempdir().unwrap();
        let watch = Watch::new(base.path(), Preset::Inbox).with_marker("{name}.done");
        let rules = rules_of(&watch.with_settle(Duration::from_secs(100)));
        let folder = Folder::open(base.path()).unwrap();
        let look_in = |seconds| {
            let now = SystemTime::now() + Duration::from_secs(seconds);
            look(&folder, OsStr::new("a"), &rules, now).unwrap()
        };
        let no_marker = Reason::NoMarker("a.done".into());
        assert!(matches!(look_in(0), Look::Gone));
        fs::write(base.path().join("a.done"), "").unwrap();
        assert!(matches!(look_in(0), Look::Gone));
        fs::write(base.path().join("a"), "text").unwrap();
        assert!(matches!(look_in(0), Look::NotYet(_)));
        match look_in(101) {
            Look::Ready(candidate) => assert!(candidate.marker.is_some()),
            other => panic!("{other:?}"),
        }
        fs::remove_file(base.path().join("a.done")).unwrap();
        symlink("a", base.path().join("a.done")).unwrap();
        for seconds in [0, 101] {
            match look_in(seconds) {
                Look::Pass(reason) => assert_eq!(reason, no_marker),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn append_only_and_immutable_files_are_passed_over() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("a");
        fs::write(&path, "text").unwrap();
        let file = File::open(&path).unwrap();
        for flag in [IFlags::APPEND, IFlags::IMMUTABLE] {
            let Ok(before) = ioctl_getflags(&file) else {
                return eprintln!("skipped: files have no flags here");
            };
            if ioctl_setflags(&file, before | flag).is_err() {
                return eprintln!("skipped: {flag:?} is not to be had here");
            }
            let found = look_at(base.path(), "a");
            ioctl_setflags(&file, before).unwrap();
            assert!(
                matches!(found, Ok(Look::Pass(Reason::Protected))),
                "{flag:?}: {found:?}"
            );
        }
    }

    #[test]
    fn a_file_that_may_not_be_read_is_an_error() {
        if rustix::process::geteuid().is_root() {
            return eprintln!("skipped: root may read everything");
        }
        let base = tempfile::tempdir().unwrap();
        fs::write(base.path().join("a"), "text").unwrap();
        fs::set_permissions(base.path().join("a"), Permissions::from_mode(0o000)).unwrap();
        assert_eq!(look_at(base.path(), "a").unwrap_err().step(), Step::Open);
    }
}
