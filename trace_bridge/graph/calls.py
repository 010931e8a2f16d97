"""Code of the user's while it runs: what went in, what it read, what came out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextvars import Token
from functools import partial
from types import AsyncGeneratorType, GeneratorType
from typing import TYPE_CHECKING, Any, NoReturn, cast

from trace_bridge.graph import context
from trace_bridge.graph.containers import ATOMS, nodes_in, unwrap
from trace_bridge.graph.edge import Edge, Evidence
from trace_bridge.graph.errors import ExecutionError
from trace_bridge.graph.node import Node, linked
from trace_bridge.graph.source import described

if TYPE_CHECKING:
    from trace_bridge.graph.bundle import Operator

_SHORT = 4  # characters; a text below this stands in many values by chance
_LAZY = frozenset({map, filter, zip, enumerate})  # what they read, they read when somebody iterates


class Running(ABC):
    """Code of the user's that runs now, later or bit by bit, and what it read meanwhile."""

    __slots__ = ("inside", "outer", "scope", "token")

    def __init__(self, outer: context.Scope | None, scope: context.Scope) -> None:
        self.outer = outer
        self.scope = scope
        self.inside: context.Scope | None = scope

    def enter(self) -> None:
        """Attribute what is read from now on to this."""
        self.token: Token[context.Scope | None] = context.scope.set(self.inside)

    def leave(self) -> None:
        """Attribute what is read from now on to whoever called."""
        self.inside = context.scope.get()  # it may wait or yield under no_trace()
        context.scope.reset(self.token)

    @abstractmethod
    def result(self, output: object) -> object:
        """What the caller gets of an output."""

    @abstractmethod
    def fail(self, error: Exception) -> NoReturn:
        """Raise what the caller gets of an exception."""
        raise NotImplementedError

    def given(self, output: object) -> object:
        """What the caller gets of an output that may not be there yet."""
        if hasattr(type(output), "__await__"):
            return self.later(output)
        if type(output) in _LAZY or type(output).__module__ == "itertools":
            output = _run_through(cast("Iterable[object]", output))
        if isinstance(output, GeneratorType):
            return self.stream(cast("Generator[object, object, object]", output))
        if isinstance(output, AsyncGeneratorType):
            return self.astream(cast("AsyncGenerator[object, object]", output))
        return self.result(output)

    async def later(self, output: object) -> object:
        """The result of what a coroutine function returns in the end."""
        try:
            output = await _Stepwise(self, cast("Awaitable[object]", output))
        except Exception as error:  # noqa: BLE001 (it is raised again)
            self.fail(error)
        return self._last(output)

    def _last(self, output: object) -> object:
        made = self.result(output)
        self.scope.clear()  # nodes that were made in it and got out must not keep it alive
        return made

    def stream(
        self, source: Generator[object, object, object]
    ) -> Generator[object, object, object]:
        """A generator's items, each when it comes; what is sent in counts as read."""
        resume: Callable[[], object] = partial(next, source)
        while True:
            self.enter()
            try:
                item = resume()
            except StopIteration as stop:
                return self._last(stop.value)
            except Exception as error:  # noqa: BLE001 (it is raised again)
                self.fail(error)
            finally:
                self.leave()
            try:
                sent = yield self.result(item)
            except BaseException as thrown:  # noqa: BLE001 (the generator decides what becomes of it)
                resume = partial(source.throw, thrown)
            else:
                resume = partial(source.send, self._received(sent))

    async def astream(
        self, source: AsyncGenerator[object, object]
    ) -> AsyncGenerator[object, object]:
        """As ``stream``, for an asynchronous generator."""
        resume: Callable[[], Awaitable[object]] = source.__anext__
        while True:
            try:
                item = await _Stepwise(self, resume())
            except StopAsyncIteration:
                self.scope.clear()
                return
            except Exception as error:  # noqa: BLE001 (it is raised again)
                self.fail(error)
            try:
                sent = yield self.result(item)
            except GeneratorExit:  # not thrown in: the loop may have closed the source already
                try:
                    await _Stepwise(self, source.aclose())
                except Exception as error:  # noqa: BLE001 (it is raised again)
                    self.fail(error)
                raise
            except BaseException as thrown:  # noqa: BLE001 (as above)
                resume = partial(source.athrow, thrown)
            else:
                resume = partial(source.asend, self._received(sent))

    def _received(self, sent: object) -> object:
        for node in nodes_in(sent):
            self.scope.note(node)
        return unwrap(sent)


class _Stepwise:
    """An awaitable whose reads are attributed to a call; what runs while it waits is not."""

    def __init__(self, call: Running, awaitable: Awaitable[object]) -> None:
        self.call = call
        self.awaitable = awaitable

    def __await__(self) -> Generator[Any, Any, object]:
        steps = self.awaitable.__await__()
        resume: Callable[[], Any] = partial(next, steps)
        while True:
            self.call.enter()
            try:
                waits_for = resume()
            except StopIteration as stop:
                return stop.value
            finally:
                self.call.leave()
            try:
                sent = yield waits_for
            except BaseException as thrown:  # noqa: BLE001 (it decides what becomes of it)
                resume = partial(steps.throw, thrown)
            else:  # asyncio sends nothing, and its futures take nothing; other loops send results
                resume = partial(next, steps) if sent is None else partial(steps.send, sent)


