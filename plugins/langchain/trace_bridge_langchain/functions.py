"""The long texts in a function's code, which are slots, and first lines of docstrings.

Clones of functions that refer to something else are the core's.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator, Mapping
from itertools import count

from trace_bridge import cloned_function as clone
from trace_bridge import refer, references

__all__ = ["change", "clone", "first_line", "referred"]

_LEAST = 16  # characters of a text in a function's code that count as more than a key or a name


def referred(function: types.FunctionType, *, globals_too: bool) -> dict[str, object]:
    """What the core's ``references`` gives, and the texts in a user's function.

    The names of those that stand in the code itself are ``text.NUMBER``.
    """
    found = references(function, globals_too=globals_too)
    if globals_too:
        found.update((f"text.{number}", text) for number, text in _texts(function))
    return found


def _texts(function: types.FunctionType) -> Iterator[tuple[int, str]]:
    """The long texts in the code, but for the docstring, and their places among its texts."""
    for number, text in enumerate(_constants(function.__code__)):
        if len(text) >= _LEAST and " " in text.strip() and text != function.__doc__:
            yield number, text


def _constants(code: types.CodeType) -> Iterator[str]:
    for constant in code.co_consts:
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, types.CodeType):
            yield from _constants(constant)


def change(function: types.FunctionType, name: str, value: object) -> None:
    """Write what ``name`` refers to, in place."""
    sort, _, rest = name.partition(".")
    if sort == "text":
        function.__code__ = _replaced(function.__code__, {int(rest): str(value)}, count())
    else:
        refer(function, name, value)


def _replaced(
    code: types.CodeType, new: Mapping[int, str], number: Iterator[int]
) -> types.CodeType:
    """``code`` with other texts, by their places in the order of ``_constants``."""
    constants = tuple(
        _replaced(item, new, number)
        if isinstance(item, types.CodeType)
        else new.get(next(number), item)
        if isinstance(item, str)
        else item
        for item in code.co_consts
    )
    return code.replace(co_consts=constants)


def first_line(function: object) -> str:
    """The first line of a function's docstring."""
    return (inspect.getdoc(function) or "").partition("\n")[0]
