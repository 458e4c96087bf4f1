//! How many descriptors the process may have open.

use rustix::process::{Resource, getrlimit, setrlimit};

/// As many as the agent can use: some for each file whose original was removed a moment ago.
const WANTED: u64 = 5 * 4096 + 1024;

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
