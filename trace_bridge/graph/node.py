"""Nodes: a value together with the operation that made it, and the nodes it was made from."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, TypeVar, cast

from trace_bridge.graph import context
from trace_bridge.graph.backward import Subgraph, subgraph
from trace_bridge.graph.feedback import FeedbackLike, as_feedback
from trace_bridge.graph.kinds import kind_named
from trace_bridge.graph.operators import Operators
from trace_bridge.graph.values import canonical

UNNAMED = "parameter"  # a Module names such a parameter by its path
_created = itertools.count()  # next() is atomic: an order over all threads, parents first


class Evidence(StrEnum):
    """Why an edge is believed to exist, strongest first."""

    ARGUMENT = "argument"  # passed as an argument to a traced operation
    IDENTITY = "identity"  # the very object that the parent returned
    TEXT = "text"  # the parent's text stands in the value
    WORDS = "words"  # some run of the parent's words stands in the value
    READ = "read"  # the parent was read before, and nothing else explains why

    @property
    def weak(self) -> bool:
        """Whether the edge is a guess that an optimizer may want to leave out."""
        return self in (Evidence.WORDS, Evidence.READ)


class Edge(NamedTuple):
    """One dependency: the node depended on, under which name, and why we believe it."""

    node: Node
    label: str
    evidence: Evidence


class Node(Operators):
    """A value in the execution graph.

    Nodes are immutable. One that cannot reach a parameter keeps no parents, so a graph is no
    larger than what an optimizer can use, and is freed with the last reference to its output.
    """

    __slots__ = (
        "__weakref__", "_data", "_evidence", "_labels", "description", "name", "op", "order",
        "parents", "requires_grad",
    )  # fmt: skip
    trainable = False

    def __init__(
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
        self.order = next(_created)
        self.requires_grad = self.trainable or (
            context.tracing.get() and any(edge.node.requires_grad for edge in edges)
        )
        if self.requires_grad and edges:
            self.parents, self._labels, self._evidence = zip(*edges, strict=True)
        else:
            self.parents = self._labels = self._evidence = ()

    @property
    def data(self) -> object:
        """The value; reading it makes this node a parent of the operation that is running."""
        return self.read()

    def peek(self) -> object:
        """The value, without leaving a trace of having read it."""
        return self._data

    def read(self) -> object:  # noqa: D102 (see Operators)
        scope = context.scope.get()
        if scope is not None:
            scope.read[self] = None
        return self.peek()

    @property
    def edges(self) -> tuple[Edge, ...]:
        """The parents with labels and evidence."""
        return tuple(map(Edge, self.parents, self._labels, self._evidence))

    def derive(self, op: str, function: Callable[..., object], *operands: object) -> Node:  # noqa: D102
        values = [item.read() if isinstance(item, Node) else unwrap(item) for item in operands]
        data = function(*values)
        found = [node for item in operands for node in nodes_in(item) or [Node(item, "constant")]]
        if isinstance(data, Node):  # an element of a container of nodes
            found.append(data)
            data = data.read()
        edges = [Edge(node, "", Evidence.ARGUMENT) for node in found]
        made = Node(data, op, edges)
        scope = context.scope.get()
        if scope is not None:
            scope.made.add(made)
        return made

    def backward(self, feedback: FeedbackLike) -> Subgraph:
        """Leave the minimal subgraph as pending feedback on the parameters it reaches.

        Like ``backward`` in PyTorch: ``optimizer.step()`` uses what has been left, and
        ``optimizer.zero_feedback()`` drops it.
        """
        found = subgraph({self: as_feedback(feedback)})
        for parameter in found.parameters:
            parameter.feedback.append(found)
        return found

    def __deepcopy__(self, memo: dict[int, object]) -> Node:
        # stands alone, as a leaf: what it was made from stays with the original
        made = memo[id(self)] = copy.copy(self)
        made._data = copy.deepcopy(self._data, memo)  # noqa: SLF001
        made.order, made.requires_grad = next(_created), self.trainable
        made.parents = made._labels = made._evidence = ()  # noqa: SLF001
        return made

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.peek()!r}, op={self.op!r})"


class Parameter(Node):
    """A node that an optimizer may change.

    Args:
        value: the value that holds while nothing else is overlaid in the current context.
        name: unique among the parameters that are optimized together; a plugin uses the path.
        kind: what sort of value this is (see ``trace_bridge.graph.kinds``).
        constraint: told to the model that proposes values.
        check: enforced by us: gives the reason why a value is refused, or None.
        choices: values (or, for demos, elements) that an optimizer may pick from.
    """

    __slots__ = ("_check", "_depth", "_initial", "choices", "constraint", "feedback", "kind")
    trainable = True

    def __init__(
        self,
        value: object,
        name: str = UNNAMED,
        *,
        kind: str = "prompt",
        description: str = "",
        constraint: str = "",
        check: Callable[[object], str | None] | None = None,
        choices: Sequence[object] = (),
    ) -> None:
        super().__init__(value, "parameter", name=name, description=description)
        self.kind = kind
        self.constraint = constraint
        self.choices = choices
        self.feedback: list[Subgraph] = []
        self._initial = value
        self._depth: float = -1 if name == UNNAMED else math.inf
        self._check = check
        kind_named(kind)  # an unknown kind is an error here, not in the middle of a run

    def peek(self) -> object:  # noqa: D102
        values = context.overlay.get()
        return values.get(self, self._data) if values else self._data

    @property
    def base(self) -> object:
        """The value that holds where nothing is overlaid."""
        return self._data

    def go_by(self, path: str, depth: int) -> None:
        """Be called ``path``, unless the user or a module further out gave a name already."""
        if depth > self._depth:
            self.name, self._depth = path, depth

    def set(self, value: object) -> None:
        """Make ``value`` the base value.

        Raises:
            ValueError: if the value is refused; the message gives the reason.
        """
        reason = self.refusal(value)
        if reason:
            msg = f"{self.name}: {reason}"
            raise ValueError(msg)
        self._data = value

    def refusal(self, value: object) -> str | None:
        """Why ``value`` cannot be this parameter's value, or None if it can."""
        reason = kind_named(self.kind).check(value)
        if reason is None and self._check is not None:
            reason = self._check(value)
        return None if reason and self._began_with(value) else reason

    def _began_with(self, value: object) -> bool:
        # whatever the user's agent held must be possible to restore
        initial = self._initial
        return type(value) is type(initial) and canonical(value) == canonical(initial)

    def __deepcopy__(self, memo: dict[int, object]) -> Node:
        made = cast("Parameter", super().__deepcopy__(memo))
        made.feedback = []
        return made


