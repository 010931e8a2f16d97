"""What a model's answer becomes."""

import asyncio

import pytest

from trace_bridge.graph import Parameter
from trace_bridge.graph.program import Program
from trace_bridge.llm.base import CallableLLM, Reply
from trace_bridge.optimizers.answer import ask, model_for
from trace_bridge.optimizers.base import Change, Proposal
from trace_bridge.optimizers.bootstrap import Bootstrap
from trace_bridge.optimizers.gepa import GEPA
from trace_bridge.optimizers.opro import OPRO
from trace_bridge.optimizers.optoprime import OptoPrime
from trace_bridge.optimizers.textgrad import TextGrad
from trace_bridge.optimizers.tuner import Optuna


def answered(reply, *parameters):
    llm = CallableLLM(lambda messages: reply)
    return asyncio.run(ask(llm, Program(parameters), [], "mine"))


def test_values_are_typed_and_judged():
    p, n = Parameter("old", "a:p"), Parameter(1, "n", kind="number", bounds=(0, 5))
    reply = (
        '<reasoning>so</reasoning><variable name="a_p">new</variable>'
        '<variable name="n">7</variable><variable name="q">x</variable>'
    )
    assert answered(reply, p, n) == Proposal(
        (
            Change("a:p", "old", "new"),
            Change("n", 1, 7, accepted=False, reason="must be between 0 and 5"),
            Change("q", None, "x", accepted=False, reason="is not one of the variables"),
        ),
        "so",
        "mine",
    )


@pytest.mark.parametrize(
    ("reply", "why"),
    [("no idea", "suggests nothing"), (Reply("x", finish_reason="length"), "was cut off")],
)
def test_an_unreadable_answer_proposes_nothing_and_says_why(reply, why):
    proposal = answered(reply, Parameter("old", "p"))
    assert proposal.changes == ()
    assert why in proposal.reasoning


def test_a_value_of_another_kind_is_refused():
    proposal = answered('<variable name="n">warm</variable>', Parameter(1, "n", kind="number"))
    [change] = proposal.changes
    assert (change.old, change.new, change.accepted) == (1, "warm", False)
    assert "no value of kind number" in change.reason


def test_the_model_is_its_own_or_the_configured_one(monkeypatch):
    own = CallableLLM(lambda messages: "")
    assert model_for(TextGrad(llm=own)) is own
    monkeypatch.setenv("TRACE_BRIDGE_MODEL", "openai/gpt-4o")
    assert model_for(TextGrad()).model == "openai/gpt-4o"
    monkeypatch.delenv("TRACE_BRIDGE_MODEL")
    with pytest.raises(ValueError, match="TextGrad needs a strong model that proposes"):
        model_for(TextGrad())


def test_who_needs_no_model_is_named_rightly():
    with pytest.raises(ValueError, match="three ways") as caught:
        model_for(TextGrad())
    said = str(caught.value).rpartition("need none: ")[2]
    ours = (Bootstrap, GEPA, OPRO, OptoPrime, Optuna, TextGrad)
    assert said == ", ".join(kind.name for kind in ours if not kind.needs_llm) + "."


def test_an_accepted_value_outlives_a_refused_second_one():
    """Of two answers each variable gets the later value that can be used."""
    p, n = Parameter("old", "p"), Parameter(1, "n", kind="number", bounds=(0, 5))
    replies = [
        '<variable name="p">new</variable><variable name="n">7</variable>',
        '<variable name="p"></variable><variable name="n">5</variable>',
    ]
    llm = CallableLLM(lambda messages: replies.pop(0))
    proposal = asyncio.run(ask(llm, Program([p, n]), [], "mine"))
    assert proposal.state == {"p": "new", "n": 5}


def test_a_long_reply_that_cannot_be_used_is_shown_in_short():
    asked = []
    llm = CallableLLM(lambda messages: asked.append(messages) or "x" * 50_000)
    asyncio.run(ask(llm, Program([Parameter("old", "p")]), [], "mine"))
    assert len(asked[1][0]["content"]) <= 8000
    assert "suggests nothing" in asked[1][1]["content"]
