//! A real systemd, as the first process of a PID namespace, on a machine of its own as far as a test can tell: what is packaged is installed,
//! and nothing runs but the manager and its journal.
//!
//! Folders of the sandbox stand for the machine's: `dwindle` for `/etc/dwindle`, `units` for `/etc/systemd/system`, and `srv`, `opt`, `home`
//! for those below the root. Everything else in `/etc`, `/run`, `/tmp` and the like is in memory.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::wait::poll;
use super::{Sandbox, programs};

/// Slower than the program alone: a whole service manager starts first.
const DEADLINE: Duration = Duration::from_secs(90);

/// Folders of the sandbox, and what they stand for. `/var/log` is one so that no journal of the real machine is found there.
const FOLDERS: [(&str, &str); 6] = [
    ("srv", "/srv"),
    ("opt", "/opt"),
    ("home", "/home"),
    ("log", "/var/log"),
    ("dwindle", "/etc/dwindle"),
    ("units", "/etc/systemd/system"),
];

/// Moves to a control group of its own, in each hierarchy that lets it, so that its units have theirs below that: arguments are the group's
/// name and the command.
const ENTER: &str = r#"
name=$1; shift
sed 's/^[^:]*://' /proc/self/cgroup | while IFS=: read -r controllers path; do
    for at in "/sys/fs/cgroup/${controllers#name=}" /sys/fs/cgroup/unified /sys/fs/cgroup; do
        if [ -e "$at$path/cgroup.procs" ]; then
            mkdir "$at$path/$name" 2>/dev/null && echo $$ >"$at$path/$name/cgroup.procs" 2>/dev/null && break
        fi
    done
done
exec "$@"
"#;

/// Removes it again, with all that was made below. Fails while something is left, as long as a process in it is not quite dead.
const LEAVE: &str = r#"
find /sys/fs/cgroup -depth -type d \( -name "$1" -o -path "*/$1/*" \) -exec rmdir {} + 2>/dev/null
[ -z "$(find /sys/fs/cgroup -type d -name "$1")" ]
"#;

/// Run inside, as the first process: arguments are the sandbox, the program, the folder of what is packaged, and pairs of folders.
const BOOT: &str = r#"
set -e
sandbox=$1 program=$2 packaging=$3; shift 3
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/systemd/system /run/systemd/journald.conf.d /run/sandbox
mount --bind "$sandbox" /run/sandbox
for at in etc usr/bin; do
    mkdir -p "/run/changed/$at" "/run/work/$at"
    mount -t overlay -o "lowerdir=/$at,upperdir=/run/changed/$at,workdir=/run/work/$at" overlay "/$at"
