//! An output's owner, permissions, extended attributes and times: the original's, and at no moment more open than that.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{
    Mode, Timespec, Timestamps, XattrFlags, fchmod, fchown, fgetxattr, flistxattr, fremovexattr, fsetxattr, futimens,
};
use rustix::io::{Errno, retry_on_intr};

use super::status::Status;
use crate::model::{Escaped, FileTime};

/// The POSIX access control list, as an extended attribute (acl(5)).
const ACCESS_LIST: &[u8] = b"system.posix_acl_access";

/// They speak of the original's content or of what it may do when run, and would be lies on the output.
const NEVER_COPIED: [&[u8]; 3] = [b"security.capability", b"security.ima", b"security.evm"];

/// The kernel's limit for a list of names and for one value (xattr(7)).
const XATTR_MOST: usize = 64 * 1024;

/// Gives `output`, a new file that only its owner may open and that was `made` so, the metadata that `original` had when `status` was taken: extended attributes, owner, access control list, permissions (no
/// setuid, setgid, sticky), times; in this order, since who sets an attribute must be allowed to write to the file, which the original's
/// owner and permissions may forbid.
///
/// What cannot be given is left out and told to `warn`. Where that is the owner or the access control list, group and others get no access.
pub(super) fn copy(original: &File, status: &Status, output: &File, made: &Status, warn: &mut dyn FnMut(String)) {
    let mut copy = Copy {
        original: original.as_fd(),
        output: output.as_fd(),
        restrict: false,
        warn,
    };
    let has_list = copy.attributes();
    copy.owner(status, made);
    copy.access_list(has_list);
    copy.permissions(status);
    copy.times(status);
}

/// Gives a new folder that only its owner may open the owner, access control list and permissions of `original`, on the same terms.
pub(super) fn copy_access(original: impl AsFd, status: &Status, folder: impl AsFd, warn: &mut dyn FnMut(String)) {
    let mut copy = Copy {
        original: original.as_fd(),
        output: folder.as_fd(),
        restrict: false,
        warn,
    };
    match Status::of(copy.output) {
        Ok(made) => copy.owner(status, &made),
        Err(errno) => copy.owner_is_not_kept(errno),
    }
    copy.access_list(true);
    copy.permissions(status);
}

/// Gives a new text about a file that file's owner, and lets those read it who may read the file, on the same terms.
pub(super) fn copy_owner(status: &Status, text: &File, warn: &mut dyn FnMut(String)) {
    let mut copy = Copy {
        original: text.as_fd(),
        output: text.as_fd(),
        restrict: false,
        warn,
    };
    match Status::of(copy.output) {
        Ok(made) => copy.owner(status, &made),
        Err(errno) => copy.owner_is_not_kept(errno),
    }
    // It may have inherited a list from its folder.
    let _ = remove_access_list(copy.output);
    copy.permissions(&Status {
        permissions: status.permissions & 0o644 | 0o600,
        ..*status
    });
}

struct Copy<'a> {
    original: BorrowedFd<'a>,
    output: BorrowedFd<'a>,
    /// Group and others must get nothing.
    restrict: bool,
    warn: &'a mut dyn FnMut(String),
}

impl Copy<'_> {
    fn owner(&mut self, status: &Status, made: &Status) {
        if (made.user, made.group) == (status.user, status.group) {
            return;
        }
        if let Err(errno) = retry_on_intr(|| fchown(self.output, Some(status.user), Some(status.group))) {
            self.owner_is_not_kept(errno);
        }
    }

    fn owner_is_not_kept(&mut self, errno: Errno) {
        self.restrict = true;
        self.tell("the owner", errno, ", so group and others get no access");
    }

    /// All but the access control list; whether the original may have one.
    fn attributes(&mut self) -> bool {
        let names = match list(self.original) {
            Ok(names) => names,
            Err(Errno::OPNOTSUPP) => return true,
            Err(errno) => {
                self.tell("the extended attributes", errno, "");
                return true;
            }
        };
        let mut has_list = false;
        for name in names.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
            if name == ACCESS_LIST {
                has_list = true;
            } else if !NEVER_COPIED.contains(&name)
                && let Err(errno) = copy_attribute(self.original, self.output, name)
            {
                let name = Escaped(Path::new(OsStr::from_bytes(name))).to_string();
                self.tell(&format!("the extended attribute {name}"), errno, "");
            }
        }
        has_list
    }

    /// The mode's group bits are only the list's upper bound, so without the list they would give the group too much. And a new file
    /// may have inherited a list from its folder, which the original has not.
    fn access_list(&mut self, may_have_one: bool) {
        let list = if may_have_one {
            read(self.original, ACCESS_LIST)
        } else {
            Ok(None)
        };
        let result = match list {
            Ok(Some(_)) if self.restrict => remove_access_list(self.output),
            Ok(Some(list)) => retry_on_intr(|| fsetxattr(self.output, ACCESS_LIST, &list, XattrFlags::empty())),
            Ok(None) => remove_access_list(self.output),
            Err(errno) => Err(errno),
        };
        if let Err(errno) = result {
            self.restrict = true;
            self.tell("the access control list", errno, ", so group and others get no access");
            // What it inherited would come to life with the group's bits; without them it stays void.
            let _ = remove_access_list(self.output);
        }
    }

    fn permissions(&mut self, status: &Status) {
        let kept = if self.restrict { 0o700 } else { 0o777 };
        let mode = Mode::from_bits_truncate(status.permissions & kept);
        if let Err(errno) = retry_on_intr(|| fchmod(self.output, mode)) {
            self.tell("the permissions", errno, "");
        }
    }

    fn times(&mut self, status: &Status) {
        let times = Timestamps {
            last_access: timespec(status.accessed),
            last_modification: timespec(status.fingerprint.modified),
        };
        if let Err(errno) = retry_on_intr(|| futimens(self.output, &times)) {
            self.tell("the times", errno, "");
        }
    }

    fn tell(&mut self, what: &str, errno: Errno, consequence: &str) {
        (self.warn)(format!("{what} could not be kept ({errno}){consequence}"));
    }
}

