//! Other programs, started while no test has a file open for writing that a program is to compress.
//!
//! A child has the descriptors of all threads until its execve(2): what one test has written and closed would for that moment, which is long
//! on a busy machine, be open for writing in another test's child, and the program rightly refuses such a file.

use std::io;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{PoisonError, RwLock};

static WRITING: RwLock<()> = RwLock::new(());

/// Does what opens files for writing and closes them. Not to be called inside itself, nor to start programs in it.
pub(crate) fn while_none_is_started<T>(write: impl FnOnce() -> T) -> T {
    let _shared = WRITING.read().unwrap_or_else(PoisonError::into_inner);
    write()
}

/// `Command::spawn`, which returns when the child is the program.
pub(crate) fn start(command: &mut Command) -> io::Result<Child> {
    let _alone = WRITING.write().unwrap_or_else(PoisonError::into_inner);
    command.spawn()
}

/// `Command::status`.
pub(crate) fn status(command: &mut Command) -> io::Result<ExitStatus> {
    start(command)?.wait()
}

/// `Command::output`, with our own standard input unless another was given.
pub(crate) fn output(command: &mut Command) -> io::Result<Output> {
    start(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?.wait_with_output()
}
