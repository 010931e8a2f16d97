"""Edges: what a node depends on, and why we believe it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from trace_bridge.graph.node import Node


class Evidence(StrEnum):
    """Why an edge is believed to exist, strongest first."""

    ARGUMENT = "argument"  # passed as an argument to a traced operation
    IDENTITY = "identity"  # the very object that the parent returned
    TEXT = "text"  # the parent's text stands in the value
    WORDS = "words"  # some run of the parent's words stands in the value
    READ = "read"  # the parent was read before, and nothing else explains why

    @property
    def weak(self) -> bool:
        """Whether the edge is a guess that an optimizer may want to leave out."""
        return self in (Evidence.WORDS, Evidence.READ)


class Edge(NamedTuple):
    """One dependency: the node depended on, under which name, and why we believe it."""

    node: Node
    label: str
    evidence: Evidence
