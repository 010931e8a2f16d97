"""Does the traced program help? ``python -m benchmarks.numeric [--llm NAME] [--programs N]``.

One number has to bring the output of a random chain of arithmetic to a goal. The fair pair is told
"larger" or "smaller" only: a scripted model that sees no operations (OptoPrime's ``mask``), and one
that reads the program in the same prompt. Rows marked * see the error, those marked ** the goal.
Coordinate hill climbing on the error is what everything should beat. Fails if the pair does not
come out as it should. With ``--llm`` (a LiteLLM name) that model is asked too, by OptoPrime as it
is, masked and without memory, and by OPRO: up to 80 calls for each program.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, islice

import trace_bridge as tb
from benchmarks.numeric_chains import HIGH, LOW, START, Chain, chains
from benchmarks.numeric_solvers import GraphReader, Search, WithoutCode, adam, hill_climbing, secant
from trace_bridge.training.accept import interval

SHOWN = (5, 10, 20)
CLOSE = 0.01  # of the goal
BASELINE, WITHOUT, READER = "coordinate hill climbing *", "larger/smaller, no code", "graph reader"
Errors = list[float]  # the smallest so far, after each step


@dataclass(frozen=True, slots=True)
class Row:
    """What one way of searching reaches."""

    name: str
    solved: Mapping[int, Sequence[bool]]
    median: Mapping[int, float]
    seconds: float
    calls: int

    def share(self, step: int) -> float:
        """The share of programs whose goal was reached within so many steps."""
        return statistics.fmean(self.solved[step])

    def beats(self, other: Row) -> bool:
        """More goals reached in the end, or as many and sooner."""
        return self._rank() > other._rank()

    def _rank(self) -> tuple[float, ...]:
        return tuple(self.share(step) for step in reversed(SHOWN))


def by_search(search: Callable[[Chain], Search], chain: Chain) -> tuple[Errors, int]:
    """The errors of a classical search."""
    tried = [START, *islice(search(chain), SHOWN[-1])]
    return list(accumulate(map(chain.error, tried), min)), 0


def by_optimizer(
    make: Callable[[tb.Parameter], tb.Optimizer], chain: Chain, *, sees_error: bool = False
) -> tuple[Errors, int]:
    """The errors of an optimizer in PyTorch's words, and the model calls that it made."""
    x = tb.Parameter(START, "x", kind="number", bounds=(LOW, HIGH))
    optimizer = make(x)
    meter = Counting()
    token = tb.gate.set(meter)
    try:
        errors = [chain.error(START)]
        for _ in range(SHOWN[-1]):
            value = chain.defined(float(x.peek()))
            x.set(value)
            said = chain.said(value)
            right = said.endswith("right.")
            score = -chain.error(value) if sees_error else float(right)
            if not right:
                optimizer.zero_feedback()
                optimizer.backward(chain(x), (score, said))
                optimizer.step()
            errors.append(min(errors[-1], chain.error(float(x.peek()))))
    finally:
        tb.gate.reset(token)
    return errors, meter.calls


class Counting:
    """Counts model calls; it refuses none."""

    calls = 0

    def admit(self, call: tb.ModelCall) -> None:
        """See ``Gate``."""
        self.calls += 1

    def settle(self, call: tb.ModelCall, admitted: object) -> None:
        """See ``Gate``."""


Way = Callable[[Chain], tuple[Errors, int]]


def ways(model: tb.LLM | None) -> dict[str, Way]:
    """Everybody who takes part, by name."""
    found: dict[str, Way] = {
        "Adam, rate 0.1 **": partial(by_search, partial(adam, rate=0.1)),
        "Adam, rate 1 **": partial(by_search, partial(adam, rate=1.0)),
        "secant **": partial(by_search, secant),
        BASELINE: partial(by_search, hill_climbing),
        "Optuna, TPE *": partial(by_optimizer, lambda x: tb.Optuna([x]), sees_error=True),
        WITHOUT: partial(by_optimizer, lambda x: tb.OptoPrime([x], WithoutCode(), mask=True)),
        READER: partial(by_optimizer, lambda x: tb.OptoPrime([x], GraphReader())),
    }
    if model is not None:
        found |= {
            "OPRO *": partial(by_optimizer, lambda x: tb.OPRO([x], model), sees_error=True),
            "OptoPrime": partial(by_optimizer, lambda x: tb.OptoPrime([x], model)),
            "Masked": partial(by_optimizer, lambda x: tb.OptoPrime([x], model, mask=True)),
            "NoMem": partial(by_optimizer, lambda x: tb.OptoPrime([x], model, memory=0)),
        }
    return found


