"""Ways from an agent's objects to agents of other frameworks: closures, globals, attributes."""

from __future__ import annotations

import copy
import functools
import types
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from trace_bridge.graph.code import is_installed
from trace_bridge.recording.functions import cloned_function, refer, references

_DEPTH = 8  # references that are followed from an agent's own object
_LARGEST = 1000  # a container with more items is data
_ATOMS = (str, bytes, int, float, complex, bool, type(None), type)
_CODE = "code."  # of references that stand in code: a copy cannot refer to something else
_TRANSPARENT = (types.FunctionType, types.MethodType, functools.partial, types.ModuleType)

Found = tuple[tuple[str, ...], Any]


class Routes:
    """What was met on the way to other agents.

    Attributes:
        functions: the user's, whose code leads there.
    """

    def __init__(self) -> None:
        self.functions: list[types.FunctionType] = []
        self.agents: set[int] = set()  # that were found
        self.known: set[int] = set()  # objects of the agents themselves, whose plugins copy them
        self._objects: dict[int, Any] = {}  # kept, or another object could get their id
        self._above: dict[int, dict[int, str]] = defaultdict(dict)  # holders, with the reference

    def reached(self, parts: Iterable[Found], wanted: Callable[[Any], bool]) -> Iterator[Found]:
        """The agents that one agent's parts lead to, each with the names on the shortest way.

        Args:
            parts: the objects of the agent, with their names.
            wanted: whether an object is an agent of another framework.
        """
        held = list(parts)
        self.known.update(id(value) for _, value in held if not wanted(value))
        pending = deque((owners, value, 0) for owners, value in held)
        met: set[int] = set()
        while pending:
            owners, value, depth = pending.popleft()
            if id(value) in met:
                continue
            met.add(id(value))
            self._objects[id(value)] = value
            if id(value) in self.agents:
                continue
            if wanted(value):
                self.agents.add(id(value))
                yield owners, value
                continue
            if (depth and id(value) in self.known) or depth > _DEPTH:
                continue
            if isinstance(value, types.FunctionType) and not is_installed(value.__module__):
                self.functions.append(value)
            for name, item in _references(value, part=not depth):
                if isinstance(item, _ATOMS):
                    continue
                self._objects[id(item)] = item
                self._above[id(item)].setdefault(id(value), name)
                pending.append(((*owners, *_label(name, item)), item, depth + 1))

    def leading(self, changed: Iterable[int]) -> set[int]:
        """``changed`` and what leads there: what a copy has to hold others of."""
        seen, pending = set(changed), list(changed)
        while pending:
            for at in self._above[pending.pop()]:
                if at not in seen:
                    seen.add(at)
                    if at not in self.known:
                        pending.append(at)
        return seen


class Substitution:
    """What copies hold in place of other agents, and of what leads to them.

    Args:
        routes: the ways.
        made: by the id of an agent, its copy.

    Attributes:
        taken: the ids of what was asked for.
    """

    def __init__(self, routes: Routes, made: Mapping[int, Any]) -> None:
        self._routes = routes
        self._made = dict(made)
        self.taken: set[int] = set()
        self._leading = routes.leading(made) - routes.known

    def find(self, value: Any) -> Any:
        """What stands for ``value``; None if nothing does."""
        at = id(value)
        if at not in self._made and at in self._leading:
            self._make(value)
        if at in self._made:
            self.taken.add(at)
        return self._made.get(at)

    def _make(self, value: Any) -> None:
        """A copy of something that leads to an agent."""
        at = id(value)
        held = {
            name: item
            for name, item in _references(value, part=False)
            if id(item) in self._leading | self._made.keys() and not name.startswith(_CODE)
        }
        if isinstance(value, types.FunctionType):
            made = self._made[at] = cloned_function(value, held, live=False)
            for name, item in held.items():
                refer(made, name, self.find(item))
        elif isinstance(value, dict):
            pairs = cast("dict[object, Any]", value).items()
            self._made[at] = {key: self._or_itself(item) for key, item in pairs}
        elif isinstance(value, (list, tuple)):
            items = [self._or_itself(item) for item in cast("list[Any]", value)]
            self._made[at] = items if isinstance(value, list) else tuple(items)
        elif isinstance(value, types.MethodType):
            owner = self._or_itself(value.__self__)
            self._made[at] = types.MethodType(self._or_itself(value.__func__), owner)
        elif isinstance(value, functools.partial):
            self._made[at] = functools.partial(
                self._or_itself(value.func), *map(self._or_itself, value.args),
                **{name: self._or_itself(item) for name, item in value.keywords.items()},
            )  # fmt: skip
        elif not isinstance(value, types.ModuleType):
            made = self._made[at] = copy.copy(value)
            for name, item in held.items():
                vars(made)[name] = self.find(item)

    def _or_itself(self, value: Any) -> Any:
        made = self.find(value)
        return value if made is None else made


def _label(name: str, item: object) -> Sequence[str]:
    """What a reference adds to a path: nothing, where it leads to more code."""
    if isinstance(item, _TRANSPARENT) or name in ("self", "func"):
        return ()
    return (name.rpartition(".")[2].lstrip("_") or name,)


def _references(value: Any, *, part: bool) -> Iterator[tuple[str, Any]]:
    """What ``value`` holds by name; of a part, which a plugin knows, its attributes in any case."""
    if isinstance(value, types.FunctionType):
        own = not is_installed(value.__module__)
        yield from references(value, globals_too=own).items()
        if own:
            yield from _of_modules(value)
    elif isinstance(value, types.MethodType):
        yield from (("self", value.__self__), ("func", value.__func__))
    elif isinstance(value, functools.partial):
        yield "func", value.func
        yield from ((f"argument.{index}", item) for index, item in enumerate(value.args))
        yield from ((f"argument.{name}", item) for name, item in value.keywords.items())
    elif isinstance(value, dict):
        pairs = cast("dict[object, Any]", value)
        if len(pairs) <= _LARGEST:
            yield from ((f"item.{key}", item) for key, item in pairs.items())
    elif isinstance(value, (list, tuple)):
        items = cast("Sequence[Any]", value)
        if len(items) <= _LARGEST:
            yield from ((f"item.{index}", item) for index, item in enumerate(items))
    elif not isinstance(value, types.ModuleType):
        own = not is_installed(type(value).__module__)
        if part or own:
            yield from cast("dict[str, Any]", getattr(value, "__dict__", {})).items()
        if own:
            yield from _methods(type(value))  # pyright: ignore[reportUnknownArgumentType]


def _of_modules(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """What a function takes from modules of the user's by attribute."""
    names = function.__code__.co_names
    for name in names:
        held = function.__globals__.get(name)
        if isinstance(held, types.ModuleType) and not is_installed(held.__name__):
            for inner in set(names) & vars(held).keys():
                yield f"{_CODE}{inner}", vars(held)[inner]


def _methods(kind: type) -> Iterator[tuple[str, types.FunctionType]]:
    for base in kind.__mro__:
        if not is_installed(base.__module__):
            for name, item in vars(base).items():
                if isinstance(item, types.FunctionType):
                    yield f"{_CODE}{name}", item
