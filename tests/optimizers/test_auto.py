"""Auto: which optimizers fit, whose step it is, what it asks of them."""

import asyncio
from typing import ClassVar

import pytest

import trace_bridge as tb
from trace_bridge.graph import Feedback, Parameter
from trace_bridge.optimizers.auto import Auto, names_by_optimizer
from trace_bridge.optimizers.base import Change, Optimizer, Proposal, StepPlan, Trial, judge_change


class Fixed(Optimizer):
    name: ClassVar[str] = "fixed"

    def __init__(self, name, minibatch=3, proposals=1):
        super().__init__()
        self.__dict__["name"] = name
        self.minibatch, self.proposals = minibatch, proposals

    def plan(self, history):
        return StepPlan(self.name, self.minibatch, self.proposals, gated=False)

    async def propose(self, subgraphs, parameters, history, n=1):
        changes = tuple(judge_change(p, f"{self.name}{len(history)}") for p in parameters)
        return [Proposal(changes, optimizer=self.name)] * n


def auto(*, proposals=1):
    first, second = Fixed("a", 3, proposals), Fixed("b", 5, proposals)
    return Auto([(first, frozenset({"p", "q"})), (second, frozenset({"r"}))])


ORIGINAL = Trial(0, {}, dict.fromkeys(range(10), 0.2), "original")


def tried(name, score=0.2, *, accepted=False, rows=10):
    proposal = Proposal((Change("p", "x", "y"),), "", name)
    return Trial(1, {}, dict.fromkeys(range(rows), score), "accepted" * accepted, proposal)


def silent(name, *changes):
    return Trial(1, {}, {}, "nothing to try: nothing was proposed", Proposal(changes, "", name))


def asked(*trials):
    return auto().plan([ORIGINAL, *trials]).optimizer


def test_each_changes_its_own_parameters():
    optimizer, history = auto(), [ORIGINAL]
    parameters = [Parameter("x", name) for name in ("p", "q", "r", "s")]
    turns = []
    for _ in range(4):
        plan = optimizer.plan(history)
        [proposal] = asyncio.run(optimizer.propose([], parameters, history, plan.proposals))
        turns.append((plan.minibatch, proposal.optimizer, set(proposal.state)))
        history.append(tried(proposal.optimizer))
    assert turns == [(3, "a", {"p", "q"}), (5, "b", {"r"})] * 2


def test_who_gains_goes_on():
    assert asked(tried("a", 0.5, accepted=True)) == "a"
    assert asked(tried("a"), tried("b", 0.5, accepted=True)) == "b"
    assert asked(tried("a", 0.3, accepted=True), tried("b", 0.9, accepted=True)) == "b"


def test_who_gains_no_more_is_left_for_others():
    gained = tried("a", 0.5, accepted=True)
    assert asked(gained, tried("a")) == "b"
    assert asked(gained, tried("a"), tried("b")) == "a"
    assert asked(gained, *[tried("a")] * 4, tried("b")) == "b"


def test_as_much_gain_for_less_counts_for_more():
    dear, cheap = tried("a", 0.4, accepted=True, rows=40), tried("b", 0.6, accepted=True)
    assert asked(dear, cheap) == "b"
    gated = Trial(1, {}, {}, "worse", tried("a").proposal, feedback=(Feedback(),) * 9)
    assert asked(gated) == "b"  # also what was spent on a minibatch


def test_who_has_nothing_to_propose_is_asked_after_the_others():
    assert asked(silent("a")) == "b"
    drought = [silent("a"), silent("a"), *[tried("b")] * 9]
    assert asked(*drought) == "b"
    refused = Change("p", "x", "y", accepted=False, reason="no")
    assert asked(silent("a", refused), silent("a", refused), *[tried("b")] * 9) == "b"
    assert asked(*drought, silent("b"), silent("b")) == "a"
    assert asked(*drought, tried("b", 0.3, accepted=True), *[tried("b")] * 9) == "a"


