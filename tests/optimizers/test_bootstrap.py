import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_bridge.graph import Feedback, Node, Parameter, bundle, canonical, node, subgraph
from trace_bridge.graph.edge import Edge, Evidence
from trace_bridge.optimizers.base import Trial
from trace_bridge.optimizers.bootstrap import Bootstrap
from trace_bridge.recording import Recorder, link


def labelled(count, prefix="q"):
    return [{"question": f"{prefix}{number}", "answer": str(number)} for number in range(count)]


def demos(name="qa:demos", value=(), choices=()):
    return Parameter(list(value), name, kind="demos", choices=choices)


def propose(optimizer, parameters, history=(), n=1, subgraphs=()):
    return asyncio.run(optimizer.propose(subgraphs, parameters, list(history), n))


def as_trial(number, proposal, base):
    return Trial(number, {**base, **proposal.state}, {0: 0.5}, "dropped", proposal)


ORIGINAL = Trial(0, {"qa:demos": []}, {0: 0.0}, "original")


def test_the_first_proposal_is_the_first_labelled_rows():
    p = demos(choices=labelled(20))
    [first, *others] = propose(Bootstrap(demos=4), [p], [ORIGINAL], n=5)
    assert first.state == {"qa:demos": labelled(20)[:4]}
    assert first.optimizer == "bootstrap"
    assert len(others) == 4
    for proposal in others:
        value = proposal.state["qa:demos"]
        assert len({canonical(demo) for demo in value}) == 4
        assert all(demo in labelled(20) for demo in value)


@given(st.integers(1, 6), st.integers(0, 8), st.integers(1, 6), st.integers(0, 3))
def test_no_proposal_is_made_twice_and_none_is_the_present_value(size, pool, n, steps):
    p, optimizer = demos(choices=labelled(pool)), Bootstrap(demos=size)
    history, made = [ORIGINAL], [canonical([])]
    for _ in range(steps + 1):
        for proposal in propose(optimizer, [p], history, n):
            made.append(canonical(proposal.state["qa:demos"]))
            history.append(as_trial(len(history), proposal, ORIGINAL.state))
    assert len(made) == len(set(made))


@given(st.integers(0, 3), st.integers(0, 3))
def test_equal_seeds_and_histories_give_equal_proposals(seed, steps):
    def run():
        p, optimizer, history = (
            demos(choices=labelled(9)),
            Bootstrap(demos=3, seed=seed),
            [ORIGINAL],
        )
        for _ in range(steps + 1):
            found = propose(optimizer, [p], history, 4)
            history += [as_trial(len(history) + at, item, {}) for at, item in enumerate(found)]
            if found:
                p.set(found[-1].state["qa:demos"])
        return json.dumps([proposal.state for trial in history for proposal in [trial.proposal]])

    assert run() == run()


def test_other_seeds_give_other_proposals():
    made = set[str]()
    for seed in range(5):
        optimizer = Bootstrap(demos=3, seed=seed)
        [_, second] = propose(optimizer, [demos(choices=labelled(30))], [], 2)
        made.add(canonical(second.state))
    assert len(made) == 5


def test_later_sets_exchange_some_of_the_current_demonstrations():
    p, optimizer = demos(choices=labelled(20)), Bootstrap(demos=6)
    [first] = propose(optimizer, [p], [ORIGINAL])
    p.set(first.state["qa:demos"])
    history = [ORIGINAL, as_trial(1, first, {})]
    kept = [
        sum(demo in p.peek() for demo in proposal.state["qa:demos"])
        for proposal in propose(optimizer, [p], history, 6)
    ]
    assert kept.count(4) >= 3  # every other one; the rest are drawn anew


def test_each_parameter_draws_from_its_own_pool():
    p, q = demos("p", choices=labelled(5, "p")), demos("q", choices=labelled(5, "q"))
    nothing, prompt = demos("r"), Parameter("x", "prompt")
    for proposal in propose(Bootstrap(demos=2), [prompt, p, nothing, q], [], 4):
        assert set(proposal.state) <= {"p", "q"}
        for name, value in proposal.state.items():
            assert all(demo["question"].startswith(name) for demo in value)


