"""textgrad: prompts of ``BlackboxLLM``, a ``TextLoss``, and ``TGD``, as in its tutorials."""

# ruff: noqa: D102
# (the methods of one side are those of the others; where a name is not enough, one says more)

from __future__ import annotations

import importlib.metadata
import logging
import re
from collections.abc import Callable, Sequence
from typing import Any

import textgrad as tg

from benchmarks.robustness.attempt import NEW, OLD, Scripted, attempted
from benchmarks.robustness.letter import (
    LETTER,
    Office,
    Plan,
    Step,
    complaint,
    mended_by,
    reader,
    write,
)

_ANSWER = f"<IMPROVED_VARIABLE>{NEW}</IMPROVED_VARIABLE>"
_ROLE = "system prompt to a language model"
_VALUE = re.compile(r"<VARIABLE> (.*?) </VARIABLE>", re.DOTALL)
_SAID = re.compile(r"<FEEDBACK>(.*?)</FEEDBACK>", re.DOTALL)
_CALL = re.compile(
    r"<LM_SYSTEM_PROMPT> (.*?) </LM_SYSTEM_PROMPT>\s*<LM_INPUT> (.*?) </LM_INPUT>\s*"
    r"<LM_OUTPUT> (.*?) </LM_OUTPUT>",
    re.DOTALL,
)
_GOAL = re.compile(r"feedback on the LM_OUTPUT: (.*?) </OBJECTIVE_FUNCTION>", re.DOTALL)
_INNOCENT = "There is nothing to change in this variable."


class Engine(tg.EngineLM):
    """A model that answers by a function of the prompt and the system prompt."""

    model_string = "scripted"

    def __init__(self, answer: Callable[[str, str], str]) -> None:
        self.answer = answer
        self.calls = 0

    def generate(self, prompt: str, system_prompt: str | None = None, **_options: object) -> str:
        self.calls += 1
        return self.answer(prompt, system_prompt or "")

    def __call__(self, prompt: str, system_prompt: str | None = None, **options: object) -> str:
        return self.generate(prompt, system_prompt, **options)


class Side:
    """textgrad."""

    def __init__(self) -> None:
        self.versions = {"textgrad": importlib.metadata.version("textgrad")}
        logging.getLogger("textgrad").setLevel(
            logging.WARNING
        )  # else each call is a line of a file

    def reply(
        self, reply: str, finish: str, old: str, kind: str, withheld: Sequence[str]
    ) -> dict[str, object]:
        """Its engines give texts, without why they ended."""
        del finish, kind, withheld
        prompt, optimizer, loss = _problem(_answering(reply), value=old)
        raised, said = attempted(lambda: _stepped(optimizer, loss()), "textgrad")
        return {"value": prompt.value, "why": said, "raised": raised}

    def refusal(self, text: str, most: int) -> dict[str, object]:
        """The loop of its tutorials: a number of steps, which the user chooses."""
        model = Scripted(text)
        prompt, optimizer, loss = _problem(Engine(lambda prompt, _: model.answer(prompt)))
        raised = ""
        while not raised and model.calls < most:
            raised, _ = attempted(lambda: _stepped(optimizer, loss()), "textgrad")
        changed = prompt.value != OLD
        return {"calls": model.calls, "ended": raised or "cut off", "changed": changed}

    def calls(self, examples: int) -> dict[str, object]:
        """All that go to a model: the agent's own too, which the other sides run as functions."""
        engine = _answering(_ANSWER)
        agent = Engine(lambda _, system: f"an answer by {system}")
        judge = Engine(lambda *_: "It is too long.")
        prompt, optimizer, loss = _problem(engine, agent, judge)
        _stepped(optimizer, tg.sum([loss(f"question {number}") for number in range(examples)]))
        calls = engine.calls + judge.calls
        changed = prompt.value == NEW
        return {"calls": calls, "agent": agent.calls, "changed": changed}

    def shown(self, characters: int) -> dict[str, object]:
        model = Scripted(_ANSWER)
        engine = Engine(lambda prompt, _: model.answer(prompt))
        prompt, optimizer, loss = _problem(engine, Engine(lambda *_: "x" * characters))
        _stepped(optimizer, loss())
        changed = prompt.value == NEW
        return {"characters": model.longest, "changed": changed}

    def provider(self, failures: int) -> dict[str, object]:
        model = Scripted(_ANSWER, failures)
        prompt, optimizer, loss = _problem(Engine(lambda prompt, _: model.answer(prompt)))
        raised, _ = attempted(lambda: _stepped(optimizer, loss()), "textgrad")
        return {"value": prompt.value, "raised": raised, "calls": model.calls}

    def outputs(self) -> dict[str, object]:
        """Two outputs of one variable, with something else said of each."""
        engine = _answering(_ANSWER)
        prompt, optimizer, loss = _problem(engine)
        optimizer.zero_grad()
        for question in ("Why", "How"):
            loss(question).backward()
        raised, _ = attempted(optimizer.step)
        return {"value": prompt.value, "raised": raised}

    # ------------------------------------------------------------------ credit

    def credit(self, k: int, seed: int, most: int, *, careful: bool = True) -> dict[str, object]:
        """Each writer is a call of a model; the critic and the updater are one scripted model."""
        del careful  # it shows one variable at a time, so that none is the first
        office = Office(k, seed)
        writers = {
            name: tg.Variable(text, requires_grad=True, role_description=f"instructions of {name}")
            for name, text in office.prompts.items()
        }
        engine, agent = Engine(_critic_or_updater), Engine(_writes)
        judge = Engine(lambda text, _: office.feedback(text)[1])
        tg.set_backward_engine(engine, override=True)
        optimizer = tg.TGD(list(writers.values()))
        loss = tg.TextLoss("Say what is wrong with the letter.", engine=judge)

        def step(plans: Sequence[Plan]) -> dict[str, str]:
            letters = [_letter(plan, writers, agent) for plan in plans]
            _stepped(optimizer, tg.sum([loss(letter) for letter in letters]))
            return {name: writer.value for name, writer in writers.items()}

        found = mended_by(office, most, step)
        return {**found, "calls": engine.calls + judge.calls}


