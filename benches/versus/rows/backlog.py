"""A million files that are there at the start: looked at by `run --dry-run`, which opens each, and by find, which asks for its status."""

import os

import places
from bench import Side
from processes import run
from report import Part
from results import compare

FOLDER_HOLDS = 10_000
STATS = "%p %s %m %U %G %n %T@ %C@\\n"


def measure(bench):
    count = bench.scale.backlog
    dwindle = Side("dwindle run --dry-run", [bench.dwindle, "run", "--dry-run", "-c", bench.config("backlog")])
    # As many inodes, and small blocks: the content is a few bytes.
    with bench.place.fresh(4 << 30, ["-b", "1024", "-N", str(count + count // 8 + 1000)]) as folder:
        find = Side("find with the same stats", ["find", folder, "-type", "f", "-printf", STATS])
        make(folder, count)
        places.sync(folder)
        for turn in range(bench.scale.runs):
            for side in (dwindle, find) if turn % 2 == 0 else (find, dwindle):
                side.runs.append(run(side.command, folder))
    line = compare(f"{count:,} files there at start, `{dwindle.name}`", dwindle, find, target=3, most_memory=64)
    return Part([line], [dwindle, find])


def make(folder, count):
    for first in range(0, count, FOLDER_HOLDS):
        below = os.path.join(folder, f"d{first // FOLDER_HOLDS:04}")
        os.mkdir(below)
        for number in range(first, min(first + FOLDER_HOLDS, count)):
            file = os.open(f"{below}/f{number:07}.log", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            os.write(file, b"one line\n")
            os.close(file)
