"""What a function or class is made of, as a key: changed code must not reuse old results."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import sys
import sysconfig
import types
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from trace_bridge.graph.values import canonical

_INSTALLED = tuple(
    str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "purelib", "platlib")
)

_PLAIN = (str, int, float, bool, type(None), tuple, list, dict, set, frozenset)


def code_digest(*objects: object) -> str:
    """A key for the source of functions and classes, and of all user code that they refer to.

    What is installed (a framework, the standard library) counts by name only: its version belongs
    into the key beside this.
    """
    seen: dict[int, object] = {}
    parts: list[str] = []
    pending: list[object] = []
    for item in objects:
        pending.append(item)
        if _is_callable_object(item):  # it behaves as its class and what it holds say
            held: dict[str, object] = getattr(item, "__dict__", {})
            parts.append(canonical({k: v for k, v in held.items() if issubclass(type(v), _PLAIN)}))
            pending += [type(item), *(value for value in held.values() if callable(value))]
    while pending:
        item = pending.pop()
        item = inspect.unwrap(item) if callable(item) else item
        item = getattr(item, "__func__", item)
        if isinstance(item, functools.partial):
            pending += [item.func, *item.args, *item.keywords.values()]
            parts.append(canonical([item.args, item.keywords]))
        if not isinstance(item, (types.FunctionType, type)) or id(item) in seen:
            continue
        seen[id(item)] = item
        name = f"{item.__module__}.{item.__qualname__}"
        if is_installed(item.__module__):
            parts.append(name)
            continue
        parts.append(f"{name}\n{_text(item)}")
        if isinstance(item, type):
            pending += [*item.__bases__, *_methods(item)]
            continue
        for key, value in _variables(item).items():
            if issubclass(type(value), _PLAIN):
                parts.append(f"{key}={canonical(value)}")
                pending += _callables_in(value)
            else:
                pending += [value, type(value)]
    return hashlib.sha256("\x1f".join(sorted(parts)).encode(errors="replace")).hexdigest()[:32]


def _is_callable_object(item: object) -> bool:
    return callable(item) and not (
        inspect.isroutine(item) or isinstance(item, (type, functools.partial))
    )


def _callables_in(value: object) -> list[object]:
    if isinstance(value, dict):
        value = list(cast("dict[object, object]", value).values())
    if isinstance(value, (list, tuple, set, frozenset)):
        return [item for item in cast("list[object]", value) if callable(item)]
    return []


def is_installed(module: str | None) -> bool:
    """Whether a module, by its name, is installed, and not the user's own."""
    if module is None:  # made by exec, without a home
        return False
    if module.partition(".")[0] in ("builtins", "trace_bridge"):
        return True
    file = getattr(sys.modules.get(module), "__file__", None)
    return file is not None and str(Path(file).resolve()).startswith(_INSTALLED)


def _text(item: types.FunctionType | type) -> str:
    try:
        return inspect.getsource(item)
    except (OSError, TypeError, SyntaxError):  # from a shell or exec, or a file that is no module
        functions = [item] if isinstance(item, types.FunctionType) else list(_methods(item))
        return "".join(_bytecode(function.__code__) for function in functions)


def _bytecode(code: types.CodeType) -> str:
    """A code object as text that is the same in each process: no addresses, sets in order."""
    constants = [
        _bytecode(constant)
        if isinstance(constant, types.CodeType)
        else repr(sorted(map(repr, cast("frozenset[object]", constant))))
        if isinstance(constant, frozenset)
        else repr(constant)
        for constant in code.co_consts
    ]
    return f"{code.co_code!r}{code.co_names}{constants}"


def _methods(item: type) -> Iterator[types.FunctionType]:
    for member in vars(item).values():
        for attribute in ("__func__", "fget", "func", "__wrapped__"):  # class methods, properties
            member = getattr(member, attribute, member)  # noqa: PLW2901
        if isinstance(member, types.FunctionType):
            yield member


def _names(code: types.CodeType) -> Iterator[str]:
    """The global names and attributes that ``code`` uses, in nested functions too."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _variables(function: types.FunctionType) -> dict[str, object]:
    """What the code of ``function`` uses of its closure, its module, and modules of the user's."""
    names = set(_names(function.__code__))
    found: dict[str, object] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):  # not assigned yet
            found[name] = cell.cell_contents
    spaces = {"": function.__globals__}
    pending = [""]
    while pending:
        prefix = pending.pop()
        for name in names & spaces[prefix].keys():
            value = spaces[prefix][name]
            if not isinstance(value, types.ModuleType):
                found[prefix + name] = value
            elif f"{value.__name__}." not in spaces and not is_installed(value.__name__):
                spaces[f"{value.__name__}."] = vars(value)
                pending.append(f"{value.__name__}.")
    return found