def _problem(
    engine: Engine, agent: Engine | None = None, judge: Engine | None = None, *, value: str = OLD
) -> tuple[Any, Any, Callable[..., Any]]:
    """A prompt, its optimizer, and the loss of a question, with the model of each."""
    tg.set_backward_engine(engine, override=True)
    prompt = tg.Variable(value, requires_grad=True, role_description=_ROLE)
    model = tg.BlackboxLLM(agent or Engine(lambda *_: "A long answer."), system_prompt=prompt)
    loss = tg.TextLoss(
        "Say what is wrong with the answer.", engine=judge or Engine(lambda *_: "It is too long.")
    )

    def asked(question: str = "Why") -> Any:
        given = tg.Variable(question, requires_grad=False, role_description="question to the model")
        return loss(model(given))

    return prompt, tg.TGD(parameters=[prompt]), asked


def _stepped(optimizer: Any, loss: Any) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def _answering(reply: str) -> Engine:
    """A model that criticises in words, and answers so when it is to improve a variable."""
    return Engine(lambda _, system: reply if "IMPROVED_VARIABLE" in system else "It is too long.")


def _critic_or_updater(prompt: str, system: str) -> str:
    shown, call = _VALUE.search(prompt), _CALL.search(prompt)
    value = shown[1] if shown else ""
    if "IMPROVED_VARIABLE" in system:
        found = reader({"": value}, [], "\n".join(_SAID.findall(prompt)), careful=False)
        return f"<IMPROVED_VARIABLE>{found.get('', value)}</IMPROVED_VARIABLE>"
    goal = _GOAL.search(prompt)
    # where losses were summed, the goal is empty, and what the judge said is the output
    told = (goal and complaint(goal[1])) or (call and complaint(call[3])) or ""
    if call is None or not told:
        return _INNOCENT
    if value != call[1]:  # not the instructions: what was written before, so pass it on
        return told
    at_fault = reader({"": value}, [Step("", call[2], call[3])], told, careful=True)
    return told if at_fault else _INNOCENT


def _writes(given: str, system: str) -> str:
    """The agent's own model: a writer."""
    letter, *texts = given.split("\n")
    return write(system, letter, *texts)


def _letter(plan: Plan, writers: dict[str, Any], agent: Engine) -> Any:
    """A run of the writers."""
    letter = tg.Variable(LETTER, requires_grad=False, role_description="beginning of the letter")
    parts: list[Any] = []
    for name, before in plan.steps:
        given = tg.sum([letter, *(parts[at] for at in before)]) if before else letter
        parts.append(tg.BlackboxLLM(agent, system_prompt=writers[name])(given))
    return tg.sum(parts)
