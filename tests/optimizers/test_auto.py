import asyncio
from typing import ClassVar

from trace_bridge.graph import Parameter
from trace_bridge.optimizers.auto import Auto, names_by_optimizer
from trace_bridge.optimizers.base import Optimizer, Proposal, StepPlan, Trial, judge_change


class Fixed(Optimizer):
    name: ClassVar[str] = "fixed"

    def __init__(self, name, minibatch):
        super().__init__()
        self.__dict__["name"] = name
        self.minibatch = minibatch

    def plan(self, history):
        return StepPlan(self.name, self.minibatch, proposals=1, gated=False)

    async def propose(self, subgraphs, parameters, history, n=1):
        changes = tuple(judge_change(p, f"{self.name}{len(history)}") for p in parameters)
        return [Proposal(changes, optimizer=self.name)] * n


def auto():
    return Auto([(Fixed("a", 3), frozenset({"p", "q"})), (Fixed("b", 5), frozenset({"r"}))])


PARAMETERS = [Parameter("x", name) for name in ("p", "q", "r", "s")]


def test_optimizers_take_turns_each_with_its_own_parameters():
    optimizer, history = auto(), [Trial(0, {}, {}, "original")]
    turns = []
    for number in range(1, 6):
        plan = optimizer.plan(history)
        [proposal] = asyncio.run(optimizer.propose([], PARAMETERS, history, plan.proposals))
        turns.append((plan.minibatch, proposal.optimizer, set(proposal.state)))
        history.append(Trial(number, proposal.state, {}, "dropped", proposal))
    assert turns == [
        (3, "a", {"p", "q"}),
        (5, "b", {"r"}),
        (3, "a", {"p", "q"}),
        (5, "b", {"r"}),
        (3, "a", {"p", "q"}),
    ]


def test_trials_of_others_do_not_count():
    stranger = Trial(1, {}, {}, "dropped", Proposal((), optimizer="by hand"))
    assert auto().plan([stranger]).optimizer == "a"
    mine = Trial(1, {}, {}, "dropped", Proposal((), optimizer="a"))
    assert auto().plan([mine, stranger]).optimizer == "b"


def test_the_settings_are_those_of_all():
    settings = auto().settings()
    assert settings["optimizer"] == "auto"
    assert [turn["optimizer"] for turn in settings["turns"]] == ["a", "b"]


def test_names_by_the_optimizer_of_their_kind():
    parameters = [
        Parameter("x", "p"),
        Parameter([], "d", kind="demos"),
        Parameter(1, "n", kind="number"),
    ]
    assert names_by_optimizer(parameters) == {
        "optoprime": frozenset({"p", "n"}),
        "bootstrap": frozenset({"d"}),
    }
