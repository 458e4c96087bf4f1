//! A real systemd, as the first process of a PID namespace with its own `/run` and `/tmp`, that runs the shipped unit.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::wait::poll;
use super::{Sandbox, programs};

/// Slower than the program alone: a whole service manager starts first.
const DEADLINE: Duration = Duration::from_secs(90);

/// Where the sandbox is to be found inside.
pub(crate) const INSIDE: &str = "/run/sandbox";

/// Run inside, as the first process: arguments are the sandbox, the program and the unit's name.
const BOOT: &str = r#"
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/sandbox /run/systemd/system
mount --bind "$1" /run/sandbox
: > /run/program
mount --bind "$2" /run/program
mount -t tmpfs -o mode=1777 tmpfs /tmp
cp -r "/run/sandbox/$3" "/run/sandbox/$3.d" /run/systemd/system/
container=lxc exec /lib/systemd/systemd --system --unit="$3" --log-target=console --show-status=no
"#;

/// Dropped, it is killed, with all that it has started.
pub(crate) struct Systemd {
    starter: Child,
    unit: String,
    log: PathBuf,
}

impl Systemd {
    /// Starts the shipped unit, for a configuration `dwindle.toml` in the sandbox, with `settings` for the unit's `[Service]` that a
    /// drop-in adds. Needs root, unshare(1), nsenter(1), and systemd.
    pub(crate) fn start(sandbox: &Sandbox, settings: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // Namespaces share the tree of control groups, where each unit has a place by its name.
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let unit = format!("dwindle-test-{}-{number}.service", process::id());
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd/dwindle.service");
        let shipped = fs::read_to_string(shipped).expect("the unit file");
        sandbox.file(&unit, shipped.replace("/usr/bin/dwindle", "/run/program"));
        let drop_in = format!(
            "[Unit]\nDefaultDependencies=no\n[Service]\nEnvironment=DWINDLE_CONFIG={INSIDE}/dwindle.toml\n{settings}\n"
        );
        sandbox.file(format!("{unit}.d/test.conf"), drop_in);
        let log = sandbox.path("systemd.log");
        let output = File::create(&log).expect("a new file");
        let namespaces = [
            "--fork",
            "--kill-child",
            "--pid",
            "--mount-proc",
            "--mount",
            "--uts",
            "--ipc",
            "--net",
            "--cgroup",
        ];
        let mut unshare = Command::new("unshare");
        unshare
            .args(namespaces)
            .args(["sh", "-c", BOOT, "sh"])
            .args([
                sandbox.root(),
                Path::new(env!("CARGO_BIN_EXE_dwindle")),
                Path::new(&unit),
            ])
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("our own file"))
            .stderr(output);
        let starter = programs::start(&mut unshare).expect("unshare starts");
        Systemd { starter, unit, log }
    }

    /// Waits until the unit's property, as `systemctl show` prints it, is what the condition wants.
    pub(crate) fn wait_for(&self, property: &str, is_it: impl Fn(&str) -> bool) -> String {
        let mut last = String::new();
        let found = poll(DEADLINE, || {
            last = self.property(property);
            is_it(&last).then(|| last.clone())
        });
        found.unwrap_or_else(|| panic!("{property} is {last:?}"))
    }

    /// Of the unit; empty where the manager does not answer.
    pub(crate) fn property(&self, name: &str) -> String {
        let output = self.inside(&["systemctl", "show", "--property", name, "--value", &self.unit]);
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim_end().to_owned());
        text.unwrap_or_default()
    }

    /// `systemctl VERB UNIT`; whether it succeeded.
    pub(crate) fn control(&self, verb: &str) -> bool {
        let output = self.inside(&["systemctl", verb, &self.unit]).expect("the manager");
        output.status.success()
    }

    /// Sends the service's main process a signal, by name.
    pub(crate) fn signal(&self, signal: &str) {
        let process = self.property("MainPID");
        let output = self.inside(&["kill", "-s", signal, &process]).expect("the manager");
        assert!(output.status.success(), "kill -s {signal} {process}: {output:?}");
    }

    /// Runs a program beside the manager; none where that is not up yet.
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
        let _ = self.starter.kill();
        let _ = self.starter.wait();
        if std::thread::panicking() {
            eprintln!("--- systemd\n{}---", fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}
