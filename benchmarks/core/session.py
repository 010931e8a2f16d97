"""A run of the benchmark: the workers, and how rounds are paired."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.core.arithmetic import Ratio, paired
from benchmarks.core.peers import OURS
from benchmarks.core.process import Worker, WorkerError

ROUND = 0.02  # CPU seconds that one round of a short case takes
TRIAL = 0.002  # CPU seconds from which a trial says how many loops that are


@dataclass(frozen=True, slots=True)
class Settings:
    """How long to measure.

    Attributes:
        rounds: pairs of rounds at most.
        patience: CPU seconds of a peer in one row after which no other pair is begun.
        cap: CPU seconds that a peer's growing case may take in one phase.
        largest: operations of the largest graphs of ours.
    """

    rounds: int = 15
    patience: float = 6.0
    cap: float = 5.0
    largest: int = 100_000

    @property
    def sizes(self) -> list[int]:
        """The sizes that are tried, up to the largest: 100, 300, 1,000, ..."""
        every = (size for power in range(2, 7) for size in (10**power, 3 * 10**power))
        return [size for size in every if size <= self.largest]


@dataclass(frozen=True, slots=True)
class Pair:
    """What a case took on both sides, in CPU seconds for each loop, and what it counted."""

    ratio: Ratio
    theirs: float
    ours: float
    their_counts: Mapping[str, Any]
    our_counts: Mapping[str, Any]


@dataclass
class Session:
    """The workers of a run. They are started when they are first needed."""

    settings: Settings
    home: Path
    workers: dict[str, Worker] = field(default_factory=dict[str, Worker])

    def __getitem__(self, side: str) -> Worker:
        if side not in self.workers:
            self.workers[side] = Worker(side, self.home / side)
        return self.workers[side]

    def stop(self) -> None:
        """End all workers."""
        for worker in self.workers.values():
            worker.stop()

    def pairs(self, peer: str, case: str, **arguments: object) -> Pair:
        """Alternate rounds of a case that takes microseconds, with as many loops as it needs."""
        sides = {side: self._loops(side, case, arguments) for side in (peer, OURS)}
        return self.alternate(peer, case, sides, arguments)

    def alternate(
        self, peer: str, case: str, loops: Mapping[str, int], arguments: Mapping[str, object]
    ) -> Pair:
        """Alternate rounds of a case, ours and the peer's first by turns."""
        took: dict[str, list[float]] = {peer: [], OURS: []}
        found: dict[str, dict[str, Any]] = {}
        for number in range(self.settings.rounds):
            for side in (peer, OURS) if number % 2 else (OURS, peer):
                found[side] = self[side].ask(case, loops=loops[side], **arguments)
                took[side].append(found[side]["seconds"] / loops[side])
            if sum(took[peer]) * loops[peer] > self.settings.patience:
                break
        ratio = paired(took[OURS], took[peer])
        medians = {side: sorted(values)[len(values) // 2] for side, values in took.items()}
        return Pair(ratio, medians[peer], medians[OURS], found[peer], found[OURS])

    def _loops(self, side: str, case: str, arguments: Mapping[str, object]) -> int:
        loops = 20
        while True:
            spent = self[side].ask(case, loops=loops, **arguments)["seconds"]
            if spent > TRIAL:
                return max(1, round(loops * ROUND / spent))
            loops *= 4

    def tenfold(self, case: str, **arguments: object) -> list[tuple[dict[str, Any], ...]]:
        """Ten graphs of a tenth of the largest size and a graph of that size, beside each other.

        All are ours, both in processes of their own, the large one first by turns. They have as
        many operations, so that what slows the machine down slows down both.

        Raises:
            WorkerError: if one of them fails.
        """
        self[OURS].ask(case, count=10, **arguments)
        pairs: list[tuple[dict[str, Any], ...]] = []
        for number in range(min(self.settings.rounds, 7)):
            found: dict[int, dict[str, Any]] = {}
            for loops in (1, 10) if number % 2 else (10, 1):
                count = self.settings.largest // loops
                found[loops] = self[OURS].ask(
                    case, apart=True, count=count, loops=loops, **arguments
                )
                if "stopped" in found[loops]:
                    msg = f"{OURS} stopped at {count:,}: {found[loops]['stopped']}"
                    raise WorkerError(msg)
            pairs.append((found[10], found[1]))
        return pairs

    def growing(
        self, side: str, case: str, sizes: Iterator[int] | list[int], **arguments: object
    ) -> tuple[dict[int, dict[str, Any]], str]:
        """A case by size, each in a process of its own, until one is stopped.

        Also gives where it stopped and why, or nothing.
        """
        # what is imported at first use must not count as work on the smallest graph
        self[side].ask(case, count=10, **arguments)
        found: dict[int, dict[str, Any]] = {}
        capped = None if side == OURS else self.settings.cap
        for count in sizes:
            answer = self[side].ask(case, apart=True, count=count, capped=capped, **arguments)
            if "stopped" in answer:
                why = answer["stopped"]
                return found, f"{f'{capped:g} s CPU' if why == 'CPU' else why} at {count:,}"
            found[count] = answer
        return found, ""
