"""Runs the command of its other arguments, and writes what it took to the descriptor that the first one names: seconds from start to end, processor
seconds, the largest memory in KiB of any one of its processes, and the exit code. Less than this small process itself is never reported as
memory: a new process counts what it was before execve(2).
"""

import os
import sys
import time

descriptor = int(sys.argv[1])
os.set_inheritable(descriptor, False)
began = time.perf_counter()
process = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, used = os.wait4(process, 0)
seconds = time.perf_counter() - began
code = os.waitstatus_to_exitcode(status)
os.write(descriptor, b"%f %f %d %d" % (seconds, used.ru_utime + used.ru_stime, used.ru_maxrss, code))
