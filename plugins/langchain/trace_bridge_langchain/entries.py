"""Entry seams: a call of the user's own agent runs a copy of it with the current values.

They are on the classes of one agent only, while a TraceCallback of it lives, or while
``trace_bridge.record`` runs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from trace_bridge_langchain.running import active
from trace_bridge_langchain.seams import Place, installed

_METHODS = (
    "invoke", "ainvoke", "stream", "astream", "transform", "atransform", "batch", "abatch",
    "batch_as_completed", "abatch_as_completed", "astream_events", "astream_log",
)  # fmt: skip


def entry_seams(kind: type) -> AbstractContextManager[None]:
    """Have the methods by which one calls a runnable of class ``kind`` redirected."""
    return installed(lambda: _places(kind))


def _places(kind: type) -> Iterator[Place]:
    for name in _METHODS:
        owner = next((base for base in kind.__mro__ if name in vars(base)), None)
        if owner is not None:
            yield owner, name, _entry


def _entry(original: Callable[..., Any]) -> Callable[..., Any]:
    """The method, on what runs in place of its object."""

    def seam(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        where = active.get()
        return original(self if where is None else where.find(self), *args, **kwargs)

    async def aseam(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        where = active.get()
        return await original(self if where is None else where.find(self), *args, **kwargs)

    # generators are made by the call and need no seam of their own kind
    return aseam if inspect.iscoroutinefunction(original) else seam
