"""Modules: agents with parameters."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from operator import is_
from types import MethodType
from typing import Any, Self, TypeVar, cast

from trace_bridge.graph import context, paths
from trace_bridge.graph.bundle import Operator
from trace_bridge.graph.calls import ForwardCall
from trace_bridge.graph.exporting import exported
from trace_bridge.graph.parameter import Parameter
from trace_bridge.graph.values import jsonable

_T = TypeVar("_T")


class Module:
    """An agent: ``forward`` does the work, and parameters are found in its attributes.

    Parameters may be held directly, in lists, tuples, dicts and dataclasses, in sub-modules and
    as trainable methods; each is found once, under the first path that leads to it.
    """

    __slots__ = ()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Do the work; subclasses define it."""
        msg = f"{type(self).__name__} does not define forward"
        raise NotImplementedError(msg)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Run ``forward``.

        Gives what ``forward`` gives, as a node if it depends on parameters in ways that its own
        edges do not show: by a prompt that was written into an f-string, or by a branch.
        """
        return _traced(type(self).__name__, self.forward, args, kwargs)

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """All parameters with their paths, each once, in order of definition.

        Raises:
            ValueError: if a path would lead to two parameters (keys ``1`` and ``"1"`` of a dict).
        """
        taken: set[str] = set()
        for owners, slot, parameter, _ in _walk(self, (), {}):
            path = paths.join_path(owners, slot)
            if path in taken:
                msg = f"two parameters would go by the path {path}: rename the key of one of them"
                raise ValueError(msg)
            taken.add(path)
            parameter.go_by(path, len(owners))
            yield path, parameter

    def parameters(self) -> list[Parameter]:
        """All parameters, each once."""
        return [parameter for _, parameter in self.named_parameters()]

    def state_dict(self) -> dict[str, object]:
        """The current values by path: a candidate.

        All values are JSON values: a tuple is a list, what has no JSON form its text. Given back
        unchanged, they stand for what they were made of.
        """
        return {path: jsonable(parameter.peek()) for path, parameter in self.named_parameters()}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Make ``state`` the base values, all or none of them.

        Raises:
            LookupError: for a path that this module does not have.
            ValueError: for a value that its parameter refuses.
        """
        chosen = self.resolve(state)
        for parameter, value in chosen.items():
            parameter.set(value)

    def using(self, state: Mapping[str, object]) -> AbstractContextManager[None]:
        """Let ``state`` be the current values in this thread or task only, until exit.

        Raises:
            LookupError: for a path that this module does not have.
            ValueError: for a value that its parameter refuses.
        """
        return context.overlaid(self.resolve(state))

    def resolve(self, state: Mapping[str, object]) -> dict[Parameter, object]:
        """``state`` by parameter instead of by path, checked; raises as ``using`` does."""
        known = dict(self.named_parameters())
        unknown = [str(path) for path in state if path not in known]
        if unknown:
            msg = f"no parameter {', '.join(unknown)}; there are: {', '.join(known) or 'none'}"
            raise LookupError(msg)
        values: dict[Parameter, object] = {}
        for path, dumped in state.items():
            parameter = known[path]
            value = values[parameter] = parameter.out_of_json(dumped)
            reason = None if value is parameter.base else parameter.refusal(value)
            if reason:
                msg = f"{path}: {reason}"
                raise ValueError(msg)
        return values

    def copy(self) -> Self:
        """A module with parameters of its own; what is neither of ours nor a container is shared.

        Clients, indexes and handles cannot be copied, and need not be. A parameter that is an
        attribute of the class stays the one of all its instances.
        """
        return _copied(self, {})

    def export(self) -> str:
        """The current values as Python source that is valid whatever they are.

        Trained functions are in it as functions, to be read and kept beside the program. Its
        ``install(module)`` gives the values to a fresh instance; the functions run as the user's
        own from then on.

        Raises:
            ValueError: for a trained function that uses variables of the function around it.
        """
        operators = {path: op for path, op in self.named_operators() if op.parameter is not None}
        return exported(type(self), self.state_dict(), operators)

    def named_operators(self) -> Iterator[tuple[str, Operator[..., Any]]]:
        """The trainable functions, by the paths of their parameters."""
        for owners, slot, _, operator in _walk(self, (), {}):
            if operator is not None:
                yield paths.join_path(owners, slot), operator

    def adopt(self, functions: Mapping[str, Callable[..., Any]]) -> None:
        """Make functions the user's own source of trainable ones, by path (see ``export``).

        Raises:
            LookupError: for a path at which no trainable function is.
            ValueError: for a function whose name or arguments are others.
        """
        known = dict(self.named_operators())
        for path, function in functions.items():
            if path not in known:
                msg = f"no trainable function {path}; there are: {', '.join(known) or 'none'}"
                raise LookupError(msg)
            known[path].adopt(function)


def model(cls: type[_T]) -> type[_T]:
    """Make a Module of any class, as its outermost decorator; ``__call__`` becomes ``forward``.

    A class that has both keeps both. It also keeps its name, so its instances can be found by
    reference as before.
    """
    body: dict[str, object] = {
        "__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__
    }  # fmt: skip
    owner = next((kind for kind in cls.__mro__ if "__call__" in vars(kind)), Module)
    calls = [vars(kind).get("__call__") for kind in cls.__mro__]
    forwards = [vars(kind)["forward"] for kind in cls.__mro__ if "forward" in vars(kind)]
    becomes = not forwards or any(forwards[0] is other for other in (Module.forward, *calls))

    def called(self: Module, /, *args: Any, **kwargs: Any) -> Any:
        if becomes and type(self).__call__ is called:  # else a subclass has called it by super()
            return _traced(type(self).__name__, self.forward, args, kwargs)
        return _traced(type(self).__name__, super(made, self).__call__, args, kwargs)

    if owner is cls or not issubclass(owner, Module):
        body["__call__"] = called
        if becomes:
            body["forward"] = vars(owner)["__call__"]
    made: Any = type(cls)(cls.__name__, (cls, Module), body)
    if hasattr(cls, "__parameters__"):  # a generic class stays one
        made.__parameters__ = getattr(cls, "__parameters__")  # noqa: B009 (no class in general has it)
    return made


