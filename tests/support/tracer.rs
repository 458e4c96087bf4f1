//! A program that is stopped at the system call of our choice, by ptrace(2): there it can be killed, or the power cut.
//!
//! strace(1) can do so too, but counts in each thread for itself, so that it never gets to the first calls of a second thread. Here all
//! calls of all threads have one order.
//!
//! The only module of the tests with unsafe code: neither the standard library nor rustix has ptrace.
#![allow(unsafe_code)]

use std::collections::HashSet;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;
use std::sync::mpsc;
use std::thread;

use libc::{c_int, c_long};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, pidfd_open, pidfd_send_signal, wait};

use super::programs;
use super::wait::DEADLINE;

/// A system call that is about to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    /// How many were made before it, by any thread.
    pub(crate) index: usize,
    /// As in `libc::SYS_linkat`.
    pub(crate) number: c_long,
}

/// How a traced program came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It was stopped where it was to be, and killed.
    Killed,
    /// It came to its end before, with this code.
    Exited(c_int),
}

/// Starts the program and lets it run until `is_there` says so of a system call. That call is not made any more: the program stands still
/// (each other thread at its next call at the latest), `then` is done, and the program is killed, all of it.
///
/// Panics when the program ends by any other signal, and kills it at the tests' deadline.
pub(crate) fn run_until(command: &mut Command, mut is_there: impl FnMut(Call) -> bool, then: impl FnOnce()) -> End {
    let process = start(command);
    let watchdog = watch_over(process);
    let mut tracees = HashSet::from([process.as_raw_pid()]);
    let mut calls = 0;
    let mut then = Some(then);
    let mut end = None;
    // Every thread is waited for: the last one to report is the process itself.
    while let Some((tracee, status)) = next_event() {
        if status.exited() || status.signaled() {
            if tracee == process {
                end = Some(status);
            }
            continue;
        }
        let is_new = tracees.insert(tracee.as_raw_pid());
        let signal = status.stopping_signal().expect("stopped, since it has not ended");
        let mut pass_on = 0;
        match signal {
            AT_CALL if then.is_some() => {
                if let Some(number) = number_of_entered_call(tracee) {
                    let call = Call { index: calls, number };
                    calls += 1;
                    if is_there(call) {
                        then.take().expect("not there before")();
                        kill(process);
                        // It must not go on before it is dead.
                        continue;
                    }
                }
            }
            AT_CALL | libc::SIGTRAP => {}
            libc::SIGSTOP if is_new => {}
            other => pass_on = other,
        }
        resume(tracee, pass_on);
    }
    drop(watchdog);
    let end = end.expect("the process itself is waited for");
    match (end.exit_status(), end.terminating_signal()) {
        (Some(code), _) => End::Exited(code),
        (None, Some(libc::SIGKILL)) if then.is_none() => End::Killed,
        _ => panic!("ended by itself: {end:?}, after {calls} system calls"),
    }
}

/// What waitpid(2) says of a tracee at a system call, with `PTRACE_O_TRACESYSGOOD`.
const AT_CALL: c_int = libc::SIGTRAP | 0x80;

/// Starts it as the tracee of this thread, standing still behind its execve(2).
#[expect(clippy::zombie_processes, reason = "next_event waits for it, as for all tracees")]
fn start(command: &mut Command) -> Pid {
    // SAFETY: the closure makes one system call and allocates nothing, as is demanded of what runs between fork and exec.
    unsafe {
        command.pre_exec(|| request(libc::PTRACE_TRACEME, 0, 0).map(drop));
    }
    let child = programs::start(command).unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let process = Pid::from_child(&child);
    let (tracee, status) = next_event().expect("a child");
    assert!(
        tracee == process && status.stopping_signal() == Some(libc::SIGTRAP),
        "{status:?}"
    );
    let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_TRACECLONE | libc::PTRACE_O_EXITKILL;
    request(
        libc::PTRACE_SETOPTIONS,
        process.as_raw_pid(),
        usize::try_from(options).expect("flags"),
    )
    .expect("options of a stopped tracee");
    resume(process, 0);
    process
}

