"""Feedback: what somebody thinks of an output, in words, as a number, or both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, SupportsFloat, TypeAlias, cast

from trace_bridge.graph.containers import unwrap

if TYPE_CHECKING:
    from trace_bridge.graph.node import Node


@dataclass(frozen=True, slots=True)
class Feedback:
    """``text`` for a model to read, ``score`` (higher is better) to compare by.

    ``about`` names the node that the feedback concerns when that is not the output itself.
    """

    text: str = ""
    score: float | None = None
    about: Node | None = None

    def __str__(self) -> str:
        if self.score is None:
            return self.text
        return f"score {self.score:g}" + (f": {self.text}" if self.text else "")


FeedbackLike: TypeAlias = "Feedback | str | float | tuple[float, str]"


def as_feedback(value: FeedbackLike) -> Feedback:
    """Coerce what a metric may return: Feedback, text, a number (or bool), or ``(score, text)``.

    Raises:
        TypeError: for anything else, naming the accepted forms.
    """
    if isinstance(value, Feedback):
        return value
    value = unwrap(value)  # a judge may be bundled, too
    if isinstance(value, str):
        return Feedback(text=value)
    if isinstance(value, tuple):
        pair = cast("tuple[object, ...]", value)
        match pair:
            case (SupportsFloat() as score, str() as text):
                return Feedback(text=text, score=float(score))
            case _:
                pass
    elif isinstance(value, SupportsFloat):  # numbers, and numpy's without importing numpy
        return Feedback(score=float(value))
    msg = (
        f"feedback must be a str, a number, a (number, str) pair or Feedback, not {value!r}"
        f" of type {type(value).__name__}"
    )
    raise TypeError(msg)
