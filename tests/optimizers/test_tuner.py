"""Optuna behind ``propose``: what it searches, what it learns from, what it leaves alone."""

import asyncio
import importlib.util
import logging
import sys

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_bridge.graph import Parameter, canonical
from trace_bridge.optimizers.base import Trial
from trace_bridge.optimizers.tuner import Optuna


def heat(value=0.9, **more):
    return Parameter(value, "heat", kind="number", **{"bounds": (0.0, 1.0), **more})


def size(value="small"):
    return Parameter(value, "size", kind="choice", choices=["small", "middle", "large"])


def propose(optimizer, parameters, history=(), n=1):
    return asyncio.run(optimizer.propose((), parameters, list(history), n))


def search(parameters, score, steps, n=1, **options):
    """What a loop finds that tries each proposal on its own: the trials."""
    base = {p.name: p.peek() for p in parameters}
    history = [Trial(0, base, {0: score(base)}, "original")]
    for _ in range(steps):
        for proposal in propose(Optuna(**options), parameters, history, n):
            state = {**base, **proposal.state}
            history.append(Trial(len(history), state, {0: score(state)}, "dropped", proposal))
    return history


def near(state):
    """Best at heat 0.3 and size middle."""
    return -abs(state["heat"] - 0.3) - (state["size"] != "middle")


def best(history):
    return max(history, key=lambda trial: trial.score).state


# ------------------------------------------------------------------ learning from history


def test_it_finds_the_best_of_numbers_and_choices():
    found = best(search([heat(), size()], near, steps=10, n=4))
    assert found["size"] == "middle"
    assert found["heat"] == pytest.approx(0.3, abs=0.05)


def test_scores_are_what_it_learns_from():
    """A random search of as many trials keeps trying what scores badly."""

    def good(sampler):
        found = [
            search([size(), heat()], near, steps=10, n=4, sampler=sampler, seed=seed)[-16:]
            for seed in range(5)
        ]
        return sum(trial.state["size"] == "middle" for trials in found for trial in trials)

    drawn, learned = good("RandomSampler"), good("TPESampler")
    assert drawn < 80 * 0.45  # a third of 80 is to be expected
    assert learned > 1.3 * drawn


def test_a_resumed_search_goes_on_as_it_would_have():
    """Nothing is kept between steps: a new optimizer and the history are enough."""
    parameters = [heat(), size()]
    whole = search(parameters, near, steps=8)
    again = [p.state for p in propose(Optuna(), parameters, whole[:6])]
    assert again == [whole[6].proposal.state]
    other = [p.state for p in propose(Optuna(seed=1), parameters, whole[:6])]
    assert other != again


def test_a_loop_in_pytorch_words():
    p = heat()
    optimizer = Optuna([p])
    seen = []
    for _ in range(30):
        output = p * 2
        seen.append(p.peek())
        optimizer.zero_feedback()
        optimizer.backward(output, -abs(output.peek() - 0.6))
        proposal = optimizer.step()
    assert proposal.optimizer == "optuna"
    assert len(set(seen)) == 30  # also when the loop has begun to forget trials
    assert min(abs(value - 0.3) for value in seen) < 0.05


def test_without_scores_it_draws_at_random():
    p = heat()
    optimizer = Optuna([p])
    optimizer.backward(p * 2, "too hot")
    assert 0 <= optimizer.step().state["heat"] <= 1


# ------------------------------------------------------------------ what is searched


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_proposals_keep_the_limits_and_are_never_tried_twice(data):
    low = data.draw(st.integers(-5, 5))
    high = data.draw(st.integers(low + 1, low + 9))
    p = Parameter(low, "whole", kind="number", bounds=(low, high))
    q = Parameter(True, "switch", kind="value")
    seed = data.draw(st.integers(0, 99))
    history = search([p, q], lambda s: float(s["whole"]), steps=3, n=3, seed=seed)
    states = [canonical(trial.state) for trial in history]
    assert len(set(states)) == len(states)
    for trial in history:
        assert type(trial.state["whole"]) is int
        assert low <= trial.state["whole"] <= high
        assert type(trial.state["switch"]) is bool


def test_a_small_space_comes_to_an_end():
    p = Parameter(True, "switch", kind="value")
    history = search([p], lambda s: 0.0, steps=3, n=4)
    assert [trial.state["switch"] for trial in history] == [True, False]


def test_values_of_any_kind_may_be_chosen_from():
    choices = [{"model": "a", "top": 1}, ["b"], None, "b", 1, True]
    p = Parameter({"model": "a", "top": 1}, "setup", kind="choice", choices=choices)
    history = search([p], lambda s: float(s["setup"] is None), steps=2, n=10)
    tried = {canonical(trial.state["setup"]) for trial in history}
    assert tried == {canonical(choice) for choice in choices}


