//! Hooks: child processes that are run when a file is done, or given up.
//!
//! So many run at once, each in a process group of its own, with nothing to read and its output in the log. One that takes too long is
//! told to end, then ended. Whatever becomes of a hook, its file is done: nothing is compressed again for it, and the hook is not run again.
//!
//! Until its execve(2) a child has all our descriptors, and with them our locks. A file that is looked at in that moment may seem to be in
//! use, and is looked at again a second later.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::io::{self, PipeReader, PipeWriter, Read, pipe};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use tracing::{debug, info, warn};

use crate::model::{Escaped, Failure, Observer};
use crate::policy::{Hooks as Rules, fill};

/// So many run at once.
const AT_ONCE: usize = 4;
/// So many wait at most, in a few megabytes.
const MOST_WAITING: usize = 10_000;
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

/// Runs the hooks of the watched folders. Its clones are the same.
#[derive(Clone)]
pub(crate) struct HookRunner(Arc<Shared>);

struct Shared {
    rules: Mutex<BTreeMap<PathBuf, Rules>>,
    state: Mutex<State>,
    changed: Condvar,
    /// At its end when everything is to end at once.
    aborted: PipeReader,
}

struct State {
    waiting: VecDeque<Job>,
    running: usize,
    threads: usize,
    idle: usize,
    closing: bool,
    /// Dropped, it tells every hook to end.
    abort: Option<PipeWriter>,
    tally: Tally,
}

/// How many hooks there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) run: u64,
    /// Of those: ended otherwise than with status 0, or could not be started.
    pub(crate) failed: u64,
    /// There was no room, or no time any more.
    pub(crate) not_run: u64,
}

