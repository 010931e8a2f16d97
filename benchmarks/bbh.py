"""Prompt and code together on BIG-Bench Hard, recorded: ``python -m benchmarks.bbh [--data DIR]``.

A DSPy program asks a model and takes the answer out of what it says; the function that does so
fails at first. The model plays back what code-davinci-002 has said (see ``bbh_tasks``), so only two
behaviours exist: with and without a chain of thought. The optimizer's model is scripted: it answers
only if its prompt shows the fault. ``dspy.COPRO`` and ``dspy.GEPA`` get the same proposal for the
prompt; they do not change code. So this shows the plumbing of optimizing prompt and code together,
on real text, and not that a model would find these changes. Fails if it does not come out so.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import dspy

import trace_bridge as tb
from benchmarks.bbh_tasks import DEFAULT, FunctionLM, Row, Task, recorded_lm, right, said, tasks
from trace_bridge.testing import ScriptedLLM

START = "Answer the question."
BETTER = "Think step by step, and end with: So the answer is ..."
CODE = '''def extract(response: str) -> str:
    """Take the answer out of what the model has said."""
    return response.rpartition("answer is ")[2].strip().removesuffix(".")
'''
WAYS = ("initial", "prompt only", "code only", "both", "dspy.COPRO", "dspy.GEPA")
_EXPECTED = re.compile(r'We expect the output of your answer to be "(.*?)"\.')
_VARIABLE = re.compile(
    r'<variable name="(\w+)" kind="(\w+)">.*?<value>\n(.*?)\n</value>', re.DOTALL
)


# ---------------------------------------------------------------------- the program


@tb.bundle(trainable=True, unsafe=True)
def extract(response: str) -> str:
    """Take the answer out of what the model has said."""
    return response.split("Answer:")[1].strip()


@tb.bundle
def ask(instructions: str, question: str) -> str:
    """Ask the model by DSPy."""
    return dspy.Predict(dspy.Signature("question -> answer", instructions))(
        question=question
    ).answer


class Solver(tb.Module):
    """Instructions and the code that reads the reply, both trainable."""

    def __init__(self) -> None:
        self.instructions = tb.Parameter(START)
        self.extract = extract

    def forward(self, question: str) -> object:
        """The answer to one question."""
        return self.extract(ask(cast("Any", self.instructions), question))


class Program(dspy.Module):
    """The same for DSPy's optimizers, to whom a reply that cannot be read is a wrong answer."""

    def __init__(self) -> None:
        super().__init__()
        self.predict = dspy.Predict(dspy.Signature("question -> answer", START))

    def forward(self, question: str) -> dspy.Prediction:
        """The answer to one question."""
        response = self.predict(question=question).answer
        try:
            return dspy.Prediction(answer=extract.function(response))
        except IndexError:
            return dspy.Prediction(answer="")


# ---------------------------------------------------------------------- who proposes


def proposals(prompt: str) -> str | None:
    """What the scripted model says, given what its prompt shows; None if it shows no fault.

    Code is rewritten where its failure is shown; the prompt, where runs fail or the feedback says
    that an answer was wrong.
    """
    runs = prompt.partition("# run 1\n")[2]
    fails, wrong = "<-- IndexError" in runs, _EXPECTED.search(runs) is not None
    changed: list[str] = []
    for name, kind, value in _VARIABLE.findall(prompt):
        if kind == "code" and fails and "Answer:" in value:
            changed.append(f'<variable name="{name}">\n{CODE}</variable>')
        if kind == "prompt" and value == START and (fails or wrong):
            changed.append(f'<variable name="{name}">{BETTER}</variable>')
    return "\n".join(changed) or None


def reflecting(messages: list[dict[str, str]]) -> str:
    """GEPA's model: the same proposal, if the feedback that asks for it is shown."""
    shown = messages[-1]["content"]
    return f"```\n{BETTER}\n```" if _EXPECTED.search(shown) else "```\nNothing is wrong.\n```"


def instructing(_: list[dict[str, str]]) -> str:
    """COPRO's model, to which no feedback is shown: the same proposal."""
    fields = {"proposed_instruction": BETTER, "proposed_prefix_for_output_field": "Answer:"}
    parts = [f"[[ ## {name} ## ]]\n{value}" for name, value in fields.items()]
    return "\n\n".join([*parts, "[[ ## completed ## ]]"])


# ---------------------------------------------------------------------- runs


def metric(example: Row, output: object) -> tuple[float, str]:
    """The score and the published feedback."""
    return float(right(example["answer"], output)), said(example["answer"], output)


def ours(task: Task, trainable: Sequence[str], llm: ScriptedLLM) -> float:
    """The held-out accuracy of what our run gives."""
    solver = Solver()
    run = tb.optimize(
        solver, task.train, metric, valset=task.validation, testset=task.held_out,
        trainable=trainable, optimizer="optoprime", llm=llm, progress=False,
        budget=tb.Budget(evaluations=2 * len(task.held_out) + 120),
        engine=tb.Engine(concurrency=1, journal=None, patience=2),
    )  # fmt: skip
    with solver.using(run.best.state):
        return accuracy(lambda question: _plain(solver, question), task.held_out)


