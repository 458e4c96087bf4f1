"""What is compressed: made from a seed, or from the files of the folder DWINDLE_CORPUS. The same bytes at every run."""

import os
import pathlib
import random

SEED = 1
CORPUS = "DWINDLE_CORPUS"


class Data:
    """Texts to cut files from."""

    def __init__(self):
        corpus = os.environ.get(CORPUS)
        self.texts = list(real_texts(corpus)) if corpus else [made_up_text(number) for number in range(16)]
        if not self.texts:
            raise SystemExit(f"{corpus} has no file of 100 kB or more")
        origin = f"files of {CORPUS} of 100 kB or more" if corpus else f"logs made from seed {SEED}"
        total = sum(map(len, self.texts)) / 1e6
        self.description = f"{len(self.texts)} {origin}, {total:.1f} MB, each repeated to the size that is needed"

    def logs(self, folder, count, size=4_000_000):
        """Files of one size; each goes round one text from another point. Returns the size of each name."""
        for number in range(count):
            text = self.texts[number % len(self.texts)]
            start = text.find(b"\n", number // len(self.texts) * len(text) // 4) + 1
            text = text[start:] + text[:start]
            (folder / f"app-{number:02}.log").write_bytes((text * (size // len(text) + 1))[:size])
        return {f"app-{number:02}.log": size for number in range(count)}

    def one_file(self, folder, size):
        """All texts, one after the other, until the size is reached."""
        joined = b"".join(self.texts)
        with open(folder / "app.log", "wb") as file:
            for left in range(size, 0, -len(joined)):
                file.write(joined[:left])
        return {"app.log": size}

    def small_files(self, folder, count):
        """Files of 1 to 16 KiB."""
        joined = b"".join(self.texts)
        cut = random.Random(SEED)
        sizes = {}
        for number in range(count):
            name, size = f"f{number:05}.log", cut.randint(1 << 10, 16 << 10)
            start = cut.randrange(len(joined) - size)
            (folder / name).write_bytes(joined[start : start + size])
            sizes[name] = size
        return sizes

    def pieces(self, size):
        """Pieces of this size without end."""
        joined = b"".join(self.texts)
        cut = random.Random(SEED)
        while True:
            start = cut.randrange(len(joined) - size)
            yield joined[start : start + size]


def real_texts(corpus):
    """Repeated, they compress as they are: a repetition is farther back than deflate can refer to (32 KiB)."""
    for path in sorted(path for path in pathlib.Path(corpus).rglob("*") if path.is_file()):
        if path.stat().st_size >= 100_000:
            yield path.read_bytes()


def made_up_text(number):
    """Lines that look like a log, and compress like one."""
    draw = random.Random(f"{SEED}-{number}")
    doings = ["accepted", "answered", "retried", "refused", "cached", "dropped"]
    hosts = [f"10.{draw.randrange(256)}.{draw.randrange(256)}.{draw.randrange(256)}" for _ in range(40)]
    lines, second = [], 0.0
    for _ in range(4000):
        second += draw.expovariate(10)
        lines.append(
            f"2026-11-23T12:{int(second / 60) % 60:02}:{second % 60:06.3f}Z INFO worker-{draw.randrange(16)} {draw.choice(hosts)} "
            f"{draw.choice(doings)} /item/{draw.getrandbits(24)} in {draw.randrange(2000)} ms\n"
        )
    return "".join(lines).encode()
