"""Agents of one framework inside an agent of another, while that runs.

A tool's function, a node of a graph or an attribute leads to them, and whoever wrote that calls the
very object that he holds. Seams on the methods by which agents are called find that object in the
run, and call what stands in for it: a copy with the values that are current, in its own context.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trace_bridge.recording.seams import SeamPlace, seams_installed

if TYPE_CHECKING:
    from trace_bridge.recording.agent import AgentModule

_OUTERMOST = 1  # the layer of these seams: around those that record
_END = object()


async def _itself(work: Awaitable[Any]) -> Any:
    return await work


@dataclass(frozen=True, slots=True)
class StandIn:
    """What runs in place of an agent for as long as a run of the agent around it lasts.

    Attributes:
        called: a context for one call, in which calls belong to the agent; it gives a function from
            the agent's own objects to those to be used in their place.
        awaited: waits for what a call gave, where somebody may give up waiting.
    """

    called: Callable[[], AbstractContextManager[Callable[[Any], Any]]]
    awaited: Callable[[Awaitable[Any]], Awaitable[Any]] = _itself


@dataclass(frozen=True, slots=True, eq=False)
class Child:
    """An agent that was found inside one of another framework.

    Attributes:
        owners: the names that lead to it.
        module: over it.
        agents: what of it can be called.
    """

    owners: tuple[str, ...]
    module: AgentModule[Any]
    agents: tuple[object, ...]


class _Inner:
    """A child in one run."""

    def __init__(self, child: Child, stack: ExitStack, lock: threading.Lock, *, live: bool) -> None:
        self.child = child
        self._stack = stack
        self._lock = lock
        self._live = live
        self._stand_in: StandIn | None = None

    def stand_in(self) -> StandIn:
        """Made by the first call, and the same for all others of the run."""
        with self._lock:
            if self._stand_in is None:
                own, shared = {id(agent) for agent in self.child.agents}, _copying.get()
                standing = self.child.module.standing_in(live=self._live)
                with copying(lambda value: None if id(value) in own else shared(value)):
                    self._stand_in = self._stack.enter_context(standing)
            return self._stand_in

    @contextmanager
    def called(self, value: object) -> Generator[Any]:
        """A call of ``value``, one of the child's objects; gives what is called instead."""
        others = {at: inner for at, inner in _inside.get().items() if inner is not self}
        with self.stand_in().called() as find:
            token = _inside.set(others)
            try:
                yield find(value)
            finally:
                _inside.reset(token)


_NONE: Mapping[int, _Inner] = {}
_inside: ContextVar[Mapping[int, _Inner]] = ContextVar("nested_agents", default=_NONE)
_copying: ContextVar[Callable[[Any], Any]] = ContextVar("copying", default=lambda _: None)


def in_place_of(value: object) -> Any:
    """What a copy of an agent has to hold in place of ``value``; None if that is its own business.

    For agents of other frameworks (and what leads to them), which a plugin neither copies itself
    nor looks into.
    """
    return _copying.get()(value)


@contextmanager
def copying(find: Callable[[Any], Any]) -> Generator[None]:
    """Let ``find`` answer ``in_place_of`` in this context."""
    token = _copying.set(find)
    try:
        yield
    finally:
        _copying.reset(token)


class NestedRun:
    """One run of an agent that has others in it.

    Args:
        children: those.
        live: whether it is the user's own run, which the children's own objects take part in.
    """

    def __init__(self, children: tuple[Child, ...], *, live: bool) -> None:
        self._children = children
        self._stack = ExitStack()
        lock = threading.Lock()
        self._inside = {
            id(agent): inner
            for child in children
            for inner in [_Inner(child, self._stack, lock, live=live)]
            for agent in child.agents
        }

    @contextmanager
    def entered(self) -> Generator[None]:
        """Let calls in this context find what stands in; it may be entered again."""
        with seams_installed(self._places, _OUTERMOST), copying(self._shared):
            token = _inside.set({**_inside.get(), **self._inside})
            try:
                yield
            finally:
                _inside.reset(token)

    def close(self) -> None:
        """The run is over."""
        self._stack.close()

    def _shared(self, value: object) -> object:
        return value if id(value) in self._inside else None

    def _places(self) -> Iterator[SeamPlace]:
        seen: set[tuple[type, str]] = set()
        for child in self._children:
            for kind in {type(agent): None for agent in child.agents}:
                for name in child.module.methods:
                    owner = next((base for base in kind.__mro__ if name in vars(base)), None)
                    if owner is not None and (owner, name) not in seen:
                        seen.add((owner, name))
                        yield owner, name, _seam(name)


def _seam(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        function = inspect.unwrap(original)
        streams = inspect.isgeneratorfunction(function)
        astreams = inspect.isasyncgenfunction(function)
        if inspect.iscoroutinefunction(function):

            async def acalled(self: Any, /, *args: Any, **kwargs: Any) -> Any:
                inner = _inside.get().get(id(self))
                if inner is None:
                    return await original(self, *args, **kwargs)
                with inner.called(self) as value:
                    return await inner.stand_in().awaited(getattr(value, name)(*args, **kwargs))

            return acalled

        def called(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            inner = _inside.get().get(id(self))
            if inner is None:
                return original(self, *args, **kwargs)
            if streams:
                return _steps(*_begun(inner, self, name, args, kwargs))
            if astreams:
                return _asteps(*_begun(inner, self, name, args, kwargs))
            with inner.called(self) as value:
                return getattr(value, name)(*args, **kwargs)

        return called

    return make


def _begun(
    inner: _Inner, value: object, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[Context, ExitStack, Any]:
    """A stream, in a context of its own, since whoever asks for its pieces has another."""
    context, stack = copy_context(), ExitStack()
    instead = context.run(stack.enter_context, inner.called(value))
    return context, stack, context.run(getattr(instead, name), *args, **kwargs)


def _steps(context: Context, stack: ExitStack, pieces: Any) -> Iterator[Any]:
    try:
        while (piece := context.run(next, pieces, _END)) is not _END:
            yield piece
    finally:
        context.run(pieces.close)
        context.run(stack.close)


async def _asteps(context: Context, stack: ExitStack, pieces: Any) -> AsyncIterator[Any]:
    import asyncio

    async def step() -> Any:
        return await anext(pieces, _END)

    loop = asyncio.get_running_loop()
    try:
        while (piece := await loop.create_task(step(), context=context)) is not _END:
            yield piece
    finally:
        await loop.create_task(pieces.aclose(), context=context)
        context.run(stack.close)
