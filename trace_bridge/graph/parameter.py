"""Parameters: the nodes that an optimizer may change."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, Self, cast

from trace_bridge.graph import context
from trace_bridge.graph.containers import nodes_in, unwrap
from trace_bridge.graph.edge import Edge, Evidence
from trace_bridge.graph.guards import Phrases, Proposed
from trace_bridge.graph.kinds import Kind, kind_named
from trace_bridge.graph.node import Node
from trace_bridge.graph.operators import Attributes
from trace_bridge.graph.values import canonical

if TYPE_CHECKING:
    from trace_bridge.graph.backward import Subgraph

UNNAMED = "parameter"  # a Module names such a parameter by its path


class Parameter(Node):
    """A node that an optimizer may change.

    Args:
        value: the value that holds while nothing else is overlaid in the current context.
        name: unique among the parameters that are optimized together; a plugin uses the path.
        kind: what sort of value this is (see ``trace_bridge.graph.kinds``).
        constraint: told to the model that proposes values.
        check: enforced by us: gives the reason why a value is refused, or None.
        choices: values (or, for demos, elements) that an optimizer may pick from; for the kind
            ``choice`` it has to.
        bounds: the least and the greatest value of a number; enforced by us.

    Choices that are binding, and bounds, are the constraint if none is given.

    Attributes:
        withheld: what a model must not copy into a value: training examples, in ``optimize``.
    """

    __slots__ = (
        "_check", "_depth", "_initial", "bounds", "choices", "constraint", "feedback", "kind",
        "withheld",
    )  # fmt: skip
    trainable = True

    def __new__(cls, value: object, *_: object, **__: object) -> Self:
        """A parameter, of the class that fits the value."""
        return super().__new__(cls, value)

    def __init__(  # pyright: ignore[reportInconsistentConstructor] __new__ looks at the value only
        self,
        value: object,
        name: str = UNNAMED,
        *,
        kind: str = "prompt",
        description: str = "",
        constraint: str = "",
        check: Callable[[object], str | None] | None = None,
        choices: Sequence[object] = (),
        bounds: tuple[float, float] | None = None,
    ) -> None:
        super().__init__(value, "parameter", name=name, description=description)
        self.kind = kind
        self.choices = choices
        self.bounds = bounds
        self.feedback: list[Subgraph] = []
        self.withheld: Phrases | None = None
        self._initial = value
        self._depth: float = -1 if name == UNNAMED else math.inf
        self._check = check
        if bounds is not None:
            _check_bounds(name, kind, bounds)
        # an unknown kind is an error here, not in the middle of a run
        self.constraint = constraint or self._limits(kind_named(kind))

    def peek(self) -> object:  # noqa: D102
        values = context.overlay.get()
        return values.get(self, self._data) if values else self._data

    def change(
        self, op: str, function: Callable[..., object], /, *operands: object, **named: object
    ) -> NoReturn:
        """Refused: it would reach the other runs that use this parameter now.

        Raises:
            TypeError: always.
        """
        msg = (
            f"{op} would change the parameter {self.name!r} in place, for all runs: make a new"
            " value of it (as in p + [x]), or give it another one with p.set(...)"
        )
        raise TypeError(msg)

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

    def out_of_json(self, value: object) -> object:
        """The value of ours that ``value`` is the JSON of, or else ``value`` itself.

        JSON has neither tuples nor sets, and no keys but texts: what is given back unchanged must
        not become something else.
        """
        for own in (self._data, self._initial):
            texts = type(value) is type(own) is str  # most are
            if value is own or (value == own if texts else canonical(value) == canonical(own)):
                return own
        return value

    def refusal(self, value: object) -> str | None:
        """Why ``value`` cannot be this parameter's value, or None if it can."""
        kind = kind_named(self.kind)
        reason = kind.check(value)
        if reason is None and self._outside(kind, value):
            reason = f"must be {self._limits(kind)}"
        if reason is None and self._check is not None:
            reason = self._check(value)
        return None if reason and self._began_with(value) else reason

    def objection(self, text: str, wording: Phrases | None = None) -> str | None:
        """Why a text that a model proposes is not even tried, or None if it may be.

        ``wording`` is what the model was told, which is no part of a value.
        """
        old = self.peek()
        if not isinstance(old, str) or text in self.choices:
            return None
        proposed = Proposed(old, text, self.constraint, self.withheld, wording)
        reasons = (guard(proposed) for guard in kind_named(self.kind).guards)
        return next(filter(None, reasons), None)

    def _limits(self, kind: Kind) -> str:
        """Which values there are, in words; empty if that is not limited."""
        if self.bounds is not None:
            low, high = self.bounds
            return f"between {low:g} and {high:g}"
        if kind.closed and self.choices:
            return f"one of: {', '.join(map(kind.show, self.choices))}"
        return ""

    def _outside(self, kind: Kind, value: object) -> bool:
        if self.bounds is not None:
            low, high = self.bounds
            return not low <= cast("float", value) <= high  # false for nan
        if kind.closed and self.choices:
            return canonical(value) not in map(canonical, self.choices)
        return False

    def _began_with(self, value: object) -> bool:
        # whatever the user's agent held must be possible to restore
        initial = self._initial
        return type(value) is type(initial) and canonical(value) == canonical(initial)

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        made = super().__deepcopy__(memo)
        made.feedback = []
        return made

    def __reduce__(self) -> tuple[object, ...]:
        names = self.kind, self.description, self.constraint
        rest = self._check, self.choices, self.bounds
        return _restored, (self._data, self.name, *names, *rest)


class _OpaqueParameter(Attributes, Parameter):
    __slots__ = ()


Parameter.opaque = _OpaqueParameter


def _restored(value: object, name: str, *rest: Any) -> Parameter:
    kind, description, constraint, check, choices, bounds = rest
    return Parameter(
        value, name, kind=kind, description=description, constraint=constraint, check=check,
        choices=choices, bounds=bounds,
    )  # fmt: skip


def _check_bounds(name: str, kind: str, bounds: tuple[float, float]) -> None:
    low, high = bounds
    if kind != "number" or not low < high:
        msg = (
            f"{name}: bounds={bounds!r} of a parameter of kind {kind!r}: a number may have them, as"
            " (least, greatest)"
        )
        raise ValueError(msg)


def node(data: object, *, trainable: bool = False, name: str = "", description: str = "") -> Node:
    """A node over ``data``; with ``trainable=True`` a parameter (of a kind that fits the value)."""
    if isinstance(data, Node) and not trainable:
        return data
    if trainable:
        data = unwrap(data)
        kind = "prompt" if isinstance(data, str) else "number" if _is_number(data) else "value"
        check = _same_type(data) if kind == "value" else None
        return Parameter(data, name or UNNAMED, kind=kind, description=description, check=check)
    held = nodes_in(data)
    if not held:
        return Node(data, name=name, description=description)
    edges = [Edge(item, "", Evidence.ARGUMENT) for item in held]
    return Node(unwrap(data), "container", edges, name=name, description=description)


def _is_number(data: object) -> bool:
    return isinstance(data, (int, float)) and not isinstance(data, bool)


def _same_type(data: object) -> Callable[[object], str | None] | None:
    for types in ((bool,), (dict,), (list, tuple)):
        if isinstance(data, types):
            return partial(_other_type, types, type(cast("object", data)).__name__)
    if data is not None and not isinstance(data, (str, int, float)):  # a model cannot write these
        return partial(_other_type, (type(data),), type(data).__name__)
    return None


def _other_type(types: tuple[type, ...], name: str, value: object) -> str | None:
    return None if isinstance(value, types) else f"must stay a {name}"
