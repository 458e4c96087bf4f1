"""Beside a log that somebody writes to, a line at a time, and that is not ours to take."""

import pathlib
import sys
import time
from statistics import median

import proc
from processes import background
from report import Part
from results import Line
from watching import until

WRITER = pathlib.Path(__file__).parent.parent / "write_lines.py"
LINES_A_SECOND = 50_000
LINE_LENGTH = 100


def measure(bench):
    config = bench.config("live-log", 'preset = "rotated-logs"\nsettle = "0s"')
    shares, rates, memory = [], [], []
    for _ in range(bench.scale.runs):
        with bench.place.fresh() as folder:
            log = folder / "app.log"
            writer = [sys.executable, "-I", "-S", WRITER, log, str(LINES_A_SECOND)]
            with background([bench.dwindle, "run", "-c", config], bench.scratch) as agent, background(writer, folder):
                until(log.exists, "the log is written")
                prove_at_work(folder, "before.log.1")
                began, used, length = time.monotonic(), proc.processor_seconds(agent), log.stat().st_size
                time.sleep(bench.scale.busy_seconds)
                seconds = time.monotonic() - began
                shares.append(100 * (proc.processor_seconds(agent) - used) / seconds)
                rates.append((log.stat().st_size - length) / LINE_LENGTH / seconds)
                memory.append(proc.memory(agent))
                prove_at_work(folder, "after.log.1")
    line = Line(
        f"beside a log written at {median(rates):,.0f} lines/s that is not ours: percent of a processor",
        "",
        f"{median(shares):.3f} %",
        "",
        median(shares),
        "",
        1,
        memory=max(memory),
    )
    note = f"Percent of a processor in each run: {', '.join(f'{share:.3f}' for share in shares)}."
    return Part([line], notes=[note])


def prove_at_work(folder, name):
    """A file that is the agent's to take is taken, beside the log."""
    (folder / name).write_bytes(b"a line of a rotated log\n" * 100)
    until((folder / f"{name}.gz").exists, "the agent takes what is rotated")
    # What is left to do with it ends soon after.
    time.sleep(1)
