"""Who looks for the number: scripted models that read OptoPrime's prompt, and classical searches.

The scripted models know nothing but what stands in the prompt that OptoPrime sends them: where the
number may lie, its value, the output, whether that has to be larger or smaller, and, unless it is
masked, the program.
"""

from __future__ import annotations

import math
import operator
import re
import statistics
from collections.abc import Callable, Generator, Sequence
from itertools import pairwise

from benchmarks.numeric_chains import HIGH, LOW, START, Chain
from trace_bridge.llm.base import Message, Reply

Program = Callable[[float], float]
_WORDS: dict[str, Callable[[float, float], float]] = {
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul,
    "divide": operator.truediv,
}  # fmt: skip
_VALUE = re.compile(
    r'<variable name="(\w+)" kind="number">\n<constraint>between (\S+) and (\S+)</constraint>\n'
    r"<value>\n(\S+)\n</value>"
)
_STEP = re.compile(r"^(\w+) = (\w+)\((.+), (.+)\)$", re.MULTILINE)
_SAID = re.compile(r"The output (\S+) has to be (larger|smaller)\.")
_GRID = 2000  # parts into which the graph reader divides the range


class Scripted:
    """A model for one chain that reads its prompt and remembers what it has read."""

    model = "scripted"

    async def complete(self, messages: Sequence[Message]) -> Reply:
        """A new value, or nothing useful if something is missing."""
        text = messages[-1]["content"]
        shown, said = _VALUE.search(text), _SAID.search(text)
        if shown is None or said is None:
            return Reply("I do not see what to change.")
        name, (low, high, x) = shown[1], map(float, shown.group(2, 3, 4))
        new = self.answer(text, (low, high), x, float(said[1]), larger=said[2] == "larger")
        if new is None:
            return Reply("I do not see what to change.")
        return Reply(f'<variable name="{name}">{min(max(new, low), high)!r}</variable>')

    def answer(
        self, text: str, bounds: tuple[float, float], x: float, y: float, *, larger: bool
    ) -> float | None:
        """Where to look next."""
        raise NotImplementedError


class WithoutCode(Scripted):
    """Steps; turns when the output moves the wrong way; turns and halves when it has crossed."""

    def __init__(self) -> None:
        self.step = 1.0
        self.before: tuple[float, bool] | None = None

    def answer(
        self, text: str, bounds: tuple[float, float], x: float, y: float, *, larger: bool
    ) -> float | None:
        """One step on from the present value."""
        if self.before is not None:
            y_before, larger_before = self.before
            if larger != larger_before:
                self.step /= -2
            elif (y > y_before) != larger:
                self.step = -self.step
        self.before = y, larger
        if not bounds[0] <= x + self.step <= bounds[1]:
            self.step /= -2
        return x + self.step


class GraphReader(Scripted):
    """Reads the program, and halves the outputs that are still possible."""

    def __init__(self) -> None:
        self.low, self.high = -math.inf, math.inf  # known to be too small, and too large

    def answer(
        self, text: str, bounds: tuple[float, float], x: float, y: float, *, larger: bool
    ) -> float | None:
        """The value whose output is in the middle of what is possible."""
        program = read_program(text)
        if program is None:
            return None
        y = program(x)  # the feedback is rounded
        self.low, self.high = (max(self.low, y), self.high) if larger else (self.low, y)
        width = (bounds[1] - bounds[0]) / _GRID
        values = [bounds[0] + width * at for at in range(_GRID + 1)]
        points = [(value, output(program, value)) for value in values]
        left = [(made, value) for value, made in points if self.low < made < self.high]
        if left:
            middle = statistics.median_low([made for made, _ in left])
            return next(value for made, value in left if made == middle)
        return self._between(program, points)

    def _between(self, program: Program, points: Sequence[tuple[float, float]]) -> float | None:
        """The crossing of the middle between two values that lie on either side of it."""
        middle = (self.low + self.high) / 2
        crossings = [
            (abs(made - made_next), value, value_next)
            for (value, made), (value_next, made_next) in pairwise(points)
            if (made < middle) != (made_next < middle)
        ]
        if not crossings:
            return None
        _, a, b = min(crossings)  # the gentlest: a jump is no crossing
        below = output(program, a) < middle
        for _ in range(40):
            half = (a + b) / 2
            a, b = (half, b) if (output(program, half) < middle) == below else (a, half)
        return a


def read_program(text: str) -> Program | None:
    """The program in a prompt, or None if there is none to be read."""
    shown = _VALUE.search(text)
    run = text.partition("# run 1\n")[2].partition("<feedback>")[0]
    steps = [found.groups() for found in _STEP.finditer(run)]
    if shown is None or not steps or any(word not in _WORDS for _, word, _, _ in steps):
        return None
    name = shown[1]

    def program(x: float) -> float:
        known = {name: x}
        for made, word, left, right in steps:
            a, b = (known[o] if o in known else float(o) for o in (left, right))
            known[made] = _WORDS[word](a, b)
        return known[steps[-1][0]]

    return program


def output(program: Program, x: float) -> float:
    """The output; nan where there is none."""
    try:
        return program(x)
    except ZeroDivisionError:
        return math.nan


# ---------------------------------------------------------------------- classical searches
# Each yields the values that it tries after the start. They call ``chain.error``, or use the goal
# itself, which no feedback in words reveals.

Search = Generator[float]


def hill_climbing(chain: Chain) -> Search:
    """Coordinate hill climbing on the error; every value that is tried counts."""
    best, step = START, 1.0
    while True:
        for _ in range(2):
            new = _inside(best + step)
            yield new
            if chain.error(new) < chain.error(best):
                best, step = new, 1.5 * step
                break
            step = -step
        else:
            step /= 2


def secant(chain: Chain) -> Search:
    """The secant method on output minus goal."""
    x, after = START, START + 0.1
    while True:
        yield after
        a, b = chain.output(x) - chain.goal, chain.output(after) - chain.goal
        x, after = after, _inside(after - b * (after - x) / (b - a)) if a != b else after


def adam(chain: Chain, rate: float) -> Search:
    """Adam (Kingma and Ba, 2015) on the error, with derivatives by central differences."""
    x, mean, square = START, 0.0, 0.0
    for step in range(1, 10**6):
        slope = (chain.error(x + 1e-6) - chain.error(x - 1e-6)) / 2e-6
        mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope**2
        x -= rate * mean / (1 - 0.9**step) / (math.sqrt(square / (1 - 0.999**step)) + 1e-8)
        x = _inside(x)
        yield x


def _inside(x: float) -> float:
    return min(max(x, LOW), HIGH)