def test_trials_of_others_do_not_count():
    assert asked(tried("by hand", 0.9, accepted=True)) == "a"
    assert asked(tried("a"), tried("by hand")) == "b"


def test_the_stake_is_small_where_several_take_part():
    plan = auto(proposals=12).plan([ORIGINAL])
    assert (plan.proposals, plan.turns) == (4, 2)
    plan = Auto([(Fixed("a", proposals=12), frozenset({"p"}))]).plan([ORIGINAL])
    assert (plan.proposals, plan.turns) == (12, 1)


def test_the_settings_are_those_of_all():
    settings = auto().settings()
    assert settings["optimizer"] == "auto"
    assert [made["optimizer"] for made, _ in settings["members"]] == ["a", "b"]


def test_names_by_the_optimizers_that_fit():
    parameters = [
        Parameter("x", "p"),
        Parameter("def f(): pass", "c", kind="code"),
        Parameter([], "d", kind="demos", choices=[{"x": 1}]),
        Parameter(1, "n", kind="number", bounds=(0, 5)),
        Parameter(1, "unbounded", kind="number"),
        Parameter(True, "switch", kind="value"),
        Parameter("a", "model", kind="choice", choices=["a", "b"]),
    ]
    found = names_by_optimizer(parameters)
    assert found == {
        "optoprime": frozenset({"p", "c", "n", "unbounded", "switch", "model"}),
        "bootstrap": frozenset({"d"}),
        "optuna": frozenset({"n", "switch", "model"}),
    }


def test_without_optuna_numbers_are_left_to_the_model(monkeypatch):
    monkeypatch.setattr("trace_bridge.optimizers.auto.find_spec", lambda _: None)
    number = Parameter(1, "n", kind="number", bounds=(0, 5))
    assert names_by_optimizer([number]) == {"optoprime": frozenset({"n"})}


# ------------------------------------------------------------------ whole runs


class Scaler(tb.Module):
    def __init__(self):
        self.prompt = tb.node("say it", trainable=True)
        self.factor = tb.Parameter(0.0, kind="number", bounds=(-4, 4))

    def forward(self, x):
        return scaled(self.prompt, self.factor, x)


@tb.bundle
def scaled(prompt, factor, x):
    return factor * x


def run(llm, journal=None, evaluations=400):
    rows = [{"x": n, "y": 2 * n} for n in range(1, 40)]
    return tb.optimize(
        Scaler(), rows, lambda row, output: max(0.0, 1 - abs(output / row["y"] - 1)), llm=llm,
        budget=tb.Budget(evaluations=evaluations), progress=False,
        engine=tb.Engine(concurrency=2, journal=journal),
    )  # fmt: skip


def test_a_model_is_never_asked_where_there_is_none(monkeypatch):
    monkeypatch.delenv("TRACE_BRIDGE_MODEL", raising=False)
    found = run(None)
    assert found.verdict == "better"
    assert {t.proposal.optimizer for t in found.trials} == {"", "optuna"}
    [warning] = found.record.warnings
    assert warning.startswith("self:prompt: not tuned, since optoprime needs a model")


def test_who_is_at_a_loss_does_not_end_the_run():
    calls = []
    found = run(lambda messages: calls.append(messages) or "I do not know.")
    assert found.verdict == "better"
    fates = [t.fate for t in found.trials if t.proposal.optimizer == "optoprime"]
    assert fates
    assert all(fate.startswith("nothing to try") for fate in fates)
    assert len(calls) == 2 * len(fates)  # each reply was given a second chance


@pytest.mark.parametrize("evaluations", [400, 90])
def test_a_run_resumes_with_the_same_turns(tmp_path, evaluations):
    run(lambda _: "?", tmp_path / "journal.sqlite", evaluations)
    again = run(lambda _: "?", tmp_path / "journal.sqlite")
    whole = run(lambda _: "?")
    assert again.record.reused >= evaluations * 0.7
    assert [(t.proposal.optimizer, t.state) for t in again.trials] == [
        (t.proposal.optimizer, t.state) for t in whole.trials
    ]
