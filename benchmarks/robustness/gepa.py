"""gepa: ``gepa.optimize`` with an adapter, which is its way into a system of one's own.

A candidate counts as proposed as soon as GEPA has it evaluated. What it does not improve on a
minibatch it drops afterwards, as our loop does; that costs evaluations, and is no part of this.
"""

# ruff: noqa: D102
# (the methods of one side are those of the others; where a name is not enough, one says more)

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gepa import EvaluationBatch, optimize

from benchmarks.robustness import forms
from benchmarks.robustness.attempt import NEW, OLD, Scripted, Varied, attempted, coin
from benchmarks.robustness.letter import BATCH, LETTER, Office, Plan, reader, write_all, written

Record = dict[str, Any]
# runs an example with a candidate: the output, the score, and a record by component
Runs = Callable[[Any, Mapping[str, str]], tuple[str, float, list[tuple[str, Record]]]]
_ANSWER = f"```\n{NEW}\n```"
_BUDGET = 300  # metric calls, where GEPA's budget is what ends a run


class Adapter:
    """A system of texts; keeps the candidates that were tried."""

    propose_new_texts = None

    def __init__(self, runs: Runs) -> None:
        self.runs = runs
        self.tried: list[dict[str, str]] = []
        self.evaluations = 0
        self.rounds = 0  # in which there was something to reflect on

    def evaluate(
        self, batch: Sequence[Any], candidate: dict[str, str], capture_traces: Any = None
    ) -> Any:
        self.tried.append(dict(candidate))
        self.evaluations += len(batch)
        found = [self.runs(example, candidate) for example in batch]
        return EvaluationBatch(
            outputs=[output for output, _, _ in found],
            scores=[score for _, score, _ in found],
            trajectories=[records for _, _, records in found] if capture_traces else None,
        )

    def make_reflective_dataset(
        self, candidate: dict[str, str], eval_batch: Any, components_to_update: list[str]
    ) -> dict[str, list[Record]]:
        every = [item for records in eval_batch.trajectories for item in records]
        self.rounds += any(owner in components_to_update for owner, _ in every)
        return {
            name: [record for owner, record in every if owner == name]
            for name in components_to_update
        }


class Quiet:
    """GEPA's logger, which prints every step, kept still."""

    def log(self, message: str) -> None:
        """Say nothing."""


def _answers(example: str, candidate: Mapping[str, str]) -> Any:
    """An answer that is never good."""
    output = f"{example}: {candidate['p']}"
    record = {
        "Inputs": {"question": example},
        "Generated Outputs": output,
        "Feedback": "It is long.",
    }
    return output, 0.0, [("p", record)]


