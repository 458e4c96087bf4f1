"""Where a run takes place: each in a new file system, since what was created and removed in one before makes the next creation dearer."""

import contextlib
import os
import shutil
import subprocess
import sys
import time

IN_NAMESPACE = "DWINDLE_VERSUS_IN_NAMESPACE"


def enter_mount_namespace():
    """Starts this program again where its mounts end with it, however it ends. Needs root; without it nothing happens."""
    if os.geteuid() == 0 and IN_NAMESPACE not in os.environ and shutil.which("unshare"):
        works = subprocess.run(["unshare", "--mount", "true"], stderr=subprocess.DEVNULL).returncode == 0
        if works:
            command = ["unshare", "--mount", sys.executable, *sys.argv]
            os.execvpe(command[0], command, {**os.environ, IN_NAMESPACE: "1"})


class Images:
    """Fresh ext4 file systems with a journal, each in the same file on the disk."""

    description = "a new ext4 with a journal for each run, loop-mounted from a file"

    def __init__(self, scratch):
        self.image = scratch / "image"
        self.mount_point = scratch / "mounted"
        self.mount_point.mkdir()
        self.folder = self.mount_point / "folder"

    @staticmethod
    def usable(scratch):
        if IN_NAMESPACE not in os.environ or not shutil.which("mkfs.ext4"):
            return False
        try:
            with Images(scratch).fresh(64 << 20):
                return True
        except subprocess.CalledProcessError:
            return False
        finally:
            shutil.rmtree(scratch / "mounted")

    @contextlib.contextmanager
    def fresh(self, size=2 << 30, options=()):
        """An empty folder, until the end of the block."""
        with open(self.image, "ab") as image:
            # What was written before stays allocated, so that no run pays for the file's growth but the first.
            image.truncate(max(size, os.fstat(image.fileno()).st_size))
        no_later_work = "nodiscard,lazy_itable_init=0,lazy_journal_init=0"
        call("mkfs.ext4", "-q", "-F", "-E", no_later_work, *options, self.image, f"{size >> 10}k")
        call("mount", "-o", "loop", self.image, self.mount_point)
        try:
            self.folder.mkdir()
            yield self.folder
        finally:
            unmount(self.mount_point)


def unmount(mount_point):
    """What was killed a moment ago may still be there."""
    for _ in range(50):
        if subprocess.run(["umount", mount_point], stderr=subprocess.DEVNULL).returncode == 0:
            return
        time.sleep(0.1)
    call("umount", "--lazy", mount_point)


class Folders:
    """Fresh folders in the file system that is there."""

    description = "a new folder for each run in the file system that is there"

    def __init__(self, scratch):
        self.folder = scratch / "folder"

    @contextlib.contextmanager
    def fresh(self, size=0, options=()):
        """An empty folder, until the end of the block."""
        self.folder.mkdir()
        try:
            yield self.folder
        finally:
            shutil.rmtree(self.folder)


def sync(folder):
    """Everything in the folder's file system is written, so that nobody's run pays for it."""
    call("sync", "--file-system", folder)


def call(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
