"""Modules: agents with parameters."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from operator import is_
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
        if type(context.scope.get()) is context.Scope:  # inside an operator, whose reads they are
            return self.forward(*args, **kwargs)
        call = ForwardCall(type(self).__name__, self.forward)
        call.enter()
        try:
            output = self.forward(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 (it is raised again)
            call.fail(error)
        finally:
            call.leave()
        return call.given(output)

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """All parameters with their paths, each once, in order of definition.

        Raises:
            ValueError: if a path would lead to two parameters (keys ``1`` and ``"1"`` of a dict).
        """
        taken: set[str] = set()
        for owners, slot, parameter, _ in _walk(self, (), set()):
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
        for owners, slot, _, operator in _walk(self, (), set()):
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
    """Make a Module of any class, as a decorator; what it calls ``__call__`` becomes ``forward``.

    The class keeps its name, so its instances can be found by reference as before.
    """
    body = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    if "__call__" in vars(cls):
        body |= {"forward": vars(cls)["__call__"], "__call__": Module.__call__}
    return cast("type[_T]", type(cls)(cls.__name__, (cls, Module), body))


_Found = tuple[tuple[str, ...], str, Parameter, "Operator[..., Any] | None"]


def _walk(value: object, owners: tuple[str, ...], seen: set[int]) -> Iterator[_Found]:
    """Parameters below ``value``, which ``owners`` lead to."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, functools.partial):
        value = value.func
    if isinstance(value, Parameter):
        yield owners[:-1], owners[-1], value, None
    elif isinstance(value, Operator):
        operator = cast("Operator[..., Any]", value)
        if operator.parameter is not None:
            yield owners, "code", operator.parameter, operator
    else:
        for name, item in _parts(value):
            yield from _walk(item, (*owners, name), seen)


def _parts(value: object) -> Iterator[tuple[str, object]]:
    """What may hold parameters, with the names that lead to it."""
    if isinstance(value, Module):
        yield from _attributes(value)
        for name in dir(type(value)):  # the class's operators, bound to the instance, and its own
            with contextlib.suppress(AttributeError):
                if isinstance(getattr(type(value), name), (Operator, Parameter)):
                    yield name, getattr(value, name)
    elif isinstance(value, dict):
        for key, item in cast("dict[object, object]", value).items():
            yield str(key), item
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(cast("list[object]", value)):
            yield str(index), item
    elif _is_dataclass(value):
        yield from _attributes(value)


def _attributes(value: object) -> Iterator[tuple[str, object]]:
    """The attributes of an instance, also those in slots."""
    kept: dict[str, object] = getattr(value, "__dict__", {})
    yield from [(name, item) for name, item in kept.items() if not name.startswith("<")]
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                yield name, getattr(value, name)


def _copied(value: object, memo: dict[int, Any]) -> Any:
    key = id(value)
    if key in memo:
        return memo[key]
    if isinstance(value, (Parameter, Operator)):
        return copy.deepcopy(cast("object", value), memo)
    made: Any = value
    if isinstance(value, (list, dict)):
        made = memo[key] = copy.copy(cast("Any", value))
        for at in list(made) if isinstance(value, dict) else range(len(made)):
            made[at] = _copied(made[at], memo)
    elif isinstance(value, tuple):
        held = cast("tuple[object, ...]", value)
        items = [_copied(item, memo) for item in held]
        if not all(map(is_, items, held)):
            made = getattr(held, "_make", type(held))(items)
    elif isinstance(value, Module) or _is_dataclass(value):
        made = memo[key] = copy.copy(value)
        for name, item in [*getattr(made, "__dict__", {}).items(), *_attributes(made)]:
            object.__setattr__(made, name, _copied(item, memo))  # also if it is frozen
    return made


def _is_dataclass(value: object) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)
