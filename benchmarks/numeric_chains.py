"""Random chains of arithmetic over one number, whose goal only "larger" and "smaller" reveal.

After the numeric experiment of Cheng, Nie and Swaminathan (2024), with one change: the number that
reaches the goal is drawn from the reals, because a model guesses small integers.
"""

from __future__ import annotations

import math
import operator
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

LOW, HIGH = -3.0, 3.0  # where the number may lie
START = -1.0
STEPS = 7  # operations of a chain
_FAR, _LARGE = 100, 1_000  # errors at the start and goals beyond these would hide all others
_HAIR = 1e-6  # by which a number is moved where the chain divides by zero
_CONSTANTS = (-3, -2, -1, 1, 2, 3)
_OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Chain:
    """A program of one number, and the goal that its output is to reach.

    Attributes:
        steps: sign and operands: a constant, or in a tuple the index of an earlier result, of which
            the number itself is the first.
    """

    steps: tuple[tuple[str, int | tuple[int], int | tuple[int]], ...]
    goal: float = 0.0

    def __call__(self, x: Any) -> Any:
        """The output: a node for a node, a float for a float."""
        results = [x]
        for sign, *operands in self.steps:
            left, right = (results[o[0]] if isinstance(o, tuple) else o for o in operands)
            results.append(_OPERATIONS[sign](left, right))
        return results[-1]

    def defined(self, x: float) -> float:
        """The number, or one beside it where the chain divides by zero, or almost."""
        try:
            if math.isfinite(self(x)):
                return x
        except ZeroDivisionError:
            pass
        return self.defined(x - _HAIR if x > 0 else x + _HAIR)

    def output(self, x: float) -> float:
        """The output, or that beside it where the chain has none."""
        return self(self.defined(x))

    def error(self, x: float) -> float:
        """How far the output is from the goal."""
        return abs(self.output(x) - self.goal)

    def within(self, error: float, share: float) -> bool:
        """Whether an error is at most a share of the goal."""
        return error <= share * abs(self.goal)

    def said(self, x: float) -> str:
        """The feedback: whether the output has to be larger or smaller, never by how much."""
        y = self.output(x)
        if self.within(abs(y - self.goal), 0.001):
            return f"The output {y:.6g} is right."
        return f"The output {y:.6g} has to be {'larger' if y < self.goal else 'smaller'}."


def chains(number: int, seed: int = 0) -> list[Chain]:
    """Chains whose output falls somewhere between 0.4 and 0.6 while the number grows."""
    found: Iterator[Chain | None] = (
        _chain(random.Random(f"{seed}/{at}")) for at in range(10_000 * number)
    )
    kept = (chain for chain in found if chain is not None)
    return [next(kept) for _ in range(number)]


def _chain(generator: random.Random) -> Chain | None:
    steps: list[tuple[str, int | tuple[int], int | tuple[int]]] = []
    for made in range(1, STEPS + 1):
        operands: list[int | tuple[int]] = [
            generator.choice(_CONSTANTS) if generator.random() < 0.4
            else (generator.randrange(made),)
            for _ in range(2)
        ]  # fmt: skip
        operands[generator.randrange(2)] = (made - 1,)  # it is a chain
        steps.append((generator.choice("+-*/"), operands[0], operands[1]))
    chain = Chain(tuple(steps))
    try:
        middle = [chain(x) for x in (0.4, 0.5, 0.6)]
        goal = chain(generator.choice((-1, 1)) * generator.uniform(1, 3))
        error = abs(chain(START) - goal)
    except ZeroDivisionError:
        return None
    if (
        min(b - a for a, b in pairwise(middle)) >= 0
        or abs(goal) > _LARGE
        or not max(0.02 * abs(goal), 0.02) < error <= _FAR
    ):
        return None
    return Chain(chain.steps, goal)
