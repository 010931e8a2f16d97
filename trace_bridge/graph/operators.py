"""Python's operators on nodes: each use makes a node that remembers its operands."""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# (the standard library types some operators in part only, and data may be anything)

from __future__ import annotations

import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from trace_bridge.graph.node import Node


class Operators(ABC):
    """The operator methods of a node, as one mixin.

    ``==`` and the other comparisons are operators that give a node, as in PyTorch; the hash is
    by identity. ``bool``, ``len``, ``in`` and ``str`` must give plain values in Python, so they
    only note that the node was read (``docs/design.md`` says what that means for the graph).
    """

    __slots__ = ()

    @abstractmethod
    def derive(self, op: str, function: Callable[..., object], *operands: object) -> Node:
        """Apply ``function`` to the operands' data and record the result as a node."""

    @abstractmethod
    def read(self) -> object:
        """The data, noting the read in the current scope."""

    def __add__(self, other: object) -> Node:
        return self.derive("add", operator.add, self, other)

    def __radd__(self, other: object) -> Node:
        return self.derive("add", operator.add, other, self)

    def __sub__(self, other: object) -> Node:
        return self.derive("subtract", operator.sub, self, other)

    def __rsub__(self, other: object) -> Node:
        return self.derive("subtract", operator.sub, other, self)

    def __mul__(self, other: object) -> Node:
        return self.derive("multiply", operator.mul, self, other)

    def __rmul__(self, other: object) -> Node:
        return self.derive("multiply", operator.mul, other, self)

    def __truediv__(self, other: object) -> Node:
        return self.derive("divide", operator.truediv, self, other)

    def __rtruediv__(self, other: object) -> Node:
        return self.derive("divide", operator.truediv, other, self)

    def __floordiv__(self, other: object) -> Node:
        return self.derive("floor_divide", operator.floordiv, self, other)

    def __rfloordiv__(self, other: object) -> Node:
        return self.derive("floor_divide", operator.floordiv, other, self)

    def __mod__(self, other: object) -> Node:
        return self.derive("mod", operator.mod, self, other)

    def __rmod__(self, other: object) -> Node:
        return self.derive("mod", operator.mod, other, self)

    def __divmod__(self, other: object) -> Node:
        return self.derive("divmod", divmod, self, other)

    def __rdivmod__(self, other: object) -> Node:
        return self.derive("divmod", divmod, other, self)

    def __pow__(self, other: object) -> Node:
        return self.derive("power", operator.pow, self, other)

    def __rpow__(self, other: object) -> Node:
        return self.derive("power", operator.pow, other, self)

    def __matmul__(self, other: object) -> Node:
        return self.derive("matrix_multiply", operator.matmul, self, other)

    def __rmatmul__(self, other: object) -> Node:
        return self.derive("matrix_multiply", operator.matmul, other, self)

    def __and__(self, other: object) -> Node:
        return self.derive("and", operator.and_, self, other)

    def __rand__(self, other: object) -> Node:
        return self.derive("and", operator.and_, other, self)

    def __or__(self, other: object) -> Node:
        return self.derive("or", operator.or_, self, other)

    def __ror__(self, other: object) -> Node:
        return self.derive("or", operator.or_, other, self)

    def __xor__(self, other: object) -> Node:
        return self.derive("xor", operator.xor, self, other)

    def __rxor__(self, other: object) -> Node:
        return self.derive("xor", operator.xor, other, self)

    def __lshift__(self, other: object) -> Node:
        return self.derive("shift_left", operator.lshift, self, other)

    def __rlshift__(self, other: object) -> Node:
        return self.derive("shift_left", operator.lshift, other, self)

    def __rshift__(self, other: object) -> Node:
        return self.derive("shift_right", operator.rshift, self, other)

    def __rrshift__(self, other: object) -> Node:
        return self.derive("shift_right", operator.rshift, other, self)

    def __pos__(self) -> Node:
        return self.derive("positive", operator.pos, self)

    def __invert__(self) -> Node:
        return self.derive("invert", operator.invert, self)

    def __floor__(self) -> Node:
        return self.derive("floor", math.floor, self)

    def __ceil__(self) -> Node:
        return self.derive("ceil", math.ceil, self)

    def __trunc__(self) -> Node:
        return self.derive("truncate", math.trunc, self)

    def __round__(self, digits: object = None) -> Node:
        return self.derive("round", round, self, *([] if digits is None else [digits]))

    def __neg__(self) -> Node:
        return self.derive("negative", operator.neg, self)

    def __abs__(self) -> Node:
        return self.derive("absolute", operator.abs, self)

    def __eq__(self, other: object) -> Node:  # pyright: ignore[reportIncompatibleMethodOverride] an operator, as in PyTorch
        return self.derive("equal", operator.eq, self, other)

    def __ne__(self, other: object) -> Node:  # pyright: ignore[reportIncompatibleMethodOverride] an operator, as in PyTorch
        return self.derive("not_equal", operator.ne, self, other)

    def __lt__(self, other: object) -> Node:
        return self.derive("less", operator.lt, self, other)

    def __le__(self, other: object) -> Node:
        return self.derive("less_equal", operator.le, self, other)

    def __gt__(self, other: object) -> Node:
        return self.derive("greater", operator.gt, self, other)

    def __ge__(self, other: object) -> Node:
        return self.derive("greater_equal", operator.ge, self, other)

    def __getitem__(self, key: object) -> Node:
        return self.derive("getitem", operator.getitem, self, key)

    def __getattr__(self, name: str) -> Node:
        if name.startswith("__"):  # protocols are looked up by name: do not pretend to have them
            raise AttributeError(name)
        return self.derive("getattr", getattr, self, name)

    def __call__(self, /, *args: object, **kwargs: object) -> Node:
        """Call the value."""

        def call(function: Callable[..., object], *values: object) -> object:
            return function(
                *values[: len(args)], **dict(zip(kwargs, values[len(args) :], strict=True))
            )

        return self.derive("call", call, self, *args, *kwargs.values())

    def __iter__(self) -> Iterator[Node]:
        data = self.read()
        if hasattr(data, "__getitem__") and hasattr(data, "__len__"):
            if not isinstance(data, Mapping):
                return (self[index] for index in range(len(data)))  # pyright: ignore[reportArgumentType]
            return (self.derive("key", _second, self, key) for key in data)
        items = cast("Iterable[object]", data)  # or the TypeError is right
        return (self.derive("element", _second, self, item) for item in items)

    def __contains__(self, item: object) -> bool:
        return getattr(item, "data", item) in self.read()  # pyright: ignore[reportOperatorIssue] unsupported data raises TypeError as it should

    def __len__(self) -> int:
        return len(self.read())  # pyright: ignore[reportArgumentType] unsized data raises TypeError as it should

    def __bool__(self) -> bool:
        return bool(self.read())

    def __index__(self) -> int:
        return operator.index(self.read())  # pyright: ignore[reportArgumentType]

    def __int__(self) -> int:
        return int(self.read())  # pyright: ignore[reportArgumentType]

    def __float__(self) -> float:
        return float(self.read())  # pyright: ignore[reportArgumentType]

    def __str__(self) -> str:
        return str(self.read())

    def __format__(self, specification: str) -> str:
        return format(self.read(), specification)

    __hash__ = object.__hash__


def _second(_container: object, value: object) -> object:
    return value
