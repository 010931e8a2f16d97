"""Nodes inside lists, tuples, dicts, sets, deques, slices, dataclasses and attrs classes."""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# (containers may hold anything)

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from operator import is_
from typing import TYPE_CHECKING, Any, TypeVar, cast

from trace_bridge.graph.operators import Operators

if TYPE_CHECKING:
    from trace_bridge.graph.node import Node

ATOMS = frozenset({str, int, float, bool, bytes, complex, type(None)})  # hold no nodes
_CONTAINERS = (list, dict, tuple, set, frozenset, deque, slice)
_T = TypeVar("_T")


def nodes_in(value: object, seen: dict[int, object] | None = None) -> Sequence[Node]:
    """The nodes in ``value``, at any depth of container and dataclass.

    ``seen`` has what has been looked into, by id (held, since ids are used again): objects that
    refer to each other are looked into once.
    """
    if type(value) in ATOMS:
        return ()
    if isinstance(value, Operators):
        return (cast("Node", value),)
    items = _items(value) or _fields(value)
    if ATOMS.issuperset(map(type, items)):
        return ()
    if seen is None:
        seen = {}
    elif id(value) in seen:
        return ()
    seen[id(value)] = value
    return [node for item in items for node in nodes_in(item, seen)]


def unwrap(value: _T, made: dict[int, tuple[object, object]] | None = None) -> _T:
    """``value`` with the nodes in it, at any depth of container, as their data.

    What holds no nodes stays the same object: the user's code may write to it. ``made`` has what
    came of containers, by their ids: one that holds itself stays in there as it is.
    """
    if type(value) in ATOMS:
        return value
    if isinstance(value, Operators):
        return cast("_T", value.peek())
    items = _items(value)
    if ATOMS.issuperset(map(type, items)):
        return value
    if made is None:
        made = {}
    elif id(value) in made:
        return cast("_T", made[id(value)][1])
    made[id(value)] = value, value
    plain = [unwrap(item, made) for item in items]
    if all(map(is_, plain, items)):
        return value
    found = _rebuilt(value, plain)
    made[id(value)] = value, found
    return found


def _rebuilt(value: _T, plain: list[object]) -> _T:
    """A container like ``value``, with other items."""
    if isinstance(value, slice):
        return cast("_T", slice(*plain))
    if isinstance(value, (tuple, frozenset)):  # its own __new__ may want other arguments
        new: Any = tuple.__new__ if isinstance(value, tuple) else frozenset.__new__
        return new(type(value), plain)
    made: Any = copy.copy(value)  # of the same class, with what it holds besides
    if isinstance(value, dict):
        update: Any = dict.update  # that of a Counter would add
        update(made, zip(made, plain, strict=True))
        return made
    made.clear()
    (made.update if isinstance(value, set) else made.extend)(plain)
    return made


def _items(value: object) -> Collection[object]:
    if not isinstance(value, _CONTAINERS):
        return ()
    if isinstance(value, dict):
        return cast("dict[object, object]", value).values()
    if isinstance(value, slice):
        ends = cast("slice[object, object, object]", value)
        return ends.start, ends.stop, ends.step
    return cast("Collection[object]", value)


def _fields(value: object) -> Collection[object]:
    """What the fields of a dataclass or an attrs class hold."""
    kind = type(value)
    fields: Iterable[Any] = getattr(kind, "__dataclass_fields__", None) or getattr(
        kind, "__attrs_attrs__", ()
    )
    names = [field if isinstance(field, str) else field.name for field in fields]
    return [getattr(value, name, None) for name in names]
