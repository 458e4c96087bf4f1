"""What is printed, and written to a file."""

from dataclasses import dataclass, field

from processes import shown
from results import HEADINGS, table


@dataclass
class Part:
    """What one row found."""

    lines: list
    sides: list = field(default_factory=list)  # their commands and all their figures are listed
    notes: list = field(default_factory=list)  # paragraphs and tables below the big table


def whole(described, advice, parts, quick):
    """The report's lines, Markdown."""
    lines = [line for part in parts.values() for line in part.lines]
    yield "# dwindle and its peers"
    yield ""
    yield from table(["machine", ""], described)
    yield ""
    if quick:
        yield "A quick look: less data and fewer runs than the targets are about."
        yield ""
    if advice:
        yield advice
        yield ""
    yield from table(HEADINGS, [line.cells() for line in lines])
    yield ""
    verdicts = [line.met() for line in lines]
    yield f"{verdicts.count(True)} met, {verdicts.count(False)} not met, {verdicts.count(None)} without a target."
    for name, part in parts.items():
        yield ""
        yield from details(name, part)


def details(name, part):
    yield f"## {name}"
    yield ""
    yield from part.notes
    for side in part.sides:
        walls = " ".join(f"{wall:.2f}" for wall in side.figures("wall"))
        processor = " ".join(f"{seconds:.2f}" for seconds in side.figures("processor"))
        memory = max(side.figures("memory"))
        yield f"- {side.name}: `{shown(side.command)}`: wall {walls} s; processor {processor} s; memory at most {memory:.0f} MiB"
