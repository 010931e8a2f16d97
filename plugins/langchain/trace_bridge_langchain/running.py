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
        self.taken: LightCopy | None = None
        self.causes: dict[str, Call] = {}  # by a graph's node: the router's call that chose it
        self.writers: dict[str, Call] = {}  # by a key of a graph's state: who wrote it last

    @property
    def copy(self) -> LightCopy:
        """The agent with the values that were current when it was first asked for."""
        if self.taken is None:
            layout, state = self.layout, self._state()
            alone = self.alone and layout.sessions.graphs
            self.taken = layout.fresh_copy(state, alone=True) if alone else layout.copy(state)
        return self.taken

    def find(self, value: Any) -> Any:
        """What runs in place of ``value``, an object of the agent or of a copy."""
        return (self.taken or self.copy).made.get(id(value), value)

    def entry(self, value: Any) -> Any:
        """As ``find``, where the user may be who calls."""
        if self.live and value is self.layout.agent:
            call = current_call()
            if call is not None and call.parent is None:
                self.taken = None
        return self.find(value)

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

# No function of our own: seams ask it at every call.
attached: Callable[[], Attached | None] = active.get


def met(value: Any) -> tuple[Any, Site, Attached | None]:
    """What runs in place of ``value`` here, what is known of it, and the run that it belongs to."""
    where = attached()
    if where is None:
        return value, UNKNOWN, None
    copy, at, sites = where.taken or where.copy, id(value), where.layout.sites
    if not copy.made:  # nothing has changed, and the agent itself runs
        return value, sites.get(at, UNKNOWN), where
    return copy.made.get(at, value), sites.get(copy.originals.get(at, at), UNKNOWN), where
