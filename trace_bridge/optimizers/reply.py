"""A model's answer as typed values: tags first, JSON second, and never a guess.

What cannot be read for certain (cut off, ambiguous, of the wrong type) is an error with a reason
that can be told to the model; values keep their bytes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import cast

from trace_bridge.graph import Parameter, kind_named

_THINKING = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_REASONING = re.compile(r"<reasoning>(.*?)</reasoning>", re.DOTALL | re.IGNORECASE)
_VARIABLE = re.compile(
    r"<variable\s+name=[\"']?(?P<name>[^\"'>]+?)[\"']?(?:\s[^>]*)?>(?P<body>.*?)</variable>",
    re.DOTALL,
)
_VALUE = re.compile(r"^\s*<value>(?P<value>.*)</value>\s*$", re.DOTALL)
_FENCE = re.compile(r"^\s*```[\w-]*\n(?P<inner>.*?)\n?```\s*$", re.DOTALL)


class ReplyError(ValueError):
    """A reply that cannot be used; the message is written for the model that gave it."""


@dataclass(frozen=True, slots=True)
class Suggestions:
    """What a reply suggests: texts by variable name, and the reasoning given."""

    values: dict[str, str]
    reasoning: str


def read_reply(text: str, finish_reason: str) -> Suggestions:
    """The suggestions in ``text``.

    Raises:
        ReplyError: if the reply was cut off or holds no suggestion that can be read.
    """
    if finish_reason == "length":
        msg = "the reply was cut off before its end: answer more briefly"
        raise ReplyError(msg)
    text = _THINKING.sub("", text)
    if re.search(r"<think(?:ing)?>", text, re.IGNORECASE):
        msg = "the reply ends inside its thinking: answer after it"
        raise ReplyError(msg)
    reasoning = _REASONING.search(text)
    body = _REASONING.sub("", text)
    if len(re.findall(r"<variable\b", body)) != len(re.findall(r"</variable>", body)):
        msg = "a <variable> is not closed: write each value whole, between its tags"
        raise ReplyError(msg)
    values = {match["name"].strip(): _value(match["body"]) for match in _VARIABLE.finditer(body)}
    if not values:
        values = _from_json(body)
    if not values:
        msg = 'the reply suggests nothing: answer with <variable name="...">new value</variable>'
        raise ReplyError(msg)
    return Suggestions(values, reasoning[1].strip() if reasoning else "")


def _value(body: str) -> str:
    """The text between the tags, less one line break at either end."""
    inner = _VALUE.match(body)
    text = inner["value"] if inner else body
    return text.removeprefix("\r").removeprefix("\n").removesuffix("\n")


def _from_json(body: str) -> dict[str, str]:
    fence = _FENCE.match(body)
    text = fence["inner"] if fence else body
    try:
        answer: object = json.loads(text)
    except ValueError:
        return {}
    if isinstance(answer, dict):
        found = cast("dict[str, object]", answer)
        suggested = found.get("suggestion", found.get("variables", found))
        if isinstance(suggested, dict):
            return {
                str(name): value
                if isinstance(value, str)
                else json.dumps(value, ensure_ascii=False)
                for name, value in cast("dict[str, object]", suggested).items()
            }
    return {}


def typed(parameter: Parameter, text: str) -> object:
    """``text`` as a value of the parameter's kind.

    Raises:
        ReplyError: if it is none.
    """
    if parameter.kind == "code":
        fence = _FENCE.match(text)
        text = fence["inner"] + "\n" if fence else text
    try:
        return kind_named(parameter.kind).parse(text)
    except ValueError as error:
        msg = f"is no value of kind {parameter.kind}: {error}"
        raise ReplyError(msg) from error
