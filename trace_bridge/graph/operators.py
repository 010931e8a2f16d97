"""Python's operators and protocols on nodes: each use makes a node that remembers its operands."""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# (the standard library types some operators in part only, and data may be anything)

from __future__ import annotations

import math
import operator
import sys
import warnings
from collections.abc import (
    Callable,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    MutableSequence,
    MutableSet,
    Sequence,
    Sized,
)
from functools import partial
from types import BuiltinMethodType, MethodType
from typing import TYPE_CHECKING, Any, TypeGuard, cast

from trace_bridge.graph import context

if TYPE_CHECKING:
    from trace_bridge.graph.node import Node

_METHODS = (BuiltinMethodType, MethodType)
_MUTABLE = (MutableSequence, MutableMapping, MutableSet)
_IN_PLACE = (  # of containers and arrays
    "add", "append", "appendleft", "clear", "difference_update", "discard", "extend", "extendleft",
    "fill", "frombytes", "fromlist", "insert", "intersection_update", "itemset", "move_to_end",
    "partition", "pop", "popitem", "popleft", "put", "remove", "resize", "reverse", "rotate",
    "setdefault", "sort", "subtract", "symmetric_difference_update", "update",
)  # fmt: skip


# numpy's functions that write to their first argument
_WRITING = ("copyto", "fill_diagonal", "place", "put", "put_along_axis", "putmask")


class LostEdgeWarning(UserWarning):
    """A value left the graph where nothing could remember it."""


def _unary(op: str, function: Callable[[Any], object]):  # noqa: ANN202 (inferred as a method)
    def method(self: Operators) -> Node:
        return self.derive(op, function, self)

    return method


def _binary(op: str, function: Callable[[Any, Any], object]):  # noqa: ANN202
    def method(self: Operators, other: object) -> Node:
        return self.binary(op, function, self, other)

    return method


def _reflected(op: str, function: Callable[[Any, Any], object]):  # noqa: ANN202
    def method(self: Operators, other: object) -> Node:
        return self.binary(op, function, other, self)

    return method


