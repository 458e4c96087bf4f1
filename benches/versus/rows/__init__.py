"""The rows, in the order of the targets. Each measures with a Bench and returns its part of the report."""

from . import batches, idle, latency, levels, live_log, backlog

ROWS = {
    "logs": batches.logs,
    "one-file": batches.one_file,
    "small-files": batches.small_files,
    "latency": latency.measure,
    "backlog": backlog.measure,
    "idle": idle.measure,
    "live-log": live_log.measure,
    "levels": levels.measure,
    "workers": batches.workers,
}