_T = TypeVar("_T")


def node(data: object, *, trainable: bool = False, name: str = "", description: str = "") -> Node:
    """A node over ``data``; with ``trainable=True`` a parameter (of a kind that fits the value)."""
    if isinstance(data, Node):
        if not trainable:
            return data
        data = data.peek()
    if trainable:
        kind = "prompt" if isinstance(data, str) else "number" if _is_number(data) else "value"
        check = _same_type(data) if kind == "value" else None
        return Parameter(data, name or UNNAMED, kind=kind, description=description, check=check)
    return Node(data, name=name, description=description)


def _is_number(data: object) -> bool:
    return isinstance(data, (int, float)) and not isinstance(data, bool)


def _same_type(data: object) -> Callable[[object], str | None] | None:
    for types in (bool, dict, (list, tuple)):
        if isinstance(data, types):
            message = f"must stay a {type(cast('object', data)).__name__}"
            return lambda value: None if isinstance(value, types) else message
    return None


def nodes_in(value: object) -> list[Node]:
    """The nodes in ``value``, at any depth of list, tuple, dict and set."""
    if isinstance(value, Node):
        return [value]
    if type(value) is dict:
        value = list(cast("dict[object, object]", value).values())
    if type(value) in (list, tuple, set, frozenset):
        return [node for item in cast("list[object]", value) for node in nodes_in(item)]
    return []


def unwrap(value: _T) -> _T:
    """``value`` with the nodes in it, at any depth of list, tuple, dict and set, as their data.

    What holds no nodes stays the same object: the user's code may write to it.
    """
    if isinstance(value, Node):
        return cast("_T", unwrap(value.read()))
    if type(value) in (list, tuple, set, frozenset):
        items = cast("Sequence[object]", value)
        made = [unwrap(item) for item in items]
        if any(new is not old for new, old in zip(made, items, strict=True)):
            return cast("_T", type(value)(made))  # pyright: ignore[reportCallIssue]
    elif type(value) is dict:
        pairs = cast("Mapping[object, object]", value)
        changed = {key: unwrap(item) for key, item in pairs.items()}
        if any(changed[key] is not item for key, item in pairs.items()):
            return cast("_T", changed)
        return cast("_T", pairs)
    return value
