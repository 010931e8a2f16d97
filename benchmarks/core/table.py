"""What is printed: a line for each row, with what must hold and whether it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.core.arithmetic import amount, seconds, short

Unit = Literal["x", "B", "s", ""]


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure must be, and what is aimed at; ``least`` says that more is better."""

    must: float | None = None
    aim: float | None = None
    unit: Unit = "x"
    least: bool = True

    def within(self, value: float, bound: float | None) -> bool:
        """Whether ``value`` keeps ``bound``; there may be none."""
        if bound is None:
            return True
        return value >= bound if self.least else value <= bound

    def show(self, bound: float | None) -> str:
        """A bound, as in the issue."""
        if bound is None:
            return ""
        return f"{'>=' if self.least else '<='} {self.figure(bound)}" if bound else "0"

    def figure(self, value: float) -> str:
        """A value in this goal's unit."""
        if self.unit == "B":
            return amount(value)
        if self.unit == "s":
            return seconds(value) if value > 0 else "0 ms"
        return f"{short(value)}{self.unit}" if self.unit else f"{value:.3g}"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: theirs, ours, and what it is held against.

    Attributes:
        figure: the value as it is shown; the goal's way of showing it by default.
        counts: edges, characters, nodes: what does not depend on the machine.
        wrong: why the row does not hold whatever its figure is, if it does not.
    """

    what: str
    theirs: str = ""
    ours: str = ""
    value: float | None = None
    goal: Goal = Goal()
    figure: str = ""
    counts: str = ""
    wrong: str = ""

    @property
    def held(self) -> bool:
        """Whether what must hold does; a row without a goal only shows something."""
        if self.wrong:
            return False
        return self.value is None or self.goal.within(self.value, self.goal.must)

    @property
    def verdict(self) -> str:
        """``ok``, ``MISSED``, or nothing where nothing must hold."""
        if not self.held:
            return "MISSED"
        if self.value is None or self.goal.must is None:
            return ""
        aimed = self.goal.aim is not None and self.goal.within(self.value, self.goal.aim)
        return "ok, aim" if aimed else "ok"

    def line(self) -> str:
        """The row as text."""
        goal, value = self.goal, self.value
        figure = self.figure or ("" if value is None else goal.figure(value))
        cells = (
            f"{self.what:32}", f"{self.theirs:>14}", f"{self.ours:>10}", f"{figure:>21}",
            f"{goal.show(goal.must):>9}", f"{goal.show(goal.aim):>9}", f"{self.verdict:8}",
            "; ".join(filter(None, (self.wrong, self.counts))),
        )  # fmt: skip
        return " ".join(cells).rstrip()


def heading(title: str, peer: str) -> str:
    """What stands above a group of rows."""
    names = f"{'':32} {peer:>14} {'ours':>10} {'':>21} {'must':>9} {'aim':>9}"
    return f"\n{title}\n{names}"


def summary(groups: Mapping[str, Sequence[Row]]) -> str:
    """How many of the rows that must hold do, and which do not, by the titles of their groups."""
    bound = [(title, row) for title, rows in groups.items() for row in rows if row.verdict]
    missed = [f"MISSED: {title}: {row.what.strip()}" for title, row in bound if not row.held]
    return "\n".join([f"{len(bound) - len(missed)} of {len(bound)} rows hold", *missed])
