//! strace(1), which makes system calls fail that a sound machine lets succeed.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Dwindle, Sandbox};

/// What is to fail, and a log of what was called. Its counts (`when=2`) are of each thread for itself.
pub(crate) struct Strace {
    calls: String,
    options: Vec<String>,
    log: PathBuf,
}

impl Strace {
    /// To inject, as in `fsync:error=EIO:when=1`: see strace(1), "Tampering".
    pub(crate) fn inject(sandbox: &Sandbox, injection: &str) -> Self {
        let calls = injection.split(':').next().expect("the names of the calls");
        Strace {
            calls: calls.to_owned(),
            options: vec!["-e".to_owned(), format!("inject={injection}")],
            log: sandbox.path("strace.log"),
        }
    }

    /// Of several that run at once each needs its own log.
    pub(crate) fn logging_to(mut self, log: PathBuf) -> Self {
        self.log = log;
        self
    }

    /// Only in calls on this path: by name, or by a descriptor that was opened by this name. Several are alternatives.
    pub(crate) fn on(mut self, path: &Path) -> Self {
        let path = path.to_str().expect("a path in a sandbox");
        self.options.extend(["-P".to_owned(), path.to_owned()]);
        self
    }

    /// Logs these calls as well.
    pub(crate) fn and_log(mut self, calls: &str) -> Self {
        self.calls = format!("{},{calls}", self.calls);
        self
    }

    /// Injects into other calls, too.
    pub(crate) fn and_inject(mut self, injection: &str) -> Self {
        let calls = injection.split(':').next().expect("the names of the calls");
        self.options.extend(["-e".to_owned(), format!("inject={injection}")]);
        self.and_log(calls)
    }

    /// The lines that were logged so far: thread, call, and with each descriptor its path. A call that another thread's came into has its
    /// whole line where it ended.
    pub(crate) fn log(&self) -> Vec<String> {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let mut begun = HashMap::new();
        let mut lines = Vec::new();
        for line in log.lines() {
            let (thread, _) = line.split_once(' ').unwrap_or_default();
            if let Some(beginning) = line.strip_suffix("<unfinished ...>") {
                begun.insert(thread, beginning);
            } else if let Some((_, end)) = line.split_once(" resumed>") {
                let beginning = begun.remove(thread).unwrap_or_default();
                lines.push(format!("{beginning}{end}"));
            } else {
                lines.push(line.to_owned());
            }
        }
        lines
    }
}

impl Dwindle {
    /// Starts it under strace(1).
    pub(crate) fn under(self, strace: &Strace) -> Self {
        let log = strace.log.to_str().expect("a path in a sandbox");
        let calls = format!("trace={}", strace.calls);
        // The program stays our own child (-D), so that signals reach it. The calls come first: what is injected must be among them.
        let own = ["strace", "-D", "-f", "-qq", "-y", "-o", log, "-e", &calls];
        let options = strace.options.iter().map(String::as_str);
        self.started_by(own.into_iter().chain(options).chain(["--"]))
    }
}
