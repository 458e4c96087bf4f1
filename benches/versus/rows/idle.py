"""Waiting with nothing to do: two agents at the same time, one that has never had a file, and one that has compressed some."""

import time

import proc
from processes import background
from report import Part
from results import Line, table
from watching import until

# Nothing runs under a service manager here, so no watchdog is fed; and the sweep comes every 15 minutes.
EXPECTED_WAKE_UPS = 0


def measure(bench):
    scratch, seconds = bench.scratch, bench.scale.idle_seconds
    with bench.place.fresh() as folder:
        agents = {"that had no file yet": folder / "new", "after some files": folder / "used"}
        for inbox in agents.values():
            inbox.mkdir()
        first, second = ([bench.dwindle, "run", "-j2", inbox] for inbox in agents.values())
        with background(first, scratch) as new, background(second, scratch) as used:
            names = bench.data.logs(folder / "used", 16)
            until(lambda: all((folder / "used" / f"{name}.gz").exists() for name in names), "the agent compresses what is there")
            # Originals go a moment after their outputs are there, and their threads some seconds later.
            time.sleep(10)
            before = [proc.switches(agent) for agent in (new, used)]
            time.sleep(seconds)
            after = [proc.switches(agent) for agent in (new, used)]
            memory = [proc.memory(agent) for agent in (new, used)]
    lines, wakers = [], []
    for name, counts, later, mebibytes in zip(agents, before, after, memory):
        woken = {task: count - counts.get(task, 0) for task, count in later.items() if count != counts.get(task, 0)}
        total = sum(woken.values())
        lines.append(
            Line(
                f"waiting, nothing to do, an agent {name}: wake-ups in {seconds} s",
                "",
                str(total),
                figure=total,
                target=EXPECTED_WAKE_UPS,
                memory=mebibytes,
                most_memory=10,
            )
        )
        wakers += [[name, task, str(count)] for task, count in woken.items()]
    note = "Voluntary context switches of all threads. Nothing is expected: there is no watchdog here, and a sweep comes every 15 minutes."
    threads = ["", *table(["agent", "thread", "woken"], wakers)] if wakers else []
    return Part(lines, notes=[note, *threads])
