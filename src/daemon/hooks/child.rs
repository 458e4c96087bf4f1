//! One hook as a child process: started, waited for, told to end when it takes too long, its output in the log.

use std::ffi::OsStr;
use std::io::{self, PipeReader, Read, pipe};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use tracing::{debug, info, warn};

use super::Job;
use crate::model::Escaped;

/// Between the request to end and the end.
const GRACE: Duration = Duration::from_secs(5);
/// So much of a line of output is logged, in bytes, and so many lines of one hook.
const LONGEST_LINE: usize = 1024;
const MOST_LINES: usize = 100;
/// Of our own environment, what speaks of us alone.
const OURS: [&str; 6] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
];

impl Job {
    /// Runs it to its end, and says what came of it: true where it ended with status 0.
    pub(super) fn run(&self, aborted: &PipeReader) -> bool {
        let (kind, source) = (self.kind, Escaped(&self.source));
        let program = Escaped(Path::new(&self.program));
        match self.start().and_then(|running| running.wait(self, aborted)) {
            Err(error) => {
                warn!(name: "hook-failed", hook = kind, %source, "cannot run the {kind} hook {program} for {source}: {error}");
            }
            Ok(Ended { status, because: None }) if status.success() => {
                debug!(hook = kind, %source, "the {kind} hook for {source} is done");
                return true;
            }
            Ok(Ended { status, because }) => {
                let because = because.map(|why| format!("{why}; ")).unwrap_or_default();
                warn!(name: "hook-failed", hook = kind, %source, "the {kind} hook {program} for {source} failed: {because}{status}");
            }
        }
        false
    }

    fn start(&self) -> io::Result<Running> {
        let (output, writer) = pipe()?;
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .process_group(0);
        for name in OURS {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        fcntl_setfl(&output, fcntl_getfl(&output)? | OFlags::NONBLOCK)?;
        Ok(Running {
            child: command.spawn()?,
            output: Some(output),
            lines: Lines::default(),
        })
    }

    fn log(&self, line: &[u8]) {
        let (kind, source) = (self.kind, Escaped(&self.source));
        info!(name: "hook-output", hook = kind, %source, "{kind}: {}", Escaped(Path::new(OsStr::from_bytes(line))));
    }
}

/// A hook under way. Dropped before its end, it is ended: nobody could tell any more when it ends by itself.
struct Running {
    child: Child,
    /// Until its end; it may be that of the hook's own children.
    output: Option<PipeReader>,
    lines: Lines,
}

struct Ended {
    status: ExitStatus,
    /// Why it was ended before its time.
    because: Option<String>,
}

impl Running {
    fn wait(mut self, job: &Job, aborted: &PipeReader) -> io::Result<Ended> {
        let group = Pid::from_child(&self.child);
        let exited = pidfd_open(group, PidfdFlags::empty())?;
        let mut because = None;
        let mut next = Instant::now().checked_add(job.timeout);
        loop {
            let mut events = vec![PollFd::new(&exited, PollFlags::IN)];
            let abort_at = because.is_none().then(|| {
                events.push(PollFd::new(aborted, PollFlags::IN));
                events.len() - 1
            });
            if let Some(output) = &self.output {
                events.push(PollFd::new(output, PollFlags::IN));
            }
            let left = next.map(|next| next.saturating_duration_since(Instant::now()));
            let left = left.and_then(|left| Timespec::try_from(left).ok());
            match poll(&mut events, left.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            let has = |at: usize| events.get(at).is_some_and(|event| !event.revents().is_empty());
            let (has_exited, is_aborted) = (has(0), abort_at.is_some_and(has));
            drop(events);
            self.read(job);
            if has_exited {
                break;
            }
            let is_late = next.is_some_and(|next| next <= Instant::now());
            if is_aborted {
                because = Some("the agent ends".to_owned());
            } else if is_late && because.is_none() {
                because = Some(format!("not done within {:?}", job.timeout));
            } else if is_late {
                // It has not heard.
                let _ = kill_process_group(group, Signal::KILL);
                next = None;
                continue;
            } else {
                continue;
            }
            let _ = kill_process_group(group, Signal::TERM);
            next = Instant::now().checked_add(GRACE);
        }
        if because.is_some() {
            // What it has started goes with it. Nobody else can have the number before we have waited.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let status = self.child.wait()?;
        self.read(job);
        self.lines.end(job);
        Ok(Ended { status, because })
    }

    /// Logs what is there.
    fn read(&mut self, job: &Job) {
        let mut buffer = [0; 8192];
        // Who writes without an end must not hold up the look at the clock.
        for _ in 0..16 {
            let Some(output) = &mut self.output else { return };
            match output.read(&mut buffer) {
                Ok(0) => self.output = None,
                Ok(length) => self.lines.take(buffer.get(..length).unwrap_or_default(), job),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.output = None,
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

/// Output on its way into the log.
#[derive(Default)]
struct Lines {
    line: Vec<u8>,
    count: usize,
}

impl Lines {
    fn take(&mut self, bytes: &[u8], job: &Job) {
        let mut pieces = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            let room = LONGEST_LINE.saturating_sub(self.line.len());
            self.line.extend_from_slice(piece.get(..room).unwrap_or(piece));
            if pieces.peek().is_some() {
                self.tell(job);
            }
        }
    }

    fn tell(&mut self, job: &Job) {
        self.count += 1;
        if self.count <= MOST_LINES {
            job.log(&self.line);
        }
        self.line.clear();
    }

    fn end(&mut self, job: &Job) {
        if !self.line.is_empty() {
            self.tell(job);
        }
        if let Some(more) = self.count.checked_sub(MOST_LINES).filter(|more| *more > 0) {
            job.log(format!("({more} more lines)").as_bytes());
        }
    }
}
