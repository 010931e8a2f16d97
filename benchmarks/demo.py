"""The demo's task beside DSPy's own optimizers: ``python -m benchmarks.demo [--seeds N]``.

Same program, data, embedded model, adapter and held-out examples for all; DSPy's random search
gets as many candidates as use the number of model calls that ours spent on its search. Scores are
of the held-out examples, which none of them has seen; differences are paired, with 95 % intervals
(percentile bootstrap over all examples of all seeds).
"""

import argparse
import contextlib
import io
import random
import threading
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import dspy
from dspy.teleprompt import BootstrapFewShotWithRandomSearch, LabeledFewShot

import trace_bridge as tb
from examples.dspy_program import Citation, exact, load_examples
from trace_bridge.training.accept import interval

DATA = Path(__file__).parents[1] / "examples" / "data" / "names.csv"
DEMOS = "cite:demos"
SIZE = 8  # demonstrations in a prompt, for everybody
TRAIN, VALIDATION, HELD_OUT = 80, 42, 72


class Counted(dspy.LM):
    """Counts the calls that reach the model."""

    calls = 0
    _lock = threading.Lock()

    def forward(self, *args: object, **kwargs: object) -> object:
        """Count one and make it."""
        with self._lock:
            type(self).calls += 1
        return super().forward(*args, **kwargs)


class Split(NamedTuple):
    """The examples of one seed."""

    train: list[dspy.Example]
    validation: list[dspy.Example]
    held_out: list[dspy.Example]


def main() -> None:
    """Run all on all seeds, and print every score and difference."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    seeds = range(parser.parse_args().seeds)
    warnings.simplefilter("ignore")
    dspy.disable_logging()  # zero-shot, the model talks on; DSPy would warn of each long reply
    server = tb.embedded()
    lm = Counted(
        f"openai/{server.model}", api_base=server.base_url, api_key=server.api_key,
        temperature=0.0, max_tokens=16, cache=False,
    )  # fmt: skip
    print(f"model: {server.model} (embedded, real), {server.slots} slots; dspy {dspy.__version__}")
    print(f"per seed: {TRAIN} training, {VALIDATION} validation, {HELD_OUT} held-out examples")
    found: dict[str, list[list[float]]] = {}
    with dspy.context(lm=lm):
        for seed in seeds:
            for name, scores in one_seed(seed, server.slots).items():
                found.setdefault(name, []).append(scores)
    report(found)


def one_seed(seed: int, threads: int) -> dict[str, list[float]]:
    """Held-out scores by method, in the order of the examples."""
    examples = load_examples(DATA)
    random.Random(seed).shuffle(examples)
    ends = TRAIN, TRAIN + VALIDATION, TRAIN + VALIDATION + HELD_OUT
    data = Split(examples[: ends[0]], examples[ends[0] : ends[1]], examples[ends[1] : ends[2]])
    ours, calls = search(data, seed, threads)
    plain = Citation()
    plain.cite.demos = data.train[:SIZE]
    methods = {
        "zero-shot": Citation(),
        "plain 8": plain,
        "dspy.LabeledFewShot": LabeledFewShot(k=SIZE).compile(Citation(), trainset=data.train),
        "trace_bridge": ours,
    }
    scores = {name: held_out(program, data, threads) for name, program in methods.items()}
    before = Counted.calls
    peer = random_search(data, calls, threads)
    spent = Counted.calls - before
    scores["dspy.BootstrapFewShotWithRandomSearch"] = held_out(peer, data, threads)
    print(
        f"seed {seed}: search calls: trace_bridge {calls}, dspy's random search {spent}", flush=True
    )
    print("  " + ", ".join(f"{n} {mean(s):.3f}" for n, s in scores.items()), flush=True)
    return scores


def search(data: Split, seed: int, threads: int) -> tuple[dspy.Module, int]:
    """Our result and the model calls of its search (the held-out comparison apart)."""
    run = tb.optimize(
        Citation(), data.train, exact, valset=data.validation, testset=data.held_out,
        trainable=[DEMOS], optimizer="bootstrap", budget=tb.Budget(evaluations=488), progress=False,
        engine=tb.Engine(concurrency=threads, seed=seed, journal=None, patience=1),
    )  # fmt: skip
    compared = sum(len(scores) for scores in _distinct(run.record.held_out).values())
    print(f"seed {seed}: {run.verdict}", flush=True)
    # what the search recommends, whatever the verdict says, as the peers' results are taken too
    state = run.record.found.state
    program = Citation()
    program.cite.demos = [dspy.Example(**demo).with_inputs("name") for demo in state[DEMOS]]
    return program, run.record.usage.calls - compared


def _distinct(held_out: Mapping[str, Mapping[int, float]]) -> dict[int, Mapping[int, float]]:
    return {id(scores): scores for scores in held_out.values()}


def random_search(data: Split, calls: int, threads: int) -> dspy.Module:
    """DSPy's random search over as many candidates as cost ``calls``."""
    candidates = max(1, round(calls / VALIDATION) - 3)  # it adds zero-shot, labelled, unshuffled
    optimizer = BootstrapFewShotWithRandomSearch(
        metric=exact, max_bootstrapped_demos=SIZE, max_labeled_demos=SIZE,
        num_candidate_programs=candidates, num_threads=threads, max_errors=10**6,
    )  # fmt: skip
    quiet = io.StringIO()  # it shows a progress bar for each candidate
    with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        return optimizer.compile(Citation(), trainset=data.train, valset=data.validation)


def held_out(program: dspy.Module, data: Split, threads: int) -> list[float]:
    """A program's scores on the held-out examples."""
    results = dspy.Parallel(num_threads=threads, disable_progress_bar=True)(
        [(program, example.inputs()) for example in data.held_out]
    )
    return [float(exact(e, r)) for e, r in zip(data.held_out, results, strict=True)]


def report(found: Mapping[str, Sequence[Sequence[float]]]) -> None:
    """Means by method, and our paired differences from each of the others."""
    pooled = {name: [s for seed in seeds for s in seed] for name, seeds in found.items()}
    print("\nmethod                                   mean   ours minus it, with 95 % interval")
    for name, scores in pooled.items():
        differences = [a - b for a, b in zip(pooled["trace_bridge"], scores, strict=True)]
        low, high = interval(differences)
        gap = (
            ""
            if name == "trace_bridge"
            else f"{mean(differences):+.3f} ({low:+.3f} to {high:+.3f})"
        )
        print(f"{name:<40} {mean(scores):.3f}  {gap}")


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean."""
    return sum(values) / len(values)


if __name__ == "__main__":
    main()
