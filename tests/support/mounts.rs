//! File systems of our own: small ones, broken ones, and such whose power can be cut.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::geteuid;

use super::Sandbox;
use super::programs;
use super::wait::{DEADLINE, poll};

/// A kind that lies in an image file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Disk {
    Ext4,
    Xfs,
}

/// A mounted file system. Dropped, it is unmounted; its image goes with the sandbox.
pub(crate) struct Mount {
    path: PathBuf,
    image: Option<PathBuf>,
}

impl Mount {
    /// One in memory, mounted on a new folder `disk` of the sandbox; `options` are those of tmpfs(5).
    pub(crate) fn in_memory(sandbox: &Sandbox, options: &str) -> Self {
        let path = sandbox.folder("disk");
        run("mount", &["-t", "tmpfs", "-o", options, "dwindle-test", text(&path)]);
        Mount { path, image: None }
    }

    /// An empty one on a disk of its own, mounted on a new folder `disk` of the sandbox.
    pub(crate) fn of_disk(sandbox: &Sandbox, disk: Disk) -> Self {
        // The smallest that the tools agree to make. The image is sparse.
        let (megabytes, tool, options): (u64, _, &[&str]) = match disk {
            // Larger inodes than such a small disk would get, since times in them have nanoseconds.
            Disk::Ext4 => (32, "mkfs.ext4", &["-q", "-F", "-I", "256"]),
            Disk::Xfs => (300, "mkfs.xfs", &["-q", "-f"]),
        };
        let image = sandbox.path("disk.image");
        let file = File::create_new(&image).expect("a new file");
        file.set_len(megabytes << 20).expect("a sparse file");
        run(tool, &[options, &[text(&image)]].concat());
        let mount = Mount {
            path: sandbox.folder("disk"),
            image: Some(image),
        };
        mount.mount_image();
        mount
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes all that was written until now durable.
    pub(crate) fn sync(&self) {
        let folder = File::open(&self.path).expect("a mounted folder");
        rustix::fs::syncfs(folder).expect("a sound disk");
    }

    /// From now on nothing reaches the disk any more, and every access fails: `FS_IOC_SHUTDOWN` without flushing the log.
    pub(crate) fn cut_power(&self) {
        run("xfs_io", &["-x", "-c", "shutdown", text(&self.path)]);
    }

    /// Mounts it again as a computer does that starts: what was not on the disk is gone, and the journal is replayed.
    pub(crate) fn start_again(&self) {
        // A child that another thread has forked holds our descriptors until its execve, and a mount namespace that somebody has just
        // made holds the mount: for a moment only, but as long the file system is still the one without power.
        let is_done = |command: &mut Command| {
            let output = programs::output(command).unwrap_or_else(|error| panic!("{command:?}: {error}"));
            (output.status.success() && output.stdout.is_empty()).then_some(())
        };
        let unmounted = poll(DEADLINE, || is_done(Command::new("umount").arg(&self.path)));
        assert!(unmounted.is_some(), "{} is in use", self.path.display());
        let detached = poll(DEADLINE, || {
            is_done(Command::new("losetup").arg("-j").arg(self.image()))
        });
        assert!(
            detached.is_some(),
            "{} is still mounted somewhere",
            self.image().display()
        );
        self.mount_image();
    }

    /// Takes all the room that is left, of one that is in memory; `remount` gives it back.
    pub(crate) fn leave_no_space(&self) {
        let status = rustix::fs::statvfs(&self.path).expect("a mounted folder");
        let used = (status.f_blocks - status.f_bfree) * status.f_frsize;
        self.remount(&format!("size={used}"));
    }

    /// The same of inodes.
    pub(crate) fn leave_no_inodes(&self) {
        let status = rustix::fs::statvfs(&self.path).expect("a mounted folder");
        self.remount(&format!("nr_inodes={}", status.f_files - status.f_ffree));
    }

    /// With `ro`, `rw`, or another size.
    pub(crate) fn remount(&self, options: &str) {
        run("mount", &["-o", &format!("remount,{options}"), text(&self.path)]);
    }

    fn mount_image(&self) {
        run("mount", &["-o", "loop", text(self.image()), text(&self.path)]);
    }

    fn image(&self) -> &Path {
        self.image.as_deref().expect("a disk in an image")
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Whoever still uses it keeps it, and it is out of the way of the sandbox's removal.
        let _ = programs::status(Command::new("umount").arg("--lazy").arg(&self.path));
    }
}

/// Whether file systems can be mounted here: root of a container may not.
pub(crate) fn are_possible() -> bool {
    if !geteuid().is_root() {
        return false;
    }
    let sandbox = Sandbox::new();
    let folder = sandbox.folder("disk");
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "dwindle-test"]).arg(&folder);
    let is_mounted = programs::output(&mut mount).is_ok_and(|output| output.status.success());
    if is_mounted {
        run("umount", &[text(&folder)]);
    }
    is_mounted
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the path of a sandbox")
}

fn run(tool: &str, arguments: &[&str]) {
    let mut command = Command::new(tool);
    let output = programs::output(command.args(arguments)).unwrap_or_else(|error| panic!("{tool}: {error}"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}: {complaint}", output.status);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::needs;

    #[test]
    fn what_was_not_synced_before_the_power_was_cut_is_gone() {
        needs!(mounts);
        needs!(tool "mkfs.xfs");
        for disk in [Disk::Ext4, Disk::Xfs] {
            let sandbox = Sandbox::with_room_for(128 << 20);
            let mount = Mount::of_disk(&sandbox, disk);
            fs::write(mount.path().join("before"), "text").unwrap();
            mount.sync();
            fs::write(mount.path().join("after"), "text").unwrap();
            mount.cut_power();
            assert!(fs::write(mount.path().join("later"), "text").is_err());
            mount.start_again();
            assert_eq!(fs::read(mount.path().join("before")).unwrap(), b"text");
            assert!(!mount.path().join("after").exists(), "{disk:?}");
        }
    }
}
