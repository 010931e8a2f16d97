"""The default: a portfolio of the optimizers that fit the parameters, over the same candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from statistics import fmean
from typing import ClassVar

from trace_bridge.graph import Parameter, Subgraph, kind_named
from trace_bridge.optimizers.base import Optimizer, Proposal, StepPlan, Trial
from trace_bridge.optimizers.tuner import Optuna, searchable

_PROPOSALS = 4  # of a step: a small stake, since it may be another's turn that pays
_SILENT = 2  # steps without any proposal after which the others are asked first


class Auto(Optimizer):
    """Asks, at each step, the optimizer that has gained most for what it has spent.

    All work on the same candidates: each changes its own parameters in the best candidate so far
    (GEPA in any), whoever found that. Whose step it is follows from the trials alone, so nothing
    has to be kept: for each optimizer, the gain in score of its latest accepted proposal over the
    evaluations that it has spent since, that proposal's included. Everybody is granted one more
    step that gains what an accepted proposal gained on average, which is what gets those asked who
    have not paid off so far. Who had nothing to propose twice, since a proposal of anybody's was
    accepted, is asked after all others. Where several take part, a step makes at most 4 proposals.

    Args:
        members: the optimizers, each with the names of the parameters that it is to change.
    """

    name: ClassVar[str] = "auto"

    def __init__(self, members: Sequence[tuple[Optimizer, frozenset[str]]]) -> None:
        super().__init__()
        self.members = members

    def plan(self, history: Sequence[Trial]) -> StepPlan:
        """What the optimizer whose step it is wants."""
        plan = self._turn(history)[0].plan(history)
        return replace(plan, proposals=self._stake(plan), turns=len(self.members))

    def settings(self) -> Mapping[str, object]:
        """The settings of all that take part."""
        members = [[dict(made.settings()), sorted(names)] for made, names in self.members]
        return {"optimizer": self.name, "members": members}

    async def propose(
        self, subgraphs: Sequence[Subgraph], parameters: Sequence[Parameter],
        history: Sequence[Trial], n: int = 1,
    ) -> list[Proposal]:  # fmt: skip
        """Let the optimizer whose step it is propose, for its own parameters."""
        optimizer, names = self._turn(history)
        own = [parameter for parameter in parameters if parameter.name in names]
        return await optimizer.propose(subgraphs, own, history, n)

    def _stake(self, plan: StepPlan) -> int:
        """How many proposals a step makes."""
        return plan.proposals if len(self.members) == 1 else min(plan.proposals, _PROPOSALS)

    def _turn(self, history: Sequence[Trial]) -> tuple[Optimizer, frozenset[str]]:
        """Whose step it is; of equals, the first."""
        rows = max((len(trial.scores) for trial in history), default=0)
        standings = _standings(history, [made.name for made, _ in self.members])
        gains = [standing.gain for standing in standings.values() if standing.gain]
        usual = fmean(gains) if gains else 1.0

        def rank(member: tuple[Optimizer, frozenset[str]]) -> tuple[bool, float]:
            standing = standings[member[0].name]
            plan = member[0].plan(history)
            # about what a race costs in which half of the candidates goes on twice
            step = max(1.0, rows * (self._stake(plan) + 1) / 2)
            spent = standing.spent + (standing.silent + 1) * step
            return standing.silent < _SILENT, (standing.gain + usual) / spent

        return max(self.members, key=rank)


@dataclass(slots=True)
class _Standing:
    """How an optimizer has done.

    Attributes:
        gain: in score, of its latest accepted proposal.
        spent: evaluations of its proposals since then, that proposal's included.
        silent: steps without any proposal since anybody's was accepted.
    """

    gain: float = 0.0
    spent: int = 0
    silent: int = 0


def _standings(history: Sequence[Trial], names: Sequence[str]) -> dict[str, _Standing]:
    found = {name: _Standing() for name in names}
    best = 0.0
    for trial in history:
        standing = found.get(trial.proposal.optimizer, _Standing())
        cost = len(trial.scores) + len(trial.feedback)
        if trial.fate == "accepted":
            standing.gain, standing.spent = (trial.score or 0.0) - best, 0
            for other in found.values():
                other.silent = 0
        standing.spent += cost
        standing.silent += not trial.proposal.state
        if trial.fate in ("original", "accepted"):
            best = trial.score or 0.0
    return found


def names_by_optimizer(parameters: Sequence[Parameter]) -> dict[str, frozenset[str]]:
    """The names of the parameters that each optimizer is to change.

    Every parameter goes to the default optimizer of its kind. Numbers, switches and choices go to
    Optuna as well, where that is installed: a model can tell from feedback in words which way to
    go, but a sampler needs no words.
    """
    found: dict[str, set[str]] = {}
    sampled = find_spec("optuna") is not None
    for parameter in parameters:
        found.setdefault(kind_named(parameter.kind).optimizer, set()).add(parameter.name)
        if sampled and searchable(parameter):
            found.setdefault(Optuna.name, set()).add(parameter.name)
    return {name: frozenset(names) for name, names in found.items()}
