#!/usr/bin/env python3
"""The release binary against its peers, as whole processes on two processors. Prints a Markdown table, and writes it to target/versus.md.

    cargo build --release && python3 benches/versus
    python3 benches/versus logs one-file     only these rows
    python3 benches/versus --quick           a first look in a few minutes, with less data

Both sides of a comparison take turns, each run in a new file system that holds the same data; figures are medians. Needs Python 3.10. As
root it makes the file systems (mkfs.ext4, mount), else it takes new folders, and says so. What is compressed is made from a seed; the
folder of the variable DWINDLE_CORPUS gives real files instead. Peers that are missing are named with what to install.
"""

import argparse
import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

import machine
import places
from bench import QUICK, Bench, Scale
from data import CORPUS, Data
from peers import Peers
from processes import Failed
from report import Part, details, whole
from results import HEADINGS, table
from rows import ROWS

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent


def main():
    options = arguments()
    if not options.dwindle.exists():
        sys.exit(f"{options.dwindle} is missing: cargo build --release")
    places.enter_mount_namespace()
    for number in signal.SIGINT, signal.SIGTERM:
        signal.signal(number, stop)
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="versus-", dir=options.folder) as scratch:
        prepare_environment(pathlib.Path(scratch))
        report = "\n".join(measure(options, pathlib.Path(scratch)))
    options.report.parent.mkdir(parents=True, exist_ok=True)
    options.report.write_text(report + "\n")
    print(f"\nWritten to {options.report}", file=sys.stderr)


def stop(number, _):
    """Everything is ended and removed on the way out, which a second signal does not cut short."""
    for other in signal.SIGINT, signal.SIGTERM:
        signal.signal(other, signal.SIG_IGN)
    sys.exit(128 + number)


def prepare_environment(scratch):
    """What all programs are started with: no settings of whoever measures, and a place for the agents' locks."""
    own = [name for name in os.environ if name.startswith("DWINDLE_") and name not in (CORPUS, places.IN_NAMESPACE)]
    for name in [*own, "NOTIFY_SOCKET", "WATCHDOG_USEC", "GZIP"]:
        os.environ.pop(name, None)
    (scratch / "runtime").mkdir(mode=0o700)
    os.environ["RUNTIME_DIRECTORY"] = str(scratch / "runtime")


def arguments():
    parser = argparse.ArgumentParser(
        prog="python3 benches/versus", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    target = REPOSITORY / "target"
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of: {', '.join(ROWS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="less data, fewer and shorter runs: a first look, no verdict")
    parser.add_argument("--runs", type=int, help=f"runs of each side (default: {Scale.runs}; with --quick {QUICK.runs})")
    parser.add_argument("--folder", type=pathlib.Path, default=target, help="where the data is put, 6 GB at most (default: target)")
    parser.add_argument("--no-images", action="store_true", help="new folders on the disk itself, not new file systems in a file on it")
    parser.add_argument("--report", type=pathlib.Path, default=target / "versus.md", help="default: target/versus.md")
    parser.add_argument("--dwindle", type=pathlib.Path, default=target / "release/dwindle", help="the binary to measure")
    options = parser.parse_args()
    if unknown := set(options.rows) - set(ROWS):
        parser.error(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    options.dwindle = options.dwindle.resolve()
    return options


def measure(options, scratch):
    """The report's lines; each row is printed when it is done."""
    scale = QUICK if options.quick else Scale()
    scale.runs = options.runs or scale.runs
    processors = machine.use_two_processors()
    images = not options.no_images and places.Images.usable(scratch)
    place = places.Images(scratch) if images else places.Folders(scratch)
    peers, data = Peers(scratch), Data()
    described = [*machine.describe(processors, scratch, place, options.dwindle), ("data", data.description), *peers.versions.items()]
    described.append(("least memory that is told", f"{machine.least_memory(scratch):.0f} MiB, by which each program is started"))
    bench = Bench(options.dwindle, scratch, place, peers, data, scale)
    print("\n".join([*table(["machine", ""], described), "", peers.advice(), "", *table(HEADINGS, [])]), flush=True)
    parts = {}
    for name in options.rows or ROWS:
        try:
            parts[name] = ROWS[name](bench)
        except (Failed, OSError, subprocess.CalledProcessError) as error:
            parts[name] = Part([], notes=[f"Could not be measured: {error}", ""])
        for line in parts[name].lines:
            print(f"| {' | '.join(line.cells())} |", flush=True)
    for name, part in parts.items():
        print("\n".join(["", *details(name, part)]))
    return whole(described, peers.advice(), parts, options.quick)


with contextlib.suppress(BrokenPipeError):
    main()
