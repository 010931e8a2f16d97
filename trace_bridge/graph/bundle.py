"""Operators: functions whose calls become nodes."""

from __future__ import annotations

import contextlib
import copy
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
    original: type[Exception]

    @classmethod
    def of(cls, error: Exception, node: Node) -> ExecutionError:
        """The error to raise for ``error``."""
        # the original's own __new__ and __init__ may want arguments that nobody knows
        bases = cast("tuple[type[Exception], ...]", type(error).__mro__)
        builtin = next(base for base in bases if base.__module__ == "builtins")
        try:
            raised = builtin.__new__(_error_class(type(error)), *error.args)
            _copy_state(error, raised)
        except TypeError:  # a class that is final, or made in another language (pydantic's)
            raised = builtin.__new__(_error_class(builtin), str(error))
        raised.node = node
        raised.original = error.original if isinstance(error, ExecutionError) else type(error)
        return raised


def _copy_state(error: Exception, raised: Exception) -> None:
    """Give ``raised`` the attributes of ``error``, also those that live in slots or in C."""
    raised.args = error.args
    for base in type(error).__mro__:
        for name, member in vars(base).items():
            if name.startswith("__") or not inspect.isdatadescriptor(member):
                continue
            value = None if isinstance(member, property) else getattr(error, name, None)
            if value is not None:
                with contextlib.suppress(AttributeError, TypeError):  # read-only
                    setattr(raised, name, value)
    raised.__dict__.update(error.__dict__)


@functools.lru_cache(maxsize=256)
def _error_class(original: type[Exception]) -> type[ExecutionError]:
    if issubclass(original, ExecutionError):
        return original
    name = f"ExecutionError[{original.__name__}]"
    return cast("type[ExecutionError]", type(name, (ExecutionError, original), {}))


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_FUNCTION_LIKE = ("__code__", "__defaults__", "__kwdefaults__")


def _name_of(function: Callable[..., object]) -> str:
    if isinstance(function, functools.partial):
        return _name_of(function.func)
    return getattr(function, "__name__", type(function).__name__)


def _arguments_of(function: Callable[..., object]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except ValueError:  # some builtins have no signature
        return []


class Operator(Generic[_P, _R]):
    """What ``bundle`` returns: a function that records each call as a node.

    Looks like the function it wraps (name, doc, signature, coroutine-ness).
    """

    def __init__(
        self, function: Callable[_P, _R], *, trainable: bool = False, description: str = "",
        unsafe: bool = False,
    ) -> None:  # fmt: skip
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            name = function.__qualname__
            msg = f"bundle cannot record the generator function {name}; return a list"
            raise TypeError(msg)
        functools.update_wrapper(self, function)
        for attribute in _FUNCTION_LIKE:  # by these, inspect knows coroutine functions
            if hasattr(function, attribute):
                setattr(self, attribute, getattr(function, attribute))
        self.function = function
        self.op = _name_of(function)
        self.description = description or inspect.getdoc(function) or ""
        self.owner: object = None
        self.arguments = _arguments_of(function)
        self._unsafe = unsafe
        self._key = f"<{self.op}>"
        self._source = source_of(function) if trainable else ""
        self.parameter = self._trainable_source() if trainable else None

    def _trainable_source(self) -> Parameter:
        source = self._source
        return Parameter(
            source, kind="code", description=self.description,
            constraint=f"Must define {self.op}{inspect.signature(self.function)}",
            check=lambda value: signature_refusal(source, str(value)),
        )  # fmt: skip

    def __set_name__(self, owner: type, name: str) -> None:
        self._key = f"<{owner.__qualname__}.{name}>"  # no attribute of the user's has such a name

    def __get__(self, instance: object, owner: type | None = None) -> Operator[..., _R]:
        # a method: bound once per instance, with a parameter of its own
        if instance is None:
            return self
        kept = getattr(instance, "__dict__", None)
        if not isinstance(kept, dict):  # an instance with slots, or a class
            return self._bound(instance, self.parameter)
        bound = cast("dict[str, Operator[..., _R]]", kept)
        found = bound.get(self._key)
        if found is None:
            return bound.setdefault(self._key, self._bound(instance, None))
        if found.owner is not instance:  # a shallow copy of the instance shares its parameters
            found = bound[self._key] = self._bound(instance, found.parameter)
        return found

    def _bound(self, instance: object, parameter: Parameter | None) -> Operator[..., _R]:
        bound = copy.copy(self)
        bound.owner = instance
        bound.arguments = [item for item in self.arguments if item is not self.arguments[0]]
        vars(bound)["__signature__"] = inspect.Signature(bound.arguments)
        if self.parameter is not None:
            bound.parameter = parameter or self._trainable_source()
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
        return lambda *args, **kwargs: runner.run(source, self.op, args, kwargs)


class _Call:
    """One call of an operator: what went in, what was read inside, what came out."""

    def __init__(
        self, operator: Operator[..., Any], args: tuple[object, ...], kwargs: dict[str, object]
    ) -> None:
        self.operator = operator
        self.args, self.kwargs = args, kwargs
        self.scope = context.Scope()
        self.outer = context.scope.get()

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
                output = self._invoke()
                if inspect.isawaitable(output):  # a code runner may give the value itself
                    output = await cast("Awaitable[object]", output)
            except Exception as error:
                raise self._failed(error) from error
            return self._result(output)

    def _failed(self, error: Exception) -> ExecutionError:
        kind = error.original if isinstance(error, ExecutionError) else type(error)
        node = self._made(f"({kind.__name__}) {error}")
        if self.outer is not None:  # whoever fails with us or handles our failure depends on it
            self.outer.read[node] = None
        return ExecutionError.of(error, node)

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
        return Node(data, operator.op, edges, description=operator.description)

    def _arguments(self) -> list[Edge]:
        arguments = self.operator.arguments
        names = [item.name for item in arguments if item.kind in _POSITIONAL]
        rest = next((item.name for item in arguments if item.kind is item.VAR_POSITIONAL), "args")
        names += [f"{rest}_{index}" for index in range(len(self.args) - len(names))]
        labelled = [*zip(names, self.args, strict=False), *self.kwargs.items()]
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