def measured(name: str, way: Way, problems: Sequence[Chain]) -> Row:
    """One row of the table."""
    started = time.monotonic()
    runs = [way(problem) for problem in problems]
    return Row(
        name,
        {
            step: [
                problem.within(errors[step], CLOSE)
                for problem, (errors, _) in zip(problems, runs, strict=True)
            ]
            for step in SHOWN
        },
        {step: statistics.median(errors[step] for errors, _ in runs) for step in SHOWN},
        time.monotonic() - started,
        sum(calls for _, calls in runs),
    )


def gain(rows: Mapping[str, Row]) -> tuple[float, float, float]:
    """What reading the program adds within 10 steps, paired, with its 95 % interval."""
    pairs = zip(rows[READER].solved[10], rows[WITHOUT].solved[10], strict=True)
    differences = [float(a) - float(b) for a, b in pairs]
    return statistics.fmean(differences), *interval(differences)


def calls_of_a_step(make: Callable[[Sequence[tb.Parameter], tb.LLM], tb.Optimizer]) -> int:
    """The model calls of one step for 3 examples, each of one operation on one prompt."""
    prompt = tb.Parameter("Answer briefly.", "prompt")
    said = tb.CallableLLM(lambda _: '<variable name="prompt">Answer at length.</variable>', "fixed")
    optimizer = make([prompt], said)
    for number in range(3):
        optimizer.backward(prompt + str(number), (0.0, "too short"))
    meter = Counting()
    token = tb.gate.set(meter)
    try:
        optimizer.step()
    finally:
        tb.gate.reset(token)
    return meter.calls


def missed(rows: Mapping[str, Row]) -> list[str]:
    """What does not come out as it should."""
    goals = {
        "the graph reader reaches 90 % within 10 steps": rows[READER].share(10) >= 0.9,
        "the graph reader is reliably ahead of no code": gain(rows)[1] > 0,
        "the graph reader beats coordinate hill climbing": rows[READER].beats(rows[BASELINE]),
    }
    return [goal for goal, held in goals.items() if not held]


def table(rows: Iterable[Row], baseline: Row) -> Iterable[str]:
    """The rows as text."""
    steps = "".join(f"{f'@{step}':>7}" for step in SHOWN)
    errors = "".join(f"{f'@{step}':>9}" for step in SHOWN)
    yield f"{'':28}{'within 1 %':>21}{'median error':>27}{'beats':>10}"
    yield f"{'':28}{steps}{errors}{'climbing':>10}{'calls':>7}{'s':>7}"
    for row in rows:
        solved = "".join(f"{row.share(step):7.2f}" for step in SHOWN)
        median = "".join(f"{row.median[step]:9.3g}" for step in SHOWN)
        beats = "" if row is baseline else "yes" if row.beats(baseline) else "no"
        yield f"{row.name:28}{solved}{median}{beats:>10}{row.calls:7}{row.seconds:7.1f}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and fail if something is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.numeric")
    parser.add_argument("--llm", help="LiteLLM name of a model that takes part")
    parser.add_argument("--programs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    problems = chains(chosen.programs, chosen.seed)
    print(f"{len(problems)} programs, goals from reals; best so far; * sees the error, ** the goal")
    model = tb.LiteLLM(chosen.llm) if chosen.llm else None
    rows = {name: measured(name, way, problems) for name, way in ways(model).items()}
    print("\n".join(table(rows.values(), rows[BASELINE])))
    mean, low, high = gain(rows)
    print(
        f"{READER} minus {WITHOUT}, within 10 steps: {mean:+.2f} ({low:+.2f} to {high:+.2f}); both"
        " are scripted models that read OptoPrime's prompts"
    )
    makers = {"OptoPrime": tb.OptoPrime, "OPRO": tb.OPRO, "our TextGrad": tb.TextGrad}
    calls = ", ".join(f"{name} {calls_of_a_step(make)}" for name, make in makers.items())
    print(f"optimizer calls of a step, 3 examples, 1 prompt: {calls}")
    asked = chosen.llm or "none (--llm): OPRO, OptoPrime, Masked and NoMem did not run"
    print(f"model: {asked}")
    wrong = missed(rows)
    print("\n".join(f"MISSED: {goal}" for goal in wrong) or "all that must hold does")
    if wrong:
        sys.exit(1)


if __name__ == "__main__":
    main()