class OperatorCall(Running):
    """A call of a bundled function."""

    __slots__ = ("labels", "operands", "operator")

    def __init__(
        self, outer: context.Scope | None, scope: context.Scope, operator: Operator[..., Any],
        operands: tuple[object, ...], labels: tuple[str, ...],
    ) -> None:  # fmt: skip
        super().__init__(outer, scope)
        self.operator = operator
        self.operands = operands
        self.labels = labels

    def result(self, output: object) -> Node:
        """The node of what the function returned or yielded."""
        if type(output) not in ATOMS:
            # in a container, or an attribute of an object
            for node in (*nodes_in(output), *nodes_in(getattr(output, "__dict__", None))):
                self.scope.note(node)
            output = unwrap(output)
        return self._node(output)

    def fail(self, error: Exception) -> NoReturn:
        """Raise the error with the failure as its node, and the line that failed in it."""
        text = described(error, self.operator.function)
        node = self._node(text)
        if self.outer is not None:  # whoever fails with us or handles our failure depends on it
            self.outer.note(node)
        self.scope.clear()
        raise ExecutionError.of(error, node) from error

    def _node(self, data: object) -> Node:
        operator = self.operator
        return linked(
            operator.op, data, self.operands, self.labels, self._reads(), operator.description,
            traced=self.scope is not context.UNTRACED,
        )  # fmt: skip

    def _reads(self) -> Sequence[Edge]:
        """What the call depends on besides its arguments."""
        read, outer = self.scope, self.outer
        texts = outer if isinstance(outer, context.ForwardScope) else None
        if not (read or texts):
            return ()
        # a copy, since a thread that was left behind may still be reading
        found = {edge.node: edge for edge in _edges(list(read))}
        if texts:
            self._find(texts, found)
        for item in self.operands:
            for node in nodes_in(item):
                found.pop(node, None)
        return tuple(found.values())

    def _find(self, forward: context.ForwardScope, found: dict[Node, Edge]) -> None:
        """Which texts that the forward took out of nodes (by f-strings) went into arguments."""
        strings = [text for item in self.operands for text in _strings(item, set())]
        for node in list(forward):
            text = node.peek()
            if isinstance(text, str) and len(text) >= _SHORT and any(text in s for s in strings):
                found.setdefault(node, Edge(node, "", Evidence.TEXT))
                forward.placed.add(node)


class ForwardCall(Running):
    """A call of a Module's ``forward``: its operators and inner calls make the graph.

    What it takes out of nodes besides (f-strings, branches) becomes a parent of its result.
    """

    __slots__ = ("function", "name")

    def __init__(self, name: str, function: Callable[..., object]) -> None:
        outer = context.scope.get()
        untraced = outer is context.UNTRACED
        super().__init__(outer, context.UNTRACED if untraced else context.ForwardScope())
        self.name = name
        self.function = function

    def result(self, output: object) -> object:
        """The output; a node over it, if more was read than the output's own edges tell."""
        reads = self._reads()
        if isinstance(output, Node):
            reads = [e for e in reads if e.node is not output and e.node not in set(output.parents)]
        if not any(edge.node.requires_grad for edge in reads):
            return output
        operands = (output,) if nodes_in(output) else ()
        return linked(self.name, unwrap(output), operands, ("output",) * len(operands), reads)

    def fail(self, error: Exception) -> NoReturn:
        """Raise the error with a node, unless it has one."""
        if isinstance(error, ExecutionError):
            raise error
        text = described(error, self.function)
        raise ExecutionError.of(error, linked(self.name, text, (), (), self._reads())) from error

    def _reads(self) -> list[Edge]:
        placed: set[Node] = getattr(self.scope, "placed", set())
        return _edges([node for node in list(self.scope) if node not in placed])


def _edges(read: Iterable[Node]) -> list[Edge]:
    return [Edge(n, "", Evidence.ARGUMENT if n.trainable else Evidence.READ) for n in read]


def _run_through(items: Iterable[object]) -> Generator[object]:
    yield from items


def _strings(value: object, seen: set[int]) -> Iterator[str]:
    """The texts in ``value``, at any depth of list, tuple and dict."""
    if isinstance(value, str):
        yield value
    if not isinstance(value, (list, tuple, Mapping)) or id(cast("object", value)) in seen:
        return
    seen.add(id(cast("object", value)))
    mapping = cast("Mapping[object, object]", value)
    items = mapping.values() if isinstance(value, Mapping) else cast("list[object]", value)
    for item in items:
        yield from _strings(item, seen)