class Operators:
    """The operator methods of a node, as one mixin.

    ``==`` and the other comparisons are operators that give a node, as in PyTorch; the hash is
    by identity. ``bool``, ``len``, ``in``, ``str``, ``int`` and the like must give plain values in
    Python, so they note that the node was read (``docs/design.md`` says what that means).
    """

    __slots__ = ()

    if TYPE_CHECKING:
        # what Node gives
        requires_grad: bool
        name: str
        derive: Callable[..., Node]
        invoke: Callable[..., Node]
        binary: Callable[[str, Callable[[Any, Any], object], object, object], Node]
        change: Callable[..., object]
        read: Callable[[], object]
        peek: Callable[[], object]

    __pos__ = _unary("positive", operator.pos)
    __neg__ = _unary("negative", operator.neg)
    __abs__ = _unary("absolute", operator.abs)
    __invert__ = _unary("invert", operator.invert)
    __floor__ = _unary("floor", math.floor)
    __ceil__ = _unary("ceil", math.ceil)
    __trunc__ = _unary("truncate", math.trunc)

    __add__, __radd__ = _binary("add", operator.add), _reflected("add", operator.add)
    __sub__, __rsub__ = _binary("subtract", operator.sub), _reflected("subtract", operator.sub)
    __mul__, __rmul__ = _binary("multiply", operator.mul), _reflected("multiply", operator.mul)
    __truediv__ = _binary("divide", operator.truediv)
    __rtruediv__ = _reflected("divide", operator.truediv)
    __floordiv__ = _binary("floor_divide", operator.floordiv)
    __rfloordiv__ = _reflected("floor_divide", operator.floordiv)
    __mod__, __rmod__ = _binary("mod", operator.mod), _reflected("mod", operator.mod)
    __divmod__, __rdivmod__ = _binary("divmod", divmod), _reflected("divmod", divmod)
    __matmul__ = _binary("matrix_multiply", operator.matmul)
    __rmatmul__ = _reflected("matrix_multiply", operator.matmul)
    __and__, __rand__ = _binary("and", operator.and_), _reflected("and", operator.and_)
    __or__, __ror__ = _binary("or", operator.or_), _reflected("or", operator.or_)
    __xor__, __rxor__ = _binary("xor", operator.xor), _reflected("xor", operator.xor)
    __lshift__ = _binary("shift_left", operator.lshift)
    __rlshift__ = _reflected("shift_left", operator.lshift)
    __rshift__ = _binary("shift_right", operator.rshift)
    __rrshift__ = _reflected("shift_right", operator.rshift)
    __lt__, __le__ = _binary("less", operator.lt), _binary("less_equal", operator.le)
    __gt__, __ge__ = _binary("greater", operator.gt), _binary("greater_equal", operator.ge)
    __eq__ = _binary("equal", operator.eq)  # pyright: ignore[reportAssignmentType] an operator, as in PyTorch
    __ne__ = _binary("not_equal", operator.ne)  # pyright: ignore[reportAssignmentType]
    __hash__ = object.__hash__
    __getitem__ = _binary("getitem", operator.getitem)

    def __pow__(self, other: object, modulus: object = None) -> Node:
        return self.derive("power", pow, self, other, *([] if modulus is None else [modulus]))

    __rpow__ = _reflected("power", operator.pow)

    def __round__(self, digits: object = None) -> Node:
        return self.derive("round", round, self, *([] if digits is None else [digits]))

    def __call__(self, /, *args: object, **kwargs: object) -> Node:
        """Call the value."""
        return self.derive("call", operator.call, self, *args, **kwargs)

    def __setitem__(self, key: object, value: object) -> None:
        self.change("setitem", operator.setitem, key, value)

    def __delitem__(self, key: object) -> None:
        self.change("delitem", operator.delitem, key)

    def __iter__(self) -> Iterator[Node]:
        data = self.read()
        if _is_sequence(data):
            return _in_turn(self, len(data))
        return self._each(iter(cast("Iterable[object]", data)))  # or the TypeError is right

    def __reversed__(self) -> Iterator[Node]:
        data = self.read()
        if _is_sequence(data):
            return (self[index] for index in range(len(data) - 1, -1, -1))
        return self._each(reversed(cast("Any", data)))

    def _each(self, items: Iterator[object]) -> Iterator[Node]:
        op = "key" if isinstance(self.peek(), Mapping) else "element"
        return (self.derive(op, _second, self, item) for item in items)

    def __contains__(self, item: object) -> bool:
        if isinstance(item, Operators):
            item = item.read()
        elif isinstance(item, (tuple, list, frozenset)):  # may hold nodes
            return bool(self.derive("contains", operator.contains, self, item))
        return item in self.read()  # pyright: ignore[reportOperatorIssue] unsupported data raises TypeError as it should

    def __len__(self) -> int:
        return len(self.read())  # pyright: ignore[reportArgumentType] unsized data raises TypeError as it should

    def __bool__(self) -> bool:
        return bool(self.read())

    def __str__(self) -> str:
        return str(self.read())

    def __format__(self, specification: str) -> str:
        return format(self._taken("an f-string: use .format(...)"), specification)

    def __index__(self) -> int:
        return operator.index(self._taken("an index"))  # pyright: ignore[reportArgumentType]

    def __int__(self) -> int:
        return int(self._taken("int()"))  # pyright: ignore[reportArgumentType]

    def __float__(self) -> float:
        return float(self._taken("float()"))  # pyright: ignore[reportArgumentType]

    def __complex__(self) -> complex:
        return complex(self._taken("complex()"))  # pyright: ignore[reportCallIssue, reportArgumentType]

    def __bytes__(self) -> bytes:
        return bytes(self._taken("bytes()"))  # pyright: ignore[reportCallIssue, reportArgumentType]

    def _taken(self, how: str) -> object:
        """The value, for Python to make a plain value of it."""
        if self.requires_grad and context.scope.get() is None:
            msg = (
                f"the value of {self.name!r} leaves the graph by {how}; outside a bundled function"
                " and the forward of a module no edge can be kept (read .data if none is wanted)"
            )
            warnings.warn(msg, LostEdgeWarning, stacklevel=3)
        return self.read()

    # numpy asks these before it takes a node for a list of things

    def __array__(self, dtype: object = None, copy: object = None) -> object:
        return sys.modules["numpy"].asarray(self._taken("numpy.asarray()"), dtype=dtype)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: object, **named: object) -> object:
        function = getattr(ufunc, method)
        if method == "at":  # writes to its first argument
            return _written(f"{ufunc.__name__}.at", function, inputs, named)
        return self.derive(ufunc.__name__, function, *inputs, **named)

    def __array_function__(
        self, function: Callable[..., object], _types: object, args: Iterable[object],
        kwargs: Mapping[str, object],
    ) -> object:  # fmt: skip
        if function.__name__ in _WRITING:
            return _written(function.__name__, function, args, kwargs)
        return self.derive(function.__name__, function, *args, **kwargs)


