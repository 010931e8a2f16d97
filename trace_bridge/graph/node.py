"""Nodes: a value together with the operation that made it, and the nodes it was made from."""

# ruff: noqa: SLF001
# pyright: reportPrivateUsage=false
# (the functions below are as near to a node as its methods; they are functions to be fast)

from __future__ import annotations

import copy
import itertools
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, cast

from trace_bridge.graph import context
from trace_bridge.graph.backward import Subgraph, subgraph
from trace_bridge.graph.containers import ATOMS, nodes_in, unwrap
from trace_bridge.graph.edge import Edge, Evidence
from trace_bridge.graph.feedback import FeedbackLike
from trace_bridge.graph.operators import KNOWN, Attributes, Operators

if TYPE_CHECKING:
    from typing import Self

_scope = context.scope.get
_order_of = attrgetter("order")
_order = itertools.count().__next__  # atomic: an order over all threads, parents first


class Node(Operators):
    """A value in the execution graph.

    A node does not change, but for the in-place methods of a container (``z.append(w)``): these
    leave the old value to those that have used it. A node that cannot reach a parameter keeps no
    parents, so a graph is no larger than what an optimizer can use, and is freed with the last
    reference to its output.
    """

    # _used and _versions are not set before there is something to say;
    # labels and evidence (arguments, where there is none) run parallel to the parents
    __slots__ = (
        "__weakref__", "_data", "_evidence", "_parents", "_used", "_versions", "description",
        "home", "labels", "name", "op", "order", "requires_grad",
    )  # fmt: skip
    trainable = False
    opaque: ClassVar[type[Node]]  # the class for values of which the attributes are not known

    def __new__(cls, data: object, *_: object, **__: object) -> Self:
        """A node, of the class that fits the value."""
        return cast("Self", object.__new__(cls if type(data) in KNOWN else cls.opaque))

    def __init__(  # pyright: ignore[reportInconsistentConstructor] __new__ looks at the value only
        self,
        data: object,
        op: str = "input",
        edges: Sequence[Edge] = (),
        *,
        name: str = "",
        description: str = "",
    ) -> None:
        self._data = data
        self.op = op
        self.name = name or op
        self.description = description
        self.home: object = None
        self.order = _order()
        self.requires_grad = self.trainable
        self._parents: tuple[Node, ...] = ()
        self.labels: tuple[str, ...] = ()
        self._evidence: tuple[Evidence, ...] = ()
        if (
            edges
            and any(edge.node.requires_grad for edge in edges)
            and _scope() is not context.UNTRACED
        ):
            self.requires_grad = True
            self._parents, self.labels, self._evidence = zip(*edges, strict=True)

    @property
    def data(self) -> object:
        """The value; reading it makes this node a parent of the operation that is running."""
        return self.read()

    def peek(self) -> object:
        """The value, without leaving a trace of having read it."""
        return self._data

    def read(self) -> object:  # noqa: D102 (see Operators)
        scope = _scope()
        if scope is not None:
            scope.note(self)
        return self.peek()

    @property
    def parents(self) -> tuple[Node, ...]:
        """What the value was made from, as it was then."""
        return self.made_from()

    def made_from(self) -> tuple[Node, ...]:
        """The parents; in a loop over a graph the property would take half as long again."""
        order = self.order
        for parent in self._parents:
            if parent.order > order:  # changed in place since
                return tuple(parent.before(order) for parent in self._parents)
        return self._parents

    @property
    def edges(self) -> tuple[Edge, ...]:
        """The parents with labels and evidence."""
        evidence = self._evidence or (Evidence.ARGUMENT,) * len(self.labels)
        return tuple(map(Edge, self.parents, self.labels, evidence))

    def derive(
        self, op: str, function: Callable[..., object], /, *operands: object, **named: object
    ) -> Node:
        """Apply ``function`` to the operands' data and record the result as a node."""
        return _applied(op, function, operands, operands, named)

    def invoke(
        self, op: str, method: Callable[..., object], /, *operands: object, **named: object
    ) -> Node:
        """As ``derive``, for a method that is bound to the value already."""
        if named or len(operands) != 1:
            return _applied(op, method, operands, (self, *operands), named)
        [item] = operands  # most often there is one, and this is worth a fifth of the time
        try:
            data = method(item._data if type(item) is Node else unwrap(item))
        except Exception:
            failed((self, item))
            raise
        return operated(op, data, (self, item), _BLANKS[2])

    def binary(
        self, op: str, function: Callable[[Any, Any], object], left: object, right: object
    ) -> Node:  # fmt: skip
        """As ``derive``, for two operands: most operators come through here."""
        try:
            data = function(
                left._data if type(left) is Node else unwrap(left),
                right._data if type(right) is Node else unwrap(right),
            )
        except Exception:
            failed((left, right))
            raise
        return operated(op, data, (left, right), _BLANKS[2])

    def change(
        self, op: str, function: Callable[..., object], /, *operands: object, **named: object
    ) -> object:
        """Apply ``function``, which writes to its first argument, to a copy of the value.

        The copy is this node's value from now on. Nodes that were made from the old value keep
        it as a parent. What the function returns, unless it is None, becomes a node.
        """
        old, new = copy.copy(self), copy.copy(self._data)
        values = {name: unwrap(item) for name, item in named.items()}
        try:
            result = function(new, *map(unwrap, operands), **values)
        except Exception:
            failed((self, *operands, *named.values()))
            raise
        labels = (*_blank(1 + len(operands)), *named)
        operands = (old, *operands, *named.values())
        made = operated(op, new, operands, labels)
        self._data, self.op, self.order, self.home = new, op, made.order, made.home
        self.requires_grad, self.labels = made.requires_grad, made.labels
        self._evidence = made._evidence
        # what it was made of holds, as in z.extend(z), what it was
        self._parents = tuple(old if item is self else item for item in made._parents)
        if old.requires_grad or made.requires_grad or getattr(self, "_used", False):
            # somebody may have seen the old one
            self._versions: list[Node] = getattr(self, "_versions", [])
            self._versions.append(old)
            self._used = False
        return None if result is None else operated(op, result, operands, labels)

    def before(self, order: int) -> Node:
        """This node as it was when the node of that order was made."""
        versions: list[Node] = getattr(self, "_versions", [])
        if self.order <= order or not versions:
            return self
        return versions[max(0, bisect_right(versions, order, key=_order_of) - 1)]

    def detach(self) -> Node:
        """The value as a node without parents: feedback goes no further back."""
        return Node(self.peek(), "detach", name=self.name)

    def backward(self, feedback: FeedbackLike = "", *, since: Node | None = None) -> Subgraph:
        """Leave the minimal subgraph as pending feedback on the parameters it reaches.

        Like ``backward`` in PyTorch: ``optimizer.step()`` uses what has been left, and
        ``optimizer.zero_feedback()`` drops it. Nothing is left on other nodes, so it may be
        called again. The parameters' values are noted now: call it while those that the value was
        made with are current (inside the same ``using``).

        Args:
            feedback: what is thought of this value.
            since: an older node, where this step of an interaction begins: the node and whatever
                is older count as inputs.
        """
        found = subgraph({self: feedback}, since=since)
        for parameter in found.parameters:
            parameter.feedback.append(found)
        return found

    def __copy__(self) -> Self:
        made = object.__new__(type(self))
        for kind in type(self).__mro__[:-1]:
            for name in getattr(kind, "__slots__", ()):
                if name not in ("__weakref__", "_used", "_versions"):
                    setattr(made, name, getattr(self, name))
        return made

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        # stands alone, as a leaf: what it was made from stays with the original
        made = memo[id(self)] = copy.copy(self)
        made._data = copy.deepcopy(self._data, memo)
        made.order, made.requires_grad = _order(), self.trainable
        made._parents = made.labels = made._evidence = ()
        return made

    def __reduce__(self) -> tuple[object, ...]:
        return _leaf, (self._data, self.op, self.name, self.description)

    def __repr__(self) -> str:
        # also what a list of nodes shows in an f-string, so it counts as read
        return f"{'Parameter' if self.trainable else 'Node'}({self.read()!r}, op={self.op!r})"


