"""``optimizer=``: names of ours and of plugins, classes, instances, and what is none of these."""

import re
import sys
from typing import ClassVar

import pytest

import trace_bridge as tb
from trace_bridge.plugins import PluginError


class Setter(tb.Optimizer):
    """Proposes the right prompt, whatever it is shown."""

    name: ClassVar[str] = "setter"
    prompt = "double the number"

    async def propose(self, subgraphs, parameters, history, n=1):
        [parameter] = parameters
        return [tb.Proposal((tb.judge_change(parameter, self.prompt),), "", self.name)]


class Offers:
    def __init__(self, **optimizers):
        self.offered = optimizers

    @tb.hookimpl
    def optimizers(self):
        return self.offered


def made_by_function(llm, seed):
    return Setter(llm=llm, seed=seed)


@pytest.mark.parametrize(
    ("optimizer", "offered"),
    [
        ("mine", {"mine": Setter}),
        ("mine", {"mine": made_by_function}),
        (Setter, {}),
        (Setter(), {}),
    ],
)
def test_an_optimizer_by_name_class_or_instance(run, optimizer, offered):
    found = run(optimizer=optimizer, plugins=[Offers(**offered)])
    assert found.verdict == "better"
    assert found.record.trials[1].proposal.optimizer == "setter"


def test_an_optimizer_of_a_plugin_gets_model_and_seed(run, teacher):
    got = []

    def factory(llm, seed):
        got.append((llm.function, seed))
        return Setter(llm=llm, seed=seed)

    run(optimizer="mine", plugins=[Offers(mine=factory)], engine=tb.Engine(seed=7))
    assert got == [(teacher, 7)]


def test_an_unknown_name_lists_what_there_is(run):
    with pytest.raises(LookupError, match=r"'adam'; known: auto, bootstrap, gepa, mine, opro"):
        run(optimizer="adam", plugins=[Offers(mine=Setter)])


@pytest.mark.parametrize("optimizer", [int, 3, None, made_by_function])
def test_what_is_no_optimizer_is_named(run, optimizer):
    with pytest.raises(TypeError, match=rf"{re.escape(repr(optimizer))} is no optimizer: pass one"):
        run(optimizer=optimizer)


def test_a_plugin_that_makes_something_else_is_named(run):
    with pytest.raises(PluginError, match=r"'mine' of a plugin is 'oops', which is no"):
        run(optimizer="mine", plugins=[Offers(mine=lambda llm, seed: "oops")])


def test_a_missing_package_is_named_before_anything_is_run(run, agent, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ModuleNotFoundError, match=r"trace-bridge\[optuna\]"):
        run(optimizer="optuna")
    assert agent.asked == []


def test_where_a_model_is_missing_those_that_need_none_are_named(run, monkeypatch):
    monkeypatch.delenv("TRACE_BRIDGE_MODEL", raising=False)
    for name in ("opro", "textgrad"):
        with pytest.raises(ValueError, match=rf"{name} needs a strong.*need none: boot.*, optuna"):
            run(optimizer=name, llm=None)


# ------------------------------------------------------------------ ours, end to end


def test_opro_finds_a_better_prompt(run):
    def scripted(messages):
        text = messages[-1]["content"]
        shown = '<value of="self_prompt">\nrepeat the number' in text and "score 0:" in text
        told = "should be doubled" in text and "# examples" in text
        return '<variable name="self_prompt">double the number</variable>' * (shown and told)

    found = run(optimizer="opro", llm=scripted)
    assert found.verdict == "better"
    assert found.best.state == {"self:prompt": "double the number"}


def test_textgrad_finds_a_better_prompt(run):
    def scripted(messages):
        text = messages[-1]["content"]
        if "# criticism" not in text:
            bad = "should be doubled" in text and '<input name="prompt">\nrepeat the num' in text
            return "it must say that numbers are doubled" * bad
        told = "numbers are doubled" in text
        return '<variable name="self_prompt">double the number</variable>' * told

    found = run(optimizer="textgrad", llm=scripted)
    assert found.verdict == "better"
    assert found.best.state == {"self:prompt": "double the number"}


class Scaler(tb.Module):
    def __init__(self):
        self.factor = tb.Parameter(1.0, kind="number", bounds=(-4, 4))
        self.way = tb.Parameter("down", kind="choice", choices=["down", "up", "away"])

    def forward(self, x):
        return {"down": -1, "up": 1, "away": 0}[self.way.data] * self.factor * x


def test_optuna_finds_a_number_and_a_choice_without_a_model(run):
    def near(example, output):
        return max(0.0, 1 - abs(output / example["y"] - 1))

    budget = tb.Budget(evaluations=1500)
    engine = tb.Engine(concurrency=4, journal=None, patience=8)
    settings = {"agent": Scaler(), "metric": near, "budget": budget, "llm": None}
    found = run(optimizer="optuna", engine=engine, **settings)
    assert found.verdict == "better"
    assert found.verdict.after > 0.9
    sign = {"down": -1, "up": 1}[found.best.state["self:way"]]
    assert sign * found.best.state["self:factor"] == pytest.approx(2, abs=0.2)


def test_a_search_by_optuna_resumes(run):
    def near(example, output):
        return max(0.0, 1 - abs(output / example["y"] - 1))

    settings = {"agent": Scaler(), "metric": near, "llm": None, "optimizer": "optuna"}
    run(budget=tb.Budget(evaluations=150), **settings)
    again = run(budget=tb.Budget(evaluations=400), **settings)
    whole = run(
        budget=tb.Budget(evaluations=400), engine=tb.Engine(concurrency=4, journal=None), **settings
    )
    assert again.record.reused > 100
    assert [t.state for t in again.record.trials] == [t.state for t in whole.record.trials]
