"""Bootstrap: demonstrations by search over subsets, from labels and from runs that went well.

The idea of labelled and bootstrapped demonstrations is DSPy's (``LabeledFewShot`` and
``BootstrapFewShotWithRandomSearch``, Khattab et al. 2023); candidates here are compared on common
validation rows by the training loop, which is what keeps the search from fitting noise.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, cast

from trace_bridge.graph import Node, Operator, Parameter, Subgraph, canonical
from trace_bridge.graph.values import JSON, jsonable
from trace_bridge.optimizers.base import (
    Optimizer,
    Proposal,
    StepPlan,
    Trial,
    judge_change,
)

Demo = dict[str, JSON]


class Bootstrap(Optimizer):
    """Proposes sets of demonstrations; needs no model.

    Args:
        parameters: see ``Optimizer``; those of another kind than demos are left alone.
        demos: how many demonstrations a set holds.
        proposals: how many sets a step proposes. The first set of a run is the first ``demos``
            labelled rows; after that, half of the sets are drawn anew and half exchange some
            demonstrations of the current set.
        threshold: the score from which a run is worth learning from.
        seed: determines the draws.
    """

    name: ClassVar[str] = "bootstrap"

    def __init__(
        self, parameters: Iterable[Parameter | Operator[..., object]] = (), *, demos: int = 8,
        proposals: int = 12, threshold: float = 1.0, seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(parameters, seed=seed)
        self.demos = demos
        self.proposals = proposals
        self.threshold = threshold

    def plan(self, history: Sequence[Trial]) -> StepPlan:
        """Many proposals, straight to the validation rows: there is no feedback to answer to."""
        return StepPlan(self.name, self.demos, self.proposals, gated=False)

    def settings(self) -> Mapping[str, object]:
        """See ``Optimizer``."""
        return {
            **super().settings(), "demos": self.demos, "proposals": self.proposals,
            "threshold": self.threshold,
        }  # fmt: skip

    async def propose(
        self, subgraphs: Sequence[Subgraph], parameters: Sequence[Parameter],
        history: Sequence[Trial], n: int = 1,
    ) -> list[Proposal]:  # fmt: skip
        """Sets of demonstrations for all demos parameters, each drawn from its own pool."""
        generator = self.random(history)
        pools = {
            parameter: _pool(parameter, subgraphs, self.threshold)
            for parameter in parameters
            if parameter.kind == "demos"
        }
        pools = {parameter: pool for parameter, pool in pools.items() if pool}
        if not pools:
            return []
        names = [parameter.name for parameter in pools]
        tried = {canonical({name: trial.state.get(name) for name in names}) for trial in history}
        first = not any(trial.proposal.optimizer == self.name for trial in history)
        proposals: list[Proposal] = []
        for attempt in range(4 * n):  # small pools repeat themselves: do not look for ever
            if len(proposals) == n:
                break
            values = {
                parameter: self._choose(parameter, pool, generator, attempt, first=first)
                for parameter, pool in pools.items()
            }
            state = canonical({parameter.name: value for parameter, value in values.items()})
            changes = tuple(judge_change(parameter, value) for parameter, value in values.items())
            if state not in tried and any(change.accepted for change in changes):
                tried.add(state)
                proposals.append(Proposal(changes, f"{self.demos} demonstrations", self.name))
        return proposals

    def _choose(
        self, parameter: Parameter, pool: list[Demo], generator: random.Random, attempt: int,
        *, first: bool,
    ) -> list[Demo]:  # fmt: skip
        size = min(self.demos, len(pool))
        if first and attempt == 0:
            return pool[:size]
        current = cast("list[Demo]", parameter.peek())
        if first or attempt % 2 or len(current) < size:
            return generator.sample(pool, size)
        others = [demo for demo in pool if demo not in current]
        exchanged = min(len(others), max(1, size // 3))
        kept = generator.sample(current, size - exchanged)
        return kept + generator.sample(others, exchanged)


def _pool(parameter: Parameter, subgraphs: Sequence[Subgraph], threshold: float) -> list[Demo]:
    """The demonstrations there are: labelled ones first, then those of runs that went well."""
    found: dict[str, Demo] = {}
    for demo in cast("Iterable[Demo]", parameter.choices):
        found.setdefault(canonical(demo), demo)
    for graph in subgraphs:
        if graph.score is not None and graph.score >= threshold:
            for demo in _demonstrated(parameter, graph):
                found.setdefault(canonical(demo), demo)
    return list(found.values())


def _demonstrated(parameter: Parameter, graph: Subgraph) -> Iterator[Demo]:
    """What the components that read ``parameter`` were given and made of it."""
    for node in graph.nodes:
        if any(parent is parameter for parent in node.parents):  # == would be an operator
            inputs = {
                edge.label: jsonable(edge.node.peek())
                for edge in node.edges
                if edge.label and not edge.node.trainable
            }
            yield inputs | _outputs(node)


def _outputs(node: Node) -> Demo:
    data = jsonable(node.peek())
    return data if isinstance(data, dict) else {"output": data}
