"""What is true only for this thread or task: parameter values, recording scopes, switches.

Everything here is a ``ContextVar``, so candidates, scopes and switches of concurrent runs never
meet; nothing in the graph is module state.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trace_bridge.graph.node import Node, Parameter

_EMPTY: Mapping[Parameter, object] = {}

# Keyed by the Parameter itself, not by its path: two agents (or nested runs) may use equal paths.
overlay: ContextVar[Mapping[Parameter, object]] = ContextVar("overlay", default=_EMPTY)


class Scope:
    """What the code of one running operator read and made.

    ``read`` holds nodes in first-read order; nodes that were made inside the scope are its own
    business and never become parents of its result.
    """

    __slots__ = ("made", "read")

    def __init__(self) -> None:
        self.read: dict[Node, None] = {}
        self.made: set[Node] = set()

    def parents(self) -> list[Node]:
        """Nodes from outside that were read inside."""
        return [node for node in list(self.read) if node not in self.made]


scope: ContextVar[Scope | None] = ContextVar("scope", default=None)
tracing: ContextVar[bool] = ContextVar("tracing", default=True)


@contextmanager
def overlaid(values: Mapping[Parameter, object]) -> Generator[None]:
    """Let ``values`` be the current ones in this context, on top of those already overlaid."""
    token = overlay.set({**overlay.get(), **values})
    try:
        yield
    finally:
        overlay.reset(token)


@contextmanager
def entered(new: Scope | None) -> Generator[None]:
    """Attribute the reads of this context to ``new`` (to nobody, for ``None``)."""
    token = scope.set(new)
    try:
        yield
    finally:
        scope.reset(token)


@contextmanager
def no_trace() -> Generator[None]:
    """Compute on nodes without keeping parents, in this context only; may be nested."""
    token = tracing.set(False)
    try:
        yield
    finally:
        tracing.reset(token)
