"""trace_bridge: ``OptoPrime`` unless another optimizer is named, in PyTorch's words."""

# ruff: noqa: D102
# (the methods of one side are those of the others; where a name is not enough, one says more)

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import trace_bridge as tb
from benchmarks.robustness import forms
from benchmarks.robustness.attempt import NEW, OLD, Scripted, Varied, attempted, coin
from benchmarks.robustness.letter import (
    LETTER,
    Office,
    Plan,
    mended_by,
    reader,
    write,
    write_all,
)
from trace_bridge.graph.guards import Phrases

_OPTIMIZERS = {"optoprime": tb.OptoPrime, "opro": tb.OPRO, "textgrad": tb.TextGrad}
_ANSWER = f'<variable name="p">{NEW}</variable>'
_CRITIC = "You criticise"  # so begins what TextGrad tells the model that criticises

part, joined = tb.bundle(write), tb.bundle(write_all)


@tb.bundle
def answer(prompt: object, question: str) -> str:
    """Answer the question."""
    return f"{question}: {prompt}"


@tb.bundle(trainable=True)
def act(x, scale=1):  # noqa: ANN001, ANN201, D103 (what the corpus's code is)
    return x * scale


class Agent(tb.Module):
    """Answers by a prompt."""

    def __init__(self) -> None:
        self.prompt = tb.Parameter(OLD)

    def forward(self, question: str) -> Any:
        return answer(self.prompt, question)


