//! The program under test: started in a sandbox with a clean environment, watched, and stopped.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt::{self, Display, Formatter};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal, geteuid, kill_process};

use super::report::Report;
use super::{Sandbox, names_below, programs, wait};

/// How the program is to be started: its arguments, its environment, its input.
pub(crate) struct Dwindle {
    program: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    input: Vec<u8>,
    root: PathBuf,
    deadline: Duration,
}

impl Dwindle {
    /// The program, to run in the sandbox's root. Of the environment it gets `PATH` and a runtime folder of its own, `.runtime`,
    /// whoever it runs as.
    pub(crate) fn new(sandbox: &Sandbox) -> Self {
        Self::from_program(sandbox, env!("CARGO_BIN_EXE_dwindle"))
    }

    /// A script for sh(1), in which `"$DWINDLE"` is the program: for redirections that only a shell makes.
    pub(crate) fn in_shell(sandbox: &Sandbox, script: &str) -> Self {
        let program = env!("CARGO_BIN_EXE_dwindle");
        Self::from_program(sandbox, "sh")
            .env("DWINDLE", program)
            .args(["-c", script])
    }

    fn from_program(sandbox: &Sandbox, program: &str) -> Self {
        let runtime = sandbox.private_folder(".runtime");
        Dwindle {
            program: vec![program.into()],
            environment: vec![
                ("RUNTIME_DIRECTORY".into(), runtime.clone().into()),
                ("XDG_RUNTIME_DIR".into(), runtime.into()),
            ],
            input: Vec::new(),
            root: sandbox.root().to_path_buf(),
            deadline: wait::DEADLINE,
        }
    }

    pub(crate) fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.program
            .extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// What it finds on its standard input, which is empty otherwise.
    pub(crate) fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = bytes.into();
        self
    }

    /// How long each wait on it may take, instead of the tests' deadline.
    pub(crate) fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Root passes over file modes. This takes that power away, so that what others may not read stays unread; the tests of it
    /// need the tool `setpriv` when run as root.
    pub(crate) fn bound_by_modes(self) -> Self {
        if !geteuid().is_root() {
            return self;
        }
        self.started_by(["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--"])
    }

    /// Starts it by another program, which has to become it (execve), so that signals reach it.
    pub(crate) fn started_by<'a>(mut self, wrapper: impl IntoIterator<Item = &'a str>) -> Self {
        self.program.splice(0..0, wrapper.into_iter().map(OsString::from));
        self
    }

    /// As it is to be started, for those who start it in their own way; its input is not part of that.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program[0]);
        command.args(&self.program[1..]).current_dir(&self.root);
        command
            .env_clear()
            .envs(env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    pub(crate) fn start(self) -> Running {
        let mut command = self.command();
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = programs::start(&mut command).unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = Capture::start(child.stdout.take().expect("piped"));
        let stderr = Capture::start(child.stderr.take().expect("piped"));
        let mut stdin = child.stdin.take().expect("piped");
        let input = self.input;
        // In a thread: the program may write before it has read all. It may also end without reading: no failure here.
        thread::spawn(move || drop(stdin.write_all(&input)));
        Running {
            child,
            stdout,
            stderr,
            root: self.root,
            deadline: self.deadline,
            program: self.program,
        }
    }

    /// Starts it and waits for its end.
    pub(crate) fn finish(self) -> Output {
        self.start().wait_exit()
    }
}

/// The started program. Dropped, it is killed; when that is because the test fails, what it said and its folder are printed.
pub(crate) struct Running {
    child: Child,
    stdout: Capture,
    stderr: Capture,
    root: PathBuf,
    deadline: Duration,
    program: Vec<OsString>,
}

impl Running {
    /// Waits until the condition holds. Panics at the deadline, and at once when the program ends without it.
    pub(crate) fn wait_for(&mut self, what: &str, mut condition: impl FnMut() -> bool) {
        let ended = wait::poll(self.deadline, || {
            // Looked at before the condition, so that what the program did last is seen.
            let ended = self.child.try_wait().expect("our own child");
            if condition() { Some(None) } else { ended.map(Some) }
        });
        match ended {
            Some(None) => {}
            Some(Some(status)) => panic!("waiting for {what}: the program ended, {status}"),
            None => panic!("waiting for {what}: not within {:?}", self.deadline),
        }
    }

