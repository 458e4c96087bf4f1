"""The programs that dwindle is measured against, and what to install where one is missing."""

import pathlib
import re
import shutil
import subprocess

# Name, Debian package, how it tells its version.
PEERS = [
    ("gzip", "gzip", ["gzip", "--version"]),
    ("xargs", "findutils", ["xargs", "--version"]),
    ("find", "findutils", ["find", "--version"]),
    ("pigz", "pigz", ["pigz", "--version"]),
    ("libdeflate-gzip", "libdeflate-tools", ["libdeflate-gzip", "-V"]),
    ("inotifywait", "inotify-tools", ["inotifywait", "--help"]),
    ("go", "golang-go", ["go", "version"]),
]


class Peers:
    """Which are there."""

    def __init__(self, scratch):
        self.versions = {name: version(ask) for name, _, ask in PEERS if shutil.which(name)}
        self.missing = {name: package for name, package, _ in PEERS if name not in self.versions}
        self.goroutines = scratch / "goroutines"

    def has(self, *names):
        return all(name in self.versions for name in names)

    def advice(self):
        """A sentence about what is missing, if anything is."""
        if not self.missing:
            return ""
        packages = " ".join(sorted(set(self.missing.values())))
        return f"Missing, and their lines left out: {', '.join(self.missing)}. On Debian: apt-get install {packages}"

    def build_goroutines(self):
        """The program with a goroutine a file."""
        source = pathlib.Path(__file__).with_name("goroutines.go")
        subprocess.run(["go", "build", "-o", self.goroutines, source], check=True, cwd=self.goroutines.parent)
        return self.goroutines


def version(command):
    """The first line that has a number in it."""
    told = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    return next((line.strip() for line in told.splitlines() if re.search(r"\d", line)), "of unknown version")
