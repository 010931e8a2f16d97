"""Does ``optimizer="auto"`` choose well? ``python -m benchmarks.portfolio [--seeds N]``.

Every optimizer gets the same budget of evaluations on each task of a mixed suite: a help desk
(``portfolio_tasks``) that is asked for one thing, of which only what that needs is trained, or
everything. Scores are shares of new tickets that are answered rightly by what a run has found. The
regret of auto on a task is what it lacks to the optimizer that is best on that task, as a share of
that one's gain. On the joint task text, numbers and demonstrations are all needed. The model that
proposes is scripted: it writes rules that it reads about in its prompt, and knows nothing else.
Fails if the mean regret is above 10 %, or if any single optimizer does as well on the joint task.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.portfolio_tasks import JOINT, SUITE, Problem
from trace_bridge.training.accept import interval

SINGLE = ("optoprime", "opro", "textgrad", "gepa", "optuna", "bootstrap")
AUTO = "auto"
GOAL = 0.10  # regret
FIRST = 100  # seed: auto was tried out on 0 to 7


@dataclass(frozen=True, slots=True)
class Row:
    """The qualities that each optimizer reached on one task, by seed."""

    problem: Problem
    before: Sequence[float]
    after: Mapping[str, Sequence[float]]
    evaluations: Mapping[str, float]

    def mean(self, name: str) -> float:
        """The mean quality of one optimizer."""
        return statistics.fmean(self.after[name])

    @property
    def best(self) -> str:
        """The best of the single optimizers."""
        return max((name for name in self.after if name != AUTO), key=self.mean)

    @property
    def regret(self) -> float:
        """What auto lacks to the best single one, as a share of that one's gain."""
        top = self.mean(self.best)
        return (top - self.mean(AUTO)) / (top - statistics.fmean(self.before))

    @property
    def lead(self) -> tuple[float, float]:
        """The 95 % interval of what auto is ahead of the best single one, paired by seed."""
        pairs = zip(self.after[AUTO], self.after[self.best], strict=True)
        return interval([ours - other for ours, other in pairs])


def measured(problem: Problem, seeds: Iterable[int], names: Sequence[str] = SINGLE) -> Row:
    """Every optimizer on one task."""
    seeds = list(seeds)
    after: dict[str, list[float]] = {}
    evaluations: dict[str, float] = {}
    for name in (*names, AUTO):
        found = [problem.run(name, seed) for seed in seeds]
        after[name] = [quality for quality, _ in found]
        evaluations[name] = statistics.fmean(used for _, used in found)
    return Row(problem, [problem.quality({}, seed) for seed in seeds], after, evaluations)


def table(rows: Iterable[Row]) -> Iterable[str]:
    """The rows as text."""
    yield f"{'':20}{'before':>8}" + "".join(f"{name:>11}" for name in (*SINGLE, AUTO)) + "   regret"
    for row in rows:
        cells = "".join(f"{row.mean(name):11.2f}" for name in (*SINGLE, AUTO))
        before = statistics.fmean(row.before)
        yield f"{row.problem.name:20}{before:8.2f}{cells}{row.regret:9.0%}"
        used = "".join(f"{row.evaluations[name]:11.0f}" for name in (*SINGLE, AUTO))
        yield f"  of {row.problem.evaluations} evaluations     {used}"


def missed(rows: Sequence[Row], joint: Row) -> list[str]:
    """What does not come out as it should."""
    goals = {
        f"the mean regret is at most {GOAL:.0%}": regret(rows) <= GOAL,
        f"auto beats every single optimizer on {joint.problem.name}": joint.lead[0] > 0,
    }
    return [goal for goal, held in goals.items() if not held]


def regret(rows: Sequence[Row]) -> float:
    """The mean over the suite; being ahead on one task makes up for nothing on another."""
    return statistics.fmean(max(0.0, row.regret) for row in rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and fail if something is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.portfolio")
    parser.add_argument("--seeds", type=int, default=8)
    count = parser.parse_args(arguments).seeds
    seeds = range(FIRST, FIRST + count)
    print(f"share of new tickets answered rightly, mean of {count} seeds; scripted model")
    rows = [measured(problem, seeds) for problem in SUITE]
    joint = measured(JOINT, seeds)
    print("\n".join(table([*rows, joint])))
    print(f"mean regret of auto on the {len(rows)} tasks before joint: {regret(rows):.1%}")
    low, high = joint.lead
    ahead = joint.mean(AUTO) - joint.mean(joint.best)
    print(f"joint: auto is {ahead:+.2f} ({low:+.2f} to {high:+.2f}) ahead of {joint.best}")
    wrong = missed(rows, joint)
    print("\n".join(f"MISSED: {goal}" for goal in wrong) or "all that must hold does")
    if wrong:
        sys.exit(1)


if __name__ == "__main__":
    main()