class _Opaque(Attributes, Node):
    """A node over an object: its attributes are the object's."""

    __slots__ = ()


Node.opaque = _Opaque


def _leaf(data: object, op: str, name: str, description: str) -> Node:
    return Node(data, op, name=name, description=description)


_BLANKS = tuple(("",) * count for count in range(16))
_new = object.__new__


def _applied(
    op: str, function: Callable[..., object], given: Sequence[object],
    operands: tuple[object, ...], named: Mapping[str, object],
) -> Node:  # fmt: skip
    labels = _blank(len(operands))
    try:
        data = function(*plain(given), **{name: unwrap(item) for name, item in named.items()})
    except Exception:
        failed((*operands, *named.values()))
        raise
    return operated(op, data, (*operands, *named.values()), (*labels, *named))


def failed(operands: tuple[object, ...]) -> None:
    """An operator raised: whoever runs now fails, or goes on, because of its operands."""
    scope = _scope()
    if scope is not None:
        for node in nodes_in(operands):
            scope.note(node)


def operated(op: str, data: object, operands: tuple[object, ...], labels: tuple[str, ...]) -> Node:
    """The node of an operator that gave ``data``; whoever runs now has used the operands."""
    if type(data) not in ATOMS and (inner := nodes_in(data)):  # an element of what holds nodes
        operands, labels = (*operands, *inner), (*labels, *_blank(len(inner)))
        data = unwrap(data)
    scope = _scope()
    if scope is None:
        return linked(op, data, operands, labels)
    for item in operands:
        if isinstance(item, Node):
            scope.uses(item)
        elif type(item) not in ATOMS:
            for node in nodes_in(item):
                scope.uses(node)
    made = linked(op, data, operands, labels, traced=scope is not context.UNTRACED)
    made.home = scope.home
    return made


