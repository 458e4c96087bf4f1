//! A clock that can be set, for one program alone: libfaketime, which steps between the program and the C library.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Dwindle, Sandbox};

/// What the program takes for the time of day. Its timers go on as ever, and so do the times that the kernel gives to files. Its tests
/// need the tool `faketime`, with which the library comes.
pub(crate) struct Clock {
    offset: PathBuf,
}

impl Clock {
    pub(crate) fn new(sandbox: &Sandbox) -> Self {
        let clock = Clock {
            offset: sandbox.path("clock"),
        };
        clock.set("+0");
        clock
    }

    /// Sets it to so long before or after the real time, such as `-2d`.
    pub(crate) fn set(&self, offset: &str) {
        // In one step, since the program reads it whenever it asks for the time.
        let new = self.offset.with_extension("new");
        fs::write(&new, offset).expect("a new file");
        fs::rename(new, &self.offset).expect("two names in one folder");
    }
}

impl Dwindle {
    /// Starts it with that clock.
    pub(crate) fn with_clock(self, clock: &Clock) -> Self {
        self.env("LD_PRELOAD", library())
            .env("FAKETIME_TIMESTAMP_FILE", &clock.offset)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("NO_FAKE_STAT", "1")
    }
}

/// Its folder has the name of the architecture.
fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").expect("a folder").flatten();
    let mut libraries = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    libraries
        .find(|path| Path::exists(path))
        .expect("it comes with the tool faketime")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::needs;
    use std::time::SystemTime;

    #[test]
    fn a_program_sees_the_clock_jump() {
        needs!(tool "faketime");
        let sandbox = Sandbox::new();
        let clock = Clock::new(&sandbox);
        let day = |script: &str| {
            let output = Dwindle::in_shell(&sandbox, script)
                .with_clock(&clock)
                .finish()
                .expect_code(0);
            String::from_utf8(output.stdout).unwrap().trim().parse::<u64>().unwrap() / 86400
        };
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        assert!([now / 86400, now / 86400 + 1].contains(&day("date +%s")));
        clock.set("-10d");
        assert!([now / 86400 - 10, now / 86400 - 9].contains(&day("date +%s")));
    }
}
