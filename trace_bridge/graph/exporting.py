"""Trained values as Python source."""

from __future__ import annotations

import ast
import builtins
import inspect
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from trace_bridge.graph.source import lines_in_texts, source_of

if TYPE_CHECKING:
    from trace_bridge.graph.bundle import Operator

_HEAD = '''\
"""What was trained of {owner}. ``install(module)`` gives it to an instance."""

from __future__ import annotations

VALUES = {values}

FUNCTIONS = {{}}


def install(module):
    """Give ``module`` the values and functions of this file."""
    module.adopt(FUNCTIONS)
    module.load_state_dict(VALUES)
'''

_FUNCTION = """

{source}

FUNCTIONS[{path!r}] = {name}
"""
_ENCLOSED = """

def _enclosed():
{source}
    return {name}


FUNCTIONS[{path!r}] = _enclosed()
"""


def exported(
    owner: type, state: Mapping[str, object], operators: Mapping[str, Operator[..., Any]]
) -> str:
    """``state`` as a module; the code of ``operators``, by path, as functions.

    A function that is decorated, and as the user wrote it, stays that of the user's class.

    Raises:
        ValueError: for a function that uses variables of the function or class around it.
    """
    plain = {path: value for path, value in state.items() if path not in operators}
    values = "".join(f"    {path!r}: {_literal(value)},\n" for path, value in plain.items())
    name = f"{owner.__module__}.{owner.__qualname__}"
    text = _HEAD.format(owner=name, values=f"{{\n{values}}}" if plain else "{}")
    taken = {"VALUES", "FUNCTIONS", "install"}
    for path, operator in operators.items():
        original = inspect.unwrap(operator.function)
        if original is not operator.function and state[path] == source_of(original):
            continue
        source = str(state[path]).rstrip("\n")
        defined = _defined(source)
        imports, imported = _imports(path, source, defined, original)
        source = imports + source
        if taken.isdisjoint(defined | imported):
            text += _FUNCTION.format(source=source, name=operator.op, path=path)
            taken |= defined | imported
        else:  # a function, helper or import of that name is there already
            text += _ENCLOSED.format(source=_indented(source), name=operator.op, path=path)
    return text


def _defined(source: str) -> set[str]:
    """The names that ``source`` defines at its top level."""
    names: set[str] = set()
    for statement in ast.parse(source).body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(statement.name)
        elif isinstance(statement, (ast.Import, ast.ImportFrom)):
            names |= {(item.asname or item.name).partition(".")[0] for item in statement.names}
        else:
            stores = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
            names |= {node.id for node in stores if isinstance(node.ctx, ast.Store)}
    return names


def _imports(
    path: str, source: str, defined: set[str], original: Callable[..., Any]
) -> tuple[str, set[str]]:
    """Imports of what ``source`` uses of the module in which the original function is."""
    tree = ast.parse(source)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - defined
    around = used & set(original.__code__.co_freevars) - {"__class__"}
    place = "function" if around else "class or function"
    known = original.__globals__.keys() | vars(builtins).keys()
    around |= _of_defaults(tree) & used - known
    if around:
        msg = (
            f"{path} uses {', '.join(sorted(around))} of the {place} around it, which a file"
            " cannot: pass it as an argument, or make it a global variable"
        )
        raise ValueError(msg)
    names = used & original.__globals__.keys()
    if not names:
        return "", names
    return f"from {original.__module__} import {', '.join(sorted(names))}\n\n\n", names


def _of_defaults(tree: ast.Module) -> set[str]:
    """The variables that the default values of functions use, which are not of the functions."""
    found: set[str] = set()
    for statement in tree.body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            defaults = (*statement.args.defaults, *filter(None, statement.args.kw_defaults))
            nodes = [node for default in defaults for node in ast.walk(default)]
            names = [node for node in nodes if isinstance(node, ast.Name)]
            found |= {node.id for node in names if isinstance(node.ctx, ast.Load)}
            found -= {node.id for node in names if isinstance(node.ctx, ast.Store)}
            found -= {node.arg for node in nodes if isinstance(node, ast.arg)}
    return found


def _literal(value: object) -> str:
    """A JSON value as Python: ``repr``, but for numbers that have no literal."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"float({str(value)!r})"
    if isinstance(value, dict):
        pairs = cast("dict[object, object]", value).items()
        return "{" + ", ".join(f"{key!r}: {_literal(item)}" for key, item in pairs) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_literal, cast("list[object]", value))) + "]"
    for kind in (bool, int, float, str):
        if isinstance(value, kind):  # enumerations and numpy's floats have another __repr__
            return cast("Callable[[object], str]", kind.__repr__)(value)
    return repr(value)


def _indented(source: str) -> str:
    """``source`` one level deeper, but for the inner lines of its texts."""
    inside = lines_in_texts(source)
    lines = source.rstrip("\n").split("\n")
    return "\n".join(
        line if number in inside or not line.strip() else f"    {line}"
        for number, line in enumerate(lines, 1)
    )
