"""Nodes inside lists, tuples, dicts, sets, deques, slices and dataclasses, at any depth."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from operator import is_
from typing import TYPE_CHECKING, TypeVar, cast

from trace_bridge.graph.operators import Operators

if TYPE_CHECKING:
    from trace_bridge.graph.node import Node

ATOMS = frozenset({str, int, float, bool, bytes, complex, type(None)})  # hold no nodes
_CONTAINERS = frozenset({list, tuple, set, frozenset, deque})
_MAPPINGS = frozenset({dict, OrderedDict, defaultdict})
_T = TypeVar("_T")


def nodes_in(value: object, inside: tuple[int, ...] = ()) -> Sequence[Node]:
    """The nodes in ``value``, at any depth of container and dataclass.

    ``inside`` has the ids of what holds ``value``: a container that holds itself ends there.
    """
    if type(value) in ATOMS:
        return ()
    if isinstance(value, Operators):
        return (cast("Node", value),)
    fields: Mapping[str, object] = getattr(type(value), "__dataclass_fields__", {})
    items = [getattr(value, name, None) for name in fields] if fields else _items(value)
    if ATOMS.issuperset(map(type, items)) or id(value) in inside:
        return ()
    inside = (*inside, id(value))
    return [node for item in items for node in nodes_in(item, inside)]


def unwrap(value: _T, inside: tuple[int, ...] = ()) -> _T:
    """``value`` with the nodes in it, at any depth of container, as their data.

    What holds no nodes stays the same object: the user's code may write to it.
    """
    if type(value) in ATOMS:
        return value
    if isinstance(value, Operators):
        return cast("_T", value.peek())
    items = _items(value)
    if ATOMS.issuperset(map(type, items)) or id(value) in inside:
        return value
    inside = (*inside, id(value))
    made = [unwrap(item, inside) for item in items]
    if all(map(is_, made, items)):
        return value
    if isinstance(value, dict):
        plain = cast("dict[object, object]", value).copy()  # of the same class
        plain.update(zip(plain, made, strict=True))
        return cast("_T", plain)
    if isinstance(value, slice):
        return cast("_T", slice(*made))
    if isinstance(value, deque):
        return cast("_T", deque(made, value.maxlen))
    # a named tuple takes its items one by one
    build = cast("Callable[[list[object]], _T]", getattr(type(value), "_make", type(value)))
    return build(made)


def _items(value: object) -> Collection[object]:
    kind = type(value)
    if kind in _MAPPINGS:
        return cast("dict[object, object]", value).values()
    if isinstance(value, slice):
        ends = cast("slice[object, object, object]", value)
        return ends.start, ends.stop, ends.step
    if kind in _CONTAINERS or hasattr(kind, "_make"):
        return cast("Collection[object]", value)
    return ()
