"""Files that are there, and are compressed all at once."""

from bench import Side
from report import Part
from results import compare, left_out


def logs(bench):
    """64 log files of 4 MB."""
    run = Side("dwindle run", [bench.dwindle, "run", "-c", bench.config("logs")], agent=True)
    compress = Side("dwindle compress", [bench.dwindle, "compress", "-j2"], named=True)
    gzip = Side("xargs -P2 -n1 gzip -6", ["xargs", "-P2", "-n1", "gzip", "-6"], by_xargs=True)
    again = Side("the same gzip again", gzip.command, by_xargs=True)
    sides = [run, compress, gzip, again]
    if bench.peers.has("libdeflate-gzip"):
        libdeflate = Side("xargs -P2 -n1 libdeflate-gzip -6", ["xargs", "-P2", "-n1", "libdeflate-gzip", "-6"], by_xargs=True)
        sides.append(libdeflate)
    if bench.peers.has("go"):
        goroutines = Side("goroutines.go", [bench.peers.build_goroutines()], named=True)
        sides.append(goroutines)
    count = bench.scale.logs
    bench.alternate(sides, lambda folder: bench.data.logs(folder, count))

    files = f"{count} logs of 4 MB"
    lines = [compare(f"noise: {files}, by gzip", again, gzip)]
    lines += [compare(f"{files}, `{own.name}`", own, gzip, target=0.45, most_memory=64) for own in (run, compress)]
    if bench.peers.has("libdeflate-gzip"):
        lines += [compare(f"{files}, `{own.name}`", own, libdeflate, target=1.05, most_output=None) for own in (run, compress)]
    else:
        lines.append(left_out(files, "libdeflate-gzip", "xargs -P2 -n1 libdeflate-gzip -6"))
    if bench.peers.has("go"):
        lines.append(compare(f"{files}, `{compress.name}`", compress, goroutines))
    else:
        lines.append(left_out(files, "go", "goroutines.go"))
    return Part(lines, sides)


def one_file(bench):
    """One file of 1 GB."""
    size = bench.scale.one_file
    what = f"one file of {size / 1e6:.0f} MB"
    if not bench.peers.has("pigz"):
        return Part([left_out(what, "pigz", "pigz -6 -p2")])
    run = Side("dwindle run", [bench.dwindle, "run", "-c", bench.config("one-file")], agent=True)
    compress = Side("dwindle compress", [bench.dwindle, "compress", "-j2"], named=True)
    pigz = Side("pigz -6 -p2", ["pigz", "-6", "-p2"], named=True)
    sides = [run, compress, pigz]
    bench.alternate(sides, lambda folder: bench.data.one_file(folder, size), size=4 << 30)
    return Part([compare(f"{what}, `{own.name}`", own, pigz, target=0.5, most_memory=64) for own in (run, compress)], sides)


def small_files(bench):
    """10,000 files of 1 to 16 KiB."""
    run = Side("dwindle run", [bench.dwindle, "run", "-c", bench.config("small")], agent=True)
    again = Side("the same run again", run.command, agent=True)
    scratch = bench.config("scratch", 'settle = "0s"\ndurable = false')
    not_durable = Side("dwindle run, durable = false", [bench.dwindle, "run", "-c", scratch], agent=True)
    compress = Side("dwindle compress", [bench.dwindle, "compress", "-j2"], named=True)
    gzip = Side("xargs -P2 -n64 gzip", ["xargs", "-P2", "-n64", "gzip"], by_xargs=True)
    synchronous = Side("xargs -P2 -n64 gzip --synchronous", [*gzip.command, "--synchronous"], by_xargs=True)
    sides = [run, gzip, compress, synchronous, not_durable, again]
    count = bench.scale.small_files
    bench.alternate(sides, lambda folder: bench.data.small_files(folder, count))

    files = f"{count:,} files of 1 to 16 KiB"
    lines = [compare(f"noise: {files}, `dwindle run`", again, run)]
    for own in (run, compress):
        lines.append(compare(f"{files}, `{own.name}`", own, gzip, target=1.0, most_memory=48))
        lines.append(compare(f"{files}, `{own.name}`", own, synchronous, target=0.4))
    lines.append(compare(f"{files}, `{not_durable.name}`", not_durable, gzip, target=0.5))
    return Part(lines, sides)


def workers(bench):
    """Two workers against one, on so many logs that the wait at the end weighs nothing."""
    one = Side("one worker", [bench.dwindle, "compress", "-j1"], named=True)
    two = Side("two workers", [bench.dwindle, "compress", "-j2"], named=True)
    count = 4 * bench.scale.logs
    bench.alternate([one, two], lambda folder: bench.data.logs(folder, count), size=4 << 30)
    line = compare(f"{count} logs of 4 MB, one worker, ours here", one, two, target=1.9, at_least=True)
    line.output = None
    return Part([line], [one, two])
