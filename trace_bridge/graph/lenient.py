"""JSON as models write it, and never a guess at what they left out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import cast

_FENCE = re.compile(r"\s*```[\w-]*\n(?P<inner>.*?)\n?```\s*", re.DOTALL)
_LITERALS = {"True": True, "False": False, "None": None}
# what may stand around texts, which are masked by "\0"
_REST = re.compile(r"(?:[\s{}\[\]:,\0]|-?\d[\d.eE+-]*|true|false|null|True|False|None)*")
_ENDS = {"}": "{", "]": "["}
# by the quotes around a text: what within it is the text's end, or may be meant as that
_WITHIN = {"'": "'", '"': r'"\s*[,:}\]]'}
_LONG = 100_000  # characters, and
_DEEP = 200  # brackets: what is larger is refused, since mending takes time and stack


def unfenced(text: str) -> str:
    """``text`` without the code fence that it stands in as a whole, if it does."""
    fence = _FENCE.fullmatch(text)
    return fence["inner"] if fence else text


def read_json(text: str) -> object:
    """The value that a model wrote as JSON.

    A fence around it, commas, quotes, escapes and Python's ``True`` are mended (by json-repair).
    Whatever that leaves out or adds makes an error here: text that was cut off, unquoted words,
    one name with two values.

    Raises:
        ValueError: it is no JSON, nor something that is certain to have been meant as such.
    """
    body = unfenced(text).strip()
    try:
        return strict_json(body)
    except RecursionError as error:
        msg = "too many brackets within brackets"
        raise ValueError(msg) from error
    except json.JSONDecodeError as error:
        if body in _LITERALS:
            return _LITERALS[body]
        if not body.startswith(("{", "[")) or not body.endswith(("}", "]")):
            raise
        return _mended(body, error)


def strict_json(text: str) -> object:
    """As ``json.loads``, but line breaks may stand in texts, and a name must not occur twice.

    Raises:
        ValueError: see there.
    """
    return json.loads(text, strict=False, object_pairs_hook=_once)


def _once(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        msg = f"{twice} is given twice: give it once"
        raise ValueError(msg)
    return found


def _mended(body: str, error: ValueError) -> object:
    if len(body) > _LONG or body.count("{") + body.count("[") > _DEEP or "\0" in body:
        raise error
    import json_repair

    found: object = json_repair.loads(body)
    rest: str | None = body
    for text in sorted(_texts(found), key=len, reverse=True):  # short ones may stand in long ones
        rest = rest and _masked(rest, text)
    if rest is None or not _REST.fullmatch(rest) or not _closed(rest):
        raise error
    return found


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            yield from _texts(item)
    elif isinstance(value, dict):
        for name, item in cast("dict[str, object]", value).items():
            yield name
            yield from _texts(item)


def _masked(body: str, text: str) -> str | None:
    """``body`` with ``text``, as it stands there in its quotes, masked; None if it does not."""
    escaped = json.dumps(text, ensure_ascii=False)[1:-1]
    forms = [
        escaped,
        json.dumps(text)[1:-1],
        escaped.replace('\\"', '"').replace("'", "\\'"),
        escaped.replace("'", "\\'"),
    ]
    if "\\" not in text:  # or it may be an escape of Python's, such as \\x41
        forms += [text, text.replace('"', '\\"'), text.replace("'", "\\'")]
    for quote in ('"', "'"):
        for form in forms:
            if re.search(_WITHIN[quote], re.sub(r"\\.", "", form)):
                continue  # it may have ended there
            if (quoted := f"{quote}{form}{quote}") in body:
                return body.replace(quoted, "\0", 1)
    return None


def _closed(rest: str) -> bool:
    """Whether every bracket has its other."""
    opened: list[str] = []
    for sign in re.findall(r"[{}\[\]]", rest):
        if sign in "{[":
            opened.append(sign)
        elif not opened or opened.pop() != _ENDS[sign]:
            return False
    return not opened
