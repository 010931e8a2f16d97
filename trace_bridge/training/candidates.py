"""What a step tries: proposals on their way through minibatch and race."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trace_bridge.graph import Feedback, canonical, jsonable
from trace_bridge.optimizers.base import Change, Proposal


@dataclass(frozen=True, slots=True)
class Candidate:
    """A proposal, and what was said of it on the minibatch, if it was run on that."""

    proposal: Proposal
    feedback: tuple[Feedback, ...] = ()


def rungs(size: int) -> list[range]:
    """Validation rows in three parts, for races in which half of the candidates go on."""
    third = math.ceil(size / 3)
    parts = [range(third), range(third, min(2 * third, size)), range(min(2 * third, size), size)]
    return [part for part in parts if part]


def race_cost(size: int, parts: Sequence[range]) -> int:
    """The evaluations, without repeats, that a race of ``size`` candidates takes."""
    cost = 0
    for part in parts:
        cost += size * len(part)
        size = math.ceil(size / 2)
    return cost


def why_nothing(proposals: Sequence[Proposal]) -> str:
    """Why there is nothing to try in these proposals."""
    reasons = [c.reason for p in proposals for c in p.changes if not c.accepted]
    reasons += [p.reasoning for p in proposals if not p.changes and p.reasoning]
    return "; ".join(dict.fromkeys(reasons)) or "nothing was proposed"


def in_one(proposals: Sequence[Proposal], optimizer: str) -> Proposal:
    """All that was proposed in vain, each once, as one proposal without a state."""
    reasons = dict.fromkeys(p.reasoning for p in proposals if p.reasoning)
    changes = [change for proposal in proposals for change in proposal.changes]
    each = {canonical([c.path, jsonable(c.new), c.reason]): c for c in changes}
    return Proposal(tuple(each.values()), "\n".join(reasons), optimizer)


def journaled(row: Mapping[str, Any]) -> Proposal:
    """The proposal that the journal kept."""
    changes = tuple(Change(**change) for change in row["changes"])
    return Proposal(changes, row["reasoning"], row["optimizer"])
