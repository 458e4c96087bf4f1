//! How many descriptors the process may have open, and room for them.

use std::os::fd::AsFd;

use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, getrlimit, setrlimit};

/// As many as the agent can use: some for each file whose original was removed a moment ago.
const WANTED: u64 = 5 * 4096 + 1024;

/// For so many there is room from the beginning, which takes 64 KiB of the kernel's memory.
const ROOM: u64 = 8192;

/// Has the kernel's table of descriptors grow now, while there is one thread. Each time that it grows later, all that open a file wait for
/// some 10 ms, until the kernel knows that no other thread looks at the old one.
pub(super) fn make_room() {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if let Ok(last) = i32::try_from(limit.min(ROOM).saturating_sub(1)) {
        // It stays as large when the descriptor is closed. Without one to be doubled it grows as it is needed.
        let _ = fcntl_dupfd_cloexec(std::io::stderr().as_fd(), last);
    }
}

/// Raises the soft limit, which is 1,024 on most systems for the sake of programs that call select(2), towards the hard one. What is
/// started later, such as a hook, inherits it.
pub(super) fn raise_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    let Some(now) = limit.current else { return };
    if now < WANTED.min(most) {
        limit.current = Some(WANTED.min(most));
        // With the old limit all goes on, a little slower.
        let _ = setrlimit(Resource::Nofile, limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `FDSize` of `/proc/PID/status`.
    fn room() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("FDSize:")).unwrap();
        line.trim().parse().unwrap()
    }

    #[test]
    fn there_is_room_before_it_is_needed() {
        let wanted = getrlimit(Resource::Nofile)
            .current
            .map_or(ROOM, |limit| limit.min(ROOM));
        make_room();
        assert!(room() >= wanted, "{} for {wanted}", room());
    }
}
