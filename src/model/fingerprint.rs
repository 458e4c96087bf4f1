//! What identifies a file and its content without reading it.

use std::time::{Duration, SystemTime};

/// A moment as the file system keeps it: seconds since the epoch, which may be negative, and nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FileTime {
    pub(crate) seconds: i64,
    pub(crate) nanoseconds: u32,
}

impl FileTime {
    /// How long ago this was; zero for a moment in the future.
    pub(crate) fn age(self, now: SystemTime) -> Duration {
        let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let Ok(seconds) = u64::try_from(self.seconds) else {
            return since_epoch;
        };
        since_epoch.saturating_sub(Duration::new(seconds, self.nanoseconds))
    }
}

/// Two equal fingerprints, taken before and after, mean: the same inode, and nobody changed it in between through any way that the
/// file system records. Changing mtime back by hand does not fool it, since that sets ctime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    pub(crate) device: (u32, u32),
    pub(crate) inode: u64,
    pub(crate) size: u64,
    pub(crate) modified: FileTime,
    pub(crate) changed: FileTime,
    pub(crate) links: u32,
}

impl Fingerprint {
    /// How long nothing has touched the file: since the newer of mtime and ctime. A ctime in the future counts as now. An mtime in the
    /// future says nothing, since anybody can set it, and setting it is seen by ctime.
    pub(crate) fn quiet_for(&self, now: SystemTime) -> Duration {
        let changed = self.changed.age(now);
        match self.modified.age(now) {
            Duration::ZERO => changed,
            modified => modified.min(changed),
        }
    }

    /// Whether both are the same inode with one name, and nobody wrote to it in between. A rename changes the rest.
    pub(crate) fn same_content(&self, other: &Fingerprint) -> bool {
        self.same_inode(other)
            && self.size == other.size
            && self.modified == other.modified
            && self.links == other.links
    }

    /// Whether both are the same inode, whatever happened to its content.
    pub(crate) fn same_inode(&self, other: &Fingerprint) -> bool {
        self.device == other.device && self.inode == other.inode
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touched(modified: i64, changed: i64) -> Fingerprint {
        let at = |seconds| FileTime {
            seconds,
            nanoseconds: 0,
        };
        Fingerprint {
            device: (8, 1),
            inode: 1,
            size: 1,
            modified: at(modified),
            changed: at(changed),
            links: 1,
        }
    }

    #[test]
    fn quiet_counts_from_the_newer_time_and_a_future_change_counts_as_now() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        assert_eq!(touched(10, 90).quiet_for(now), Duration::from_secs(10));
        assert_eq!(touched(90, 10).quiet_for(now), Duration::from_secs(10));
        assert_eq!(touched(10, 500).quiet_for(now), Duration::ZERO);
        assert_eq!(touched(500, 90).quiet_for(now), Duration::from_secs(10));
        assert_eq!(touched(-7, -7).quiet_for(now), Duration::from_secs(100));
    }
}
