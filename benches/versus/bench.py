"""What all rows measure with: both sides in turns, each in a fresh place with the same data."""

import contextlib
import pathlib
import struct
from dataclasses import dataclass, field

import places
from processes import Failed, run, shown
from watching import Removals


@dataclass
class Side:
    """One of those who do the same work."""

    name: str
    command: list  # run in the folder of the files
    by_xargs: bool = False  # reads the files' names from standard input
    named: bool = False  # has the files' names behind it
    agent: bool = False  # goes on when the last original is gone, and until then is its time
    runs: list = field(default_factory=list)

    def figures(self, what):
        return [getattr(run, what) for run in self.runs]


@dataclass
class Scale:
    """How much is measured. By default what the targets are about."""

    runs: int = 5
    logs: int = 64
    one_file: int = 1_000_000_000
    small_files: int = 10_000
    arrivals: int = 200
    backlog: int = 1_000_000
    idle_seconds: int = 60
    busy_seconds: int = 5


QUICK = Scale(3, 16, 200_000_000, 2_000, 60, 100_000, 10, 2)


class Bench:
    """Everything that a row needs."""

    def __init__(self, dwindle, scratch, place, peers, data, scale):
        self.dwindle, self.scratch, self.place, self.peers, self.data, self.scale = dwindle, scratch, place, peers, data, scale

    def alternate(self, sides, make, size=2 << 30):
        """Runs every side as often as is wanted, in turns, every second time in the opposite order. `make` puts the files into a folder
        and returns the size of each. Returns the sides by name.
        """
        for turn in range(self.scale.runs):
            for side in sides if turn % 2 == 0 else reversed(sides):
                with self.place.fresh(size) as folder:
                    sizes = make(folder)
                    places.sync(folder)
                    side.runs.append(self.measure(side, folder, sizes))
        return {side.name: side for side in sides}

    def measure(self, side, folder, sizes):
        names = self.scratch / "names"
        names.write_text("".join(f"{name}\n" for name in sizes))
        command = [*side.command, *sizes] if side.named else side.command
        if side.agent:
            with contextlib.closing(Removals(folder)) as removals:
                measured = run(command, folder, until=lambda: removals.last(len(sizes)))
        else:
            measured = run(command, folder, names if side.by_xargs else None)
        measured.output = sum(check(side, folder, name, size) for name, size in sizes.items())
        return measured

    def config(self, name, lines='settle = "0s"'):
        """A configuration file that watches the folder of the files."""
        path = self.scratch / f"{name}.toml"
        path.write_text(f'workers = 2\n[[watch]]\npath = "{self.place.folder}"\n{lines}\n')
        return path


def check(side, folder, name, size):
    """The output's bytes. Both sides have the same work to do: a whole `.gz`, and no original any more."""
    output = folder / f"{name}.gz"
    if not output.exists() or (folder / name).exists() or length_told(output) != size % 2**32:
        raise Failed(f"{shown(side.command)} did not make a whole {output.name} of {name}, or left that")
    return output.stat().st_size


def length_told(output: pathlib.Path):
    """The last four bytes of a whole `.gz`: how long its content is (RFC 1952, ISIZE)."""
    with open(output, "rb") as file:
        length = file.seek(0, 2)
        if length < 18:
            return None
        file.seek(-4, 2)
        return struct.unpack("<I", file.read(4))[0]