def test_without_demonstrations_there_is_nothing_to_propose():
    assert propose(Bootstrap(), [demos()], []) == []
    assert propose(Bootstrap(), [Parameter("x", "prompt")], []) == []


def test_equal_rows_are_one():
    p = demos(choices=labelled(3) * 5)
    [first, *_] = propose(Bootstrap(demos=8), [p], [], 1)
    assert first.state == {"qa:demos": labelled(3)}


@bundle
def answer(question, shown):
    return {"answer": question.upper()}


@pytest.mark.parametrize(("score", "learnt"), [(1.0, True), (0.9, False), (None, False)])
def test_runs_that_went_well_give_demonstrations(score, learnt):
    p = demos()
    graph = subgraph({answer("why", p): Feedback("so", score)})
    found = propose(Bootstrap(demos=4), [p], [], 1, [graph])
    values = [proposal.state["qa:demos"] for proposal in found]
    assert values == ([[{"question": "why", "answer": "WHY"}]] if learnt else [])


def test_the_threshold_can_be_lowered():
    p = demos()
    graph = subgraph({answer("why", p): Feedback(score=0.5)})
    assert propose(Bootstrap(threshold=0.5), [p], [], 1, [graph])


def test_a_traced_demonstration_shows_what_the_component_was_given():
    p = demos()
    recorder = Recorder({"question": "which?"})
    with recorder.recording() as root:
        with root.component("search", {"query": "which?"}, {"prompt": Parameter("x")}) as search:
            search.returns([["one"], ["two"]])
        inputs = {"context": search.output[1], "question": "which?"}
        with root.component("qa", inputs, {"demos": p}) as call:
            call.returns("two", {"answer": "two"})
        root.returns(call.output, call.fields)
    graph = subgraph({link(recorder): Feedback(score=1.0)})
    [proposal] = propose(Bootstrap(), [p], [], 1, [graph])
    assert proposal.state["qa:demos"] == [
        {"context": ["two"], "question": "which?", "answer": "two"}
    ]


def test_a_failed_call_is_no_demonstration():
    p = demos()
    failed = Node("(KeyError) 'x'", "qa", [Edge(p, "demos", Evidence.ARGUMENT)])
    graph = subgraph({failed: Feedback(score=0.0)})
    assert propose(Bootstrap(), [p], [], 1, [graph]) == []


def test_a_step_by_hand():
    p = demos(choices=labelled(12))
    optimizer = Bootstrap([p], demos=3)
    values = []
    for _ in range(4):
        optimizer.zero_feedback()
        optimizer.backward(answer("x", p), 0.0)
        optimizer.step()
        values.append(canonical(p.base))
    assert p.base != []
    assert values[0] == canonical(labelled(12)[:3])
    assert len(set(values)) == 4


def test_the_plan_and_the_settings():
    optimizer = Bootstrap(demos=3, proposals=5, threshold=0.5, seed=9)
    plan = optimizer.plan([])
    assert (plan.optimizer, plan.proposals, plan.gated) == ("bootstrap", 5, False)
    assert not optimizer.needs_llm
    others = [Bootstrap(demos=4), Bootstrap(proposals=5), Bootstrap(threshold=0), Bootstrap(seed=1)]
    keys = {canonical(item.settings()) for item in [optimizer, Bootstrap(), *others]}
    assert len(keys) == 6


def test_values_of_traced_demonstrations_are_json():
    @bundle
    def counted(items, shown):
        return len(items)

    p = demos()
    graph = subgraph({counted(node({"b", "a"}), p): Feedback(score=1.0)})
    [proposal] = propose(Bootstrap(), [p], [], 1, [graph])
    assert proposal.state["qa:demos"] == [{"items": ["a", "b"], "output": 2}]
