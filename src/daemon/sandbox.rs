//! The sandbox of a service (systemd.exec(5)): what it keeps from this process that a person may have meant to give. Of folders the mounts
//! tell, since it is made of them.

use std::env;
use std::fmt::{self, Display, Formatter};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use rustix::io::{Errno, retry_on_intr};

use crate::model::Escaped;

/// Why the service cannot use a folder, and what to do about it: one sentence or two.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Denial {
    unit: String,
    folder: PathBuf,
    /// The folder is not there, as far as can be seen.
    is_missing: bool,
    by: Setting,
}

/// What of the unit denies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Setting {
    ProtectSystem,
    ProtectHome,
    PrivateTmp,
    InaccessiblePaths,
}

/// What the sandbox of this service does to the folder: hides it, or, where it is to be written to, makes it read-only, or the place where it
/// would be made. None where the process is no service, the folder is free, or something else is in the way. Blocks.
pub(crate) fn denial(folder: &Path, is_written: bool) -> Option<Denial> {
    let unit = service()?;
    let (ancestor, there) = folder
        .ancestors()
        .find_map(|ancestor| Some((ancestor, ancestor.canonicalize().ok()?)))?;
    let mounts = fs::read("/proc/self/mountinfo").ok()?;
    let is_missing = ancestor != folder;
    let by = denied_by(&mounts, mount_of(&there)?, is_missing, is_written)?;
    let folder = match folder.strip_prefix(ancestor) {
        Ok(rest) if is_missing => there.join(rest),
        _ => there,
    };
    Some(Denial {
        unit,
        folder,
        is_missing,
        by,
    })
}

/// The service that may not even ask for a connection; none where the process is no service, or may.
pub(crate) fn without_network() -> Option<String> {
    let refused = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).err()?;
    if refused.raw_os_error() != Some(Errno::AFNOSUPPORT.raw_os_error()) {
        return None;
    }
    service()
}

/// What to do where listening on a network is refused since the service has none; nothing where that is not why.
pub(crate) fn way_to_listen(address: IpAddr) -> Option<String> {
    without_network().map(|unit| {
        let allowed = who_may_ask(address);
        format!(
            "{unit} has no network in its sandbox. Say `systemctl edit {unit}`, write there, a line each, [Service], PrivateNetwork=no, \
             RestrictAddressFamilies=AF_INET AF_INET6, {allowed}, and say `systemctl restart {unit}`"
        )
    })
}

/// The setting that lets those in who are to ask at this address.
fn who_may_ask(address: IpAddr) -> &'static str {
    if address.to_canonical().is_loopback() {
        "IPAddressAllow=localhost"
    } else {
        "IPAddressAllow= and the address of who asks"
    }
}

impl Display for Denial {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (unit, folder) = (&self.unit, Escaped(&self.folder));
        let more = match self.by {
            Setting::ProtectSystem if self.is_missing => {
                write!(
                    f,
                    "{folder} is not there, and cannot be made: its place is read-only for {unit}, whose sandbox lets it write only to what \
                     ReadWritePaths= names and was there at its start. Make it first (mkdir -p {folder})"
                )?;
                ""
            }
            Setting::ProtectSystem => {
                write!(
                    f,
                    "{folder} is read-only for {unit}: its sandbox lets it write only to what ReadWritePaths= names and was there at its start"
                )?;
                ""
            }
            Setting::ProtectHome => {
                write!(f, "{folder} is hidden from {unit} by its sandbox (ProtectHome=)")?;
                "ProtectHome=read-only, "
            }
            Setting::PrivateTmp => {
                write!(
                    f,
                    "{folder} is hidden from {unit}, which has a folder of its own for temporary files (PrivateTmp=)"
                )?;
                "PrivateTmp=no, "
            }
            Setting::InaccessiblePaths => {
                return write!(
                    f,
                    "{folder} is hidden from {unit} by its sandbox: see InaccessiblePaths= in `systemctl cat {unit}`"
                );
            }
        };
        write!(
            f,
            ". Say `systemctl edit {unit}`, write there, a line each, [Service], {more}ReadWritePaths={}, and say `systemctl restart {unit}`",
            in_a_unit(&self.folder)
        )
    }
}

