"""Slots: where a framework's object holds what could be trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from trace_bridge.graph import Parameter


@dataclass(frozen=True, slots=True, eq=False)
class Slot:
    """One trainable place in a framework's object.

    Attributes:
        path: ``owner/child:slot``, stable between runs and unique in the agent.
        owner: the framework's object that holds the value.
        attribute: the attribute of ``owner`` that has to be written for a change to be seen.
        kind: the kind of parameter (``trace_bridge.graph.kinds``).
        decode: the attribute's value as a JSON value.
        encode: the attribute's present value and a JSON value, as the attribute's new value. It
            returns a new object and leaves the present one as it is.
        feeds: the object whose calls read the slot, when that is not ``owner``.
        constraint: told to the model that proposes values.
        check: the reason why a value is refused, or None.
        choices, bounds: see ``Parameter``.
    """

    path: str
    owner: object
    attribute: str
    kind: str
    decode: Callable[[Any], object]
    encode: Callable[[Any, Any], object]
    feeds: object = None
    description: str = ""
    constraint: str = ""
    check: Callable[[object], str | None] | None = None
    choices: Sequence[object] = field(default=())
    bounds: tuple[float, float] | None = None

    @property
    def consumer(self) -> object:
        """The object whose calls read the slot."""
        return self.owner if self.feeds is None else self.feeds

    def get(self, owner: object | None = None) -> object:
        """The value, as JSON, in ``owner`` (a copy of the slot's owner) or in the owner itself."""
        return self.decode(getattr(self.owner if owner is None else owner, self.attribute))

    def put(self, owner: object, value: object) -> None:
        """Write ``value`` into ``owner``, a copy of the slot's owner (or the owner, to apply)."""
        setattr(owner, self.attribute, self.encode(getattr(owner, self.attribute), value))

    def parameter(self) -> Parameter:
        """A parameter that starts with the slot's value."""
        return Parameter(
            self.get(), self.path, kind=self.kind, description=self.description,
            constraint=self.constraint, check=self.check, choices=self.choices,
            bounds=self.bounds,
        )  # fmt: skip
