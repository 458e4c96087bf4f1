//! A limit of memory that the kernel enforces by killing: a control group (cgroups(7)), of version 2 or 1.

use std::fs;
use std::path::PathBuf;
use std::process;

use super::Dwindle;

/// A control group of our own with a limit. Dropped, it is removed.
pub(crate) struct MemoryGroup {
    folder: PathBuf,
}

impl MemoryGroup {
    /// Nothing where none can be made: not root, or a container that may not.
    pub(crate) fn new(bytes: u64) -> Option<Self> {
        let limits = [
            ("/sys/fs/cgroup", "memory.max"),
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        ];
        limits.into_iter().find_map(|(parent, limit)| {
            let folder = PathBuf::from(parent).join(format!("dwindle-test-{}", process::id()));
            // Version 2 gives a controller to children only where that is asked for; version 1 does not know the file.
            let _ = fs::write(PathBuf::from(parent).join("cgroup.subtree_control"), "+memory");
            fs::create_dir(&folder).ok()?;
            let group = MemoryGroup { folder };
            // The kernel makes the file, where it has the controller: no other must be made in its place.
            let file = fs::File::options().write(true).open(group.folder.join(limit));
            file.and_then(|mut file| std::io::Write::write_all(&mut file, bytes.to_string().as_bytes()))
                .ok()?;
            Some(group)
        })
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
    }
}

impl Dwindle {
    /// Starts it as a member of the group.
    pub(crate) fn within(self, group: &MemoryGroup) -> Self {
        let script = "echo $$ > \"$MEMORY_GROUP\"/cgroup.procs && exec \"$0\" \"$@\"";
        self.env("MEMORY_GROUP", &group.folder).started_by(["sh", "-c", script])
    }
}
