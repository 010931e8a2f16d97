"""A model's answer as typed values: tags first, JSON second, and never a guess.

What cannot be read for certain (cut off, ambiguous, of the wrong type) is an error with a reason
that can be told to the model; values keep their bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import cast

from trace_bridge.graph import Parameter, kind_named
from trace_bridge.graph.lenient import read_json, strict_json, unfenced

_THINKING = re.compile(r"\s*<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_THINKS = re.compile(r"\s*<think(?:ing)?>", re.IGNORECASE)
_THOUGHT = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_REASONING = re.compile(r"<reasoning>(.*?)</reasoning>", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"<variable(?P<attributes>\s[^<>]*)?>|(?P<close></variable>)")
_NAME = re.compile(r"""\bname\s*=\s*(?:"([^"]*)"|'([^']*)'|(\S+))""")
_VALUE = re.compile(r"^\s*<value>(?P<value>.*)</value>\s*$", re.DOTALL)
_FENCED = re.compile(r"^```\w*\n(\{.*?\})\s*\n```\s*$", re.DOTALL | re.MULTILINE)
_OBJECT = re.compile(r"^\s*(\{.*\})\s*$", re.DOTALL | re.MULTILINE)

# Providers' words for an answer that the limit of tokens, or a filter, has ended.
_CUT = {"length", "max_tokens", "max_output_tokens", "model_length", "incomplete"}
_FILTERED = {
    "blocklist", "content_filter", "content_filtered", "guardrail_intervened", "prohibited_content",
    "recitation", "refusal", "safety", "spii",
}  # fmt: skip


class ReplyError(ValueError):
    """A reply that cannot be used; the message is written for the model that gave it."""


@dataclass(frozen=True, slots=True)
class Suggestions:
    """What a reply suggests: texts (or JSON's values) by variable name, and the reasoning given."""

    values: dict[str, object]
    reasoning: str


def read_reply(text: str, finish_reason: str) -> Suggestions:
    """The suggestions in ``text``: a value by the name of each variable.

    Raises:
        ReplyError: if the reply was cut off or holds no suggestion that can be read.
    """
    check_ended(finish_reason)
    if (body := unfenced(text).lstrip()).startswith("{"):
        try:
            values, said = _shaped(strict_json(body), "")
        except (ValueError, RecursionError):
            pass
        else:
            if values:  # whatever its values hold
                return Suggestions(values, said)
    text = after_thinking(text)
    first = _TAG.search(text)
    reasoning = _REASONING.search(text)
    if reasoning and first and first.start() < reasoning.start():  # inside a value, or after it
        reasoning = None
    if reasoning:
        text = text[: reasoning.start()] + text[reasoning.end() :]
    tagged, rest = _tagged(text)
    values = cast("dict[str, object]", tagged)
    reasoning = reasoning or _REASONING.search(rest)
    said = reasoning[1].strip() if reasoning else ""
    if not values:
        values, said = _from_json(rest, said)
    if not values:
        msg = 'the reply suggests nothing: answer with <variable name="...">new value</variable>'
        raise ReplyError(msg)
    return Suggestions(values, said)


def check_ended(finish_reason: str) -> None:
    """Refuse a reply that did not come to its end.

    Raises:
        ReplyError: tokens ran out, or a filter ended it.
    """
    ended = finish_reason.lower()
    if ended in _CUT:
        msg = "the reply was cut off before its end: answer more briefly"
        raise ReplyError(msg)
    if ended in _FILTERED:
        msg = f"the reply was ended by a filter ({finish_reason}): answer in other words"
        raise ReplyError(msg)


def after_thinking(text: str) -> str:
    """``text`` less the thinking that it begins with; thinking inside a value is the value's.

    Raises:
        ReplyError: there is nothing but thinking.
    """
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


def _from_json(body: str, said: str) -> tuple[dict[str, object], str]:
    """The values in the one JSON object of a reply, on lines or in a fence of its own."""
    whole = [match[1] for match in [_OBJECT.search(body)] if match]
    problem = ""
    for texts in (whole, [match[1] for match in _FENCED.finditer(body)]):
        found: list[tuple[dict[str, object], str]] = []
        for text in texts:
            try:
                found.append(_shaped(read_json(text), said))
            except ValueError as error:
                problem = problem or str(error)
        if len(found) == 1:
            return found[0]
        if found:
            msg = "the reply holds several JSON objects: give one"
            raise ReplyError(msg)
    if problem:
        msg = f"the reply is no JSON that can be read ({problem}): answer with tags instead"
        raise ReplyError(msg)
    return {}, said


def _shaped(answer: object, said: str) -> tuple[dict[str, object], str]:
    """The values by name, and the reasoning, in a JSON answer; none if it is of another shape."""
    if not isinstance(answer, dict):
        return {}, said
    found = dict(cast("dict[str, object]", answer))
    if isinstance(found.get("reasoning"), str) and len(found) > 1:
        said = str(found.pop("reasoning"))
    suggested = found.get("suggestion", found.get("variables", found))
    if isinstance(suggested, list):
        suggested = _listed(cast("list[object]", suggested))
    return (
        (cast("dict[str, object]", suggested), said) if isinstance(suggested, dict) else ({}, said)
    )


def _listed(items: list[object]) -> dict[str, object]:
    """Values that were given as ``[{"name": ..., "value": ...}]``."""
    found: dict[str, object] = {}
    for item in items:
        pair = cast("dict[str, object]", item) if isinstance(item, dict) else {}
        name = pair.get("name")
        if pair.keys() != {"name", "value"} or not isinstance(name, str) or name in found:
            return {}
        found[name] = pair["value"]
    return found


def typed(parameter: Parameter, value: object) -> object:
    """``value``, as a reply gave it, as one of the parameter's kind; JSON's types are kept.

    Raises:
        ReplyError: if it is none.
    """
    if not isinstance(value, str):
        return value
    try:
        return kind_named(parameter.kind).parse(value)
    except (ValueError, RecursionError) as error:
        msg = f"is no value of kind {parameter.kind}: {error}"
        raise ReplyError(msg) from error
