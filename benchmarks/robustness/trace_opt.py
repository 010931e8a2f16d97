"""trace-opt: ``OptoPrime`` as its tutorials use it; a minibatch by a bundle that joins outputs."""

# ruff: noqa: D102
# (the methods of one side are those of the others; where a name is not enough, one says more)

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from opto import trace
from opto.optimizers import OptoPrime

from benchmarks.robustness import forms
from benchmarks.robustness.attempt import NEW, OLD, Scripted, attempted
from benchmarks.robustness.letter import LETTER, Office, Plan, mended_by, reader
from benchmarks.robustness.letter import write as plain_write
from benchmarks.robustness.letter import write_all as plain_write_all


def _answer(values: dict[str, str]) -> str:
    return json.dumps({"reasoning": "", "answer": "", "suggestion": values})


_ANSWER = _answer({"p0": NEW})


@trace.bundle()
def answer(prompt, question):  # noqa: ANN001, ANN201
    """Answer the question."""
    return f"{question}: {prompt}"


@trace.bundle()
def write(prompt, letter, *texts):  # noqa: ANN001, ANN002, ANN201
    """Write a part of the letter as the prompt says, below what there is."""
    return plain_write(prompt, letter, *texts)


@trace.bundle()
def write_all(*parts):  # noqa: ANN002, ANN201
    """Put all parts into one letter."""
    return plain_write_all(*parts)


@trace.bundle()
def batchify(*outputs):  # noqa: ANN002, ANN201
    """Join the outputs of several runs."""
    return "\n".join(f"ID [{number}]: {output}" for number, output in enumerate(outputs))


@trace.bundle()
def length(text):  # noqa: ANN001, ANN201
    """The length of a text."""
    return len(text)


