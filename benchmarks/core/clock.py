"""What a case measures with, inside a worker."""

from __future__ import annotations

import gc
import resource
import time
import tracemalloc
from types import TracebackType
from typing import Self

CASE_MEMORY = 8 * 10**9  # bytes of address space


class Clock:
    """CPU time of this process, summed over all uses in a ``with``."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> Self:
        self._started = time.process_time()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.seconds += time.process_time() - self._started


def collected() -> int:
    """Bytes that are still held when the garbage is gone; ``tracemalloc`` has to be on."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def cap(seconds: float | None) -> None:
    """Let the kernel end this process when it has used so much more CPU time (whole seconds).

    From then on Linux counts a process's CPU time by ticks, of a millisecond or more.
    """
    if seconds is not None:
        _lower(resource.RLIMIT_CPU, round(time.process_time() + seconds) + 1)


def confine() -> None:
    """Bound the memory of this process, and leave no dump when the kernel ends it."""
    _lower(resource.RLIMIT_AS, CASE_MEMORY)
    _lower(resource.RLIMIT_CORE, 0)


def _lower(what: int, limit: int) -> None:
    resource.setrlimit(what, (limit, resource.getrlimit(what)[1]))