def test_a_prompt_with_choices_is_chosen_and_others_are_left_alone():
    p = Parameter("be short", "p", choices=["be short", "be kind"])
    q = Parameter("hands off", "q")
    d = Parameter([], "d", kind="demos", choices=[{"question": "1"}])
    [proposal] = propose(Optuna(), [p, q, d])
    assert proposal.state == {"p": "be kind"}


def test_space_says_where_to_search_instead():
    p, q = heat(0.5, bounds=None), Parameter("gpt", "model", kind="text")
    space = {"heat": (10, 20), "model": ["a", "b"]}
    [proposal] = propose(Optuna(space=space), [p, q])
    assert 10 <= proposal.state["heat"] <= 20
    assert proposal.state["model"] in ("a", "b")
    [proposal] = propose(Optuna(space={"heat": [0.25]}), [heat()])
    assert proposal.state == {"heat": 0.25}


def test_trials_from_outside_the_space_are_not_told():
    p = heat(7.0)  # what the agent began with
    history = [
        Trial(0, {"heat": 7.0}, {0: 1.0}, "original"),
        Trial(1, {"heat": "warm"}, {0: 1.0}, "dropped"),
        Trial(2, {}, {0: 1.0}, "dropped"),
        Trial(3, {"heat": 1}, {0: 0.5}, "dropped"),
        Trial(4, {"heat": 0.5}, {}, "dropped"),
    ]
    [proposal] = propose(Optuna(), [p], history)
    assert proposal.reasoning == "drawn after 1 scored trials"
    whole = Parameter(1, "heat", kind="number", bounds=(0, 3))
    [proposal] = propose(Optuna(), [whole], history)
    assert proposal.reasoning == "drawn after 1 scored trials"


def test_what_a_parameter_refuses_is_not_proposed():
    odd = Parameter(
        1, "n", kind="number", bounds=(0, 9), check=lambda v: None if v % 2 else "must be odd"
    )
    history = search([odd], lambda s: 0.0, steps=4, n=2)
    assert {trial.state["n"] for trial in history} <= {1, 3, 5, 7, 9}
    never = Parameter(1, "n", kind="number", bounds=(0, 9), check=lambda v: "stays")
    [proposal] = propose(Optuna(), [never], n=3)
    assert proposal.state == {}
    assert proposal.changes[0].reason == "stays"


# ------------------------------------------------------------------ errors, samplers, side effects


def test_a_number_without_bounds_is_named():
    with pytest.raises(ValueError, match=r"heat has no bounds.*space=\{'heat': \(least, greatest"):
        propose(Optuna(), [heat(bounds=None)])


def test_nothing_to_search_is_an_error():
    with pytest.raises(ValueError, match="nothing to search in p: give them choices"):
        propose(Optuna(), [Parameter("x", "p")])


def test_a_space_for_something_else_is_named():
    with pytest.raises(LookupError, match="space names hat, but what is tuned is heat"):
        propose(Optuna(space={"hat": (0, 1)}), [heat()])


def test_samplers_by_name_and_by_function():
    by_name = propose(Optuna(sampler="RandomSampler", seed=3), [heat()])
    made = propose(
        Optuna(sampler=lambda seed: optuna.samplers.RandomSampler(seed=seed), seed=3), [heat()]
    )
    assert by_name == made
    with pytest.raises(LookupError, match=r"unknown sampler 'Tpe'.*RandomSampler.*TPESampler"):
        propose(Optuna(sampler="Tpe"), [heat()])


def test_settings_are_those_that_determine_proposals():
    def sampler(seed):
        return optuna.samplers.RandomSampler(seed=seed)

    different = [
        Optuna(), Optuna(seed=1), Optuna(space={"heat": (0, 1)}), Optuna(proposals=2),
        Optuna(sampler="RandomSampler"), Optuna(sampler=sampler),
    ]  # fmt: skip
    assert len({canonical(optimizer.settings()) for optimizer in different}) == len(different)
    plan = Optuna(proposals=2).plan([])
    assert (plan.proposals, plan.gated) == (2, False)


@pytest.mark.parametrize("level", [optuna.logging.DEBUG, optuna.logging.ERROR])
def test_it_is_quiet_and_leaves_the_logging_as_it_was(level, capfd):
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(level)
    handlers = list(logging.getLogger("optuna").handlers)
    try:
        propose(Optuna(), [heat()])
        assert optuna.logging.get_verbosity() == level
        with pytest.raises(LookupError):
            propose(Optuna(sampler="Tpe"), [heat()])
        assert optuna.logging.get_verbosity() == level
    finally:
        optuna.logging.set_verbosity(before)
    assert logging.getLogger("optuna").handlers == handlers
    assert capfd.readouterr() == ("", "")


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert importlib.util.find_spec("optuna") is None
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'trace-bridge\[optuna\]'"):
        Optuna()
