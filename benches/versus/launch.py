"""Runs the command of its other arguments, and writes to the descriptor that the first one names: its number and when it began, at once;
when it ended, processor seconds, the largest memory in KiB of any one of its processes, and the exit code, at its end. Times are those of
CLOCK_MONOTONIC. Less than this small process itself is never reported as memory: a new process counts what it was before execve(2).
"""

import os
import sys
import time

descriptor = int(sys.argv[1])
os.set_inheritable(descriptor, False)
began = time.perf_counter()
process = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
os.write(descriptor, b"%d %f\n" % (process, began))
_, status, used = os.wait4(process, 0)
ended = time.perf_counter()
code = os.waitstatus_to_exitcode(status)
os.write(descriptor, b"%f %f %d %d" % (ended, used.ru_utime + used.ru_stime, used.ru_maxrss, code))