done
: >/usr/bin/dwindle
mount --bind "$program" /usr/bin/dwindle
mkdir -p /etc/dwindle
while [ $# -gt 0 ]; do
    mount --bind "/run/sandbox/$1" "$2"; shift 2
done
umount /run/sandbox
cp "$packaging"/systemd/*.service /run/systemd/system/
systemd-sysusers "$packaging/sysusers.d/dwindle.conf"
systemd-tmpfiles --create "$packaging/tmpfiles.d/dwindle.conf"
# Last: what is packaged may itself lie below one of them.
for at in /tmp /var/tmp /var/lib/systemd; do mount -t tmpfs -o mode=1777 tmpfs "$at"; done
cat >/run/systemd/journald.conf.d/test.conf <<'END'
[Journal]
Storage=volatile
ReadKMsg=no
Audit=no
ForwardToSyslog=no
END
cat >/run/systemd/system/test.target <<'END'
[Unit]
DefaultDependencies=no
Wants=systemd-journald.service
END
container=lxc exec /lib/systemd/systemd --system --unit=test.target --log-target=journal --show-status=no
"#;

/// Dropped, it is killed, with all that it has started.
pub(crate) struct Systemd {
    starter: Child,
    group: String,
    log: PathBuf,
    units: PathBuf,
}

/// One of its units.
#[derive(Clone, Copy)]
pub(crate) struct Unit<'a> {
    systemd: &'a Systemd,
    name: &'a str,
}

impl Systemd {
    /// Boots it. Needs `needs!(systemd)`.
    pub(crate) fn boot(sandbox: &Sandbox) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let group = format!("dwindle-test-{}-{number}", process::id());
        let log = sandbox.path("systemd.log");
        let output = File::create(&log).expect("a new file");
        let mut command = Command::new("sh");
        command.args(["-c", ENTER, "sh", &group, "unshare"]);
        command.args(["--fork", "--kill-child", "--pid", "--mount-proc", "--mount", "--uts"]);
        command.args(["--ipc", "--net", "--cgroup", "sh", "-c", BOOT, "sh"]);
        command.arg(sandbox.root()).arg(env!("CARGO_BIN_EXE_dwindle"));
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging"));
        for (folder, place) in FOLDERS {
            let folder_path = sandbox.folder(folder);
            // Like the real one, whatever the umask: other users pass through.
            fs::set_permissions(folder_path, Permissions::from_mode(0o755)).expect("our own folder");
            command.args([folder, place]);
        }
        for unit in ["dwindle.service", "dwindle@.service"] {
            // Without a whole machine's boot before it.
            sandbox.file(
                format!("units/{unit}.d/00-test.conf"),
                "[Unit]\nDefaultDependencies=no\n",
            );
        }
        command.stdin(Stdio::null());
        command.stdout(output.try_clone().expect("our own file")).stderr(output);
        let systemd = Systemd {
            starter: programs::start(&mut command).expect("sh starts"),
            group,
            log,
            units: sandbox.path("units"),
        };
        let is_up = || {
            let output = systemd.inside(&["systemctl", "is-system-running"])?;
            let state = String::from_utf8_lossy(&output.stdout).into_owned();
            ["running", "degraded"].contains(&state.trim_end()).then_some(())
        };
        poll(DEADLINE, is_up).expect("systemd boots");
        systemd
    }

    pub(crate) fn unit<'a>(&'a self, name: &'a str) -> Unit<'a> {
        Unit { systemd: self, name }
    }

    /// The service of the package.
    pub(crate) fn dwindle(&self) -> Unit<'_> {
        self.unit("dwindle.service")
    }

    /// Runs a program beside the manager.
    pub(crate) fn run(&self, command: &[&str]) -> Output {
        self.inside(command).expect("the manager is up")
    }

    /// The same; what it printed, where it succeeded.
    pub(crate) fn text_of(&self, command: &[&str]) -> String {
        let output = self.run(command);
        assert!(output.status.success(), "{command:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// None where the manager is not up yet.
    fn inside(&self, command: &[&str]) -> Option<Output> {
        let starter = self.starter.id();
        let children = fs::read_to_string(format!("/proc/{starter}/task/{starter}/children")).ok()?;
        let first = children.split_whitespace().next()?;
        // Until it has become systemd it is the script, which has not mounted everything yet.
        let name = fs::read_to_string(format!("/proc/{first}/comm")).ok()?;
        if name.trim_end() != "systemd" {
            return None;
        }
        let mut nsenter = Command::new("nsenter");
        nsenter.args(["--target", first, "--all", "--"]).args(command);
        Some(programs::output(&mut nsenter).expect("nsenter starts"))
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        let journal = failed.then(|| self.inside(&["journalctl", "--no-pager", "-o", "short-monotonic"]));
        let _ = self.starter.kill();
        let _ = self.starter.wait();
        let leave = || programs::status(Command::new("sh").args(["-c", LEAVE, "sh", &self.group]));
        let _ = poll(DEADLINE, || leave().is_ok_and(|status| status.success()).then_some(()));
        if let Some(journal) = journal {
            let journal = journal.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            eprintln!("--- systemd\n{log}--- journal\n{}---", journal.unwrap_or_default());
        }
    }
}

impl Unit<'_> {
    /// Writes a drop-in, as `systemctl edit` does: `settings` are for `[Service]`.
    pub(crate) fn edit(self, settings: &str) {
        let folder = self.systemd.units.join(format!("{}.d", self.name));
        fs::create_dir_all(&folder).expect("a folder for drop-ins");
        let text = format!("[Service]\n{settings}\n");
        fs::write(folder.join("override.conf"), text).expect("a drop-in");
        self.systemd.text_of(&["systemctl", "daemon-reload"]);
    }

    /// `systemctl VERB UNIT`; whether it succeeded.
    pub(crate) fn control(self, verb: &str) -> bool {
        self.systemd.run(&["systemctl", verb, self.name]).status.success()
    }

    /// Of the unit, as `systemctl show` prints it; empty where the manager does not answer.
    pub(crate) fn property(self, name: &str) -> String {
        let shown = self
            .systemd
            .inside(&["systemctl", "show", "--property", name, "--value", self.name]);
        let text = shown.map(|output| String::from_utf8_lossy(&output.stdout).trim_end().to_owned());
        text.unwrap_or_default()
    }

    /// Waits until a property is what the condition wants.
    pub(crate) fn wait_for(self, property: &str, is_it: impl Fn(&str) -> bool) -> String {
        let mut last = String::new();
        let found = poll(DEADLINE, || {
            last = self.property(property);
            is_it(&last).then(|| last.clone())
        });
        found.unwrap_or_else(|| panic!("{property} is {last:?}"))
    }

    /// Waits until it has compressed so many files since its start.
    pub(crate) fn wait_for_compressed(self, count: usize) {
        let files = if count == 1 { "file" } else { "files" };
        let begin = format!("Compressed {count} {files}: ");
        self.wait_for("StatusText", |status| status.starts_with(&begin));
    }

    /// What it has logged and printed, and what the manager has logged about it.
    pub(crate) fn journal(self) -> String {
        self.systemd
            .text_of(&["journalctl", "--no-pager", "--output=cat", "--unit", self.name])
    }

    pub(crate) fn wait_for_journal(self, words: &str) -> String {
        let mut last = String::new();
        let found = poll(DEADLINE, || {
            last = self.journal();
            last.contains(words).then(|| last.clone())
        });
        found.unwrap_or_else(|| panic!("nothing of {words:?} in {last}"))
    }

    /// Sends the service's main process a signal, by name.
    pub(crate) fn signal(self, signal: &str) {
        let process = self.property("MainPID");
        self.systemd.text_of(&["kill", "-s", signal, &process]);
    }
}