/// A path as a value in a unit file (systemd.syntax(7)); the characters in it that nobody can type are escaped as anywhere.
fn in_a_unit(path: &Path) -> String {
    let text = Escaped(path).to_string().replace('%', "%%");
    if text.contains(|character: char| character.is_whitespace() || "\"'\\".contains(character)) {
        format!("\"{}\"", text.replace('"', "\\\""))
    } else {
        text
    }
}

/// The service of systemd that this process belongs to. None for what a service starts with an environment of its own, such as a job of
/// cron: what that may not do is not for the service's unit to say.
fn service() -> Option<String> {
    // Set for all that the service manager starts itself (systemd.exec(5)).
    env::var_os("INVOCATION_ID")?;
    unit_in(&fs::read("/proc/self/cgroup").ok()?)
}

/// The unit of systemd whose process this is, by its place in the tree of control groups (cgroups(7)).
fn unit_in(groups: &[u8]) -> Option<String> {
    let last = |line: &[u8]| {
        let name = line.rsplit(|&byte| byte == b'/').next()?;
        name.ends_with(b".service")
            .then(|| String::from_utf8_lossy(name).into_owned())
    };
    groups.split(|&byte| byte == b'\n').find_map(last)
}

/// The number of the mount that the path leads to; none where the kernel is too old to say (before 5.8).
fn mount_of(path: &Path) -> Option<u64> {
    let asked = StatxFlags::MNT_ID;
    let found = retry_on_intr(|| statx(CWD, path, AtFlags::empty(), asked)).ok()?;
    let is_told = StatxFlags::from_bits_retain(found.stx_mask).contains(asked);
    is_told.then_some(found.stx_mnt_id)
}

/// What a mount denies of a folder on it, or of one that is missing there, by its line among all mounts (`proc_pid_mountinfo(5)`).
fn denied_by(mounts: &[u8], id: u64, is_missing: bool, is_written: bool) -> Option<Setting> {
    let id = id.to_string();
    let mut lines = mounts.split(|&byte| byte == b'\n').map(Line);
    let line = lines.find(|line| line.field(0) == id.as_bytes())?;
    let (root, place) = (line.field(3), line.field(4));
    if is_missing {
        let is_home = [&b"/home"[..], b"/root", b"/run/user"].contains(&place);
        let is_empty = line.super_field(0) == b"tmpfs" && line.has_option(b"ro");
        let hidden_by = if contains(root, b"/systemd-private-") {
            Some(Setting::PrivateTmp)
        } else if is_home && (is_empty || root.ends_with(INACCESSIBLE)) {
            Some(Setting::ProtectHome)
        } else if root.ends_with(INACCESSIBLE) {
            Some(Setting::InaccessiblePaths)
        } else {
            None
        };
        if hidden_by.is_some() {
            return hidden_by;
        }
    }
    // A file system that is itself read-only is nobody's sandbox.
    let is_denied = is_written && line.has_option(b"ro") && !line.super_has_option(b"ro");
    is_denied.then_some(Setting::ProtectSystem)
}

/// The end of the folder's path that systemd mounts over what is to be hidden.
const INACCESSIBLE: &[u8] = b"/systemd/inaccessible/dir";

/// One mount.
struct Line<'a>(&'a [u8]);

impl<'a> Line<'a> {
    fn field(&self, index: usize) -> &'a [u8] {
        self.0.split(|&byte| byte == b' ').nth(index).unwrap_or_default()
    }

    /// Of those about the whole file system, which stand behind a dash: its kind, its source, its options.
    fn super_field(&self, index: usize) -> &'a [u8] {
        let mut fields = self.0.split(|&byte| byte == b' ').skip_while(|field| field != b"-");
        fields.nth(index + 1).unwrap_or_default()
    }

    fn has_option(&self, option: &[u8]) -> bool {
        has(self.field(5), option)
    }

    fn super_has_option(&self, option: &[u8]) -> bool {
        has(self.super_field(2), option)
    }
}