    /// Waits until the text stands in what the program wrote, on either output.
    pub(crate) fn wait_for_text(&mut self, text: &str) {
        let (stdout, stderr) = (self.stdout.clone(), self.stderr.clone());
        self.wait_for(&format!("the text {text:?}"), || {
            stdout.text().contains(text) || stderr.text().contains(text)
        });
    }

    /// Waits until such a line, complete or not, stands in its log; `what` is for the message when none comes.
    pub(crate) fn wait_for_line(&mut self, what: &str, is_it: impl Fn(&str) -> bool) {
        let stderr = self.stderr.clone();
        self.wait_for(&format!("the line {what:?}"), || stderr.text().lines().any(&is_it));
    }

    /// Waits until the condition holds for all of its log; `what` is for the message when it never does.
    pub(crate) fn wait_for_log(&mut self, what: &str, is_it: impl Fn(&str) -> bool) {
        let stderr = self.stderr.clone();
        self.wait_for(what, || is_it(&stderr.text()));
    }

    /// Waits until these and no others are the names below `folder`, as [`names_below`] gives them, whatever the order here.
    pub(crate) fn wait_for_names(&mut self, folder: &Path, names: impl IntoIterator<Item = impl Into<String>>) {
        let mut names: Vec<String> = names.into_iter().map(Into::into).collect();
        names.sort();
        self.wait_for(&format!("exactly {names:?}"), || names_below(folder) == names);
    }

    /// Waits until it has begun an output in the folder: a file without a name, open.
    pub(crate) fn wait_for_output_in(&mut self, folder: &Path) {
        let descriptors = PathBuf::from(format!("/proc/{}/fd", self.process_id()));
        self.wait_for("a file in work", || {
            let open = fs::read_dir(&descriptors).into_iter().flatten().flatten();
            open.filter_map(|entry| fs::read_link(entry.path()).ok())
                .any(|path| path.starts_with(folder) && path.to_string_lossy().ends_with(" (deleted)"))
        });
    }

    /// Waits until the kernel tells it of this folder, so that it has heard of all that came before the folder in the one above.
    pub(crate) fn wait_until_watched(&mut self, folder: &Path) {
        let inode = fs::metadata(folder).expect("a folder").ino();
        // proc_pid_fdinfo(5)
        let watch = format!(" ino:{inode:x} ");
        let descriptors = PathBuf::from(format!("/proc/{}/fdinfo", self.process_id()));
        self.wait_for(&format!("a watch on {}", folder.display()), || {
            let open = fs::read_dir(&descriptors).into_iter().flatten().flatten();
            open.filter_map(|entry| fs::read_to_string(entry.path()).ok())
                .any(|text| text.contains(&watch))
        });
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // It is not waited for yet, so that the number is still its own even when it has ended.
        kill_process(Pid::from_child(&self.child), signal).expect("our own child");
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to stderr so far.
    pub(crate) fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits for the program's end and that of its outputs.
    pub(crate) fn wait_exit(mut self) -> Output {
        let status = wait::poll(self.deadline, || {
            let status = self.child.try_wait().expect("our own child")?;
            (self.stdout.is_complete() && self.stderr.is_complete()).then_some(status)
        });
        let Some(status) = status else {
            panic!("waiting for the program's end: not within {:?}", self.deadline)
        };
        Output {
            status,
            stdout: self.stdout.bytes(),
            stderr: self.stderr.text(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("{:?}", self.program);
            eprintln!(
                "--- stdout\n{}--- stderr\n{}--- folder",
                self.stdout.text(),
                self.stderr.text()
            );
            let names = names_below(&self.root);
            // 50,000 names would hide the rest.
            names.iter().take(200).for_each(|name| eprintln!("{name}"));
            eprintln!("--- {} names", names.len());
        }
    }
}

/// What a program left when it ended. Printed, all of it.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Output {
    /// Checks the exit code, and that it was no signal that ended the program.
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert_eq!((self.status.code(), self.status.signal()), (Some(code), None), "{self}");
        self
    }

    /// The report that is the last line on stdout.
    pub(crate) fn report(&self) -> Report {
        let stdout = String::from_utf8_lossy(&self.stdout);
        let line = stdout.strip_suffix('\n').and_then(|lines| lines.lines().last());
        line.and_then(Report::parse)
            .unwrap_or_else(|| panic!("no report at the end: {self}"))
    }
}

