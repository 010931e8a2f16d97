"""The default: every parameter to an optimizer that suits its kind, taking turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from trace_bridge.graph import Parameter, Subgraph, kind_named
from trace_bridge.optimizers.base import Optimizer, Proposal, StepPlan, Trial


class Auto(Optimizer):
    """Takes turns between the optimizers that fit the parameters.

    Args:
        turns: the optimizers, each with the names of the parameters that it is to change.
    """

    name: ClassVar[str] = "auto"

    def __init__(self, turns: Sequence[tuple[Optimizer, frozenset[str]]]) -> None:
        super().__init__()
        self.turns = turns

    def _turn(self, history: Sequence[Trial]) -> tuple[Optimizer, frozenset[str]]:
        """Whose turn it is: the next after the one that proposed last."""
        names = [optimizer.name for optimizer, _ in self.turns]
        last = next(
            (t.proposal.optimizer for t in reversed(history) if t.proposal.optimizer in names), None
        )
        return self.turns[(names.index(last) + 1) % len(names) if last else 0]

    def plan(self, history: Sequence[Trial]) -> StepPlan:
        """What the optimizer whose turn it is wants."""
        return self._turn(history)[0].plan(history)

    def settings(self) -> Mapping[str, object]:
        """The settings of all that take turns."""
        return {"optimizer": self.name, "turns": [dict(o.settings()) for o, _ in self.turns]}

    async def propose(
        self, subgraphs: Sequence[Subgraph], parameters: Sequence[Parameter],
        history: Sequence[Trial], n: int = 1,
    ) -> list[Proposal]:  # fmt: skip
        """Let the optimizer whose turn it is propose, for its own parameters."""
        optimizer, names = self._turn(history)
        own = [parameter for parameter in parameters if parameter.name in names]
        return await optimizer.propose(subgraphs, own, history, n)


def names_by_optimizer(parameters: Sequence[Parameter]) -> dict[str, frozenset[str]]:
    """The names of the parameters that each kind's default optimizer would change."""
    found: dict[str, set[str]] = {}
    for parameter in parameters:
        found.setdefault(kind_named(parameter.kind).optimizer, set()).add(parameter.name)
    return {name: frozenset(names) for name, names in found.items()}