/// A hook to be run.
struct Job {
    kind: &'static str,
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(&'static str, OsString)>,
    /// The file it is about.
    source: PathBuf,
    timeout: Duration,
}

impl HookRunner {
    /// With the hooks of these folders. Starts no thread yet.
    ///
    /// # Errors
    ///
    /// Where the process may not open two more descriptors.
    pub(crate) fn new(rules: BTreeMap<PathBuf, Rules>) -> io::Result<Self> {
        let (aborted, abort) = pipe()?;
        Ok(HookRunner(Arc::new(Shared {
            rules: Mutex::new(rules),
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                running: 0,
                threads: 0,
                idle: 0,
                closing: false,
                abort: Some(abort),
                tally: Tally::default(),
            }),
            changed: Condvar::new(),
            aborted,
        })))
    }

    /// From now on these folders have these hooks.
    pub(crate) fn replace(&self, rules: BTreeMap<PathBuf, Rules>) {
        *self.0.rules.lock().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    /// Waits until every hook has been run; from `deadline` on those that wait are not, and those that run are ended. Blocks.
    pub(crate) fn finish(&self, deadline: Option<Instant>) -> Tally {
        let mut state = self.0.state();
        state.closing = true;
        self.0.changed.notify_all();
        while !(state.waiting.is_empty() && state.running == 0) {
            if state.threads == 0 {
                // The system refuses the first thread still: nobody will ever run them.
                state.give_up();
                continue;
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            state = match left.filter(|_| state.abort.is_some()) {
                Some(Duration::ZERO) => {
                    state.give_up();
                    state
                }
                Some(left) => {
                    let waited = self.0.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        state.tally
    }

    /// Ends what runs, and forgets what waits; [`finish`](Self::finish) returns soon. Does not block.
    pub(crate) fn abort(&self) {
        self.0.state().give_up();
        self.0.changed.notify_all();
    }

    fn of(&self, folder: &Path) -> Option<Rules> {
        let rules = self.0.rules.lock().unwrap_or_else(PoisonError::into_inner);
        rules.get(folder).cloned()
    }

    fn push(&self, job: Job) {
        let mut state = self.0.state();
        if state.waiting.len() >= MOST_WAITING || state.abort.is_none() {
            state.tally.not_run += 1;
            drop(state);
            let (kind, source) = (job.kind, Escaped(&job.source));
            return warn!(hook = kind, %source, "the {kind} hook for {source} is not run: {MOST_WAITING} wait already");
        }
        state.waiting.push_back(job);
        if state.waiting.len() > state.idle && state.threads < AT_ONCE {
            let shared = Arc::clone(&self.0);
            let started = thread::Builder::new()
                .name("hook".to_owned())
                .spawn(move || shared.work());
            match started {
                Ok(_) => state.threads += 1,
                // The next one tries again; another thread has it where there is one.
                Err(error) => warn!("no thread for hooks can be started: {error}"),
            }
        }
        drop(state);
        self.0.changed.notify_all();
    }
}

impl State {
    fn give_up(&mut self) {
        self.tally.not_run += self.waiting.len() as u64;
        self.waiting.clear();
        self.abort = None;
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread's life.
    fn work(&self) {
        let mut state = self.state();
        loop {
            if let Some(job) = state.waiting.pop_front() {
                state.running += 1;
                drop(state);
                let ended_well = job.run(&self.aborted);
                state = self.state();
                state.running -= 1;
                state.tally.run += 1;
                state.tally.failed += u64::from(!ended_well);
                self.changed.notify_all();
            } else if state.closing {
                state.threads -= 1;
                return;
            } else {
                state.idle += 1;
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }
}

impl Observer for HookRunner {
    fn compressed(&self, folder: &Path, source: &Path, output: &Path, bytes_in: u64, bytes_out: u64, _: Duration) {
        let Some(rules) = self.of(folder).filter(|rules| !rules.on_success.is_empty()) else {
            return;
        };
        let (source, output) = (folder.join(source), folder.join(output));
        let (bytes_in, bytes_out) = (bytes_in.to_string(), bytes_out.to_string());
        let known = [
            ("source", "DWINDLE_SOURCE", source.as_os_str()),
            ("output", "DWINDLE_OUTPUT", output.as_os_str()),
            ("bytes_in", "DWINDLE_BYTES_IN", OsStr::new(&bytes_in)),
            ("bytes_out", "DWINDLE_BYTES_OUT", OsStr::new(&bytes_out)),
        ];
        self.push(Job::new(
            "on-success",
            &rules.on_success,
            &known,
            &source,
            rules.timeout,
        ));
    }

    fn failed(&self, folder: &Path, source: &Path, failure: &Failure<'_>) {
        if !failure.given_up {
            return;
        }
        let Some(rules) = self.of(folder).filter(|rules| !rules.on_failure.is_empty()) else {
            return;
        };
        let source = failure.moved_to.map_or_else(|| folder.join(source), Path::to_owned);
        let error = failure.error.to_string();
        let known = [
            ("source", "DWINDLE_SOURCE", source.as_os_str()),
            ("error", "DWINDLE_ERROR", OsStr::new(&error)),
            ("step", "DWINDLE_STEP", OsStr::new(failure.error.step().verb())),
        ];
        self.push(Job::new(
            "on-failure",
            &rules.on_failure,
            &known,
            &source,
            rules.timeout,
        ));
    }
}

impl Job {
    /// What is known stands for its word in the arguments, and in its variable. The program is taken as it is: no file is one.
    fn new(
        kind: &'static str,
        command: &[String],
        known: &[(&str, &'static str, &OsStr)],
        source: &Path,
        timeout: Duration,
    ) -> Self {
        let words: Vec<(&str, &OsStr)> = known.iter().map(|(word, _, value)| (*word, *value)).collect();
        let environment = known
            .iter()
            .map(|(_, variable, value)| (*variable, (*value).to_owned()));
        Job {
            kind,
            program: command.first().map(OsString::from).unwrap_or_default(),
            arguments: command.iter().skip(1).map(|argument| fill(argument, &words)).collect(),
            environment: environment.collect(),
            source: source.to_owned(),
            timeout,
        }
    }

    /// Runs it to its end, and says what came of it: true where it ended with status 0.
    fn run(&self, aborted: &PipeReader) -> bool {
        let (kind, source) = (self.kind, Escaped(&self.source));
        let program = Escaped(Path::new(&self.program));
        match self.start().and_then(|running| running.wait(self, aborted)) {
            Err(error) => warn!(hook = kind, %source, "cannot run the {kind} hook {program} for {source}: {error}"),
            Ok(Ended { status, because: None }) if status.success() => {
                debug!(hook = kind, %source, "the {kind} hook for {source} is done");
                return true;
            }
            Ok(Ended { status, because }) => {
                let because = because.map(|why| format!("{why}; ")).unwrap_or_default();
                warn!(hook = kind, %source, "the {kind} hook {program} for {source} failed: {because}{status}");
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
        let child = command.spawn()?;
        fcntl_setfl(&output, fcntl_getfl(&output)? | OFlags::NONBLOCK)?;
        Ok(Running {
            child,
            output: Some(output),
            lines: Lines::default(),
        })
    }

    fn log(&self, line: &[u8]) {
        let (kind, source) = (self.kind, Escaped(&self.source));
        info!(hook = kind, %source, "{kind}: {}", Escaped(Path::new(OsStr::from_bytes(line))));
    }
}

/// A hook under way.
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
        let exited = match pidfd_open(group, PidfdFlags::empty()) {
            Ok(exited) => exited,
            Err(errno) => {
                // Nobody could tell when it ends.
                let _ = kill_process_group(group, Signal::KILL);
                self.child.wait()?;
                return Err(errno.into());
            }
        };
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
