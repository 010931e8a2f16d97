"""Values as text of a limited length, which is not read much further than that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from json.encoder import encode_basestring as _quoted
from typing import cast

from trace_bridge.graph.backward import Subgraph
from trace_bridge.graph.node import Node
from trace_bridge.graph.parameter import Parameter
from trace_bridge.graph.values import canonical, jsonable

_CUT = " …[{} characters left out]… "
_SIGN = 100  # characters of the name of an argument
_INLINE = 10**18  # numbers that are longer are shown on a line of their own
_DEEP = 20  # containers within containers that are read; one may hold itself
_LONG = 10**300  # Python refuses to write out integers that are much longer


def shortened(text: str, limit: int) -> str:
    """``text`` with its middle cut out, and marked, so that it has at most ``limit`` characters."""
    if len(text) <= limit:
        return text
    limit = max(0, limit)
    widest = len(_CUT.format(len(text)))
    if 2 * widest > limit:
        mark = "…"[:limit]
        room = limit - len(mark)
    else:
        room = limit - widest
        mark = _CUT.format(len(text) - room)
    head = room * 2 // 3
    return text[:head] + mark + text[len(text) - (room - head) :]


@lru_cache(maxsize=1024)
def sign_of(label: str) -> str:
    """What stands before an argument: its name on one line, since names may come from data."""
    return f"{shortened(' '.join(label.split()), _SIGN)}=" if label else ""


def level(lengths: Sequence[int], room: int) -> int:
    """The length to which the longest have to be cut for all to fit into ``room``; at least 0."""
    left = len(lengths)
    for length in sorted(lengths):
        if length * left > room:
            return max(0, room // left)
        room -= length
        left -= 1
    return max(lengths, default=0)


def value_of(node: Node, graph: Subgraph) -> object:
    """The value of ``node``; that of a parameter as it was in this run."""
    if isinstance(node, Parameter) and node in graph.values:
        return graph.values[node]
    return node.peek()


def shown(value: object, limit: int, newline: str = "\n") -> str:
    """``value`` in at most ``limit`` characters, and read not much further than that.

    Text stands for itself. Containers are compact JSON, with items left out of their middle. What
    else there is shows its ``str``, without memory addresses, or its type if it has none.
    """
    kind = type(value)
    if kind is int or kind is float or kind is str:
        text = cast("str", value) if kind is str else _number(cast("float", value))
    elif kind is bool or value is None:
        text = "null" if value is None else "true" if value else "false"
    else:
        try:
            plain = _plain(value)
            text = plain if isinstance(plain, str) else _json(plain, limit)
        except Exception:  # noqa: BLE001 (the value's own code: what cannot be shown is only named)
            text = f"<{kind.__qualname__}>"
    if "\n" in text:
        text = text.replace("\n", newline)
    return text if len(text) <= limit else shortened(text, limit)


def is_literal(node: Node) -> bool:
    """Whether a node is a nameless number, which is shown where it is used."""
    if node.op != "constant" or node.name != "constant":
        return False
    data = node.peek()
    if type(data) is int:
        return -_INLINE < data < _INLINE
    return data is None or type(data) in (float, bool)


def _number(value: float) -> str:
    try:
        return repr(value)
    except ValueError:  # Python refuses to write out thousands of digits
        return f"<integer of {cast('int', value).bit_length()} bits>"


def _plain(value: object) -> object:
    """``value`` as text, number, list, tuple or dict; the items of these may be anything still."""
    if isinstance(value, Node):
        return _plain(value.peek())
    if isinstance(value, int) and not -_LONG < value < _LONG:
        return _number(value)
    if value is None or isinstance(value, (str, int, float, list, tuple, dict)):
        return cast("object", value)
    if hasattr(type(value), "tolist"):  # numpy, which the core does not import
        if getattr(value, "ndim", 0) > 1 and type(value).__name__ != "matrix":
            return list(cast("list[object]", value))  # few rows are read; a matrix has matrices
        return cast("Callable[[], object]", getattr(value, "tolist"))()  # noqa: B009
    return jsonable(value)


def _items(value: object) -> tuple[Sequence[str], Sequence[object]] | None:
    """What stands before the items of a container (nothing for a list), and the items."""
    if isinstance(value, dict):
        named = {str(key): item for key, item in cast("dict[object, object]", value).items()}
        return [f"{_quoted(key)}:" for key in sorted(named)], [named[key] for key in sorted(named)]
    return ((), cast("list[object]", value)) if isinstance(value, (list, tuple)) else None


def _size(value: object, most: int, depth: int) -> int:
    """The length as JSON; if it is above ``most``, any number above that."""
    number = isinstance(value, int)
    value = _plain(value)
    if isinstance(value, str):
        return most + 1 if number or len(value) > most else len(_quoted(value))
    if not isinstance(value, (list, tuple, dict)):
        return len(repr(value))
    if depth > _DEEP or len(cast("list[object]", value)) > most:
        return most + 1
    keys, items = _items(cast("list[object]", value)) or ((), ())
    total = 1 + sum(map(len, keys))
    for item in items:
        total += _size(item, most - total, depth + 1) + 1
        if total > most:
            break
    return max(total, 2)


def _json(value: object, room: int, depth: int = 0) -> str:
    """Compact JSON of at most ``room`` characters, with what is missing marked in its place."""
    if _size(value, room, depth) <= room:
        return shortened(canonical(value), room)
    value = _plain(value)
    if isinstance(value, str):
        return shortened(_quoted(shortened(value, room - 2)), room)
    known = _items(value)
    if known is None or depth > _DEEP:
        return "…"[: max(0, room)]
    keys, items = known
    left = room - (len(f"[…[{len(items)} items left out]…,]") if len(items) > 4 else 2)
    sizes: dict[int, int] = {}
    first, last = 0, len(items)
    while first < last and left > 0:
        at = first if first <= 2 * (len(items) - last) else last - 1
        size = _size(items[at], room, depth + 1)
        left -= min(size, room // 5) + 1 + (len(keys[at]) if keys else 0)
        if left >= 0:
            sizes[at] = size
            first, last = (at + 1, last) if at == first else (first, at)
    heads = {at: keys[at] if keys else "" for at in sorted(sizes)}
    mark = [f"…[{last - first} items left out]…"] if first < last else []
    left = room - 1 - sum(len(text) + 1 for text in (*heads.values(), *mark))
    share = max(1, level(list(sizes.values()), left))
    parts = [head + _json(items[at], share, depth + 1) for at, head in heads.items()]
    parts[first:first] = mark
    text = ",".join(parts)
    return shortened(f"{{{text}}}" if isinstance(value, dict) else f"[{text}]", room)
