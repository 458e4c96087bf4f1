"""Waiting for what happens in a folder."""

import ctypes
import os
import select
import struct
import time

from processes import Failed

libc = ctypes.CDLL(None, use_errno=True)

# <sys/inotify.h>
IN_CLOSE_WRITE, IN_MOVED_TO, IN_CREATE, IN_DELETE = 0x8, 0x80, 0x100, 0x200
EVENT = struct.Struct("iIII")


class Names:
    """Names to which something happens in a folder (inotify(7))."""

    def __init__(self, folder, events):
        self.descriptor = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self.descriptor < 0 or libc.inotify_add_watch(self.descriptor, os.fsencode(folder), events) < 0:
            raise OSError(ctypes.get_errno(), "inotify")

    def wait(self, seconds):
        """The names of what has happened; nothing when the time is over."""
        if not select.select([self.descriptor], [], [], max(seconds, 0))[0]:
            return
        events, at = os.read(self.descriptor, 1 << 16), 0
        while at < len(events):
            _, _, _, length = EVENT.unpack_from(events, at)
            at += EVENT.size + length
            yield os.fsdecode(events[at - length : at].rstrip(b"\0"))

    def close(self):
        os.close(self.descriptor)


class Arrivals(Names):
    """Names that appear, or whose writers close them."""

    def __init__(self, folder):
        super().__init__(folder, IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE)


class Removals(Names):
    """The removals of originals by an agent: each is in quarantine before. That comes after its output is whole, durable and in its place."""

    def __init__(self, folder):
        super().__init__(folder, IN_DELETE)

    def last(self, count, seconds=300):
        """When that many originals are removed. Looks every 5 ms, so as not to take the processors from who is at work."""
        deadline = time.perf_counter() + seconds
        while count > 0:
            time.sleep(0.005)
            count -= sum(name.endswith(".q") for name in self.wait(0))
            if time.perf_counter() > deadline:
                raise Failed(f"after {seconds} s {count} originals are still there")
        return time.perf_counter()


def until(condition, what, seconds=60):
    """Waits for a condition that comes soon."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"after {seconds} s it is still not so that {what}")
        time.sleep(0.05)
