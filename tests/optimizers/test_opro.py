"""OPRO, with a model that can only build on the best value that its prompt shows last."""

import asyncio
import re

import pytest

from trace_bridge.graph import Parameter, bundle, node
from trace_bridge.optimizers.base import Trial
from trace_bridge.optimizers.opro import OPRO
from trace_bridge.testing import ScriptedLLM


@bundle
def counted(text, question):
    """A step that must stay secret."""
    return f"{question}: {text.count('a')}"


def entries(prompt):
    """The scored list of the prompt, as (score, value)."""
    pattern = r"^score (\S+):\n<value of=\"p\">\n(.*?)\n</value>"
    listed = prompt.partition("# tried, the best last\n")[2].partition("\n# ")[0]
    found = re.findall(pattern, listed, re.DOTALL | re.MULTILINE)
    return [(float(score), value) for score, value in found]


def extend(prompt):
    """The best value with another a; helpless if the list is missing or not ascending."""
    found = entries(prompt)
    if not found or found != sorted(found, key=lambda item: item[0]):
        return None
    better = found[-1][1] + "a"
    taken = prompt.partition("# proposed already")[2].partition("# examples")[0]
    while f"\n{better}\n" in taken:
        better += "a"
    return f'<reasoning>more a</reasoning>\n<variable name="p">{better}</variable>'


def propose(optimizer, history, n=1, parameters=None, subgraphs=()):
    parameters = parameters or [Parameter("start", "p")]
    return asyncio.run(optimizer.propose(subgraphs, parameters, history, n))


def trials(*pairs):
    return [Trial(i, {"p": v}, {0: s}, "dropped") for i, (v, s) in enumerate(pairs)]


def test_a_loop_in_pytorch_words_climbs():
    p = Parameter("b", "p")
    optimizer = OPRO([p], ScriptedLLM(extend))
    for _ in range(4):
        output = counted(p, "how many")
        optimizer.zero_feedback()
        optimizer.backward(output, float(output.peek().rpartition(" ")[2]))
        proposal = optimizer.step()
    assert p.base == "baaaa"
    assert (proposal.optimizer, proposal.reasoning) == ("opro", "more a")


def test_the_list_is_the_best_ones_ascending_each_once():
    llm = ScriptedLLM(extend)
    history = trials(("w", 0.1), ("best", 0.9), ("x", 0.5), ("x", 0.5), ("worst", 0.0))
    propose(OPRO(llm=llm, memory=3), [*history, Trial(5, {"p": "unscored"}, {}, "dropped")])
    assert entries(llm.calls[0].prompt) == [(0.1, "w"), (0.5, "x"), (0.9, "best")]
    assert "unscored" not in llm.calls[0].prompt


def test_the_worst_give_way_to_the_budget():
    llm = ScriptedLLM(extend)
    history = trials(*((f"{i}" * 300, i / 10) for i in range(6)))
    propose(OPRO(llm=llm, budget=1000), history)
    assert [score for score, _ in entries(llm.calls[0].prompt)] == [0.4, 0.5]
    propose(OPRO(llm=llm, budget=0), history)
    assert [score for score, _ in entries(llm.calls[1].prompt)] == [0.5]


def test_proposals_of_one_step_know_of_each_other():
    found = propose(OPRO(llm=ScriptedLLM(extend)), trials(("b", 0.5)), n=3)
    assert [proposal.state["p"] for proposal in found] == ["ba", "baa", "baaa"]


def test_examples_show_what_went_in_and_out_and_nothing_between():
    p, llm = Parameter("banana", "p"), ScriptedLLM(extend)
    question = node("how many", name="question")
    graphs = [counted(p, question).backward((0.25, f"said {i}")) for i in range(5)]
    propose(OPRO(llm=llm, exemplars=2), trials(("b", 0.5)), parameters=[p], subgraphs=graphs)
    prompt = llm.calls[0].prompt
    assert "question: how many\n-> how many: 3\n   score 0.25: said 1\n</example>" in prompt
    assert "said 2" not in prompt
    assert "secret" not in prompt
    assert "counted" not in prompt


def test_every_parameter_may_be_changed_but_demonstrations():
    p, q = Parameter("one", "a:p"), Parameter(2, "a:q", kind="number", bounds=(0, 5))
    d = Parameter([{"x": 1}], "a:demos", kind="demos")
    llm = ScriptedLLM().when(
        '<variable name="a_p" kind="prompt">', "between 0 and 5", '<value of="a_q">\n4',
        reply='<variable name="a_q">3.5</variable>',
    )  # fmt: skip
    history = [Trial(0, {"a:p": "one", "a:q": 4}, {0: 0.1}, "original")]
    [proposal] = propose(OPRO(llm=llm), history, parameters=[p, q, d])
    assert proposal.state == {"a:q": 3.5}
    assert "a_demos" not in llm.calls[0].prompt
    assert propose(OPRO(llm=llm), history, parameters=[d]) == []


def test_what_cannot_be_used_says_why():
    llm = ScriptedLLM(lambda _: '<variable name="q">x</variable>')
    [proposal] = propose(OPRO(llm=llm), [])
    assert [(c.accepted, c.reason) for c in proposal.changes] == [
        (False, "is not one of the variables")
    ]
    [proposal] = propose(OPRO(llm=ScriptedLLM()), [])
    assert not proposal.state
    assert "suggests nothing" in proposal.reasoning


def test_a_model_is_needed(monkeypatch):
    monkeypatch.delenv("TRACE_BRIDGE_MODEL", raising=False)
    with pytest.raises(ValueError, match="OPRO needs a strong model that proposes.*pass llm="):
        propose(OPRO(), [])


def test_scores_of_proposals_are_what_the_next_step_shows():
    plan = OPRO(proposals=3, exemplars=2).plan([])
    assert (plan.optimizer, plan.minibatch, plan.proposals) == ("opro", 2, 3)
    assert not plan.gated  # a proposal that the minibatch would stop gets no score to learn from
    assert OPRO(memory=1).settings() != OPRO(memory=2).settings()