fn has(options: &[u8], option: &[u8]) -> bool {
    options.split(|&byte| byte == b',').any(|found| found == option)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &[u8] = b"\
21 1 254:0 / / ro,relatime - ext4 /dev/vda rw
22 21 254:0 /srv /srv rw,relatime master:3 - ext4 /dev/vda rw
23 21 254:1 / /broken ro,relatime shared:4 - ext4 /dev/vdb ro,errors=remount-ro
24 21 0:25 /systemd/inaccessible/dir /home ro,nosuid - tmpfs tmpfs rw,size=1k
25 21 0:99 / /root ro,nosuid - tmpfs tmpfs ro,size=1k
26 21 254:0 /tmp/systemd-private-0815-dwindle.service-x/tmp /tmp rw - ext4 /dev/vda rw
27 21 0:25 /systemd/inaccessible/dir /opt/secret ro,nosuid - tmpfs tmpfs rw,size=1k
28 21 0:99 / /mnt rw - tmpfs tmpfs rw,size=1k";

    #[test]
    fn the_mounts_tell_which_setting_denies_a_folder() {
        for (id, is_missing, is_written, expected) in [
            (21, false, true, Some(Setting::ProtectSystem)),
            (21, false, false, None),
            (21, true, true, Some(Setting::ProtectSystem)),
            (21, true, false, None),
            (22, false, true, None),
            (22, true, true, None),
            (23, false, true, None),
            (23, true, true, None),
            (24, true, true, Some(Setting::ProtectHome)),
            (25, true, false, Some(Setting::ProtectHome)),
            (26, true, true, Some(Setting::PrivateTmp)),
            (27, true, true, Some(Setting::InaccessiblePaths)),
            (28, true, true, None),
            (2, false, true, None),
        ] {
            assert_eq!(denied_by(MOUNTS, id, is_missing, is_written), expected, "{id}");
        }
    }

    #[test]
    fn a_service_is_known_by_its_control_group() {
        for (groups, expected) in [
            (&b"0::/system.slice/dwindle.service\n"[..], Some("dwindle.service")),
            (
                b"5:devices:/\n1:name=systemd:/system.slice/system-dwindle.slice/dwindle@logs.service\n0::/\n",
                Some("dwindle@logs.service"),
            ),
            (b"0::/user.slice/user-1000.slice/session-2.scope\n", None),
            (b"0::/\n", None),
            (b"", None),
        ] {
            assert_eq!(unit_in(groups).as_deref(), expected);
        }
    }

    #[test]
    fn those_are_let_in_who_can_reach_the_address() {
        for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            let address = address.parse().unwrap();
            assert_eq!(who_may_ask(address), "IPAddressAllow=localhost", "{address}");
        }
        for address in ["0.0.0.0", "::", "192.0.2.1", "2001:db8::1"] {
            let address = address.parse().unwrap();
            assert!(
                who_may_ask(address).ends_with(" and the address of who asks"),
                "{address}"
            );
        }
    }

    #[test]
    fn what_to_write_into_the_unit_can_be_copied() {
        let denial = |folder: &str, by| Denial {
            unit: "dwindle.service".to_owned(),
            folder: folder.into(),
            is_missing: false,
            by,
        };
        let text = denial("/data/in", Setting::ProtectSystem).to_string();
        let recipe =
            "`systemctl edit dwindle.service`, write there, a line each, [Service], ReadWritePaths=/data/in, and say";
        assert!(
            text.starts_with("/data/in is read-only for dwindle.service: "),
            "{text}"
        );
        assert!(text.contains(recipe), "{text}");
        let missing = Denial {
            is_missing: true,
            ..denial("/data/out", Setting::ProtectSystem)
        };
        let text = missing.to_string();
        assert!(
            text.starts_with(
                "/data/out is not there, and cannot be made: its place is read-only for dwindle.service, "
            ),
            "{text}"
        );
        let recipe = "Make it first (mkdir -p /data/out). Say `systemctl edit dwindle.service`, write there, a line each, [Service], \
                      ReadWritePaths=/data/out, and say";
        assert!(text.contains(recipe), "{text}");
        let text = denial("/home/a b/100%", Setting::ProtectHome).to_string();
        let recipe = "[Service], ProtectHome=read-only, ReadWritePaths=\"/home/a b/100%%\", and";
        assert!(text.contains(recipe), "{text}");
        let text = denial("/tmp/in", Setting::PrivateTmp).to_string();
        assert!(
            text.contains("[Service], PrivateTmp=no, ReadWritePaths=/tmp/in, and"),
            "{text}"
        );
        let text = denial("/opt/x", Setting::InaccessiblePaths).to_string();
        assert!(
            text.ends_with("see InaccessiblePaths= in `systemctl cat dwindle.service`"),
            "{text}"
        );
    }
}