def _plain(solver: Solver, question: str) -> object:
    try:
        return cast("tb.Node", solver(question)).data
    except IndexError as error:  # what the code raises at first; an error is an output
        return error


def accuracy(solve: Callable[[str], object], rows: Sequence[Row]) -> float:
    """The share of right answers, in percent."""
    return 100 * statistics.fmean(right(r["answer"], solve(r["question"])) for r in rows)


def copro(task: Task) -> float:
    """``dspy.COPRO`` on the first 20 rows, as published."""
    tuner = dspy.COPRO(
        prompt_model=FunctionLM(instructing, "scripted"), breadth=2, depth=1,
        metric=lambda example, prediction, _=None: right(example.answer, prediction.answer),
    )  # fmt: skip
    rows = _examples([*task.train, *task.validation])
    options = {"num_threads": 1, "display_progress": False}
    with _quietly():
        found = tuner.compile(Program(), trainset=rows, eval_kwargs=options)
    return accuracy(lambda question: found(question=question).answer, task.held_out)


def gepa(task: Task) -> float:
    """``dspy.GEPA`` on the same rows, with as many metric calls as our search has evaluations."""

    def judged(
        gold: dspy.Example, prediction: dspy.Prediction, trace: object = None,  # noqa: ARG001
        pred_name: object = None, pred_trace: object = None,  # noqa: ARG001
    ) -> dspy.Prediction:  # fmt: skip
        score, feedback = metric({"answer": gold.answer}, prediction.answer)
        return dspy.Prediction(score=score, feedback=feedback)

    tuner = dspy.GEPA(
        metric=judged, reflection_lm=FunctionLM(reflecting, "scripted"), max_metric_calls=120,
        num_threads=1,
    )  # fmt: skip
    with _quietly():
        found = tuner.compile(
            Program(), trainset=_examples(task.train), valset=_examples(task.validation)
        )
    return accuracy(lambda question: found(question=question).answer, task.held_out)


def _examples(rows: Sequence[Row]) -> list[dspy.Example]:
    return [
        dspy.Example(question=r["question"], answer=r["answer"]).with_inputs("question")
        for r in rows
    ]


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        yield


def measured(task: Task) -> tuple[dict[str, float], int]:
    """The held-out accuracy by way, and the calls of our optimizer's model in the run of both."""
    llm = ScriptedLLM(proposals)
    with dspy.context(lm=recorded_lm([*task.train, *task.validation, *task.held_out])):
        solver = Solver()
        prompt, code = (
            [path for path, p in solver.named_parameters() if p.kind == kind]
            for kind in ("prompt", "code")
        )
        found = {
            "initial": accuracy(lambda question: _plain(solver, question), task.held_out),
            "prompt only": ours(task, prompt, ScriptedLLM(proposals)),
            "code only": ours(task, code, ScriptedLLM(proposals)),
            "both": ours(task, [*prompt, *code], llm),
            "dspy.COPRO": copro(task),
            "dspy.GEPA": gepa(task),
        }
    return found, len(llm.calls)


def missed(means: Mapping[str, float]) -> list[str]:
    """What does not come out as it should."""
    alone = ("initial", "prompt only", "dspy.COPRO", "dspy.GEPA")
    goals = {
        "both beat code only": means["both"] > means["code only"],
        "code only beats the prompt alone": all(means["code only"] > means[way] for way in alone),
    }
    return [goal for goal, held in goals.items() if not held]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and fail if something is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bbh")
    parser.add_argument("--data", type=Path, default=DEFAULT)
    parser.add_argument("--tasks", nargs="*", default=())
    parser.add_argument("--held-out", type=int, help="held-out rows of each task at most")
    chosen = parser.parse_args(arguments)
    try:
        found = tasks(chosen.data, chosen.tasks, chosen.held_out)
    except FileNotFoundError as error:
        parser.error(str(error))
    warnings.simplefilter("ignore")  # DummyLM is of a kind that DSPy 3.4 calls deprecated
    dspy.disable_logging()
    started = time.monotonic()
    print("held-out accuracy in percent; model: recorded code-davinci-002; optimizer: scripted")
    print(f"{'recorded':24}{'rows':>6}" + "".join(f"{way:>13}" for way in WAYS) + f"{'calls':>7}")
    results: list[dict[str, float]] = []
    for task in found:
        row, calls = measured(task)
        results.append(row)
        figures = "".join(f"{row[way]:13.1f}" for way in WAYS)
        print(f"{task.name:24}{len(task.held_out):6}{figures}{calls:7}", flush=True)
    means = {way: statistics.fmean(row[way] for row in results) for way in WAYS}
    print(f"{'mean, recorded':30}" + "".join(f"{means[way]:13.1f}" for way in WAYS))
    print(f"calls: of the optimizer's model in the run of both; {time.monotonic() - started:.0f} s")
    wrong = missed(means)
    print("\n".join(f"MISSED: {goal}" for goal in wrong) or "all that must hold does")
    if wrong:
        sys.exit(1)


if __name__ == "__main__":
    main()
