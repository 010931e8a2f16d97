"""What a function or class is made of, as a key: changed code must not reuse old results."""

from __future__ import annotations

import hashlib
import inspect
import sys
import sysconfig
import types
from collections.abc import Iterator
from pathlib import Path

_INSTALLED = tuple(
    str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "purelib", "platlib")
)


def code_digest(*objects: object) -> str:
    """A key for the source of functions and classes, and of all user code that they refer to.

    What is installed (a framework, the standard library) counts by name only: its version belongs
    into the key beside this.
    """
    seen: dict[int, object] = {}
    parts: list[str] = []
    pending = list(objects)
    while pending:
        item = pending.pop(0)
        item = inspect.unwrap(item) if callable(item) else item
        item = getattr(item, "__func__", item)
        if not isinstance(item, (types.FunctionType, type)) or id(item) in seen:
            continue
        seen[id(item)] = item
        name = f"{item.__module__}.{item.__qualname__}"
        if _is_installed(item):
            parts.append(name)
            continue
        parts.append(f"{name}\n{_text(item)}")
        pending += _referred(item)
        parts += _constants(item)
    return hashlib.sha256("\x1f".join(sorted(parts)).encode()).hexdigest()[:32]


def _is_installed(item: types.FunctionType | type) -> bool:
    module = sys.modules.get(item.__module__)
    file = getattr(module, "__file__", None)
    if item.__module__ == "builtins":
        return True
    return file is not None and str(Path(file).resolve()).startswith(_INSTALLED)


def _text(item: types.FunctionType | type) -> str:
    try:
        return inspect.getsource(item)
    except (OSError, TypeError):  # typed into a shell or made by exec
        functions = [item] if isinstance(item, types.FunctionType) else list(_methods(item))
        return "".join(f"{f.__code__.co_code!r}{f.__code__.co_consts!r}" for f in functions)


def _methods(item: type) -> Iterator[types.FunctionType]:
    for member in vars(item).values():
        function = getattr(member, "__func__", member)
        if isinstance(function, types.FunctionType):
            yield function


def _referred(item: types.FunctionType | type) -> list[object]:
    """Functions and classes that the code of ``item`` names, and its base classes."""
    if isinstance(item, type):
        return [*item.__bases__, *_methods(item)]
    variables = inspect.getclosurevars(item)
    return [*variables.nonlocals.values(), *variables.globals.values()]


def _constants(item: types.FunctionType | type) -> list[str]:
    """Plain values outside the source that the code of a function reads."""
    if isinstance(item, type):
        return []
    variables = inspect.getclosurevars(item)
    found = {**variables.nonlocals, **variables.globals}
    return [f"{k}={v!r}" for k, v in found.items() if isinstance(v, (str, int, float, bool, tuple))]
