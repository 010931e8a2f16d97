"""Python's operators on nodes: each use makes a node that remembers its operands."""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# (the standard library types some operators in part only, and data may be anything)

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

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

    def __mod__(self, other: object) -> Node:
        return self.derive("mod", operator.mod, self, other)

    def __pow__(self, other: object) -> Node:
        return self.derive("power", operator.pow, self, other)

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

    def __call__(self, *args: object, **kwargs: object) -> Node:
        """Call the value."""

        def call(function: Callable[..., object], *values: object) -> object:
            return function(
                *values[: len(args)], **dict(zip(kwargs, values[len(args) :], strict=True))
            )

        return self.derive("call", call, self, *args, *kwargs.values())

    def __iter__(self) -> Iterator[Node]:
        data = self.read()
        keys = data if isinstance(data, (dict, set, frozenset)) else range(len(data))  # pyright: ignore[reportArgumentType,reportUnknownVariableType] sized, or the TypeError is right
        if isinstance(data, (set, frozenset)):
            return (self.derive("element", _second, self, key) for key in keys)  # pyright: ignore[reportUnknownVariableType]
        if isinstance(data, dict):
            return (self.derive("key", _second, self, key) for key in keys)  # pyright: ignore[reportUnknownVariableType]
        return (self[index] for index in keys)  # pyright: ignore[reportUnknownVariableType]

    def __contains__(self, item: object) -> bool:
        return getattr(item, "data", item) in self.read()  # pyright: ignore[reportOperatorIssue] unsupported data raises TypeError as it should

    def __len__(self) -> int:
        return len(self.read())  # pyright: ignore[reportArgumentType] unsized data raises TypeError as it should

    def __bool__(self) -> bool:
        return bool(self.read())

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
