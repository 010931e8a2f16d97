"""The corpus of bad replies in each side's own form, and what became of a reply.

The corpus is that of our tests, where each reply names the issue that it is modelled on. It is
written in our form, tags or JSON. A side is given the same mistake in the form that it asks for;
a reply whose mistake does not exist in that form is left out, and not counted.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tests.optimizers.bad_replies import GROUPS, Case, var

OUR_OPTIMIZERS = ("opro", "textgrad", "gepa")  # besides OptoPrime, which is what "ours" says
CONVERSIONS = "conversions"
WITHHELD = (
    "they fly south in the autumn",
    """Water comes down the valley. The river rises in the hills to the north of the old town and
    the mill, and reaches the sea after eighty miles.""",
)
# Seen in trace-opt: types are called with whatever the model gave, and texts with "def" in them
# are formatted as code.
CORPUS: Mapping[str, Sequence[Case]] = {
    **GROUPS,
    CONVERSIONS: [
        Case("no for a switch", var("no"), old=False, kind="value"),
        Case("letters for a list", var("abc"), old=["a"], kind="value"),
        Case("a text for a mapping", var("abc"), old={"a": 1}, kind="value"),
        Case("a word that begins like code", var("Answer definitely in one line."),
             new="Answer definitely in one line."),
        Case("a comma too much after two", '{"suggestion": {"p": "Reply.", "q": "Why not?",}}',
             new="Reply."),
    ],
}  # fmt: skip

_TAG = re.compile(r'(<variable name="\w*">\n?|<variable>|\n?</variable>)')
_NAME = re.compile(r'name="(\w*)')
_WHOLE = re.compile(r'<variable name="p">\n(.*)\n</variable>', re.DOTALL)
_FLAT = re.compile(r"\{[^{}]*\}")
_KEY = re.compile(r"""(?<![\w.])(["']?)([pq])(["']?)(?=\s*:)""")
_NESTED = re.compile(r"""["'](?:suggestion|json|json_input|parameters)["']""")
_BEGINS = '{"reasoning": "", "answer": "", "suggestion": {'
# An opening tag, a closing one, and either of them cut off.
_TAGS = {
    "trace-opt": ("", "", f'{_BEGINS}"p', '"'),
    "textgrad": ("<IMPROVED_VARIABLE>", "</IMPROVED_VARIABLE>", "<IMPROVED", "</IMPROVED"),
    "gepa": ("```\n", "\n```\n", "``", "\n``"),
}
_HALF_OPEN, _HALF_CLOSED = re.compile(r'<variable name="\w*$'), re.compile(r"\n</\w*$")
# Headings of ours in a value: for the others one of their own.
_HEADINGS = {
    "# run 1": {"trace-opt": "#Outputs", "textgrad": "<LM_OUTPUT>", "gepa": "## Generated Outputs"},
    "## Generated Outputs": {
        "trace-opt": "#Outputs", "textgrad": "<LM_OUTPUT>", "gepa": "## Generated Outputs",
    },
    '<variable name="p" kind="prompt">\nx\n</variable>': {
        "trace-opt": "(str) p0=x", "textgrad": "<VARIABLE> x </VARIABLE>",
        "gepa": "## Generated Outputs\nx",
    },
}  # fmt: skip
# Adopted as it was meant; kept the old value and said why; kept it without a word; did not adopt
# what was meant well; changed it silently to what was not meant. Else an exception's name.
MEANT, TOLD, SILENT, LOST, GARBAGE = OUTCOMES = ("meant", "told", "silent", "lost", "GARBAGE")


def spoken(case: Case, group: str, side: str) -> str | None:
    """A reply with the same mistake in the form that ``side`` asks for; None if there is none."""
    if side == "trace_bridge":
        return case.reply
    if side in ("textgrad", "gepa") and (
        case.kind in ("number", "value")  # they change texts
        or (group == "names" and case.name != "twice and different")  # nor do they name them
        or "JSON" in group
        or "```json" in case.reply
        or case.reply.lstrip().startswith("{")  # they ask for no JSON
    ):
        return None
    if side == "textgrad" and "IMPROVED_VARIABLE" in case.reply:
        return None  # that is its own form
    reply = case.reply
    for ours, others in _HEADINGS.items():
        reply = reply.replace(ours, others[side])
    if "<variable" in reply:
        return _retagged(reply, case, side)
    return _in_json(reply, case) if side == "trace-opt" and "{" in reply else reply


def _retagged(reply: str, case: Case, side: str) -> str:
    """A reply with tags as the same reply of another side."""
    opened, closed, half_open, half_closed = _TAGS[side]
    if _HALF_OPEN.search(reply):
        return _HALF_OPEN.sub(half_open, reply)
    cut = _HALF_CLOSED.search(reply)
    whole = _WHOLE.fullmatch(reply)
    if whole and _TAG.search(whole[1]) is None:
        parts = ["", '<variable name="p">', whole[1], "</variable>", ""]
    else:
        parts = _TAG.split(reply[: cut.start()] if cut else reply)
    if side == "trace-opt":
        said = _as_object(parts, case)
    elif side == "gepa" and whole and whole[1].startswith("```"):
        said = whole[1]  # the value has the fence that it asks for
    else:
        said = "".join(
            part if at % 2 == 0 else closed if "/" in part else opened
            for at, part in enumerate(parts)
        )
    return said + half_closed if cut else said


def _as_object(parts: Sequence[str], case: Case) -> str:
    """Texts and the tags between them as an object as trace-opt asks for; what is open stays so."""
    said, opened = [parts[0]], False
    values = 0
    for tag, text in zip(parts[1::2], parts[2::2], strict=True):
        if "/" in tag:
            said += ['"', text]
            opened = False
            continue
        named = _NAME.search(tag)
        said.append(", " if values else _BEGINS)
        said.append(f'"{_named(named[1], case) if named else ""}": "')
        said.append(json.dumps(text.strip("`\n") if case.kind == "number" else text)[1:-1])
        opened, values = True, values + 1
    if not opened:
        said.insert(-1, "}}")
    return "".join(said)


def _named(name: str, case: Case) -> str:
    """What trace-opt calls the variable."""
    if name not in ("p", "q"):
        return name
    return "__code0" if case.kind == "code" else f"{name}0"


def _in_json(reply: str, case: Case) -> str:
    """JSON as trace-opt asks for it: below "suggestion", by its names."""
    reply = _KEY.sub(lambda found: f"{found[1]}{_named(found[2], case)}{found[3]}", reply)
    if "}" not in reply or _NESTED.search(reply):
        return reply
    if len(_FLAT.findall(reply)) > 1:
        return _FLAT.sub(lambda found: f'{{"suggestion": {found[0]}}}', reply)
    start, end = reply.index("{"), reply.rindex("}") + 1
    return f'{reply[:start]}{{"suggestion": {reply[start:end]}}}{reply[end:]}'


# ------------------------------------------------------------------ what became of it


def arguments(case: Case, reply: str) -> dict[str, Any]:
    """What a side is asked with."""
    return {
        "reply": reply, "finish": case.finish, "old": case.old, "kind": case.kind,
        "withheld": WITHHELD,
    }  # fmt: skip


def outcome(case: Case, answer: Mapping[str, Any]) -> str:
    """What became of a reply, in a word of ``OUTCOMES`` or the name of an exception."""
    if answer["raised"]:
        return answer["raised"]
    value = answer["value"]
    if _same(value, case.old, case.kind):
        if case.new is not None:
            return LOST
        return TOLD if answer["why"] else SILENT
    meant = case.new is not None and _same(value, case.new, case.kind)
    return MEANT if meant else GARBAGE


def _same(value: object, other: object, kind: str) -> bool:
    if isinstance(value, str) and isinstance(other, str):
        if kind == "code":
            try:
                return ast.dump(ast.parse(value)) == ast.dump(ast.parse(other))
            except SyntaxError:
                return False
        return value.strip() == other.strip()  # some sides strip what they adopt
    return json.dumps(value) == json.dumps(other)
