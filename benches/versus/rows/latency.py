"""From a writer's close(2) to a whole `.gz`: dwindle with settle 0 against a loop of inotifywait and gzip.

One observer for both writes files of 4 KiB at random moments, and learns by inotify(7) of every name that appears or is closed. A `.gz`
counts from the first such moment at which it is whole: gzip's is there, and empty, before.
"""

import os
import random
import shlex
import time
from statistics import median, quantiles

from bench import length_told
from processes import Failed, background
from report import Part
from results import Line, left_out, with_spread
from watching import Arrivals

SIZE = 4096
# Seconds from one file to the next: about half of the time nobody has anything to do.
GAPS = (0.004, 0.030)
WARM_UP = 10

LOOP = (
    "inotifywait -m -q -e close_write -e moved_to --exclude '\\.gz$' --format '%w%f' {folder}"
    ' | while IFS= read -r file; do gzip "$file"; done'
)


def measure(bench):
    what = f"close to whole .gz, {bench.scale.arrivals} files of 4 KiB, settle 0"
    if not bench.peers.has("inotifywait"):
        return Part([left_out(what, "inotifywait", "inotifywait loop")])
    folder = bench.place.folder
    loop = ["sh", "-c", LOOP.format(folder=shlex.quote(str(folder)))]
    sides = {"dwindle": [bench.dwindle, "run", "-c", bench.config("latency")], "inotifywait loop": loop}
    found = {name: [] for name in sides}
    for turn in range(bench.scale.runs):
        for name in list(sides) if turn % 2 == 0 else reversed(list(sides)):
            with bench.place.fresh() as folder, background(sides[name], bench.scratch):
                found[name].append(latencies(bench, folder, seed=turn))
    lines = [line(f"{what}: p50", found, median, 0.5), line(f"{what}: p99", found, percentile_99, 1.0)]
    notes = [f"The loop: `{LOOP.format(folder='DIR')}`", ""]
    for name, runs in found.items():
        shown = ", ".join(f"{1e3 * median(run):.2f} / {1e3 * percentile_99(run):.2f} / {1e3 * max(run):.2f}" for run in runs)
        notes.append(f"- {name}: p50 / p99 / longest of each run, ms: {shown}")
    return Part(lines, notes=notes)


def latencies(bench, folder, seed):
    """Seconds for each file, with a program at work in the folder."""
    arrivals = Arrivals(folder)
    try:
        wait_until_watched(folder, arrivals)
        pieces = bench.data.pieces(SIZE)
        chance = random.Random(seed)
        for number in range(WARM_UP):
            name = f"warm-{number}"
            closed = {name: arrive(folder, name, next(pieces))}
            collect(arrivals, folder, closed, {}, time.perf_counter() + 10)
        closed, whole = {}, {}
        for number in range(bench.scale.arrivals):
            name = f"f{number:04}"
            closed[name] = arrive(folder, name, next(pieces))
            collect(arrivals, folder, closed, whole, time.perf_counter() + chance.uniform(*GAPS), early=False)
        collect(arrivals, folder, closed, whole, time.perf_counter() + 10)
    finally:
        arrivals.close()
    if len(whole) < len(closed):
        raise Failed(f"{len(closed) - len(whole)} of {len(closed)} files were not compressed within 10 s")
    return [whole[name] - closed[name] for name in closed]


def wait_until_watched(folder, arrivals):
    """New files until one of them is compressed: the others may have come too early."""
    for number in range(100):
        name = f"probe-{number}"
        arrive(folder, name, b"probe\n" * 100)
        deadline = time.perf_counter() + 0.3
        while (now := time.perf_counter()) < deadline:
            if any(appeared.endswith(".gz") for appeared in arrivals.wait(deadline - now)):
                time.sleep(0.5)
                return
    raise Failed("nothing is compressed in the folder")


def arrive(folder, name, content):
    """Writes a file, and returns when its close(2) began."""
    file = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    os.write(file, content)
    now = time.perf_counter()
    os.close(file)
    return now


def collect(arrivals, folder, closed, whole, deadline, early=True):
    """Notes when outputs become whole, until the deadline, or `early` when all are."""
    while (now := time.perf_counter()) < deadline and not (early and len(whole) == len(closed)):
        for appeared in arrivals.wait(deadline - now):
            name = appeared.removesuffix(".gz")
            if name != appeared and name in closed and name not in whole and length_told(folder / appeared) == SIZE:
                whole[name] = time.perf_counter()


def percentile_99(run):
    return quantiles(run, n=100, method="inclusive")[98]


def line(what, found, figure, target):
    """Medians of the runs' figures."""
    own, other = ([figure(run) for run in runs] for runs in found.values())
    ratio = median(own) / median(other)
    shown = with_spread(ratio, [left / right for left, right in zip(own, other)])
    theirs = list(found)[1]
    return Line(what, theirs, f"{1e3 * median(own):.2f} ms", f"{1e3 * median(other):.2f} ms", ratio, shown, target)