_Found = tuple[tuple[str, ...], str, Parameter, "Operator[..., Any] | None"]


def _traced(
    name: str, function: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> object:
    if type(context.scope.get()) is context.Scope:  # inside an operator, whose reads they are
        return function(*args, **kwargs)
    call = ForwardCall(name, function)
    call.enter()
    try:
        output = function(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 (it is raised again)
        call.fail(error)
    finally:
        call.leave()
    return call.given(output)


def _walk(value: object, owners: tuple[str, ...], seen: dict[int, object]) -> Iterator[_Found]:
    """Parameters below ``value``, which ``owners`` lead to."""
    if id(value) in seen:
        return
    seen[id(value)] = value  # kept, for its id to stay its own: an operator may be bound just now
    if isinstance(value, Parameter):
        yield owners[:-1], owners[-1], value, None
    elif isinstance(value, Operator):
        operator = cast("Operator[..., Any]", value)
        parameter = operator.parameter
        if parameter is not None and seen.setdefault(id(parameter), operator) is operator:
            yield owners, "code", parameter, operator
    else:
        for name, item in _parts(value):
            yield from _walk(item, (*owners, *name), seen)


def _parts(value: object) -> Iterator[tuple[tuple[str, ...], object]]:
    """What may hold parameters, with the names that lead to it (none to a partial's function)."""
    if _is_ours(value):
        yield from (((name,), item) for name, item in _attributes(value))
        yield from (((name,), getattr(value, name)) for name in _members(type(value)))
    items: Iterable[tuple[object, object]] = ()
    if isinstance(value, functools.partial):
        call = cast("functools.partial[object]", value)
        yield (), call.func
        items = (*enumerate(call.args), *call.keywords.items())
    elif isinstance(value, dict):
        items = cast("dict[object, object]", value).items()
    elif isinstance(value, (list, tuple)):
        items = enumerate(cast("list[object]", value))
    yield from (((_key(key),), item) for key, item in items)


def _key(key: object) -> str:
    text = str(key)
    return str(jsonable(key)) if " at 0x" in text else text  # else each process had another name


def _attributes(value: object) -> Iterator[tuple[str, object]]:
    """The attributes of an instance, also those in slots."""
    kept: dict[str, object] = getattr(value, "__dict__", {})
    yield from [(name, item) for name, item in kept.items() if not name.startswith("<")]
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            private = slot.startswith("__") and not slot.endswith("__")
            name = f"_{kind.__name__.lstrip('_')}{slot}" if private else slot
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                yield name, getattr(value, name)


def _members(kind: type) -> list[str]:
    """The names of a class's operators and parameters, in order of definition."""
    found: dict[str, object] = {}
    for each in reversed(kind.__mro__):
        found |= vars(each)
    for name, item in found.items():  # looked at as they are: properties are not evaluated
        if isinstance(item, (staticmethod, classmethod)):
            found[name] = cast("Any", item).__func__
    return [name for name, item in found.items() if isinstance(item, (Operator, Parameter))]


def _copied(value: Any, memo: dict[int, Any]) -> Any:
    kind = cast("type[object]", type(value))
    if issubclass(kind, Operator):
        _copied(value.owner, memo)  # for the copy to be bound to
    if id(value) in memo:
        return memo[id(value)]
    made = _begun(value, memo)
    if issubclass(kind, (list, dict)):
        keys: list[Any] = list(made) if issubclass(kind, dict) else list(range(len(made)))
        for at in keys:
            made[at] = _copied(made[at], memo)
    if _is_ours(value):
        for name, item in [*getattr(value, "__dict__", {}).items(), *_attributes(value)]:
            object.__setattr__(made, name, _copied(item, memo))  # also if it is frozen
    return made


def _begun(value: Any, memo: dict[int, Any]) -> Any:
    """The copy of ``value``, but for the items and attributes of what can be changed."""
    kind = cast("type[object]", type(value))
    if issubclass(kind, (Parameter, Operator)):
        return copy.deepcopy(value, memo)
    if issubclass(kind, MethodType) and _is_ours(value.__self__):
        return MethodType(value.__func__, _copied(value.__self__, memo))
    if issubclass(kind, functools.partial):
        made = copy.copy(value)
        parts = [_copied(part, memo) for part in (value.func, value.args, value.keywords)]
        made.__setstate__((*parts, vars(made)))
        return made
    if issubclass(kind, tuple):
        items = [_copied(item, memo) for item in value]
        if _is_ours(value) or not all(map(is_, items, value)):
            memo[id(value)] = getattr(value, "_make", cast("Any", kind))(items)
    elif issubclass(kind, (list, dict)) or _is_ours(value):
        memo[id(value)] = copy.copy(value)
    return memo.get(id(value), value)


def _is_ours(value: object) -> bool:
    """Whether parameters are looked for in the attributes of ``value``."""
    return isinstance(value, Module) or (
        dataclasses.is_dataclass(value) and not isinstance(value, type)
    )
