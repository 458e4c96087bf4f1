"""Appends lines to the file of its first argument, each by a write(2) of its own, as many a second as the second says, until it is ended."""

import os
import sys
import time

LINE = b"2026-11-23T12:00:00.000Z INFO worker-1 answered /item/17 in 12 ms".ljust(99, b".") + b"\n"

log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
rate = int(sys.argv[2])
began, written = time.monotonic(), 0
while True:
    due = int((time.monotonic() - began) * rate)
    for _ in range(due - written):
        os.write(log, LINE)
    written = due
    time.sleep(0.001)
