//! Tests that need more than every machine has say so, and are skipped by name where it is missing.

use std::env;
use std::io::{self, Write};
use std::path::Path;
use std::thread;

/// `needs!(root)`, `needs!(mounts)`, `needs!(systemd)` or `needs!(tool "setfacl")` as a test's first line: without it the test ends here, saying so on stderr; with
/// `DWINDLE_NO_SKIP=1`, which continuous integration sets, it fails instead.
macro_rules! needs {
    (root) => {
        if !$crate::support::skip::present("root", rustix::process::geteuid().is_root()) {
            return;
        }
    };
    (mounts) => {
        if !$crate::support::skip::present("mount(8), as root", $crate::support::mounts::are_possible()) {
            return;
        }
    };
    (systemd) => {
        $crate::support::needs!(mounts);
        $crate::support::needs!(tool "unshare");
        $crate::support::needs!(tool "nsenter");
        $crate::support::needs!(tool "systemctl");
        $crate::support::needs!(tool "systemd-sysusers");
    };
    (tool $name:literal) => {
        if !$crate::support::skip::has_tool($name) {
            return;
        }
    };
}
pub(crate) use needs;

/// Whether the tool is on the `PATH`; like [`present`] where it is not.
pub(crate) fn has_tool(name: &str) -> bool {
    present(name, is_on_path(name, &env::var_os("PATH").unwrap_or_default()))
}

/// Passes `is_present` on. Where it is false, says what is skipped for the lack of `need`, or panics with `DWINDLE_NO_SKIP=1`.
pub(crate) fn present(need: &str, is_present: bool) -> bool {
    if !is_present {
        let current = thread::current();
        let line = format!("skipped: {}: needs {need}", current.name().unwrap_or("?"));
        assert!(
            env::var_os("DWINDLE_NO_SKIP").is_none_or(|value| value != "1"),
            "{line}"
        );
        // Not eprintln!, which the test harness swallows for a test that passes.
        let _ = writeln!(io::stderr(), "{line}");
    }
    is_present
}

fn is_on_path(tool: &str, path: &std::ffi::OsStr) -> bool {
    env::split_paths(path).any(|folder| Path::new(&folder).join(tool).is_file())
}

#[test]
fn finds_tools_on_the_path_only() {
    assert!(is_on_path("sh", "/nowhere:/bin".as_ref()));
    assert!(!is_on_path("sh", "/nowhere".as_ref()));
    assert!(!is_on_path("no-such-tool", "/bin".as_ref()));
}
