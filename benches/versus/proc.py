"""What the kernel counts of a running process (proc(5))."""

import pathlib


def switches(process):
    """How often its threads have given up the processor by themselves, each thread's name and number with its count: each time it then
    goes on, something woke it.
    """
    return {task: int(status["voluntary_ctxt_switches"]) for task, status in statuses(process)}


def processor_seconds(process):
    """What its threads that are still there have had of a processor, to the nanosecond."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks(process)) / 1e9


def memory(process):
    """MiB that it has now."""
    return int(fields(pathlib.Path(f"/proc/{process.pid}/status"))["VmRSS"].split()[0]) / 1024


def statuses(process):
    for task in tasks(process):
        status = fields(task / "status")
        yield f"{status['Name']} {status['Pid']}", status


def tasks(process):
    return list(pathlib.Path(f"/proc/{process.pid}/task").iterdir())


def fields(path):
    pairs = (line.partition(":") for line in path.read_text().splitlines())
    return {key: value.strip() for key, _, value in pairs}
