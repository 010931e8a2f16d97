"""Operators: functions whose calls become nodes."""

from __future__ import annotations

import copy
import functools
import inspect
import itertools
from collections.abc import Callable, Sequence
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

from trace_bridge.graph.calls import OperatorCall
from trace_bridge.graph.containers import ATOMS, nodes_in, unwrap
from trace_bridge.graph.context import UNTRACED, ForwardScope, Scope, scope
from trace_bridge.graph.node import Node, linked
from trace_bridge.graph.parameter import Parameter
from trace_bridge.graph.source import (
    caged,
    rebuild,
    signature_refusal,
    source_of,
)

_P = ParamSpec("_P")
_R = TypeVar("_R")

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_WRITABLE = frozenset((list, dict, set))
_KEPT = 64  # changed sources that an operator keeps compiled
# each call of an operator asks these: bound once, they are found faster
_scope, _enter, _leave = scope.get, scope.set, scope.reset
_FUNCTION_LIKE = ("__code__", "__defaults__", "__kwdefaults__")
_number = itertools.count(1)


def _named(function: Callable[..., object]) -> Callable[..., object]:
    """What has the name and the documentation of ``function``."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _refusal(source: str, free: Sequence[str], value: object) -> str | None:
    return signature_refusal(source, free, str(value))


def _arguments_of(function: Callable[..., object]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except ValueError:  # some builtins have no signature
        return []


class Operator(Generic[_P, _R]):
    """What ``bundle`` returns: a function that records each call as a node.

    Looks like the function it wraps (name, doc, signature, coroutine-ness).
    """

    # What every call reads is found faster in slots; the rest is what functions have, too.
    __slots__ = (
        "__dict__", "__weakref__", "_class", "_key", "_kind", "_labels", "_rebuilt", "_source",
        "_unsafe", "arguments", "description", "function", "is_coroutine", "op", "owner",
        "parameter",
    )  # fmt: skip

    def __init__(
        self, function: Callable[_P, _R], *, trainable: bool = False, description: str = "",
        unsafe: bool = False,
    ) -> None:  # fmt: skip
        self._kind = type(function)
        if isinstance(function, (staticmethod, classmethod)):
            function = cast("Callable[_P, _R]", function.__func__)
        named = _named(function)
        self.op: str = getattr(named, "__name__", type(named).__name__)
        # what a class holds is for its instances
        functools.update_wrapper(
            self, named, updated=() if inspect.isclass(named) else ("__dict__",)
        )
        vars(self)["__wrapped__"] = self.function = function
        for name in ("__name__", "__qualname__"):  # objects have none
            vars(self).setdefault(name, self.op)
        for attribute in _FUNCTION_LIKE:  # by these, inspect knows coroutine functions
            if hasattr(named, attribute):
                setattr(self, attribute, getattr(named, attribute))
        self.description = description or inspect.getdoc(named) or ""
        self.owner: object = None
        self.arguments = _arguments_of(function)
        self.is_coroutine = inspect.iscoroutinefunction(function)
        self._labels: dict[int | tuple[int | str, ...], tuple[str, ...]] = {}
        self._unsafe = unsafe
        self._rebuilt: dict[str, Callable[..., Any]] = {}
        self._key = f"<{self.op} {next(_number)}>"
        self._class: type | None = None
        self._source = source_of(function) if trainable else ""
        self.parameter = self._trainable_source() if trainable else None
        self._show_call()

    def _show_call(self) -> None:
        """Let ``operator.__call__`` have the function's signature: DSPy's tools look there."""

        def call(*args: Any, **kwargs: Any) -> object:
            return self(*args, **kwargs)

        try:
            signature = inspect.signature(self.function).replace(parameters=self.arguments)
        except ValueError:  # some builtins have none
            return
        functools.update_wrapper(call, self.function)
        vars(call)["__signature__"] = vars(self)["__signature__"] = signature
        vars(self)["__call__"] = call

    def _trainable_source(self) -> Parameter:
        free = inspect.unwrap(self.function).__code__.co_freevars
        return Parameter(
            self._source, kind="code", description=self.description,
            constraint=f"Must define {self.op}{inspect.signature(self.function)}",
            check=functools.partial(_refusal, self._source, free),
        )  # fmt: skip

    def __set_name__(self, owner: type, name: str) -> None:
        # no attribute of the user's has such a name; a class may be called like its base
        alike = sum(base.__qualname__ == owner.__qualname__ for base in owner.__mro__)
        self._key = f"{'<' * alike}{owner.__qualname__}.{name}>"
        self._class = owner

    def __get__(self, instance: object, owner: type | None = None) -> Operator[..., _R]:
        # a method: bound once per instance, with a parameter of its own
        if self._kind is classmethod:
            return self._bound(owner, self.parameter)
        if instance is None or self._kind is staticmethod:
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
        bound = self.__copy__()
        bound.owner, bound.arguments = instance, self.arguments[1:]
        bound._labels = {}  # noqa: SLF001 (one of us)
        bound._show_call()  # noqa: SLF001 (one of us)
        if self.parameter is not None:
            bound.parameter = parameter or self._trainable_source()
        return bound

    def __copy__(self) -> Operator[_P, _R]:
        made = object.__new__(type(self))
        vars(made).update(vars(self))
        for name in Operator.__slots__:
            if not name.startswith("__"):
                setattr(made, name, getattr(self, name))
        made._show_call()
        return made

    def __deepcopy__(self, memo: dict[int, object]) -> Operator[_P, _R]:
        # as a function, it is copied only for what can change: its source, and its instance
        made = memo[id(self)] = self.__copy__()
        made.owner = memo.get(id(self.owner), self.owner)
        made.parameter = copy.deepcopy(self.parameter, memo)
        return made

    def __reduce__(self) -> str | tuple[object, ...]:
        # by reference, as functions are
        if self.owner is None:
            return vars(self)["__qualname__"]
        kept = getattr(self.owner, "__dict__", {}).get(self._key) is self
        source = self.parameter.base if kept and self.parameter is not None else self._source
        changed = None if source == self._source else source
        return getattr, (self.owner, vars(self)["__name__"]), changed

    def __setstate__(self, source: str) -> None:
        cast("Parameter", self.parameter).set(source)

    def adopt(self, function: Callable[..., Any]) -> None:
        """Make ``function`` the user's own source of this trainable one.

        Raises:
            ValueError: if its name or arguments are others, or if it has no source.
        """
        source = source_of(function)
        reason = "is not trainable" if self.parameter is None else self.parameter.refusal(source)
        if reason or self.parameter is None:
            msg = f"{self.op}: {reason}"
            raise ValueError(msg)
        if "__" in source or "super" in source:  # what means something in its class only
            function = rebuild(self.function, source, self._class, function)
        self._rebuilt[source] = function  # also for those that are bound to an instance anew
        self.function, self._source, self._rebuilt = function, source, {}
        self.parameter.set(source)

    def parameters(self) -> list[Parameter]:
        """The source of a trainable function; nothing otherwise."""
        return [] if self.parameter is None else [self.parameter]

    def __call__(self, /, *args: _P.args, **kwargs: _P.kwargs) -> Node:
        """Call the function on the arguments' data, and record the call.

        Gives what the function would: a coroutine function's result has to be awaited, a
        generator's items come one by one, each a node.
        """
        operands: tuple[object, ...] = args
        values: list[Any] = []
        changing = False  # the function may write to an argument
        for item in args:
            kind = type(item)
            if kind is Node:
                values.append(item._data)  # noqa: SLF001 # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType] a Node
            elif kind in ATOMS:
                values.append(item)
            else:
                values.append(unwrap(item))
                changing = changing or kind in _WRITABLE
        if kwargs or changing or self.parameter is not None:
            operands = self._operands(args, kwargs)
        key = (len(args), *kwargs) if kwargs else len(args)
        labels = self._labels.get(key) or self._label(key)
        named = {name: unwrap(item) for name, item in kwargs.items()} if kwargs else None
        outer = _scope()
        inner = UNTRACED if outer is UNTRACED else Scope()
        token = _enter(inner)
        try:
            function: Callable[..., Any] = self.function
            if self.parameter is not None:
                source = self.parameter.peek()
                if source is not self._source:  # the same text or another one
                    function = self._rebuilt.get(source) or self.implementation()  # pyright: ignore[reportArgumentType] a str
            if self.owner is not None:
                values.insert(0, self.owner)
            output = function(*values, **named) if named else function(*values)
        except Exception as error:  # noqa: BLE001 (it is raised again)
            OperatorCall(outer, inner, self, operands, labels).fail(error)
        finally:
            _leave(token)
        later = self.is_coroutine or (type(outer) is ForwardScope and outer)
        if not (inner or later) and type(output) in ATOMS:  # the usual case
            traced = outer is not UNTRACED
            return linked(self.op, output, operands, labels, (), self.description, traced=traced)
        call = OperatorCall(outer, inner, self, operands, labels)
        given = call.later(output) if self.is_coroutine else call.given(output)
        if isinstance(given, Node):
            inner.clear()  # nodes that were made in it and got out must not keep it alive
        return cast("Node", given)

    def _operands(self, args: tuple[object, ...], kwargs: dict[str, Any]) -> tuple[object, ...]:
        """The operands that the graph shows: the function may write to the arguments themselves."""
        operands: tuple[object, ...] = (*args, *kwargs.values())
        if not _WRITABLE.isdisjoint(map(type, operands)):
            operands = tuple(
                cast("list[object]", item).copy() if type(item) in _WRITABLE else item
                for item in operands
            )
        return operands if self.parameter is None else (*operands, self.parameter)

    def _label(self, key: int | tuple[int | str, ...]) -> tuple[str, ...]:
        """The names of the arguments of a call: how many by position, and which by name."""
        count, *named = key if isinstance(key, tuple) else (key,)
        count = int(count)
        names = [item.name for item in self.arguments if item.kind in _POSITIONAL][:count]
        kinds = {item.kind: item.name for item in self.arguments}
        rest = kinds.get(inspect.Parameter.VAR_POSITIONAL, "args")
        names += [f"{rest}_{index}" for index in range(count - len(names))]
        source = [] if self.parameter is None else [""]
        return self._labels.setdefault(key, (*names, *map(str, named), *source))

    def implementation(self) -> Callable[..., Any]:
        """The function of a trainable operator: the user's own, until its source has changed."""
        source = cast("str", cast("Parameter", self.parameter).peek())
        if source == self._source:
            return self.function
        if self._unsafe:
            function = rebuild(self.function, source, self._class)
            if len(self._rebuilt) >= _KEPT:  # the oldest goes
                self._rebuilt.pop(list(self._rebuilt)[0], None)  # noqa: RUF015 (others may add meanwhile)
            self._rebuilt[source] = function
            return function
        return caged(self.function, source, "bundle(trainable=True, unsafe=True)")


class _WithDefaults(Operator[_P, _R]):
    """An operator with nodes for defaults: they are passed as if the caller had given them."""

    __slots__ = ()

    def __call__(self, /, *args: _P.args, **kwargs: _P.kwargs) -> Node:
        for index, item in enumerate(self.arguments):
            given = index < len(args) and item.kind in _POSITIONAL
            if item.kind in _BY_NAME and not given and nodes_in(item.default):
                kwargs.setdefault(item.name, item.default)
        return super().__call__(*args, **kwargs)


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
        trainable: make the function's source a parameter that an optimizer may change. Changed
            code goes without the decorators below this one.
        description: what the operation does, for a model to read; the docstring by default.
        unsafe: run a *changed* source in this process. Without it a changed source runs through
            the configured ``CodeRunner``, and calling it without one is an error.

    Raises:
        ValueError: ``trainable=True`` on a function without source.
    """

    def wrap(wrapped: Callable[_P, _R]) -> Operator[_P, _R]:
        made = Operator(wrapped, trainable=trainable, description=description, unsafe=unsafe)
        if nodes_in([item.default for item in made.arguments]):
            made.__class__ = _WithDefaults
        return made

    return wrap if function is None else wrap(function)
