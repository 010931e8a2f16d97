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

_THINKING = re.compile(r"\s*<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_THINKS = re.compile(r"\s*<think(?:ing)?>", re.IGNORECASE)
_THOUGHT = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_REASONING = re.compile(r"<reasoning>(.*?)</reasoning>", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"<variable(?P<attributes>\s[^<>]*)?>|(?P<close></variable>)")
_NAME = re.compile(r"""\bname\s*=\s*(?:"([^"]*)"|'([^']*)'|(\S+))""")
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
    values, said = _from_json(text, "")
    if values:  # whatever its values hold
        return Suggestions(values, said)
    text = _after_thinking(text)
    first = _TAG.search(text)
    reasoning = _REASONING.search(text)
    if reasoning and first and first.start() < reasoning.start():  # inside a value, or after it
        reasoning = None
    if reasoning:
        text = text[: reasoning.start()] + text[reasoning.end() :]
    values, rest = _tagged(text)
    reasoning = reasoning or _REASONING.search(rest)
    said = reasoning[1].strip() if reasoning else ""
    if not values:
        values, said = _from_json(rest, said)
    if not values:
        msg = 'the reply suggests nothing: answer with <variable name="...">new value</variable>'
        raise ReplyError(msg)
    return Suggestions(values, said)


def _after_thinking(text: str) -> str:
    """``text`` less the thinking that it begins with; thinking inside a value is the value's."""
    while thinking := _THINKING.match(text):
        text = text[thinking.end() :]
    if _THINKS.match(text):
        msg = "the reply ends inside its thinking: answer after it"
        raise ReplyError(msg)
    # some models are started inside their thinking, and only close it
    thought, first, again = _THOUGHT.search(text), _TAG.search(text), _THINKS.search(text)
    if thought and all(
        found is None or thought.start() < found.start() for found in (first, again)
    ):
        text = text[thought.end() :]
    return text


def _tagged(text: str) -> tuple[dict[str, str], str]:
    """The values between tags by name, and the text around the tags."""
    values: dict[str, str] = {}
    rest, depth, opened, opens, end = "", 0, None, 0, 0
    for tag in _TAG.finditer(text):
        closes = tag["close"] is not None
        depth, opens = depth + (-1 if closes else 1), opens + (not closes)
        if depth == 1 and not closes:
            opened, rest = tag, rest + text[end : tag.start()]
        elif depth == 0 and opened is not None:
            name, value = (
                _name(opened["attributes"] or ""),
                _value(text[opened.end() : tag.start()]),
            )
            if values.setdefault(name, value) != value:
                msg = f"the variable {name} is given twice, with different values: give it once"
                raise ReplyError(msg)
            end = tag.end()
        if depth < 0:
            break
    if depth or opens != len(re.findall(r"<variable\b", text)):
        msg = "a <variable> is not closed: write each value whole, between its tags"
        raise ReplyError(msg)
    return values, rest + text[end:]


def _name(attributes: str) -> str:
    found = _NAME.search(attributes)
    name = next(filter(None, found.groups()), "").strip() if found else ""
    if not name:
        msg = 'a <variable> has no name: write <variable name="...">'
        raise ReplyError(msg)
    return name


def _value(body: str) -> str:
    """The text between the tags, less one line break at either end."""
    inner = _VALUE.match(body)
    text = inner["value"] if inner else body
    if text.startswith("\r\n"):
        return text.removeprefix("\r\n").removesuffix("\n").removesuffix("\r")
    return text.removeprefix("\n").removesuffix("\n")


def _from_json(body: str, reasoning: str) -> tuple[dict[str, str], str]:
    """The values in a reply that is a JSON object as a whole, and its reasoning."""
    fence = _FENCE.match(body)
    if fence is None and "{" not in body:
        return {}, reasoning
    try:
        answer: object = json.loads(fence["inner"] if fence else body)
    except (ValueError, RecursionError):
        return {}, reasoning
    if not isinstance(answer, dict):
        return {}, reasoning
    found = cast("dict[str, object]", answer)
    if isinstance(found.get("reasoning"), str) and len(found) > 1:
        reasoning = str(found.pop("reasoning"))
    suggested = found.get("suggestion", found.get("variables", found))
    if not isinstance(suggested, dict):
        return {}, reasoning
    pairs = cast("dict[str, object]", suggested).items()
    texts = {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in pairs
    }
    return texts, reasoning


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
    except (ValueError, RecursionError) as error:
        msg = f"is no value of kind {parameter.kind}: {error}"
        raise ReplyError(msg) from error
