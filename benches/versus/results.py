"""Lines of the table, and whether each target is met."""

from dataclasses import dataclass
from statistics import median


@dataclass
class Line:
    """One comparison, or one figure of our own."""

    what: str
    against: str
    ours: str
    theirs: str = ""
    figure: float | None = None  # what the target is about
    shown: str = ""  # the figure, and how far it went from run to run
    target: float | None = None
    at_least: bool = False
    memory: float | None = None  # MiB
    most_memory: float | None = None
    output: float | None = None  # bytes, ours / theirs
    most_output: float | None = 1  # what it may be: no larger than gzip's

    def met(self):
        """None where there is no target."""
        verdicts = []
        if self.target is not None:
            verdicts.append(self.figure >= self.target if self.at_least else self.figure <= self.target)
        if self.most_memory is not None:
            verdicts.append(self.memory <= self.most_memory)
        if None not in (self.output, self.most_output) and verdicts:
            verdicts.append(self.output <= self.most_output)
        return all(verdicts) if verdicts else None

    def cells(self):
        sign = "≥" if self.at_least else "≤"
        target = "" if self.target is None else f"{sign} {self.target:g}"
        memory = "" if self.memory is None else f"{self.memory:.0f} MiB"
        if self.most_memory is not None:
            memory += f" (≤ {self.most_memory:.0f})"
        output = "" if self.output is None else f"{self.output:.3f}"
        met = {None: "", True: "yes", False: "**no**"}[self.met()]
        return [self.what, self.against, self.ours, self.theirs, self.shown, target, memory, output, met]


HEADINGS = ["what", "against", "ours", "theirs", "ours / theirs", "target", "our memory", "output, ours / theirs", "met"]


def compare(what, ours, theirs, what_of="wall", **options):
    """A line about two sides that ran in turns: the medians, their ratio, and the lowest and highest ratio of any one turn."""
    own, other = ours.figures(what_of), theirs.figures(what_of)
    ratio = median(own) / median(other)
    outputs = ours.runs[-1].output, theirs.runs[-1].output
    return Line(
        what,
        theirs.name,
        f"{median(own):.2f} s",
        f"{median(other):.2f} s",
        ratio,
        with_spread(ratio, [left / right for left, right in zip(own, other)]),
        memory=max(ours.figures("memory")),
        output=outputs[0] / outputs[1] if all(outputs) else None,
        **options,
    )


def left_out(what, peer, against):
    """A line that says why it has no figures."""
    return Line(what, against, f"left out: {peer} is missing")


def with_spread(figure, figures):
    return f"{figure:.2f} ({min(figures):.2f} to {max(figures):.2f})"


def table(headings, rows):
    """Lines of a Markdown table."""
    yield f"| {' | '.join(headings)} |"
    yield f"|{' --- |' * len(headings)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
