"""Operators: functions whose calls become nodes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

from trace_bridge.graph import context
from trace_bridge.graph.node import Edge, Evidence, Node, Parameter, nodes_in, unwrap
from trace_bridge.graph.source import (
    UnsafeCodeError,
    code_runner,
    rebuild,
    signature_refusal,
    source_of,
)

_P = ParamSpec("_P")
_R = TypeVar("_R")


class ExecutionError(Exception):
    """A traced function raised. ``node`` is the failure as an output that can get feedback.

    The class that is raised also derives from the original's class, so the user's own
    ``except KeyError`` still works; the original is the ``__cause__``.
    """

    node: Node

    @classmethod
    def of(cls, error: Exception, node: Node) -> ExecutionError:
        """The error to raise for ``error``."""
        kind = _error_class(type(error))
        raised = kind.__new__(kind, *error.args)
        raised.__dict__.update(error.__dict__)
        raised.node = node
        return raised


@functools.lru_cache(maxsize=256)
def _error_class(original: type[Exception]) -> type[ExecutionError]:
    if issubclass(original, ExecutionError):
        return original
    name, body = f"ExecutionError[{original.__name__}]", {"__init__": _no_init}
    try:
        return cast("type[ExecutionError]", type(name, (ExecutionError, original), body))
    except TypeError:  # the original's class is final (pydantic's ValidationError is)
        return cast("type[ExecutionError]", type(name, (ExecutionError,), body))


def _no_init(_self: object, *_args: object) -> None:
    """The state is copied from the original, whose own __init__ may want other arguments."""


class Operator(Generic[_P, _R]):
    """What ``bundle`` returns: a function that records each call as a node.

    Looks like the function it wraps (name, doc, signature, coroutine-ness).
    """

    def __init__(
        self, function: Callable[_P, _R], *, trainable: bool = False, description: str = "",
        unsafe: bool = False, owner: object = None,
    ) -> None:  # fmt: skip
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            name = function.__qualname__
            msg = f"bundle cannot record the generator function {name}; return a list"
            raise TypeError(msg)
        functools.update_wrapper(self, function)
        self.function = function
        self.description = description or inspect.getdoc(function) or ""
        self._unsafe = unsafe
        self.owner = owner
        self.names = tuple(inspect.signature(function).parameters)
        self._source = source_of(function) if trainable else ""
        self.parameter = self._trainable_source() if trainable else None

    def _trainable_source(self) -> Parameter:
        source = self._source
        return Parameter(
            source, kind="code", description=self.description,
            constraint=f"Must define {self.function.__name__}{inspect.signature(self.function)}",
            check=lambda value: signature_refusal(source, str(value)),
        )  # fmt: skip

    def __set_name__(self, owner: type, name: str) -> None:
        self._attribute = name

    def __get__(self, instance: object, owner: type | None = None) -> Operator[..., _R]:
        # a method: bound once per instance, with a parameter of its own
        if instance is None:
            return self
        bound = Operator(
            self.function, trainable=self.parameter is not None, description=self.description,
            unsafe=self._unsafe, owner=instance,
        )  # fmt: skip
        vars(instance)[self._attribute] = bound  # found before this descriptor from now on
        return bound

    def parameters(self) -> list[Parameter]:
        """The source of a trainable function; nothing otherwise."""
        return [] if self.parameter is None else [self.parameter]

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> Node:
        """Call the function on the arguments' data, and record the call."""
        call = _Call(self, args, kwargs)
        if inspect.iscoroutinefunction(self.function):
            return cast("Node", call.run_async())  # awaitable, as the wrapped function's result
        return call.run()

    def implementation(self) -> Callable[..., Any]:
        """The user's own function, or what stands for it once its source has changed."""
        if self.parameter is None:
            return self.function
        source = cast("str", self.parameter.read())
        if source == self._source:
            return self.function
        if self._unsafe:
            return rebuild(self.function, source)
        runner = code_runner.get()
        if runner is None:
            msg = (
                f"the source of {self.function.__qualname__} has changed, and no code runner is"
                " configured to run it: pass bundle(trainable=True, unsafe=True) to run"
                " model-written code in this process"
            )
            raise UnsafeCodeError(msg)
        return lambda *args, **kwargs: runner.run(source, self.function.__name__, args, kwargs)


class _Call:
    """One call of an operator: what went in, what was read inside, what came out."""

    def __init__(
        self, operator: Operator[..., Any], args: tuple[object, ...], kwargs: dict[str, object]
    ) -> None:
        self.operator = operator
        self.args, self.kwargs = args, kwargs
        self.scope = context.Scope()

    def _invoke(self) -> object:
        function = self.operator.implementation()
        args = [unwrap(item) for item in self.args]
        kwargs = {name: unwrap(item) for name, item in self.kwargs.items()}
        owner = self.operator.owner
        return function(*args, **kwargs) if owner is None else function(owner, *args, **kwargs)

    def run(self) -> Node:
        with context.entered(self.scope):
            try:
                output = self._invoke()
            except Exception as error:
                raise self._failed(error) from error
            return self._result(output)

    async def run_async(self) -> Node:
        with context.entered(self.scope):
            try:
                output = await cast("Awaitable[object]", self._invoke())
            except Exception as error:
                raise self._failed(error) from error
            return self._result(output)

    def _failed(self, error: Exception) -> ExecutionError:
        return ExecutionError.of(error, self._made(f"({type(error).__name__}) {error}"))

    def _result(self, output: object) -> Node:
        return self._made(unwrap(output))

    def _made(self, data: object) -> Node:
        edges = self._arguments()
        known = {edge.node for edge in edges}
        edges += [
            Edge(read, "", Evidence.READ if not read.trainable else Evidence.ARGUMENT)
            for read in self.scope.parents()
            if read not in known
        ]
        operator = self.operator
        return Node(data, operator.function.__name__, edges, description=operator.description)

    def _arguments(self) -> list[Edge]:
        names = self.operator.names[self.operator.owner is not None :]
        labelled = [*zip(names, self.args, strict=False), *self.kwargs.items()]
        labelled += [(f"args_{index}", item) for index, item in enumerate(self.args[len(names) :])]
        edges: list[Edge] = []
        for label, item in labelled:
            inner = nodes_in(item) or [Node(item, "constant", name=label)]
            edges += [Edge(node, label, Evidence.ARGUMENT) for node in inner]
        return edges


@overload
def bundle(function: Callable[_P, _R], /) -> Operator[_P, _R]: ...
@overload
def bundle(
    *, trainable: bool = False, description: str = "", unsafe: bool = False
) -> Callable[[Callable[_P, _R]], Operator[_P, _R]]: ...
def bundle(
    function: Callable[_P, _R] | None = None, /, *, trainable: bool = False, description: str = "",
    unsafe: bool = False,
) -> Operator[_P, _R] | Callable[[Callable[_P, _R]], Operator[_P, _R]]:  # fmt: skip
    """Record each call of the function as a node; use as ``@bundle`` or ``@bundle(...)``.

    Args:
        function: the function, when used without parentheses.
        trainable: make the function's source a parameter that an optimizer may change.
        description: what the operation does, for a model to read; the docstring by default.
        unsafe: run a *changed* source in this process. Without it a changed source runs through
            the configured ``CodeRunner``, and calling it without one is an error.

    Raises:
        ValueError: ``trainable=True`` on a function without source.
    """

    def wrap(wrapped: Callable[_P, _R]) -> Operator[_P, _R]:
        return Operator(wrapped, trainable=trainable, description=description, unsafe=unsafe)

    return wrap if function is None else wrap(function)