class Side:
    """gepa."""

    def __init__(self) -> None:
        self.versions = {"gepa": importlib.metadata.version("gepa")}

    def reply(
        self, reply: str, finish: str, old: str, kind: str, withheld: Sequence[str]
    ) -> dict[str, object]:
        """Its reflection model gives texts, without why they ended."""
        del finish, kind, withheld
        found, raised, said = _once(_answers, old, Scripted(reply))
        return {"value": found, "why": said, "raised": raised}

    def refusal(self, text: str, most: int) -> dict[str, object]:
        """With the budget that ends its runs; each refusal is evaluated as a candidate."""
        del most
        model, adapter, old = Scripted(text), Adapter(_answers), {"p": OLD}
        found = optimize(
            old, _QUESTIONS[:20], _QUESTIONS[20:], adapter, reflection_lm=model.answer,
            max_metric_calls=_BUDGET, logger=Quiet(),
        )  # fmt: skip
        tried = sum(candidate != old for candidate in adapter.tried)
        ended = f"{adapter.evaluations} evaluations" + (", of refusals too" if tried else "")
        return {"calls": model.calls, "ended": ended, "changed": found.best_candidate != old}

    def calls(self, examples: int) -> dict[str, object]:
        model = Scripted(_ANSWER)
        value, _, _ = _once(_answers, OLD, model, examples)
        return {"calls": model.calls, "changed": value == NEW}

    def shown(self, characters: int) -> dict[str, object]:
        """As long as what the adapter, which is the user's, puts into its records."""

        def runs(example: str, candidate: Mapping[str, str]) -> Any:
            _, score, [(name, record)] = _answers(example, candidate)
            return "", score, [(name, {**record, "Generated Outputs": "x" * characters})]

        model = Scripted(_ANSWER)
        value, _, _ = _once(runs, OLD, model)
        return {"characters": model.longest, "changed": value == NEW}

    def provider(self, failures: int) -> dict[str, object]:
        model = Scripted(_ANSWER, failures)
        value, raised, _ = _once(_answers, OLD, model)
        return {"value": value, "raised": raised, "calls": model.calls}

    def chance(self, seed: int, budget: int) -> dict[str, object]:
        """Where scores are drawn: whether the best candidate is another than the first."""

        def runs(example: str, candidate: Mapping[str, str]) -> Any:
            output, _, records = _answers(example, candidate)
            return output, coin(seed, example, output), records

        model, adapter = Varied("```\nAnswer in {} lines.\n```"), Adapter(runs)
        old = {"p": OLD}
        found = optimize(
            old, _QUESTIONS[:20], _QUESTIONS[20:], adapter, reflection_lm=model.answer,
            max_metric_calls=budget, logger=Quiet(), seed=seed,
        )  # fmt: skip
        changed = found.best_candidate != old
        return {"changed": changed, "evaluations": adapter.evaluations, "proposals": model.calls}

    def outputs(self) -> dict[str, object]:
        """Two outputs of one variable, with something else said of each."""

        def runs(example: str, candidate: Mapping[str, str]) -> Any:
            output, score, [(name, record)] = _answers(example, candidate)
            return output, score, [(name, {**record, "Feedback": f"It is too long for {example}."})]

        value, raised, _ = _once(runs, OLD, Scripted(_ANSWER), 2)
        return {"value": value, "raised": raised}

    # ------------------------------------------------------------------ credit

    def credit(
        self, k: int, seed: int, most: int, *, careful: bool = True, selector: str = "round_robin"
    ) -> dict[str, object]:
        office, calls = Office(k, seed), 0

        def reflects(prompt: str) -> str:
            nonlocal calls
            calls += 1
            values, steps, feedback = forms.gepa(prompt)
            found = reader(values, steps, feedback, careful=careful)
            return f"```\n{found.get('', values[''])}\n```"

        def stops(_state: object) -> bool:
            return any(map(office.mended, adapter.tried)) or adapter.rounds >= most

        adapter = Adapter(lambda plan, candidate: _letter(office, plan, candidate))
        train, validation = office.plans(10 * BATCH), office.plans(2 * BATCH)
        optimize(
            dict(office.prompts), train, validation, adapter, reflection_lm=reflects,
            reflection_minibatch_size=BATCH, module_selector=selector, stop_callbacks=stops,
            logger=Quiet(), seed=seed,
        )  # fmt: skip
        new = [tried for tried in adapter.tried if tried != office.prompts]
        mended = any(map(office.mended, adapter.tried))
        # an answer that leaves a text as it was is a proposal that changes nothing
        right, others = office.changed(new[0]) if new else (False, 0)
        return {
            "right": right and adapter.rounds == 1, "others": others,
            "proposals": adapter.rounds if mended else None, "calls": calls,
        }  # fmt: skip


_QUESTIONS = [f"question {number}" for number in range(40)]


def _once(runs: Runs, old: str, model: Scripted, examples: int = 3) -> tuple[str, str, str]:
    """One proposal: the text that was evaluated after it, what was raised, and what was said."""
    adapter = Adapter(runs)

    def run() -> None:
        optimize(
            {"p": old}, _QUESTIONS[:examples], _QUESTIONS[:1], adapter, reflection_lm=model.answer,
            reflection_minibatch_size=examples, stop_callbacks=lambda _: model.calls > 0,
            logger=Quiet(),
        )  # fmt: skip

    raised, said = attempted(run)
    new = [tried["p"] for tried in adapter.tried if tried["p"] != old]
    return (new[0] if new else old), raised, said


def _letter(office: Office, plan: Plan, prompts: Mapping[str, str]) -> Any:
    """A run of the writers, with what each read and wrote."""
    parts = written(plan, prompts)
    output = write_all(*parts)
    score, said = office.feedback(output)
    records = [
        (name, {
            "Inputs": {"letter": LETTER, "texts": "\n".join(parts[at] for at in before)},
            "Generated Outputs": part, "Feedback": said,
        })
        for (name, before), part in zip(plan.steps, parts, strict=True)
    ]  # fmt: skip
    return output, score, records
