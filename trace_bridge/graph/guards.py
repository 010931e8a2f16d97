"""What a text that a model proposes must not be: the guards of the kinds of parameters.

They are for proposals alone. Users may set what they like; what a value has to be in any case is
for ``Kind.check`` and ``Parameter(check=)``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from trace_bridge.graph.source import other_signature

_LONG = 10_000  # characters of a proposed text; or thrice the present one's
_GRAM = 12  # words of a longer text that make a copy
_MOST = 500  # words of one text that are kept
_FEW = 20  # characters that make a text of one word (Chinese, say) worth keeping
_WORD = re.compile(r"\w+")

_NAME = r"[^\W\d]\w*"
_END = r"(?:[.\[!:][^{}\n]*)?\}(?!\})"
_FIELD = re.compile(rf"(?<!\{{)\{{({_NAME}){_END}")
_BRACED = re.compile(r"\{[^{}\n]+\}")
_NEW_FIELD = re.compile(rf"(?<![\w\{{}}\\^$])\{{({_NAME}){_END}")  # not TeX's \frac{{a}}
_SLOT = re.compile(rf"(?<!\{{)\{{\{{\s*({_NAME})[^{{}}\n]*\}}\}}(?!\}})")

_REFUSAL = re.compile(
    r"\W*(?:i(?:'m| am)(?: very| so| really)? sorry|sorry,|i apologi[sz]e"
    r"|(?:i|we) (?:can(?:no|')?t|can ?not|am unable to|am not able to|won'?t|will not)"
    r" (?:assist|help|comply|fulfil|provide|create|generate|continue|do th)"
    r"|i(?:'m| am) (?:unable|not able) to|as an ai\b)",
    re.IGNORECASE,
)
_NOTHING = re.compile(
    r"\W*(?:(?:the |your |my )?(?:new|improved|updated|rewritten) (?:value|text|prompt|code)"
    r"(?: goes)?(?: here)?|your (?:value|text|prompt|code|criticism)(?: here)?"
    r"|(?:left |kept |is )?unchanged|no changes?(?: needed| required)?|(?:the )?same(?: as before)?"
    r"|none|null|nil|n/?a|tb[ad]|todo|undefined)\W*",
    re.IGNORECASE,
)
_ELIDED = re.compile(
    r"^\W*(?:\.\.\.|…)?\W*(?:the )?(?:rest|remainder|remaining|existing|previous|other)\b"
    r"(?=[^\n]{0,60}$)[^\n]*\b(?:unchanged|same|as before|as above|goes here|stays|remains?)\b",
    re.IGNORECASE | re.MULTILINE,
)
_WRAPPED = re.compile(
    r"\W*(?:sure|certainly|of course|okay|ok)?\W*here(?:'s| is| are) (?:the|an?|my|your)"
    r" (?:\w+ )?(?:improved|new|revised|updated|rewritten|better|refined|optimi[sz]ed|modified)\b"
    r"|\W*(?:improved|new|revised|updated|rewritten|optimi[sz]ed) (?:variable|value|prompt"
    r"|system prompt|instructions?) ?:",
    re.IGNORECASE,
)
# headings and marks of optimizers' prompts
_MARKED = re.compile(
    r"^# (?:run \d+|definitions|variables|tried before|tried, the best last|criticism"
    r"|said of the output|inputs that you are asked about"
    r"|the same (?:step|\d+ steps) \d+ more times:)$|^## Generated Outputs$"
    r'|<variable name="[^"\n]*" kind=|</?variable>|</?criticism>|…\[\d+ characters left out\]…',
    re.MULTILINE,
)
_CONTROL = re.compile(r"<\|[\w ]+\|>|<[\uff5c|][\w\u2581]+[\uff5c|]>|\[/?INST\]")


class Phrases:
    """Texts that must not be copied.

    Args:
        texts: each at least ``least`` words long (or one long word), or it is left out: what is
            shorter also stands in texts that have nothing to do with it.
        least: see above.
        most: as many words in a row are a copy of a text that is longer.
    """

    def __init__(self, texts: Sequence[str], least: int, most: int = _GRAM) -> None:
        self._texts, self._least, self._most = texts, least, most

    @cached_property
    def _known(self) -> dict[int, set[tuple[str, ...]]]:
        known: dict[int, set[tuple[str, ...]]] = {}
        for text in self._texts:
            words = _words(text)[:_MOST]
            if self._tells(words):
                size = min(len(words), self._most)
                known.setdefault(size, set()).update(_grams(words, size))
        return known

    def _tells(self, words: list[str]) -> bool:
        return len(words) >= self._least or len("".join(words)) >= _FEW

    def copied(self, old: str, new: str) -> str:
        """The first words in ``new`` that are a copy and do not stand in ``old``; else empty."""
        words = _words(new)
        if not self._tells(words):
            return ""
        before = _words(old)
        for size, known in self._known.items():
            mine = set(_grams(before, size))
            for gram in _grams(words, size):
                if gram in known and gram not in mine:
                    return " ".join(gram)
        return ""


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _grams(words: list[str], size: int) -> Iterator[tuple[str, ...]]:
    return zip(*(words[at:] for at in range(size)), strict=False)


@dataclass(frozen=True, slots=True)
class Proposed:
    """A text that a model proposes.

    Attributes:
        old, new: the present text and the proposed one.
        constraint: what the model was told to respect; it may name placeholders.
        withheld: what training examples say.
        wording: what the optimizer said to the model.
    """

    old: str
    new: str
    constraint: str = ""
    withheld: Phrases | None = None
    wording: Phrases | None = None


Guard: TypeAlias = Callable[[Proposed], str | None]


def says_something(text: Proposed) -> str | None:
    """Refuse what a model writes instead of a value: a refusal, a blank, the old value."""
    if text.new.strip() == text.old.strip():
        return "is the value that it has, but for white space: leave it out if it is to stay"
    if not _WORD.search(text.new) or _NOTHING.fullmatch(text.new):
        return "says nothing: write the value whole, or leave the variable out if it is to stay"
    if (found := _ELIDED.search(text.new)) and found[0].strip() not in text.old:
        return f"leaves something out ({found[0].strip()!r}): write the value whole"
    if _REFUSAL.match(text.new) and not _REFUSAL.match(text.old):
        return "is a refusal, not a value"
    return None


def of_a_size(text: Proposed) -> str | None:
    """Refuse what has grown without bounds: it is paid for with every call."""
    limit = max(_LONG, 3 * len(text.old))
    if len(text.new) > limit:
        return f"has {len(text.new)} characters: write at most {limit}"
    return None


def keeps_placeholders(text: Proposed) -> str | None:
    """Refuse lost placeholders, and those where nothing is filled in.

    ``{name}`` in a text that has such; ``{{ name }}`` in one that has only those; in a text that
    has neither both would be invented. What the constraint names may be used as well, and is kept
    to the letter where it stands.
    """
    told = dict.fromkeys(_BRACED.findall(text.constraint))
    if gone := [field for field in told if field in text.old and field not in text.new]:
        return f"must keep {', '.join(gone)}: what is filled in there would be lost"
    fields, slots = set(_FIELD.findall(text.old)), set(_SLOT.findall(text.old))
    allowed = set(_FIELD.findall(text.constraint)) | set(_SLOT.findall(text.constraint))
    style, needed = (_FIELD, fields) if fields or not slots else (_SLOT, slots)
    if lost := needed - set(style.findall(text.new)):
        return f"must keep {_written(lost, text.old, style)}: what is filled in there would be lost"
    styles = [_NEW_FIELD] if style is _FIELD else []
    if not fields and "{%" not in text.new:  # a template's own loop makes names
        styles.append(_SLOT)
    used = {name for style in styles for name in style.findall(text.new)}
    if invented := used - fields - slots - allowed:
        return f"must not use {_written(invented, text.new, *styles)}: nothing is filled in there"
    return None


def _written(names: set[str], text: str, *styles: re.Pattern[str]) -> str:
    """The placeholders with these names as they stand in a text, each once."""
    found = (m for style in styles for m in style.finditer(text) if m[1] in names)
    return ", ".join(sorted({m[0] for m in found}))


def copies_no_example(text: Proposed) -> str | None:
    """Refuse what has learnt training examples by heart (as asked for in gepa-ai/gepa#261)."""
    copied = text.withheld.copied(text.old, text.new) if text.withheld else ""
    if copied:
        return f"copies a training example ({copied!r}): write a rule for new ones, too"
    return None


def speaks_for_itself(text: Proposed) -> str | None:
    """Refuse an optimizer's wording, and talk about the value, in the value itself.

    As it happened in SylphAI-Inc/AdalFlow#434.
    """
    copied = text.wording.copied(text.old, text.new) if text.wording else ""
    if copied:
        return f"repeats what you were told ({copied!r}): write the value alone"
    if _WRAPPED.match(text.new) and not _WRAPPED.match(text.old):
        return "begins with words about the value: write the value alone"
    for marks in (_MARKED, _CONTROL):
        found = next((m[0] for m in marks.finditer(text.new) if m[0] not in text.old), "")
        if found:
            return f"holds {found!r}, which is no part of a value: write the value alone"
    return None


def stays_this_function(text: Proposed) -> str | None:
    """Refuse code that does not parse, or has another name or other arguments."""
    try:
        before = ast.parse(text.old).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # not Python
    try:
        after = ast.parse(text.new)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f"does not parse: {error}"
    defined = [s for s in before if isinstance(s, (ast.FunctionDef, ast.AsyncFunctionDef))]
    return other_signature(defined[0], after) if len(defined) == 1 else None


TEXT: tuple[Guard, ...] = (
    says_something, of_a_size, keeps_placeholders, copies_no_example, speaks_for_itself,
)  # fmt: skip
CODE: tuple[Guard, ...] = (
    says_something, of_a_size, stays_this_function, copies_no_example, speaks_for_itself,
)  # fmt: skip