class Side:
    """trace-opt: the seeds' own package (``opto``)."""

    def __init__(self) -> None:
        self.versions = {"trace-opt": importlib.metadata.version("trace-opt")}

    def reply(
        self, reply: str, finish: str, old: Any, kind: str, withheld: Sequence[str]
    ) -> dict[str, object]:
        """It is told the limits of nothing: neither training data nor why a reply ended."""
        del withheld
        trace.GRAPH.clear()
        if kind == "code":
            # its source is found by the text "@trace.bundle("
            @trace.bundle(trainable=True)
            def act(x, scale=1):  # noqa: ANN001, ANN202
                return x * scale

            parameter, output = act.parameter, act(2)
        else:
            parameter = trace.node(old, name="p", trainable=True)
            output = answer(parameter, "Why")
        before = parameter.data
        optimizer = OptoPrime([parameter], llm=_model(lambda _: reply, finish))
        raised, said = attempted(lambda: _stepped(optimizer, output, "bad"))
        value = old if parameter.data == before else parameter.data
        return {"value": value, "why": said, "raised": raised}

    def refusal(self, text: str, most: int) -> dict[str, object]:
        """The loop of its tutorials: a number of steps, which the user chooses."""
        trace.GRAPH.clear()
        model, parameter = Scripted(text), trace.node(OLD, name="p", trainable=True)
        optimizer = OptoPrime([parameter], llm=_model(model.answer))
        for number in range(most):
            _stepped(optimizer, answer(parameter, f"question {number}"), "It is too long.")
        changed = parameter.data != OLD
        return {"calls": model.calls, "ended": "cut off", "changed": changed}

    def calls(self, examples: int) -> dict[str, object]:
        model = Scripted(_ANSWER)
        parameter, optimizer = _task(model)
        outputs = [answer(parameter, f"question {number}") for number in range(examples)]
        _stepped(optimizer, batchify(*outputs), "It is too long.")
        return {"calls": model.calls, "changed": parameter.data == NEW}

    def shown(self, characters: int) -> dict[str, object]:
        model = Scripted(_ANSWER)
        parameter, optimizer = _task(model)
        _stepped(optimizer, length(answer(parameter, "x" * characters)), "It is too long.")
        return {"characters": model.longest, "changed": parameter.data == NEW}

    def provider(self, failures: int) -> dict[str, object]:
        model = Scripted(_ANSWER, failures)
        parameter, optimizer = _task(model)
        output = answer(parameter, "Why")
        raised, _ = attempted(lambda: _stepped(optimizer, output, "It is too long."))
        return {"value": parameter.data, "raised": raised, "calls": model.calls}

    def alike(self) -> dict[str, object]:
        """Two variables whose names look alike, and a new value for one of them."""
        trace.GRAPH.clear()
        one = [trace.node(OLD, name="p", trainable=True) for _ in range(11)][-1]
        other = trace.node(OLD, name="p1", trainable=True)
        model = Scripted(_answer({other.py_name: NEW}))
        optimizer = OptoPrime([one, other], llm=_model(model.answer))
        _stepped(optimizer, answer(one, other), "It is too long.")
        return {"changed": sum(writer.data != OLD for writer in (one, other))}

    def outputs(self) -> dict[str, object]:
        """Two outputs of one variable, with something else said of each."""
        model = Scripted(_ANSWER)
        parameter, optimizer = _task(model)
        optimizer.zero_feedback()
        for said in ("It is too long.", "It is wrong."):
            optimizer.backward(answer(parameter, said), said)
        raised, _ = attempted(optimizer.step)
        return {"value": parameter.data, "raised": raised}

    def code(self, new: str) -> dict[str, object]:
        """Propose ``new`` for the source of a function, and call it."""
        trace.GRAPH.clear()

        @trace.bundle(trainable=True)
        def act(x, scale=1):  # noqa: ANN001, ANN202
            return x * scale

        model = Scripted(_answer({"__code0": new}))
        optimizer = OptoPrime([act.parameter], llm=_model(model.answer))
        _stepped(optimizer, act(2), "It is too small.")
        raised, said = attempted(lambda: act(2))
        adopted = act.parameter.data.strip() == new.strip()
        return {"adopted": adopted, "raised": raised, "why": said}

    # ------------------------------------------------------------------ credit

    def credit(self, k: int, seed: int, most: int, *, careful: bool = True) -> dict[str, object]:
        trace.GRAPH.clear()
        office, calls = Office(k, seed), 0
        writers = {
            name: trace.node(text, name=name, trainable=True)
            for name, text in office.prompts.items()
        }

        def model(prompt: str) -> str:
            nonlocal calls
            calls += 1
            found = reader(*forms.trace_opt(prompt), careful=careful)
            return _answer(found) if found else "TERMINATE"

        optimizer = OptoPrime(list(writers.values()), llm=_model(model))

        def step(plans: Sequence[Plan]) -> dict[str, str]:
            letters = [_letter(plan, writers) for plan in plans]
            said = [office.feedback(letter.data)[1] for letter in letters]
            told = "\n".join(f"ID [{at}]: {text}" for at, text in enumerate(said))
            _stepped(optimizer, batchify(*letters), told)
            return {name: writer.data for name, writer in writers.items()}

        return {**mended_by(office, most, step), "calls": calls}


def _task(model: Scripted) -> tuple[Any, Any]:
    trace.GRAPH.clear()
    parameter = trace.node(OLD, name="p", trainable=True)
    return parameter, OptoPrime([parameter], llm=_model(model.answer))


def _stepped(optimizer: Any, output: Any, feedback: str) -> None:
    optimizer.zero_feedback()
    optimizer.backward(output, feedback)
    optimizer.step()


def _model(answers: Callable[[str], str], finish: str = "stop") -> Callable[..., Any]:
    """A model as its optimizers call one, with OpenAI's response."""

    def model(messages: Sequence[dict[str, str]], **_options: object) -> Any:
        text = answers("".join(message["content"] for message in messages))
        choice = SimpleNamespace(message=SimpleNamespace(content=text), finish_reason=finish)
        return SimpleNamespace(choices=[choice])

    return model


def _letter(plan: Plan, writers: dict[str, Any]) -> Any:
    """A run of the writers."""
    letter, parts = trace.node(LETTER, name="letter"), list[Any]()
    for name, before in plan.steps:
        parts.append(write(writers[name], letter, *(parts[at] for at in before)))
    return write_all(*parts)
