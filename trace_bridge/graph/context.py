"""What is true only for this thread or task: parameter values, recording scopes, switches.

Everything here is a ``ContextVar``, so candidates, scopes and switches of concurrent runs never
meet; nothing in the graph is module state.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

if TYPE_CHECKING:
    from trace_bridge.graph.node import Node
    from trace_bridge.graph.parameter import Parameter

_P = ParamSpec("_P")
_R = TypeVar("_R")
_EMPTY: Mapping[Parameter, object] = {}

# Keyed by the Parameter itself, not by its path: two agents (or nested runs) may use equal paths.
overlay: ContextVar[Mapping[Parameter, object]] = ContextVar("overlay", default=_EMPTY)


class Scope(dict["Node", None]):
    """The nodes that the code of one running operator read, in the order of the first reads.

    A node that an operator like ``+`` made inside has the scope as its ``home`` and is the scope's
    own business: its operands have been noted. (A dict, since one is made for every call.)
    """

    __slots__ = ()

    def note(self, node: Node) -> None:
        """A plain value was taken out of ``node``: by ``.data``, an f-string, ``bool``, ``len``."""
        if node.home is not self:
            self[node] = None

    def uses(self, node: Node) -> None:
        """``node`` was the operand of an operator."""
        self.note(node)

    @property
    def home(self) -> Scope | None:
        """What marks the nodes that are made in here."""
        return self


class ForwardScope(Scope):
    """What the ``forward`` of a Module read: the operators in it have edges of their own.

    ``placed`` has the nodes among them whose text went on into a bundled function.
    """

    __slots__ = ("placed",)

    @property
    def home(self) -> None:
        """Nothing: they are part of the graph."""

    def __init__(self) -> None:
        super().__init__()
        self.placed: set[Node] = set()

    def note(self, node: Node) -> None:
        """As above, also for nodes that were made in this forward."""
        self[node] = None

    def uses(self, node: Node) -> None:
        """Nothing: the operator's result has an edge."""


class _Untraced(ForwardScope):
    __slots__ = ()

    def note(self, node: Node) -> None:
        """Nothing: nobody wants to know."""


UNTRACED = _Untraced()

scope: ContextVar[Scope | None] = ContextVar("scope", default=None)


class _Layer(dict["Parameter", object]):
    """Values with those below them."""

    __slots__ = ("below", "own")

    def __init__(self, below: Mapping[Parameter, object], own: Mapping[Parameter, object]) -> None:
        super().__init__(below)
        self.update(own)
        self.below = below
        self.own = own


@contextmanager
def overlaid(values: Mapping[Parameter, object]) -> Generator[None]:
    """Let ``values`` be the current ones in this context, on top of those already overlaid."""
    own = dict(values)
    overlay.set(_Layer(overlay.get(), own))
    try:
        yield
    finally:
        above: list[Mapping[Parameter, object]] = []
        top = overlay.get()
        while isinstance(top, _Layer) and top.own is not own:
            above.append(top.own)
            top = top.below
        if isinstance(top, _Layer):  # else it ends in another context, which has never had it
            # generators leave in any order: what others have laid over it stays
            overlay.set(functools.reduce(_Layer, reversed(above), top.below))


class no_trace:  # noqa: N801 (it is called like a function)
    """Compute on nodes without keeping parents, in this context only; may be nested.

    Also a decorator, ``@no_trace()``, of functions and of coroutine functions.
    """

    def __init__(self) -> None:
        self._tokens: list[Token[Scope | None]] = []

    def __enter__(self) -> None:
        self._tokens.append(scope.set(UNTRACED))

    def __exit__(self, *_: object) -> None:
        scope.reset(self._tokens.pop())

    def __call__(self, function: Callable[_P, _R]) -> Callable[_P, _R]:
        """``function``, without keeping parents.

        Raises:
            TypeError: for a generator function: whoever takes the items would run untraced, too.
        """
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            name = getattr(function, "__qualname__", function)
            msg = f"no_trace() is no decorator for generators: enter it in {name}, between yields"
            raise TypeError(msg)
        if not inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
                with no_trace():
                    return function(*args, **kwargs)

            return call

        @functools.wraps(function)
        async def later(*args: _P.args, **kwargs: _P.kwargs) -> object:
            with no_trace():
                return await cast("Awaitable[object]", function(*args, **kwargs))

        return cast("Callable[_P, _R]", later)
