"""How long calls take, beside each other: alternating rounds in one process.

It imports no framework: programs that run in a peer's environment measure with it, too.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TypeVar

T = TypeVar("T")
Way = Callable[[], AbstractContextManager[Callable[[], T]]]


def ratios(
    bare: Callable[[], T], ways: Mapping[str, Way[T]], rounds: int, calls: int,
    seconds: Callable[[Callable[[], T], int], float],
) -> dict[str, float]:  # fmt: skip
    """For each way, the median of its CPU time over the bare call's, of alternating rounds.

    A way is compared with the mean of the bare calls right before and right after it, so that a
    machine that slows down meanwhile does not count.

    Args:
        bare: what is called without anything around it.
        ways: by name, what gives the same call with something around it.
        rounds: how often each way is measured.
        calls: calls in a round, after half as many that are not measured: the interpreter adapts
            its code again after a class has changed.
        seconds: the CPU time of some calls.
    """

    def adapted(call: Callable[[], T]) -> float:
        seconds(call, calls // 2)
        return seconds(call, calls)

    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        before = adapted(bare)
        for name, way in ways.items():
            with way() as call:
                took = adapted(call)
            after = adapted(bare)
            found[name].append(2 * took / (before + after))
            before = after
    return {name: statistics.median(values) for name, values in found.items()}


def together(call: Callable[[], object], calls: int) -> float:
    """The CPU time of some calls."""
    started = time.process_time()
    for _ in range(calls):
        call()
    return time.process_time() - started
