"""What a function refers to, and clones of functions that refer to something else.

The user's function objects are never changed by a run: a clone has fresh cells for the closure
variables that change, and looks its globals up in the module but for those that change.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from typing import Any


def references(function: types.FunctionType, *, globals_too: bool) -> dict[str, object]:
    """Closure variables, defaults and, if wanted, globals, by name.

    The names are ``closure.NAME``, ``default.NAME``, ``global.NAME``; ``wrapped`` is what a
    decorator has wrapped.
    """
    found: dict[str, object] = {}
    for name, cell in _cells(function):
        found[f"closure.{name}"] = cell.cell_contents
    for name, value in _defaults(function):
        found[f"default.{name}"] = value
    if hasattr(function, "__wrapped__"):
        found["wrapped"] = vars(function)["__wrapped__"]
    if globals_too:
        for name in dict.fromkeys(_global_names(function.__code__)):
            if name in function.__globals__:
                found[f"global.{name}"] = function.__globals__[name]
    return found


def _cells(function: types.FunctionType) -> Iterator[tuple[str, types.CellType]]:
    cells = function.__closure__ or ()
    for name, cell in zip(function.__code__.co_freevars, cells, strict=True):
        try:
            cell.cell_contents  # noqa: B018 (it may be empty still)
        except ValueError:
            continue
        yield name, cell


def _defaults(function: types.FunctionType) -> Iterator[tuple[str, object]]:
    values = function.__defaults__ or ()
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    yield from zip(names[len(names) - len(values) :], values, strict=True)
    yield from (function.__kwdefaults__ or {}).items()


def _global_names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _global_names(constant)


class _Globals(dict[str, Any]):
    """A module's globals, looked up live, but for those that are in here."""

    def __init__(self, module: dict[str, Any]) -> None:
        super().__init__(__builtins__=module.get("__builtins__", __builtins__))
        self.module = module

    def __missing__(self, name: str) -> object:
        return self.module[name]

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in self.module


def cloned_function(
    function: types.FunctionType, names: Mapping[str, object], *, live: bool = True
) -> types.FunctionType:
    """A copy of ``function`` that can get other values for what ``names`` names; see ``refer``.

    Args:
        function: it stays as it is.
        names: of ``references``; of the values no note is taken.
        live: look other globals up in the module, as it then is; else in a copy of it as it is now.
    """
    fresh = {name.removeprefix("closure.") for name in names if name.startswith("closure.")}
    cells = tuple(
        types.CellType(cell.cell_contents) if name in fresh else cell
        for name, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=True
        )
    )
    scope = function.__globals__
    if any(name.startswith("global.") for name in names):
        scope = _Globals(scope) if live else dict(scope)
    made = types.FunctionType(
        function.__code__, scope, function.__name__, function.__defaults__, cells or None
    )
    made.__kwdefaults__ = None if function.__kwdefaults__ is None else {**function.__kwdefaults__}
    made.__annotations__ = function.__annotations__
    made.__qualname__, made.__module__ = function.__qualname__, function.__module__
    made.__doc__ = function.__doc__
    vars(made).update(vars(function))
    return made


def refer(function: types.FunctionType, name: str, value: object) -> None:
    """Write what ``name``, one of ``references``, refers to, in place."""
    sort, _, rest = name.partition(".")
    if sort == "closure":
        dict(_cells(function))[rest].cell_contents = value
    elif sort == "global":
        function.__globals__[rest] = value
    elif sort == "wrapped":
        vars(function)["__wrapped__"] = value
    elif rest in (function.__kwdefaults__ or {}):
        function.__kwdefaults__ = {**(function.__kwdefaults__ or {}), rest: value}
    else:
        function.__defaults__ = tuple(
            value if held == rest else default
            for held, default in _defaults(function)
            if held not in (function.__kwdefaults__ or {})
        )
