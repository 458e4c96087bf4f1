"""Programs as whole processes: run to their end and measured, or in the background and ended."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
from dataclasses import dataclass

LAUNCHER = [sys.executable, "-I", "-S", pathlib.Path(__file__).with_name("launch.py")]


@dataclass
class Run:
    """What one command took."""

    wall: float
    processor: float
    memory: float  # MiB, of its largest process
    output: int = 0  # bytes of what it wrote


class Failed(Exception):
    """A command did not do what is measured, so its time means nothing."""


def run(command, folder, names=None, output=subprocess.DEVNULL, until=None):
    """Runs the command in the folder to its end; `names` is a file for its standard input. What would not end by itself is at work `until`
    that returns the moment at which it had nothing left to do, and is then told to end.
    """
    read, write = os.pipe()
    with contextlib.ExitStack() as stack:
        answer = stack.enter_context(os.fdopen(read))
        standard_input = stack.enter_context(open(names or os.devnull))
        try:
            launcher = stack.enter_context(
                background([*LAUNCHER, str(write), *command], folder, standard_input, output, pass_fds=[write])
            )
        finally:
            os.close(write)
        started = answer.readline().split()
        done = None
        if started and until:
            done = until()
            os.kill(int(started[0]), signal.SIGTERM)
        words = answer.read().split()
        launcher.wait()
    if len(words) != 4 or words[3] != "0":
        raise Failed(f"{shown(command)} ended with {words[3] if words else 'no answer'}")
    ended = done or float(words[0])
    return Run(ended - float(started[1]), float(words[1]), int(words[2]) / 1024)


@contextlib.contextmanager
def background(command, folder, standard_input=subprocess.DEVNULL, output=subprocess.DEVNULL, **options):
    """A command at work meanwhile. Afterwards it, and what it started, is told to end, and then made to."""
    process = subprocess.Popen(
        [str(word) for word in command],
        cwd=folder,
        stdin=standard_input,
        stdout=output,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        **options,
    )
    try:
        yield process
    finally:
        for way in signal.SIGTERM, signal.SIGKILL:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, way)
            with contextlib.suppress(subprocess.TimeoutExpired):
                # The other signal is for what it started, which may outlive it.
                process.wait(timeout=10)


def shown(command, most=9):
    """The command for a reader."""
    words = [pathlib.Path(command[0]).name, *map(str, command[1:])]
    return " ".join(words if len(words) <= most else [*words[:most], "…"])
