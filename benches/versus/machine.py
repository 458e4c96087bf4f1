"""What it was measured on."""

import datetime
import os
import pathlib
import platform
import subprocess

from processes import run


def use_two_processors():
    """Of however many there are; whatever is started from here on has the same two."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    return sorted(os.sched_getaffinity(0))


def describe(processors, scratch, places, dwindle):
    """Lines of what and its value."""
    system = os.uname()
    yield "date", datetime.date.today().isoformat()
    yield "processors", f"{len(processors)} (numbers {', '.join(map(str, processors))}) of {os.cpu_count()}: {processor_name()}"
    yield "memory", f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    yield "kernel", f"{system.sysname} {system.release}"
    yield "file system", f"{places.description}; in {file_system_of(scratch)}"
    yield "load before", f"{os.getloadavg()[0]:.2f} (others that are at work disturb)"
    yield "Python", platform.python_version()
    told = subprocess.run([dwindle, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
    yield "dwindle", told.strip().removeprefix("dwindle ")


def least_memory(scratch):
    """MiB that every process is counted for at least: what it was before it became itself."""
    return run(["true"], scratch).memory


def processor_name():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def file_system_of(path):
    """Kind and options of the file system that the path is in."""
    best = ("", "")
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, options = line.split()[:4]
        if path.resolve().is_relative_to(place) and len(place) >= len(best[0]):
            best = (place, f"{kind} ({options})")
    return best[1]
