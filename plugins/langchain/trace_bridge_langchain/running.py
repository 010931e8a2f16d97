"""Which agent's run a context is in, and what stands for the agent's objects in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from types import TracebackType
from typing import Any

from trace_bridge import Call, Recorder, current_call
from trace_bridge_langchain.copies import LightCopy
from trace_bridge_langchain.layout import UNKNOWN, Layout, Site


class Attached:
    """Calls in this context belong to an agent, and read its current values.

    Args:
        layout: the agent's.
        state: gives the current values.
        live: whether the user may call the agent several times: each call reads what is current.
        alone: whether it is to find and leave nothing where graphs keep their state.
    """

    def __init__(
        self, layout: Layout, state: Callable[[], Mapping[str, object]], *, live: bool = False,
        alone: bool = False,
    ) -> None:  # fmt: skip
        self.layout = layout
        self.alone = alone
        self.live = live
        self._state = state
        self._copy: LightCopy | None = None
        self.causes: dict[str, Call] = {}  # by a graph's node: the router's call that chose it
        self.writers: dict[str, Call] = {}  # by a key of a graph's state: who wrote it last

    @property
    def copy(self) -> LightCopy:
        """The agent with the values that were current when it was first asked for."""
        if self._copy is None:
            layout, state = self.layout, self._state()
            alone = self.alone and layout.sessions.graphs
            self._copy = layout.fresh_copy(state, alone=True) if alone else layout.copy(state)
        return self._copy

    def find(self, value: Any) -> Any:
        """What runs in place of ``value``, an object of the agent or of a copy."""
        return (self._copy or self.copy).made.get(id(value), value)

    def entry(self, value: Any) -> Any:
        """As ``find``, where the user may be who calls."""
        if self.live and value is self.layout.agent:
            call = current_call()
            if call is not None and call.parent is None:
                self._copy = None
        return self.find(value)

    def met(self, value: Any) -> tuple[Any, Site]:
        """What runs in place of ``value``, and what is known of it."""
        copy, at = self._copy or self.copy, id(value)
        if not copy.made:  # nothing has changed, and the agent itself runs
            return value, self.layout.sites.get(at, UNKNOWN)
        site = self.layout.sites.get(copy.originals.get(at, at), UNKNOWN)
        return copy.made.get(at, value), site

    def entered(self) -> AbstractContextManager[None]:
        """Let this be what calls in this context belong to."""
        return _Entered(self)


class _Entered(AbstractContextManager[None]):
    __slots__ = ("token", "where")

    def __init__(self, where: Attached) -> None:
        self.where = where

    def __enter__(self) -> None:
        self.token = active.set(self.where)

    def __exit__(self, *_: object) -> None:
        active.reset(self.token)


class Recorded(AbstractContextManager[tuple[Attached, Call]]):
    """A run of the agent by its user; when it is over, ``keep`` gets what was recorded."""

    __slots__ = ("keep", "recorder", "token", "where")

    def __init__(
        self, where: Attached, recorder: Recorder, keep: Callable[[Recorder], None]
    ) -> None:
        self.where = where
        self.recorder = recorder
        self.keep = keep

    def __enter__(self) -> tuple[Attached, Call]:
        self.token = active.set(self.where)
        return self.where, self.recorder.root.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.recorder.root.__exit__(kind, error, trace)
        active.reset(self.token)
        self.keep(self.recorder)


active: ContextVar[Attached | None] = ContextVar("trace_bridge_langchain_active", default=None)
