"""What recording costs: ``python -m benchmarks.dspy``.

One ``ChainOfThought`` with an instant fake model (DSPy's ``DummyLM``), run bare and recorded in
alternating rounds in one process; the figures are medians of the paired ratios of CPU times.
OpenInference's instrumentor, which serializes all inputs and outputs, was measured at 3.44 times
the bare call on this program (5 spans); the goal is 1.3, and the aim 1.1.
"""

import statistics
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import dspy
from dspy.utils import DummyLM

import trace_bridge as tb
from trace_bridge import plugins

GOAL = 1.3
ROUNDS, CALLS = 60, 25
QUESTION = "What is the capital of France, and which river flows through it?"


def main() -> None:
    """Measure, print, and fail if the goal is missed."""
    warnings.simplefilter("ignore")  # DummyLM is of a kind that DSPy 3.4 calls deprecated
    answer = {"reasoning": "France is a country in Europe.", "answer": "Paris, on the Seine."}
    program = dspy.ChainOfThought("question -> answer")
    manager = plugins.installed()
    module = plugins.wrap(program, manager)
    example = dspy.Example(question=QUESTION).with_inputs("question")
    sizes: list[tuple[int, int]] = []

    def bare() -> None:
        program(question=QUESTION)

    def recorded() -> None:
        recorder = tb.Recorder({"question": QUESTION})
        with recorder.recording() as root, module.attached():
            output = program(question=QUESTION)
            root.returns(output, module.fields(output))
        note(recorder)

    def evaluated() -> None:
        recorder = tb.Recorder({"question": QUESTION})
        with recorder.recording() as root:
            output = module.run(example)
            root.returns(output, module.fields(output))
        note(recorder)

    def note(recorder: tb.Recorder) -> None:
        graph = tb.subgraph({tb.link(recorder): tb.Feedback(score=1.0)})
        sizes.append((len(graph.nodes), sum(len(node.parents) for node in graph.nodes)))

    with dspy.context(lm=DummyLM([answer] * 10**6, adapter=dspy.ChatAdapter())):
        noise = ratio(bare, bare)
        idle = ratio(bare, bare, around=lambda: plugins.instrumented(manager))
        with plugins.instrumented(manager):
            record = ratio(recorded, bare)
            evaluate = ratio(evaluated, bare)
    print(f"dspy {dspy.__version__}, ChainOfThought, instant fake model, {ROUNDS} paired rounds")
    print(f"graph: {sizes[-1][0]} nodes, {sizes[-1][1]} edges in the minimal subgraph")
    print(f"bare / bare (noise)                            {noise:.3f}")
    print(f"seams installed, nothing recorded / the same   {idle:.3f}")
    print(f"recorded, edges built / bare                   {record:.3f}   goal <= {GOAL}")
    print(f"evaluated on a light copy, edges built / bare  {evaluate:.3f}")
    if record > GOAL:
        sys.exit(f"missed: {record:.3f} > {GOAL}")


def ratio(
    first: Callable[[], None],
    second: Callable[[], None],
    around: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> float:
    """The median over paired rounds of the CPU time of ``first`` over that of ``second``.

    ``first`` runs inside ``around()``, ``second`` outside.
    """
    found: list[float] = []
    for number in range(ROUNDS + 1):
        with around():
            one = seconds(first)
        other = seconds(second)
        if number:  # the first round warms up
            found.append(one / other)
    return statistics.median(found)


def seconds(function: Callable[[], None]) -> float:
    """CPU time of some calls."""
    started = time.process_time()
    for _ in range(CALLS):
        function()
    return time.process_time() - started


if __name__ == "__main__":
    main()
