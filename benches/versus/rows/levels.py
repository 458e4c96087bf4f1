"""What each level costs a processor, and gives: `dwindle compress` with one worker against gzip on the same logs."""

import shutil
from statistics import mean, median

import places
from bench import Side
from processes import run
from report import Part
from results import Line, table

LEVELS = range(1, 10)


def measure(bench):
    with bench.place.fresh() as folder:
        (folder / "input").mkdir()
        files = list(bench.data.logs(folder / "input", min(16, bench.scale.logs)))
        places.sync(folder)
        measured = {level: one_level(bench, level, folder, files) for level in LEVELS}
        total = sum((folder / "input" / name).stat().st_size for name in files)
    times = {level: median(own.figures("processor")) / median(gzip.figures("processor")) for level, (own, gzip) in measured.items()}
    outputs = {level: own.runs[-1].output / gzip.runs[-1].output for level, (own, gzip) in measured.items()}
    dearest, largest = max(times, key=times.get), max(outputs, key=outputs.get)
    against, what = "gzip, same level", "levels 1 to 9, one worker"
    lines = [
        Line(f"{what}: processor time, worst: level {dearest}", against, "", "", times[dearest], f"{times[dearest]:.2f}", 0.65),
        Line(f"{what}: processor time, mean", against, "", "", mean(times.values()), f"{mean(times.values()):.2f}", 0.5),
        Line(f"{what}: output, worst: level {largest}", against, "", "", outputs[largest], f"{outputs[largest]:.3f}", 1.0),
    ]
    note = "MB of input for a second of processor time (user and system), and the output's part of the input:"
    return Part(lines, notes=[note, "", *by_level(measured, times, total)])


def one_level(bench, level, folder, files):
    """dwindle's runs and gzip's."""
    own = Side("dwindle", [bench.dwindle, "compress", "-k", "-j1", f"-{level}", "--output-dir", folder / "output", *files])
    gzip = Side("gzip", ["gzip", f"-{level}", "-c", *files])
    for turn in range(bench.scale.runs):
        for side in (own, gzip) if turn % 2 == 0 else (gzip, own):
            with open(folder / "all.gz", "wb") as output:
                side.runs.append(run(side.command, folder / "input", output=output))
            if side is own:
                side.runs[-1].output = sum(path.stat().st_size for path in (folder / "output").iterdir())
                shutil.rmtree(folder / "output")
            else:
                side.runs[-1].output = (folder / "all.gz").stat().st_size
    return own, gzip


def by_level(measured, times, total):
    def cells(side):
        speed = total / 1e6 / median(side.figures("processor"))
        return [f"{speed:.0f}", f"{100 * side.runs[-1].output / total:.2f} %"]

    headings = ["level", "gzip MB/s", "output", "dwindle MB/s", "output", "time, dwindle / gzip"]
    return table(headings, [[str(level), *cells(gzip), *cells(own), f"{times[level]:.2f}"] for level, (own, gzip) in measured.items()])
