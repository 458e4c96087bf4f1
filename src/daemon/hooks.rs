//! Hooks: child processes that are run when a file is done, or given up.
//!
//! So many run at once, each in a process group of its own, with nothing to read and its output in the log. One that takes too long is
//! told to end, then ended. Whatever becomes of a hook, its file is done: nothing is compressed again for it, and the hook is not run again.
//!
//! The queue is here, one child process in [`child`].
//!
//! Until its execve(2) a child has all our descriptors, and with them our locks. A file that is looked at in that moment may seem to be in
//! use, and is looked at again a second later.

mod child;

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io::{self, PipeReader, PipeWriter, pipe};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use async_channel::Sender;
use tracing::warn;

use crate::model::{Escaped, Failure, Observer, Success};
use crate::policy::{Hooks as Rules, fill};

/// So many run at once.
const AT_ONCE: usize = 4;
/// So many wait at most, in a few megabytes.
const MOST_WAITING: usize = 10_000;

/// Runs the hooks of all watches. Its clones are the same.
#[derive(Clone)]
pub(crate) struct HookRunner(Arc<Shared>);

/// Has the hooks of one watch run.
pub(crate) struct WatchHooks {
    rules: Rules,
    runner: HookRunner,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Whoever shows the counts.
    told: OnceLock<Sender<()>>,
    /// At its end when everything is to end at once.
    aborted: PipeReader,
}

struct State {
    waiting: VecDeque<Work>,
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

/// Runs a hook to its end, or until the pipe ends; whether it went well.
type Work = Box<dyn FnOnce(&PipeReader) -> bool + Send>;

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
    /// Starts no thread yet.
    ///
    /// # Errors
    ///
    /// Where the process may not open two more descriptors.
    pub(crate) fn new() -> io::Result<Self> {
        let (aborted, abort) = pipe()?;
        Ok(HookRunner(Arc::new(Shared {
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
            told: OnceLock::new(),
            aborted,
        })))
    }

    /// For a watch with these hooks.
    pub(crate) fn of(&self, rules: Rules) -> WatchHooks {
        let runner = self.clone();
        WatchHooks { rules, runner }
    }

    /// From now on something is sent when a hook has ended, unless there is something already. Only the first who asks is told.
    pub(crate) fn tell(&self, changes: Sender<()>) {
        let _ = self.0.told.set(changes);
    }

    /// How many there were so far. Does not wait for those that run.
    pub(crate) fn tally(&self) -> Tally {
        self.0.state().tally
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

    fn run(&self, job: Job) {
        let (kind, source) = (job.kind, job.source.clone());
        if !self.push(Box::new(move |aborted| job.run(aborted))) {
            let source = Escaped(&source);
            warn!(name: "hook-not-run", hook = kind, %source, "the {kind} hook for {source} is not run: {MOST_WAITING} wait already");
        }
    }

    /// False where there is no room.
    fn push(&self, work: Work) -> bool {
        let mut state = self.0.state();
        if state.waiting.len() >= MOST_WAITING || state.abort.is_none() {
            state.tally.not_run += 1;
            return false;
        }
        state.waiting.push_back(work);
        if state.waiting.len() > state.idle && state.threads < AT_ONCE {
            let shared = Arc::clone(&self.0);
            let started = thread::Builder::new()
                .name("hook".to_owned())
                .spawn(move || shared.work());
            match started {
                Ok(_) => state.threads += 1,
                // The next one tries again; another thread has it where there is one.
                Err(error) => warn!(name: "hook-not-run", "no thread for hooks can be started: {error}"),
            }
        }
        drop(state);
        self.0.changed.notify_all();
        true
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
            if let Some(work) = state.waiting.pop_front() {
                state.running += 1;
                drop(state);
                // A panic is one hook's: whoever waits for the others would wait for ever.
                let ended_well = catch_unwind(AssertUnwindSafe(|| work(&self.aborted))).unwrap_or(false);
                state = self.state();
                state.running -= 1;
                state.tally.run += 1;
                state.tally.failed += u64::from(!ended_well);
                self.changed.notify_all();
                if let Some(changes) = self.told.get() {
                    let _ = changes.try_send(());
                }
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

impl Observer for WatchHooks {
    fn compressed(&self, folder: &Path, source: &Path, success: &Success<'_>) {
        if self.rules.on_success.is_empty() {
            return;
        }
        let (source, output) = (folder.join(source), folder.join(success.output));
        let (bytes_in, bytes_out) = (success.bytes_in.to_string(), success.bytes_out.to_string());
        let known = [
            ("source", "DWINDLE_SOURCE", source.as_os_str()),
            ("output", "DWINDLE_OUTPUT", output.as_os_str()),
            ("bytes_in", "DWINDLE_BYTES_IN", OsStr::new(&bytes_in)),
            ("bytes_out", "DWINDLE_BYTES_OUT", OsStr::new(&bytes_out)),
        ];
        let (command, timeout) = (&self.rules.on_success, self.rules.timeout);
        self.runner
            .run(Job::new("on-success", command, &known, &source, timeout));
    }

    fn failed(&self, folder: &Path, source: &Path, failure: &Failure<'_>) {
        if !failure.given_up || self.rules.on_failure.is_empty() {
            return;
        }
        let source = failure.moved_to.map_or_else(|| folder.join(source), Path::to_owned);
        let error = failure.error.to_string();
        let known = [
            ("source", "DWINDLE_SOURCE", source.as_os_str()),
            ("error", "DWINDLE_ERROR", OsStr::new(&error)),
            ("step", "DWINDLE_STEP", OsStr::new(failure.error.step().verb())),
        ];
        let (command, timeout) = (&self.rules.on_failure, self.rules.timeout);
        self.runner
            .run(Job::new("on-failure", command, &known, &source, timeout));
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_shows_the_counts_is_told_when_a_hook_has_ended() {
        let runner = HookRunner::new().unwrap();
        let (changes, told) = async_channel::bounded(1);
        runner.tell(changes);
        assert!(runner.push(Box::new(|_| false)));
        told.recv_blocking().unwrap();
        assert_eq!((runner.tally().run, runner.tally().failed), (1, 1));
    }

    #[test]
    fn a_panic_is_a_failure_and_nobody_waits_for_it() {
        let runner = HookRunner::new().unwrap();
        // Past the panic hook, which would print.
        let panics = || -> Work { Box::new(|_| std::panic::resume_unwind(Box::new("on purpose"))) };
        let works: [Work; 4] = [panics(), Box::new(|_| true), panics(), Box::new(|_| false)];
        for work in works {
            assert!(runner.push(work));
        }
        let tally = Tally {
            run: 4,
            failed: 3,
            not_run: 0,
        };
        assert_eq!(runner.finish(None), tally);
    }
}
