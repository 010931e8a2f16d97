"""System messages, and parts of them that are parameters of their own.

A part is what follows a marker such as ``Plan:``, up to the next empty line. The rest of the
message is a template then, with ``{name}`` in the part's place, so the two can be changed apart.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, cast

from autogen_core.models import SystemMessage

Messages: TypeAlias = "list[SystemMessage]"
Code: TypeAlias = "tuple[Callable[[Any], str], Callable[[Any, object], Any]]"


class Span(NamedTuple):
    """A part of a text.

    Attributes:
        name: its slot's.
        marker: what stands before it; or, as ``{name}``, in its place.
    """

    name: str
    marker: str

    @property
    def field(self) -> str:
        """What stands for the part in the rest of the message."""
        return f"{{{self.name}}}"

    def place(self, text: str) -> tuple[int, int] | None:
        """Where the part stands in ``text``; None without the marker."""
        at = text.find(self.marker)
        if at < 0:
            return None
        if self.marker.startswith("{"):
            return at, at + len(self.marker)
        start = at + len(self.marker)
        end = text.find("\n\n", start)
        part = text[start : len(text) if end < 0 else end]
        start += len(part) - len(part.lstrip())
        return start, max(start, start + len(part.strip()))


def spans_in(text: str, wanted: Mapping[str, str]) -> list[Span]:
    """The parts that ``text`` has: those wanted, or what follows ``Plan:`` or stands at {plan}."""
    found = [Span(name, marker) for name, marker in wanted.items() if marker in text]
    if not found:
        usual = (Span("plan", "Plan:"), Span("plan", "{plan}"))
        found = [span for span in usual if span.marker in text][:1]
    return found


def first(messages: Messages) -> str:
    """The text of the system message."""
    return messages[0].content if messages else ""


def codec_of(held: object) -> Code | None:
    """How a system message, or a list of some, is read and written as a text; None for others."""
    if isinstance(held, SystemMessage):
        return _content, _with_content
    items = cast("list[object]", held) if isinstance(held, list) else []
    if items and all(isinstance(item, SystemMessage) for item in items):
        return message(())
    return None


def _content(held: Any) -> str:
    return str(held.content)


def _with_content(_: object, value: object) -> Any:
    return SystemMessage(content=str(value))


def message(spans: Sequence[Span]) -> Code:
    """How the message is read and written, apart from its parts."""
    return functools.partial(_template, spans), functools.partial(_with_template, spans)


def part(span: Span) -> Code:
    """How a part of the message is read and written."""
    return functools.partial(_part, span), functools.partial(_with_part, span)


def keeps(spans: Sequence[Span]) -> Callable[[object], str | None]:
    """A check that a message still has its parts' markers and places."""

    def check(value: object) -> str | None:
        if not isinstance(value, str):
            return "must be text"
        needed = [text for span in spans for text in dict.fromkeys((span.marker, span.field))]
        lost = [text for text in needed if value.count(text) != 1]
        if lost:
            return f"must have {', '.join(lost)} once: another parameter stands there"
        for span in spans:
            at = span.place(value)
            if at is not None and value[slice(*at)] != span.field:
                return f"must have nothing but {span.field} after {span.marker}"
        return None

    return check


def is_part(value: object) -> str | None:
    """A check of a part: an empty line would end it."""
    if not isinstance(value, str):
        return f"must be text, not {type(value).__name__}"
    return "must have no empty line: the part ends there" if "\n\n" in value else None


def _template(spans: Sequence[Span], messages: Messages) -> str:
    text = first(messages)
    for span in spans:
        start, end = span.place(text) or (0, 0)
        text = text[:start] + span.field + text[end:]
    return text


def _with_template(spans: Sequence[Span], messages: Messages, value: object) -> Messages:
    text = str(value)
    for span in spans:
        if not span.marker.startswith("{"):
            text = text.replace(span.field, _part(span, messages))
    return [SystemMessage(content=text), *messages[1:]]


def _part(span: Span, messages: Messages) -> str:
    text = first(messages)
    at = span.place(text)
    found = "" if at is None else text[slice(*at)]
    return "" if found == span.marker else found  # nothing stands in its place yet


def _with_part(span: Span, messages: Messages, value: object) -> Messages:
    text = first(messages)
    start, end = span.place(text) or (len(text), len(text))
    gap = "" if start == 0 or text[start - 1].isspace() or span.marker.startswith("{") else " "
    return [SystemMessage(content=f"{text[:start]}{gap}{value}{text[end:]}"), *messages[1:]]
