"""What is to be optimized, and the examples for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trace_bridge.graph import JSON, Parameter
from trace_bridge.recording.agent import AgentModule

State = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Rows:
    """Examples of one split, with what identifies each of them in the journal.

    Attributes:
        traced: whether evaluations keep their subgraphs. It is part of what identifies them: an
            equal example of another split was evaluated without.
    """

    name: str
    examples: Sequence[Any]
    keys: Sequence[JSON]
    traced: bool = False

    def __len__(self) -> int:
        return len(self.examples)


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be optimized, and the data for it."""

    module: AgentModule[Any]
    parameters: Sequence[Parameter]
    train: Rows
    validation: Rows
    test: Rows
    baselines: Mapping[str, State]
