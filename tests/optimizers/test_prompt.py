import asyncio

import pytest

from trace_bridge.api.wrapping import known_optimizers
from trace_bridge.graph import Feedback, Parameter, bundle, node
from trace_bridge.llm.base import Reply
from trace_bridge.optimizers.base import Trial
from trace_bridge.optimizers.prompt import Program, prompt, remembered
from trace_bridge.plugins import with_plugins


@bundle
def made(start):
    return f"{start}!"


def trial(score, **state):
    return Trial(0, state, {0: score}, "dropped")


def test_earlier_candidates_are_a_line_each_and_cut_to_fit():
    program = Program([Parameter("now", "p")])
    trials = [trial(0.25, p="a\nb", other="secret"), trial(1, p="x" * 2000)]
    first, second = remembered(program, trials, 10_000).splitlines()
    assert first == "score 0.25: p = 'a\\nb'"
    assert "characters left out" in second
    assert len(second) < 550
    assert len(remembered(program, trials, 200)) <= 200


def test_what_was_said_of_earlier_candidates_is_shown_the_worst_first():
    program = Program([Parameter("now", "p")])
    said = (
        Feedback("fine", 1.0),
        Feedback("rude", 0.0),
        Feedback("rude", 0.0),
        Feedback("x" * 900),
    )
    failed = Trial(1, {"p": "a"}, {}, "worse on the minibatch", feedback=said[:3])
    present = Trial(2, {"p": "now"}, {0: 1}, "accepted", feedback=said)
    long = Trial(3, {"p": "b"}, {0: 0.5}, "dropped", feedback=said[3:])
    first, second, third = remembered(program, [failed, present, long], 10_000).splitlines()
    assert first == (
        "score 0.333 on a few examples: p = 'a'; said of it: 'rude'; said of it: 'fine'"
    )
    assert second == "score 1: p = 'now'"
    assert "characters left out" in third


def test_a_prompt_keeps_its_budget_with_earlier_candidates():
    p = Parameter("now", "p")
    end = p
    for _ in range(500):
        end = made(end)
    graph = end.backward("long")
    trials = [trial(0.5, p="before " * 300)] * 3
    text = prompt(Program([p]), [graph, graph], trials, 4000)
    assert 3500 < len(text) <= 4000
    assert text.count("score 0.5: p = 'before") == 3
    assert "# tried before" not in prompt(Program([p]), [graph], [], 4000)


# ------------------------------------------------------------------ of all that ask a model


ASKING = [name for name, f in known_optimizers(with_plugins(())).items() if f.needs_llm]


class Model:
    """Says nothing useful, and keeps how long the prompts were."""

    model = "scripted"

    def __init__(self):
        self.lengths = []

    async def complete(self, messages):
        self.lengths.append(sum(len(message["content"]) for message in messages))
        return Reply("nothing")


@bundle
def grown(prompt, text):
    """Much from much."""
    return f"{text}{prompt}{text}"


@bundle
def joined(prompt, *texts):
    """All of them."""
    return prompt


def long_values(p):
    return grown(p, node("q" * 100_000)).backward((0.0, "f" * 200_000))


def many_inputs(p):
    texts = [node(f"text {n} " * 100, name=f"a_long_name_{n}" * 9) for n in range(2_000)]
    return joined(p, *texts).backward((0.0, "bad"))


@pytest.mark.parametrize("run", [long_values, many_inputs])
@pytest.mark.parametrize("name", ASKING)
def test_whatever_a_run_holds_prompts_stay_small(name, run, request):
    if name == "gepa":
        request.getfixturevalue("gepa")
    p = Parameter("Answer.", "p")
    model = Model()
    optimizer = known_optimizers(with_plugins(()))[name](llm=model)
    asyncio.run(optimizer.propose([run(p)] * 3, [p], []))
    assert model.lengths
    assert max(model.lengths) <= 61_000


@pytest.mark.parametrize("name", [name for name in ASKING if name != "textgrad"])
def test_a_run_of_thousands_of_steps_fits(name, request):  # textgrad asks about each of them
    if name == "gepa":
        request.getfixturevalue("gepa")
    p, text = Parameter("Answer.", "p"), node("")
    for _ in range(10_000):
        text = joined(p, text)
    model = Model()
    optimizer = known_optimizers(with_plugins(()))[name](llm=model)
    asyncio.run(optimizer.propose([text.backward((0.0, "bad"))], [p], []))
    assert max(model.lengths) <= 61_000