def linked(
    op: str, data: object, operands: tuple[object, ...], labels: tuple[str, ...],
    reads: Sequence[Edge] = (), description: str = "", *, traced: bool = True,
) -> Node:  # fmt: skip
    """The node of an operation: its parents are the operands, and what it read besides.

    Operands that are no nodes become constants, and containers give the nodes in them. Without
    ``traced`` it has no parents.
    """
    # Each call and each operator comes here: what can be shared or left out is.
    made = _new(Node if type(data) in KNOWN else _Opaque)
    needed = constants = False
    for edge in reads:
        needed = needed or edge.node.requires_grad
        edge.node._used = True
    for item in operands:
        kind = type(item)
        if kind is Node or (kind not in ATOMS and isinstance(item, Node)):
            if item.requires_grad:  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType] a Node
                needed = True
            else:
                item._used = True  # pyright: ignore[reportAttributeAccessIssue]
        elif kind in ATOMS:
            constants = True
        else:
            operands, labels = _flattened(operands, labels)
            for inner in [item for item in operands if isinstance(item, Node)]:
                needed = needed or inner.requires_grad
                inner._used = True
            constants = True
            break
    if needed and traced:
        if constants:
            parents: list[Node] = []
            for item in operands:
                if not isinstance(item, Node):
                    item = _constant(item, labels[len(parents)])  # noqa: PLW2901
                parents.append(item)
            operands = tuple(parents)
        made._evidence = ()
        if reads:
            made._evidence = (Evidence.ARGUMENT,) * len(labels) + tuple([e.evidence for e in reads])
            operands = (*operands, *[edge.node for edge in reads])
            labels = (*labels, *[edge.label for edge in reads])
        made.requires_grad = True
        made._parents = operands  # pyright: ignore[reportAttributeAccessIssue] all of them nodes now
        made.labels = labels
    else:
        made.requires_grad = False
        made._parents = made.labels = made._evidence = ()
    made._data = data
    made.op = made.name = op
    made.description = description
    made.home = None
    made.order = _order()
    return made


def _constant(value: object, name: str) -> Node:
    made = _new(Node if type(value) in KNOWN else _Opaque)
    made._parents = made.labels = made._evidence = ()
    made._data = value
    made.op = "constant"
    made.name = name or "constant"
    made.description = ""
    made.requires_grad = False
    made.home = None
    made.order = _order()
    return made


def _blank(count: int) -> tuple[str, ...]:
    return _BLANKS[count] if count < 16 else ("",) * count


def plain(items: Iterable[object]) -> list[Any]:
    """The items, with nodes as their data."""
    return [
        item._data if type(item) is Node else item if type(item) in ATOMS else unwrap(item)
        for item in items
    ]


def _flattened(
    operands: tuple[object, ...], labels: tuple[str, ...]
) -> tuple[tuple[object, ...], tuple[str, ...]]:
    """The nodes in containers instead of the containers."""
    items: list[object] = []
    names: list[str] = []
    for item, label in zip(operands, labels, strict=True):
        inner = nodes_in(item) or (item,)
        items += inner
        names += [label] * len(inner)
    return tuple(items), tuple(names)
