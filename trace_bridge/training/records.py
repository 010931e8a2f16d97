"""Frozen data: what hooks, reports and users see of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from trace_bridge.llm.base import Usage
from trace_bridge.optimizers.base import Trial


@dataclass(frozen=True, slots=True)
class Engine:
    """How a run is executed.

    Attributes:
        concurrency: evaluations at the same time.
        seed: all draws come from it; equal seeds and an equal journal give equal runs.
        repeats: evaluations of each candidate on each example, whose scores are averaged.
        journal: the SQLite file that makes a run resumable; None keeps it in memory.
        resume: False starts a new run although the journal holds one to resume.
        failure_score: the score of an example on which the agent or the metric raised.
        patience: steps without an accepted proposal after which the search ends.
        retries: how often an evaluation, or an optimizer's step, is repeated after a provider's
            failure.
        timeout: seconds that an asynchronous agent has for an example; then it is cancelled, which
            is a failure of its own. None waits for ever; a synchronous agent is never stopped.
    """

    concurrency: int = 8
    seed: int = 0
    repeats: int = 1
    journal: str | Path | None = ".trace_bridge/runs.sqlite"
    resume: bool = True
    failure_score: float = 0.0
    patience: int = 3
    retries: int = 2
    timeout: float | None = None

    def __post_init__(self) -> None:
        for name, least in (("concurrency", 1), ("repeats", 1), ("patience", 1), ("retries", 0)):
            if getattr(self, name) < least:
                msg = f"Engine({name}={getattr(self, name)}): must be at least {least}"
                raise ValueError(msg)
        if self.timeout is not None and self.timeout <= 0:
            msg = f"Engine(timeout={self.timeout}): must be more than 0 seconds, or None"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What held-out data says. Equal to ``"better"`` or ``"no reliable gain"`` as a string.

    Attributes:
        before, after: mean scores of the original and of the candidate on the same examples.
        low, high: 95 % interval of the mean difference.
        p: how often chance alone would show a gain like this.
        examples: how many held-out examples were compared.
        detectable: the gain that this much data would have shown four times out of five.
        why: what kept the comparison from being made, if something did.
    """

    better: bool
    before: float = math.nan
    after: float = math.nan
    low: float = 0.0
    high: float = 0.0
    p: float = 1.0
    examples: int = 0
    detectable: float = math.inf
    why: str = ""

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return self.word == other
        return self is other

    __hash__ = object.__hash__

    @property
    def word(self) -> str:
        """``"better"`` or ``"no reliable gain"``."""
        return "better" if self.better else "no reliable gain"

    def __str__(self) -> str:
        if self.why:
            score = f"; {self.before:.3f} on {self.examples} held-out examples"
            return f"{self.word}: {self.why}{score if self.examples else ''}"
        compared = (
            f"{self.before:.3f} -> {self.after:.3f} on {self.examples} held-out examples"
            f" (difference {self.after - self.before:+.3f}, 95 % interval {self.low:+.3f} to"
            f" {self.high:+.3f}, p = {self.p:.2g})"
        )
        if self.better:
            return f"better: {compared}"
        limit = f"a gain below {self.detectable:.2f} could not have been seen"
        return f"no reliable gain: {compared}; {limit}"


@dataclass(frozen=True, slots=True)
class Baseline:
    """A candidate that was not searched for, measured beside on the held-out examples."""

    name: str
    state: Mapping[str, object]
    score: float
    scores: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of the loop, as data.

    Attributes:
        trials: all candidates, the original first.
        best: the trial whose values the run recommends: the original unless the verdict is good.
        found: the candidate that did best in the search, whatever the verdict.
        verdict: what held-out data says of ``found``.
        held_out: scores of ``"original"`` and ``"found"`` on the held-out examples, by index.
        evaluations: counted against the budget; ``reused`` of them came from the journal.
        usage: spent in all sessions of the run; ``session`` of it in this one.
        seconds: the wall time of this session.
        stopped: why the search ended.
        warnings: what should be known besides.
    """

    trials: tuple[Trial, ...]
    best: Trial
    found: Trial
    verdict: Verdict
    held_out: Mapping[str, Mapping[int, float]]
    evaluations: int
    reused: int
    usage: Usage
    session: Usage
    seconds: float
    stopped: str
    baselines: tuple[Baseline, ...] = ()
    warnings: tuple[str, ...] = ()
    journal: Path | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is, for a live view.

    Attributes:
        stage: what is being done now.
        evaluations: counted so far (``reused`` of them looked up), of ``total`` in the budget.
        calls: model calls of all sessions.
        best: mean validation score of the current candidate.
        note: something worth a line of its own.
    """

    stage: str
    evaluations: int
    total: int
    reused: int
    calls: int
    best: float | None = None
    note: str = ""


@dataclass(slots=True)
class Notes:
    """Warnings gathered during a run, each once."""

    lines: dict[str, None] = field(default_factory=dict[str, None])

    def add(self, line: str) -> None:
        """Note a line unless it was noted before."""
        self.lines.setdefault(line)