def _written(
    op: str, function: Callable[..., object], args: Iterable[object], named: Mapping[str, object]
) -> object:
    def plain(item: object) -> object:
        return item._taken(op) if isinstance(item, Operators) else item  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] one of us

    written, *rest = args
    if isinstance(written, Operators):
        return written.change(op, function, *rest, **named)
    return function(written, *map(plain, rest), **{name: plain(named[name]) for name in named})


def _second(_container: object, value: object) -> object:
    return value


def _is_sequence(data: object) -> TypeGuard[Sized]:
    # having items by number: many classes that have __getitem__ and a length go by keys
    return isinstance(data, Sequence) or type(data).__module__ == "numpy"


def _in_turn(node: Operators, length: int) -> Iterator[Node]:
    index = 0
    while index < length:
        yield node[index]
        index, length = index + 1, len(cast("Sized", node.peek()))  # it may have changed meanwhile


class Attributes(Operators):
    """Any attribute of the value, for values of which we do not know the attributes.

    Python is several times slower at each attribute of a class that has ``__getattr__``, which
    plain nodes therefore do without: they have all attributes of Python's own types.
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        # protocols are looked up by name: do not pretend to have them; and slots may be empty
        if name[:2] == "__" or name in ("_used", "_versions"):
            raise AttributeError(name)
        return _attribute(self, name)


def _attribute(node: Operators, name: str) -> Any:
    """An attribute of the value; a method as a function that records its calls."""
    data = node.peek()
    try:
        method = getattr(data, name)
    except AttributeError:
        node.read()  # whoever runs now goes on because it has none
        raise
    if not isinstance(method, _METHODS):
        return node.derive("getattr", getattr, node, name)
    if name in _SPECIAL:
        if name in _VIEWS and isinstance(data, Mapping):
            return partial(_VIEWS[name], node)
        if isinstance(data, _MUTABLE) or type(data).__module__ == "numpy":
            return partial(node.change, name, partial(_call, name))
    return partial(node.invoke, name, method)


def _call(name: str, data: object, /, *args: object, **kw: object) -> object:
    return getattr(data, name)(*args, **kw)


def _keys(node: Operators) -> list[object]:
    # plain: dict(node) and **node want keys that are no nodes
    return list(cast("Mapping[object, object]", node.read()))


def _values(node: Operators) -> list[Node]:
    return [node[key] for key in _keys(node)]


def _pairs(node: Operators) -> list[tuple[object, Node]]:
    return [(key, node[key]) for key in _keys(node)]


_VIEWS = {"keys": _keys, "values": _values, "items": _pairs}
_SPECIAL = frozenset((*_VIEWS, *_IN_PLACE))


def _forwarded(name: str) -> property:
    if name in _SPECIAL:
        return property(lambda node: _attribute(node, name))

    def get(node: Operators) -> Any:
        try:
            method = getattr(node.peek(), name)
        except AttributeError:
            node.read()  # as below
            raise
        if isinstance(method, _METHODS):
            return partial(node.invoke, name, method)
        return node.derive("getattr", getattr, node, name)

    return property(get)


# Python's own types, with all their attributes
KNOWN = frozenset(
    {str, bytes, bytearray, int, float, bool, complex, type(None)}
    | {list, tuple, dict, set, frozenset}
)
for _name in {name for known in KNOWN for name in dir(known)}:
    if not _name.startswith("_"):
        setattr(Operators, _name, _forwarded(_name))
