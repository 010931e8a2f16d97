"""The registry of parameter kinds: what a value of each kind is, in one place.

A kind is an open string. Whoever needs a new one registers it here instead of adding a branch
somewhere else.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from trace_bridge.graph.guards import CODE, TEXT, Guard
from trace_bridge.graph.lenient import read_json, unfenced
from trace_bridge.graph.values import jsonable


@dataclass(frozen=True, slots=True)
class Kind:
    """What is common to all parameters of a kind.

    Attributes:
        check: the reason why a value is not of this kind, or None if it is.
        show: a value as text, for prompts and diffs.
        parse: what a model wrote as a value; the inverse of ``show``. Raises ValueError.
        optimizer: the name of the optimizer that ``optimizer="auto"`` uses for it.
        closed: whether nothing but one of the parameter's ``choices`` is a value of it.
        guards: reasons why a text is refused when a model proposes it.
    """

    name: str
    check: Callable[[object], str | None]
    show: Callable[[object], str]
    parse: Callable[[str], object]
    optimizer: str = "optoprime"
    closed: bool = False
    guards: tuple[Guard, ...] = ()


_kinds: dict[str, Kind] = {}


def register_kind(kind: Kind) -> Kind:
    """Make ``kind`` known under its name; a name can be registered once."""
    if kind.name in _kinds:
        msg = f"the kind {kind.name!r} is registered already"
        raise ValueError(msg)
    _kinds[kind.name] = kind
    return kind


def kind_named(name: str) -> Kind:
    """The kind of that name.

    Raises:
        LookupError: naming the kinds that there are.
    """
    try:
        return _kinds[name]
    except KeyError:
        msg = f"unknown kind {name!r} of parameter; known: {', '.join(sorted(_kinds))}"
        raise LookupError(msg) from None


def _is_text(value: object) -> str | None:
    if not isinstance(value, str):
        return f"must be text, not {type(value).__name__}"
    return None if value.strip() else "must not be empty"


def _is_number(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return f"must be a number, not {type(value).__name__}"
    try:
        return None if math.isfinite(value) else "must be finite"
    except OverflowError:
        return "is too large a number"


def _is_demos(value: object) -> str | None:
    if not isinstance(value, list):
        return f"must be a list of objects, not {type(value).__name__}"
    for item in value:  # pyright: ignore[reportUnknownVariableType]
        if not isinstance(item, dict):
            return f"must be a list of objects, but holds {item!r}"
    return None


def _is_json(value: object) -> str | None:
    try:
        json.dumps(value)
    except (TypeError, ValueError) as error:
        return f"must be a JSON value: {error}"
    return None


def _same(text: str) -> str:
    return text


def _code(text: str) -> str:
    """Code, out of the fence that models like to put it in."""
    code = unfenced(text)
    return text if code == text else f"{code}\n"


def _rows(value: object) -> str:
    """A list as JSON with a line for each item, so that a diff shows which ones changed."""
    items = cast("list[object]", value)
    return "[" + ",".join(f"\n  {_compact(item)}" for item in items) + ("\n]" if items else "]")


def _compact(value: object) -> str:
    return json.dumps(jsonable(value), ensure_ascii=False)


def _chosen(value: object) -> str:
    """Text as it is, unless it could be taken for JSON."""
    if isinstance(value, str) and value == value.strip() and _choice(value) == value:
        return value
    return _compact(value)


def _choice(text: str) -> object:
    """JSON, or else the text itself: a model writes gpt-4o without quotes."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text.strip()


for _name in ("prompt", "description", "text"):  # text: any other; trained if the user names it
    register_kind(Kind(_name, _is_text, str, _same, guards=TEXT))
register_kind(Kind("code", _is_text, str, _code, guards=CODE))
register_kind(Kind("demos", _is_demos, _rows, read_json, "bootstrap"))
register_kind(Kind("number", _is_number, _compact, read_json))
register_kind(Kind("value", _is_json, _compact, read_json))
register_kind(Kind("choice", _is_json, _chosen, _choice, closed=True))