/// The next that happens to a tracee of this thread, and of no other; nothing when there is none any more.
fn next_event() -> Option<(Pid, WaitStatus)> {
    let flags = libc::__WALL | libc::__WNOTHREAD;
    let options = WaitOptions::from_bits_retain(u32::from_ne_bytes(flags.to_ne_bytes()));
    match wait(options) {
        Ok(event) => event,
        Err(rustix::io::Errno::INTR) => next_event(),
        Err(_) => None,
    }
}

/// Lets it run to its next system call, or out of the one that it is in. It may have been killed meanwhile.
fn resume(tracee: Pid, signal: c_int) {
    let signal = usize::try_from(signal).expect("a signal's number");
    let _ = request(libc::PTRACE_SYSCALL, tracee.as_raw_pid(), signal);
}

/// Nothing when it stands at a call's end.
fn number_of_entered_call(tracee: Pid) -> Option<c_long> {
    // SAFETY: every bit pattern is a value of this C structure, zeros too.
    let mut info: libc::ptrace_syscall_info = unsafe { std::mem::zeroed() };
    let (size, address) = (size_of_val(&info), ptr::from_mut(&mut info));
    // SAFETY: the kernel writes at most `size` bytes to the address, which are those of `info`.
    let written = unsafe { libc::ptrace(libc::PTRACE_GET_SYSCALL_INFO, tracee.as_raw_pid(), size, address) };
    if written <= 0 || info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
        return None;
    }
    // SAFETY: `op` says that this is the member which the kernel has written.
    let number = unsafe { info.u.entry.nr };
    Some(c_long::try_from(number).expect("a system call's number"))
}

/// One of the requests that take no address of ours.
fn request(what: libc::c_uint, tracee: c_int, data: usize) -> io::Result<c_long> {
    // SAFETY: these requests read and write no memory of ours.
    let result = unsafe { libc::ptrace(what, tracee, ptr::null_mut::<libc::c_void>(), data) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

fn kill(process: Pid) {
    rustix::process::kill_process(process, Signal::KILL).expect("our own child");
}

/// Kills it at the deadline, unless what is returned was dropped by then.
fn watch_over(process: Pid) -> mpsc::Sender<()> {
    let descriptor = pidfd_open(process, PidfdFlags::empty()).expect("our own child");
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        if receiver.recv_timeout(DEADLINE) == Err(mpsc::RecvTimeoutError::Timeout) {
            let _ = pidfd_send_signal(&descriptor, Signal::KILL);
        }
    });
    sender
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::Sandbox;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_program_that_is_never_stopped_comes_to_its_own_end() {
        let mut indices = Vec::new();
        let end = run_until(
            &mut shell("exit 3"),
            |call| {
                indices.push(call.index);
                false
            },
            || panic!("it was not to be stopped"),
        );
        assert_eq!(end, End::Exited(3));
        assert!(indices.len() > 10);
        assert!(indices.iter().copied().eq(0..indices.len()));
    }

    #[test]
    fn the_call_at_which_it_is_stopped_is_never_made() {
        let sandbox = Sandbox::new();
        let (kept, removed) = (sandbox.file("kept", ""), sandbox.file("removed", ""));
        let mut command = Command::new("rm");
        command.args([&removed, &kept]);
        let mut removals = 0;
        let mut both_were_there = false;
        let is_second_removal = |call: Call| {
            removals += usize::from([libc::SYS_unlinkat, libc::SYS_unlink].contains(&call.number));
            removals == 2
        };
        let end = run_until(&mut command, is_second_removal, || {
            both_were_there = kept.exists() && removed.exists();
        });
        assert_eq!(end, End::Killed);
        assert!(!both_were_there && kept.exists() && !removed.exists());
    }
}