class Side:
    """trace_bridge."""

    def __init__(self) -> None:
        self.versions = {"trace_bridge": tb.__version__}

    def reply(
        self, reply: str, finish: str, old: object, kind: str, withheld: Sequence[str],
        optimizer: str = "optoprime",
    ) -> dict[str, object]:  # fmt: skip
        p = tb.Parameter(old, "p", kind=kind)
        p.withheld = Phrases(withheld, 4)  # as ``optimize`` does with training examples

        def model(messages: Sequence[tb.Message]) -> tb.Reply:
            if messages[0]["content"].startswith(_CRITIC):
                return tb.Reply("It is too long.")
            return tb.Reply(reply, finish_reason=finish)

        found: list[tb.Proposal] = []
        made = _optimizer(optimizer)([p], tb.CallableLLM(model, "scripted"))
        raised, _ = attempted(
            lambda: (made.backward(answer(p, "Why"), (0.0, "bad")), found.append(made.step()))
        )
        said = [change.reason for proposal in found for change in proposal.changes]
        said += [proposal.reasoning for proposal in found]
        return {"value": p.peek(), "why": "; ".join(filter(None, said)), "raised": raised}

    def refusal(self, text: str, most: int, optimizer: str = "optoprime") -> dict[str, object]:
        """``optimize`` with its own budget and patience."""
        del most  # it has to end by itself
        model = Scripted(text)
        run = tb.optimize(
            Agent(), _questions(60), lambda *_: (0.0, "It is too long."), optimizer=optimizer,
            llm=tb.CallableLLM(_from(model), "scripted"), engine=tb.Engine(journal=None),
            progress=False,
        )  # fmt: skip
        return {"calls": model.calls, "ended": "by itself", "changed": run.best.number > 0}

    def calls(self, examples: int) -> dict[str, object]:
        model = Scripted(_ANSWER)
        p, optimizer = _task(model)
        for number in range(examples):
            optimizer.backward(answer(p, f"question {number}"), (0.0, "It is too long."))
        optimizer.step()
        return {"calls": model.calls, "changed": p.peek() == NEW}

    def shown(self, characters: int) -> dict[str, object]:
        """The longest prompt where a value in the middle of a run is as long as that."""
        model = Scripted(_ANSWER)
        p, optimizer = _task(model)
        middle = answer(p, "x" * characters)
        optimizer.backward(tb.bundle(len)(middle), (0.0, "It is too long."))
        optimizer.step()
        return {"characters": model.longest, "changed": p.peek() == NEW}

    def provider(self, failures: int) -> dict[str, object]:
        model = Scripted(_ANSWER, failures)
        p, optimizer = _task(model)
        optimizer.backward(answer(p, "Why"), (0.0, "It is too long."))
        raised, _ = attempted(optimizer.step)
        return {"value": p.peek(), "raised": raised, "calls": model.calls}

    def alike(self) -> dict[str, object]:
        """Two variables whose names look alike, and a new value for one of them."""
        one, other = tb.Parameter(OLD, "p 1"), tb.Parameter(OLD, "p_1")
        model = Scripted(f'<variable name="p_1">{NEW}</variable>')
        optimizer = tb.OptoPrime([one, other], tb.CallableLLM(_from(model), "scripted"))
        optimizer.backward(answer(one, other), (0.0, "It is too long."))
        optimizer.step()
        return {"changed": sum(writer.peek() != OLD for writer in (one, other))}

    def outputs(self) -> dict[str, object]:
        """Two outputs of one variable, with something else said of each."""
        p, optimizer = _task(Scripted(_ANSWER))
        for said in ("It is too long.", "It is wrong."):
            optimizer.backward(answer(p, said), (0.0, said))
        raised, _ = attempted(optimizer.step)
        return {"value": p.peek(), "raised": raised}

    def code(self, new: str) -> dict[str, object]:
        """Propose ``new`` for the source of a function, and call it."""

        def model(messages: Sequence[tb.Message]) -> str:
            [name] = forms.ours(messages[1]["content"])[0]
            return f'<variable name="{name}">\n{new}\n</variable>'

        optimizer = tb.OptoPrime([act], tb.CallableLLM(model, "scripted"))
        optimizer.backward(act(2), (0.0, "It is too small."))
        optimizer.step()
        raised, said = attempted(lambda: act(2))
        adopted = str(act.parameters()[0].peek()).strip() == new.strip()
        return {"adopted": adopted, "raised": raised, "why": said}

    def chance(self, seed: int, budget: int) -> dict[str, object]:
        """``optimize`` where scores are drawn: whether it says that something is better."""
        model = Varied('<variable name="self_prompt">Answer in {} lines.</variable>')
        scored = 0

        def metric(example: dict[str, str], output: str) -> tuple[float, str]:
            nonlocal scored
            scored += 1
            return coin(seed, example["question"], output), "It is long."

        engine = tb.Engine(seed=seed, journal=None, patience=budget)
        run = tb.optimize(
            Agent(), _questions(20), metric, valset=_questions(40)[20:],
            testset=_questions(80)[40:], optimizer="optoprime",
            llm=tb.CallableLLM(_from(model), "scripted"), budget=tb.Budget(evaluations=budget),
            engine=engine, progress=False,
        )  # fmt: skip
        return {"changed": run.best.number > 0, "evaluations": scored, "proposals": model.calls}

    # ------------------------------------------------------------------ credit

    def credit(
        self, k: int, seed: int, most: int, *, careful: bool = True, optimizer: str = "optoprime"
    ) -> dict[str, object]:
        office, calls = Office(k, seed), 0
        writers = {name: tb.Parameter(text, name) for name, text in office.prompts.items()}

        def model(messages: Sequence[tb.Message]) -> str:
            nonlocal calls
            calls += 1
            prompt = messages[-1]["content"]
            if optimizer == "gepa":
                for text in reader(*forms.gepa(prompt), careful=careful).values():
                    return f"```\n{text}\n```"
                return "I would leave it as it is."
            found = reader(*forms.ours(prompt), careful=careful)
            return "\n".join(f'<variable name="{n}">{v}</variable>' for n, v in found.items())

        made = _optimizer(optimizer)(writers.values(), tb.CallableLLM(model, "scripted"))

        def step(plans: Sequence[Plan]) -> dict[str, str]:
            made.zero_feedback()
            for plan in plans:
                letter = _letter(plan, writers)
                made.backward(letter, office.feedback(letter.peek()))
            made.step()
            return {name: str(writer.peek()) for name, writer in writers.items()}

        return {**mended_by(office, most, step), "calls": calls}


def _task(model: Scripted) -> tuple[tb.Parameter, tb.OptoPrime]:
    p = tb.Parameter(OLD, "p")
    return p, tb.OptoPrime([p], tb.CallableLLM(_from(model), "scripted"))


def _optimizer(name: str) -> Callable[..., tb.Optimizer]:
    return tb.GEPA if name == "gepa" else _OPTIMIZERS[name]


def _questions(number: int) -> list[dict[str, str]]:
    return [{"question": f"question {at}"} for at in range(number)]


def _from(model: Scripted) -> Callable[[Sequence[tb.Message]], str]:
    return lambda messages: model.answer("".join(message["content"] for message in messages))


def _letter(plan: Plan, writers: dict[str, tb.Parameter]) -> Any:
    """A run of the writers."""
    letter, parts = tb.node(LETTER, name="letter"), list[Any]()
    for name, before in plan.steps:
        parts.append(part(writers[name], letter, *(parts[at] for at in before)))
    return joined(*parts)