/// Names of all extended attributes that may be listed, each ended by NUL.
fn list(file: BorrowedFd<'_>) -> rustix::io::Result<Vec<u8>> {
    let mut few = [0; 512];
    match retry_on_intr(|| flistxattr(file, &mut few[..])) {
        Ok(length) => return Ok(few[..length].to_vec()),
        Err(Errno::RANGE) => {}
        Err(errno) => return Err(errno),
    }
    let mut names = vec![0; XATTR_MOST];
    let length = retry_on_intr(|| flistxattr(file, &mut names[..]))?;
    names.truncate(length);
    Ok(names)
}

/// An extended attribute's value; `None` where there is no such attribute, or can be none.
fn read(file: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<Option<Vec<u8>>> {
    let mut value = vec![0; 256];
    loop {
        match retry_on_intr(|| fgetxattr(file, name, &mut value[..])) {
            Ok(length) => {
                value.truncate(length);
                return Ok(Some(value));
            }
            Err(Errno::RANGE) if value.len() < XATTR_MOST => value.resize(XATTR_MOST, 0),
            Err(Errno::NODATA | Errno::OPNOTSUPP) => return Ok(None),
            Err(errno) => return Err(errno),
        }
    }
}

fn copy_attribute(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<()> {
    let Some(value) = read(from, name)? else {
        return Ok(());
    };
    match retry_on_intr(|| fsetxattr(to, name, &value, XattrFlags::empty())) {
        // A security label may be beyond our rights to set and yet already right.
        Err(_) if read(to, name).is_ok_and(|present| present.as_ref() == Some(&value)) => Ok(()),
        result => result,
    }
}

/// Asked for first: the kernel knows by heart that a new file has none, and would write to the disk to remove it.
fn remove_access_list(file: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let mut none = [0_u8; 0];
    if let Err(Errno::NODATA | Errno::OPNOTSUPP) = retry_on_intr(|| fgetxattr(file, ACCESS_LIST, &mut none[..])) {
        return Ok(());
    }
    match retry_on_intr(|| fremovexattr(file, ACCESS_LIST)) {
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
        result => result,
    }
}

fn timespec(time: FileTime) -> Timespec {
    Timespec {
        tv_sec: time.seconds,
        tv_nsec: time.nanoseconds.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Uid, getxattr, setxattr};
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::path::PathBuf;
    use std::time::{Duration, SystemTime};

    /// An original with some bytes, and an empty output as a commit makes it.
    struct Pair {
        base: tempfile::TempDir,
    }

    impl Pair {
        fn new() -> Self {
            let base = tempfile::tempdir().unwrap();
            fs::write(base.path().join("F"), "text").unwrap();
            Pair { base }
        }

        fn original(&self) -> PathBuf {
            self.base.path().join("F")
        }

        fn output(&self) -> PathBuf {
            self.base.path().join("F.gz")
        }

        /// Copies, after `change` had its way with the snapshot; the warnings.
        fn copy(&self, change: impl FnOnce(&mut Status)) -> Vec<String> {
            fs::write(self.output(), "").unwrap();
            fs::set_permissions(self.output(), Permissions::from_mode(0o600)).unwrap();
            let original = File::open(self.original()).unwrap();
            let output = File::options().write(true).open(self.output()).unwrap();
            let mut status = Status::of(&original).unwrap();
            change(&mut status);
            let mut warnings = Vec::new();
            let made = Status::of(&output).unwrap();
            let warn = &mut |warning| warnings.push(warning);
            copy(&original, &status, &output, &made, warn);
            warnings
        }

        fn mode(&self) -> u32 {
            fs::metadata(self.output()).unwrap().mode() & 0o7777
        }
    }

    /// Gives a path the access control list `name` in which user 4242 has these permissions (acl(5)), in the form that the kernel takes it:
    /// a version, then tag, permissions and identity of each entry. Whether that could be done.
    fn set_list(name: &[u8], permissions: u16, path: &Path) -> bool {
        const USER: u16 = 0x02;
        const NOBODY: u32 = u32::MAX;
        let entries = [
            (0x01, 0o6, NOBODY),
            (USER, permissions, 4242),
            (0x04, 0o4, NOBODY),
            (0x10, 0o7, NOBODY),
            (0x20, 0o4, NOBODY),
        ];
        let mut list = 2_u32.to_le_bytes().to_vec();
        for (tag, permissions, identity) in entries {
            list.extend(u16::to_le_bytes(tag));
            list.extend(u16::to_le_bytes(permissions));
            list.extend(u32::to_le_bytes(identity));
        }
        let done = setxattr(path, name, &list, XattrFlags::empty()).is_ok();
        if !done {
            eprintln!("skipped: no access control lists here");
        }
        done
    }

    fn access_list(path: &Path) -> Option<Vec<u8>> {
        let mut value = [0; 1024];
        let length = getxattr(path, ACCESS_LIST, &mut value[..]).ok()?;
        Some(value[..length].to_vec())
    }

    #[test]
    fn permissions_come_along_without_the_special_bits() {
        let pair = Pair::new();
        for (mode, expected) in [(0o644, 0o644), (0o400, 0o400), (0o7755, 0o755), (0o000, 0o000)] {
            fs::set_permissions(pair.original(), Permissions::from_mode(mode)).unwrap();
            if mode == 0 && !rustix::process::geteuid().is_root() {
                continue; // could not be opened
            }
            assert_eq!(pair.copy(|_| ()), [""; 0]);
            assert_eq!(pair.mode(), expected, "{mode:o}");
            fs::remove_file(pair.output()).unwrap();
        }
    }

    #[test]
    fn times_are_those_of_the_snapshot_to_the_nanosecond() {
        let pair = Pair::new();
        let modified = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
        let file = File::options().write(true).open(pair.original()).unwrap();
        file.set_modified(modified).unwrap();
        pair.copy(|status| status.accessed.seconds = 77);
        let output = fs::metadata(pair.output()).unwrap();
        assert_eq!(output.modified().unwrap(), modified);
        assert_eq!(output.atime(), 77);
    }

    #[test]
    fn extended_attributes_come_along() {
        let pair = Pair::new();
        let long = vec![b'x'; 1000];
        for (name, value) in [("user.short", &b"1"[..]), ("user.empty", b""), ("user.long", &long)] {
            if setxattr(pair.original(), name, value, XattrFlags::empty()).is_err() {
                return eprintln!("skipped: no extended attributes here");
            }
        }
        assert_eq!(pair.copy(|_| ()), [""; 0]);
        let value = |name: &str| {
            let mut value = [0; 2000];
            getxattr(pair.output(), name, &mut value[..]).map(|length| value[..length].to_vec())
        };
        assert_eq!(value("user.short").unwrap(), b"1");
        assert_eq!(value("user.empty").unwrap(), b"");
        assert_eq!(value("user.long").unwrap(), long);
    }

    #[test]
    fn an_access_control_list_comes_along() {
        let pair = Pair::new();
        if !set_list(ACCESS_LIST, 0o4, &pair.original()) {
            return;
        }
        assert_eq!(pair.copy(|_| ()), [""; 0]);
        let list = access_list(&pair.original());
        assert!(list.is_some());
        assert_eq!(access_list(&pair.output()), list);
    }

    #[test]
    fn a_list_inherited_from_the_folder_is_not_kept() {
        let pair = Pair::new();
        if !set_list(b"system.posix_acl_default", 0o7, pair.base.path()) {
            return;
        }
        fs::write(pair.output(), "").unwrap();
        assert!(access_list(&pair.output()).is_some());
        pair.copy(|_| ());
        assert_eq!(access_list(&pair.output()), None);
    }

    #[test]
    fn the_owner_comes_along_or_group_and_others_get_nothing() {
        let pair = Pair::new();
        fs::set_permissions(pair.original(), Permissions::from_mode(0o664)).unwrap();
        let warnings = pair.copy(|status| status.user = Uid::from_raw(4242));
        if rustix::process::geteuid().is_root() {
            assert_eq!(warnings, [""; 0]);
            assert_eq!(fs::metadata(pair.output()).unwrap().uid(), 4242);
            assert_eq!(pair.mode(), 0o664);
        } else {
            assert_eq!(warnings.len(), 1, "{warnings:?}");
            assert_eq!(pair.mode(), 0o600);
        }
    }

    #[test]
    fn without_the_owner_the_access_control_list_does_not_come_either() {
        let pair = Pair::new();
        if !set_list(ACCESS_LIST, 0o4, &pair.original()) {
            return;
        }
        fs::write(pair.output(), "").unwrap();
        let original = File::open(pair.original()).unwrap();
        let output = File::open(pair.output()).unwrap();
        let mut copy = Copy {
            original: original.as_fd(),
            output: output.as_fd(),
            restrict: true,
            warn: &mut |warning| panic!("{warning}"),
        };
        assert!(copy.attributes());
        copy.access_list(true);
        copy.permissions(&Status::of(&original).unwrap());
        assert_eq!(access_list(&pair.output()), None);
        assert_eq!(pair.mode(), 0o600);
    }
}
