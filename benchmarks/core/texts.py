"""What textgrad has: variables, their sum, and calls of a model (a stub). One text for both."""

from __future__ import annotations

import gc
import sys
from typing import Any

from benchmarks.core.calls import Found
from benchmarks.core.clock import Clock, cap


def leaf(side: Any, loops: int) -> Found:
    """A trainable text."""
    with Clock() as clock:
        for _ in range(loops):
            side.leaf("a text")
    return clock.seconds, side.leaf("a text")


def plus(side: Any, loops: int) -> Found:
    """The sum of two texts."""
    a, b = side.leaf("a"), side.leaf("b")
    with Clock() as clock:
        for _ in range(loops):
            a + b
    return clock.seconds, a + b


def asked(side: Any, loops: int, *, log: bool) -> Found:
    """A call of a model with a system prompt and a prompt."""
    side.logging(on=log)
    ask, prompt = side.asking(side.leaf("Be brief.")), side.leaf("What is it?")
    with Clock() as clock:
        for _ in range(loops):
            ask(prompt)
    return clock.seconds, ask(prompt)


def depth(side: Any, count: int, capped: float | None = None) -> dict[str, float]:
    """Backward over a chain of calls of a model, each reading the last answer."""
    side.logging(on=False)
    ask, output = side.asking(side.leaf("Be brief.")), side.leaf("What is it?")
    for _ in range(count):
        output = ask(output)
    gc.collect()
    cap(capped)
    with Clock() as clock:
        side.backward_texts(output)
    return {"seconds": clock.seconds, "recursion limit": sys.getrecursionlimit()}
