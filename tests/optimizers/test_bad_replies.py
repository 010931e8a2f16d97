"""Every reply of the corpus through every optimizer that asks a model."""

import asyncio
import re

import pytest
from bad_replies import REPLIES, Case

from trace_bridge.api.wrapping import known_optimizers
from trace_bridge.graph import Parameter, bundle
from trace_bridge.graph.guards import Phrases
from trace_bridge.llm.base import Reply
from trace_bridge.plugins import with_plugins

WITHHELD = (
    "they fly south in the autumn",
    """Water comes down the valley. The river rises in the hills to the north of the old town and
    the mill, and reaches the sea after eighty miles.""",
)
ASKING = {n: f for n, f in known_optimizers(with_plugins(())).items() if f.needs_llm}
FORMED = [name for name in ASKING if name != "gepa"]  # GEPA's form is a text between fences


class Model:
    """Answers the same to whoever wants a value, and keeps what it was asked."""

    model = "scripted"

    def __init__(self, text, finish_reason, criticism=None):
        self.reply = Reply(text, finish_reason=finish_reason)
        self.criticism = criticism or self.reply
        self.asked = []

    async def complete(self, messages):
        self.asked.append(list(messages))
        criticises = messages[0]["content"].startswith("You criticise")
        return self.criticism if criticises else self.reply


def proposed(name, case, text, criticism=Reply("It is too long.")):  # noqa: B008 (frozen)
    p = Parameter(case.old, "p", kind=case.kind)
    p.withheld = Phrases(WITHHELD, 4)
    graph = bundle(str)(p).backward((0.0, "bad"))
    model = Model(text, case.finish, criticism)
    found = asyncio.run(ASKING[name](llm=model).propose([graph], [p], []))
    assert p.base == case.old
    return found, [turn for turn in model.asked if "cannot be used" in turn[-1]["content"]]


@pytest.mark.parametrize("name", FORMED)
@pytest.mark.parametrize("case", REPLIES, ids=lambda case: case.name)
def test_a_reply_is_adopted_as_it_was_meant_or_changes_nothing(name, case):
    found, told = proposed(name, case, case.reply)
    states = [proposal.state for proposal in found]
    if case.new is not None:
        assert states == [{"p": case.new}]
        assert type(states[0]["p"]) is type(case.new)
        assert not told
        return
    assert states == [{}]
    [proposal] = found
    reasons = [f"{change.path} {change.reason}" for change in proposal.changes]
    assert any(case.why in reason for reason in [*reasons, proposal.reasoning])
    assert len(told) == 1
    assert case.why in told[0][-1]["content"]


@pytest.mark.parametrize("case", REPLIES, ids=lambda case: case.name)
def test_a_bad_reply_to_a_critic_changes_nothing_by_itself(case):
    found, _ = proposed("textgrad", case, "nothing", criticism=None)
    assert all(proposal.state == {} for proposal in found)


def value_of(case):
    """The value in a reply that is nothing but one, whole, variable."""
    found = re.fullmatch(r'<variable name="p">\n(.*)\n</variable>', case.reply, re.DOTALL)
    return found[1] if found and "</variable>" not in found[1] else None


@pytest.mark.usefixtures("gepa")
@pytest.mark.parametrize("case", REPLIES, ids=lambda case: case.name)
def test_gepa_adopts_no_bad_reply_either(case):
    if case.kind != "prompt":
        pytest.skip("GEPA writes texts")
    if (value := value_of(case)) is None:
        if case.new is None and case.reply.count("```") < 2:
            found, told = proposed("gepa", case, case.reply)
            assert [proposal.state for proposal in found] == [{}]
            assert len(told) == 1
        return
    found, told = proposed("gepa", case, f"```\n{value}\n```")
    expected = {} if case.new is None else {"p": case.new}
    assert [proposal.state for proposal in found] == [expected]
    assert len(told) == (case.new is None)


@pytest.mark.parametrize("name", FORMED)
def test_the_instructions_of_the_optimizer_do_not_leak_into_a_value(name):
    case = Case("", "")
    _, asked = proposed(name, case, "no")
    system = asked[0][0]["content"]
    assert "cannot be used" not in system
    words = " ".join(re.findall(r"[\w,']+", system)[20:36])
    found, told = proposed(name, case, f'<variable name="p">Reply. {words}</variable>')
    assert [proposal.state for proposal in found] == [{}]
    assert "repeats what you were told" in told[0][-1]["content"]


def test_the_corpus_is_what_it_is_said_to_be():
    bad = [case for case in REPLIES if case.new is None]
    sources = [case.source for case in bad if case.source]
    assert len(bad) >= 60
    assert len(sources) >= len(bad) / 2
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+#\d+", source) for source in sources)
    assert len({case.name for case in REPLIES}) == len(REPLIES)
    assert {"optoprime", "opro", "textgrad"} <= ASKING.keys()
