"""Finding predictors, tools and modules in a DSPy program.

``named_predictors()`` misses predictors in containers of containers and those that ``forward``
reaches through globals or closures (DSPy 3.0 to 3.4), so the program is walked here.
"""

from __future__ import annotations

import functools
import sysconfig
import types
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, cast

import dspy

from trace_bridge_dspy.copies import LARGEST

OUTSIDE = "outside"  # the owner of what forward() reaches through globals and closures
_DEPTH = 6  # how deep containers and calls of helper functions are followed
_SKIPPED = ("callbacks", "history")
_LIBRARIES = tuple(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))


class Found(NamedTuple):
    """A module, predictor or tool, and the attributes that lead to it."""

    owners: tuple[str, ...]
    value: Any
    frozen: bool  # below a part that the user compiled already


class Walk:
    """All that there is in a program, each object once, under the first path that leads to it.

    A part with ``_compiled=True`` is the user's finished work and is frozen, as in DSPy itself; the
    root is what we were asked to train, compiled or not.
    """

    def __init__(self, root: dspy.Module) -> None:
        self.root = root
        self.found: list[Found] = []
        self.functions: list[types.FunctionType] = []  # the user's, that the program can call
        self._seen: set[int] = set()
        self._code: set[types.CodeType] = set()
        self._visit(root, (), frozen=False, depth=0)
        for item in list(self.found):  # globals come last: an attribute is the better name
            if isinstance(item.value, dspy.Tool):
                self._follow(item.value.func)
            else:
                for function in _methods(type(item.value)):
                    self._function(function, 0)

    def mentions(self, names: set[str]) -> bool:
        """Whether the user's functions use any of these names: attributes, globals, keywords."""
        return any(
            names & {*_names(function.__code__), *_keywords(function.__code__)}
            for function in self.functions
        )

    def _visit(self, value: Any, owners: tuple[str, ...], *, frozen: bool, depth: int) -> None:
        if id(value) in self._seen or depth > _DEPTH:
            return
        if isinstance(value, dspy.Module):
            self._seen.add(id(value))
            frozen = frozen or (value is not self.root and getattr(value, "_compiled", False))
            self.found.append(Found(owners, value, frozen))
            if not isinstance(value, dspy.Predict):
                for name, item in list(vars(value).items()):
                    if name not in _SKIPPED:
                        self._visit(item, (*owners, name), frozen=frozen, depth=0)
        elif isinstance(value, dspy.Tool):
            self._seen.add(id(value))
            self.found.append(Found(owners, value, frozen))
            self._visit(value.func, (*owners, "func"), frozen=frozen, depth=0)
        elif isinstance(value, types.MethodType):
            if isinstance(value.__self__, dspy.Module):
                self._visit(value.__self__, owners, frozen=frozen, depth=depth)
        elif isinstance(value, functools.partial):
            self._visit(value.func, owners, frozen=frozen, depth=depth + 1)
        else:
            self._seen.add(id(value))  # also ends the walk in a container that holds itself
            for name, item in _items(value):
                self._visit(item, (*owners, name), frozen=frozen, depth=depth + 1)

    def _follow(self, value: object) -> None:
        """Look into what a tool calls."""
        function = getattr(value, "__func__", value)
        if isinstance(function, types.FunctionType):
            self._function(function, 0)

    def _function(self, function: types.FunctionType, depth: int) -> None:
        """Visit what ``function`` reaches through globals and closures."""
        if function.__code__ in self._code or depth > _DEPTH or not is_users(function):
            return
        self._code.add(function.__code__)
        self.functions.append(function)
        for name, value in _reached(function):
            if isinstance(value, types.FunctionType):
                self._function(value, depth + 1)
            elif isinstance(value, (dspy.Module, dspy.Tool, list, tuple, dict)):
                self._visit(value, (OUTSIDE, name), frozen=False, depth=0)


def _items(value: object) -> Iterable[tuple[str, object]]:
    """What a container holds, or a plain object of the user's that holds modules."""
    if isinstance(value, (dict, list, tuple)) and len(cast("list[object]", value)) > LARGEST:
        return ()
    if isinstance(value, dict):
        return [(str(key), item) for key, item in cast("dict[object, object]", value).items()]
    if isinstance(value, (list, tuple)):
        return [(str(index), item) for index, item in enumerate(cast("list[object]", value))]
    if isinstance(value, (type, types.ModuleType, dspy.BaseLM, dspy.Example)):
        return ()
    attributes = getattr(value, "__dict__", None)
    if not isinstance(attributes, dict):
        return ()
    held = cast("dict[str, object]", attributes)
    return [(name, item) for name, item in list(held.items()) if isinstance(item, dspy.Module)]


def _methods(kind: type) -> Iterator[types.FunctionType]:
    for base in kind.__mro__:
        if base.__module__.partition(".")[0] != "dspy":
            for value in vars(base).values():
                if isinstance(value, types.FunctionType):
                    yield value


def _reached(function: types.FunctionType) -> Iterator[tuple[str, object]]:
    """Names and values of the globals and closure cells that ``function`` uses."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # a cell that is not filled yet
            continue
    names = set(_names(function.__code__))
    for name in sorted(names):
        value = function.__globals__.get(name)
        if isinstance(value, types.ModuleType):
            for inner in sorted(names & vars(value).keys()):
                item = vars(value)[inner]
                if isinstance(item, (dspy.Module, dspy.Tool, types.FunctionType)):
                    yield inner, item
        elif value is not None:
            yield name, value


def _names(code: types.CodeType) -> Iterator[str]:
    """Global names in ``code`` and in the lambdas, comprehensions and functions inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _keywords(code: types.CodeType) -> Iterator[str]:
    """Names of keyword arguments that ``code`` passes (constants, in Python's byte code)."""
    for constant in code.co_consts:
        if isinstance(constant, tuple):
            yield from (str(item) for item in cast("tuple[object, ...]", constant))
        elif isinstance(constant, types.CodeType):
            yield from _keywords(constant)


def is_users(function: types.FunctionType) -> bool:
    """Whether ``function`` is neither the standard library's nor an installed package's."""
    file = function.__code__.co_filename
    return not (file.startswith(_LIBRARIES) or "site-packages" in file)