impl Display for Output {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let stdout = String::from_utf8_lossy(&self.stdout);
        write!(f, "{}\n--- stdout\n{stdout}--- stderr\n{}---", self.status, self.stderr)
    }
}

/// A pipe that is read to its end in a thread, so that the program never waits on it.
#[derive(Clone)]
struct Capture {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Arc<JoinHandle<()>>,
}

impl Capture {
    fn start(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&bytes);
        let reader = thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(length @ 1..) = pipe.read(&mut buffer) {
                sink.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .extend_from_slice(&buffer[..length]);
            }
        });
        Capture {
            bytes,
            reader: Arc::new(reader),
        }
    }

    fn is_complete(&self) -> bool {
        self.reader.is_finished()
    }

    fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::{Dwindle, needs};
    use std::os::unix::fs::PermissionsExt;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    fn shell(sandbox: &Sandbox, script: &str) -> Dwindle {
        Dwindle::from_program(sandbox, "sh").args(["-c", script])
    }

    #[test]
    fn the_program_under_test_starts() {
        Dwindle::new(&Sandbox::new())
            .args(["--version"])
            .finish()
            .expect_code(0);
    }

    #[test]
    fn both_outputs_and_the_code_are_caught_and_the_report_is_read() {
        let sandbox = Sandbox::new();
        let script = "echo Compressed 0 files in 0.3 s\\; 2 skipped, 1 failed, 7 left; cat >&2; exit 3";
        let output = shell(&sandbox, script).input("input").finish().expect_code(3);
        assert_eq!(output.stderr, "input");
        assert_eq!(output.report().left, 7);
    }

    #[test]
    fn only_the_given_environment_is_passed_on() {
        let sandbox = Sandbox::new();
        let output = Dwindle::from_program(&sandbox, "env")
            .env("DWINDLE_LEVEL", "9")
            .finish()
            .expect_code(0);
        let stdout = String::from_utf8(output.stdout).unwrap();
        let mut names: Vec<_> = stdout.lines().filter_map(|line| line.split('=').next()).collect();
        names.sort_unstable();
        assert_eq!(names, ["DWINDLE_LEVEL", "PATH", "RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"]);
    }

    #[test]
    fn a_condition_is_waited_for_and_a_signal_arrives() {
        let sandbox = Sandbox::new();
        let inbox = sandbox.folder("inbox");
        let script =
            "trap 'echo stopped; exit 4' TERM; echo ready >&2; : > inbox/b; : > inbox/a; while :; do sleep 0.01; done";
        let mut running = shell(&sandbox, script).start();
        running.wait_for_text("ready");
        assert_eq!(running.stderr(), "ready\n");
        running.wait_for_names(&inbox, ["a", "b"]);
        running.signal(Signal::TERM);
        let output = running.wait_exit().expect_code(4);
        assert_eq!(output.stdout, b"stopped\n");
    }

    #[test]
    fn a_wait_fails_when_the_program_ends_and_at_the_deadline() {
        let sandbox = Sandbox::new();
        let fails = |script: &str| {
            let mut running = shell(&sandbox, script).deadline(Duration::from_millis(50)).start();
            catch_unwind(AssertUnwindSafe(|| running.wait_for("nothing", || false))).is_err()
        };
        assert!(fails("exit 0"));
        assert!(fails("exec sleep 60"));
        let long = shell(&sandbox, "exec sleep 60")
            .deadline(Duration::from_millis(50))
            .start();
        assert!(catch_unwind(AssertUnwindSafe(|| long.wait_exit())).is_err());
    }

    #[test]
    fn dropping_it_ends_the_program() {
        let sandbox = Sandbox::new();
        let running = shell(&sandbox, "exec sleep 60").start();
        let process = PathBuf::from(format!("/proc/{}", running.process_id()));
        assert!(process.exists());
        drop(running);
        assert!(!process.exists());
    }

    #[test]
    fn bound_by_modes_it_cannot_read_what_modes_forbid() {
        needs!(tool "setpriv");
        let sandbox = Sandbox::new();
        let secret = sandbox.file("secret", "secret");
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
        let output = shell(&sandbox, "cat secret").bound_by_modes().finish().expect_code(1);
        assert!(output.stderr.contains("ermission denied"), "{output}");
    }
}
