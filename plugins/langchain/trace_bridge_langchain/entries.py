"""Entry seams: a call of the user's own agent runs a copy of it with the current values.

They are on the classes of one agent only, while a TraceCallback of it lives, or while
``trace_bridge.record`` runs.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from contextvars import Context, copy_context
from typing import Any, Protocol, cast

from langchain_core.runnables import Runnable
from langchain_core.tracers.log_stream import RunLog

from trace_bridge import Call, SeamPlace, seams_installed
from trace_bridge_langchain.running import Attached, active

METHODS = (
    "invoke", "ainvoke", "stream", "astream", "transform", "atransform", "batch", "abatch",
    "astream_events", "astream_log",
)  # fmt: skip


class Entered(Protocol):
    """What a call of the agent brings along, and what records the run that it starts."""

    def run(self, given: object) -> AbstractContextManager[tuple[Attached, Call]]:
        """A context for one run of the agent; the result is to be told to the call."""
        ...

    def without(self, config: object) -> object:
        """``config`` less what it brought along, which LangChain would call for each event."""
        ...


_TOLD = ("astream_events", "astream_log")  # their pieces tell of the output, and are none of it

Find = Callable[[Any, tuple[Any, ...], Mapping[str, Any]], Entered | None]


def _nobody(*_: object) -> None:
    return None


def entry_seams(kind: type, find: Find = _nobody) -> AbstractContextManager[None]:
    """Have the methods by which one calls a runnable of class ``kind`` redirected.

    Args:
        kind: the agent's class.
        find: tells whether a call (object, arguments, keywords) brings something that records it.
    """
    # around the seams on components, since the agent may be one: a function, a prompt, a model
    layer = 1 if find is _nobody else 2
    return seams_installed(lambda: _places(kind, find), layer)


def _places(kind: type, find: Find) -> Iterator[SeamPlace]:
    for name in METHODS:
        owner = next((base for base in kind.__mro__ if name in vars(base)), None)
        if owner is not None:
            yield owner, name, lambda original, name=name: _entry(original, name, find)


def _entry(original: Callable[..., Any], name: str, find: Find) -> Callable[..., Any]:
    per_item = {"batch": Runnable.batch, "abatch": Runnable.abatch}.get(name)

    def seam(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        where = active.get()
        if where is not None:
            return original(where.entry(self), *args, **kwargs)
        callback = find(self, args, kwargs)
        if callback is None:
            return original(self, *args, **kwargs)
        if per_item is not None:  # a chain's own batch goes step by step, through all items
            return inspect.unwrap(per_item)(self, *args, **kwargs)
        given = args[0] if args else kwargs.get("input")
        args = (*args[:1], *map(callback.without, args[1:]))
        if "config" in kwargs:
            kwargs["config"] = callback.without(kwargs["config"])
        if name == "invoke":
            with callback.run(given) as (where, root):
                output = original(where.find(self), *args, **kwargs)
                root.returns(output)
            return output
        if name == "ainvoke":
            return _ainvoke(callback, original, self, args, kwargs)
        if name in ("stream", "transform"):
            return _stream(callback, original, self, args, kwargs)
        return _astream(callback, original, self, args, kwargs)

    return seam


def _output_in(total: Any, name: str) -> Any:
    """What a run has returned, as its last event or its log tells; other pieces make it up."""
    if name == "astream_events" and isinstance(total, dict):
        event = cast("Mapping[str, Any]", total)
        return event.get("data", {}).get("output", event)
    if name == "astream_log" and isinstance(total, RunLog):
        return total.state["final_output"]
    return total


async def _ainvoke(
    callback: Entered, original: Callable[..., Any], self: Any, args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Any:  # fmt: skip
    with callback.run(args[0] if args else kwargs.get("input")) as (where, root):
        output = await original(where.find(self), *args, **kwargs)
        root.returns(output)
    return output


class _Run:
    """A run whose steps are taken in a context of its own, since whoever asks has another."""

    def __init__(
        self, callback: Entered, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> None:
        self._name = name
        self.context: Context = copy_context()
        self._stack = ExitStack()
        given = args[0] if args else kwargs.get("input")
        self.where, self.root = self.context.run(self._stack.enter_context, callback.run(given))
        self.total: Any = None

    def note(self, piece: Any) -> None:
        """Add a piece to the result."""
        if self._name not in _TOLD:
            self.root.yields(piece)
        try:
            self.total = piece if self.total is None else self.total + piece
        except TypeError:
            self.total = piece

    def end(self, *, whole: bool) -> None:
        """The stream is over, or failed with the exception that is being handled."""
        if whole:
            self.root.returns(_output_in(self.total, self._name))
        kind, error, trace = sys.exc_info()
        left = isinstance(error, GeneratorExit)
        self.context.run(
            self._stack.__exit__, *((None, None, None) if left else (kind, error, trace))
        )


def _stream(
    callback: Entered, original: Callable[..., Any], self: Any, args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Iterator[Any]:  # fmt: skip
    run = _Run(callback, original.__name__, args, kwargs)
    whole = False
    try:
        pieces = run.context.run(original, run.where.find(self), *args, **kwargs)
        while (piece := run.context.run(next, pieces, _END)) is not _END:
            run.note(piece)
            yield piece
        whole = True
    finally:
        run.end(whole=whole)


_END = object()


async def _astream(
    callback: Entered, original: Callable[..., Any], self: Any, args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> AsyncIterator[Any]:  # fmt: skip
    run = _Run(callback, original.__name__, args, kwargs)
    whole = False
    try:
        pieces = run.context.run(original, run.where.find(self), *args, **kwargs)

        async def step() -> Any:
            return await anext(pieces, _END)

        while True:
            task = asyncio.get_running_loop().create_task(step(), context=run.context)
            piece = await task
            if piece is _END:
                break
            run.note(piece)
            yield piece
        whole = True
    finally:
        run.end(whole=whole)
