"""Which earlier values a value was made from, judged by the data alone.

Object identity is proof. Text that stands in a later text is evidence: producers are tried newest
first, and text that one of them explains is masked, so that an older producer which the newer one
merely repeated is not blamed as well. ``plugins/dspy/tests/test_dspy_provenance.py`` measures
precision and recall on programs whose true edges are known.
"""

from __future__ import annotations

import dataclasses
import enum
import re
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

from trace_bridge.graph import Evidence

if TYPE_CHECKING:
    import pydantic.fields

DEPTH = 6  # how deep containers are looked into
_MIN_TEXT = 4  # characters of a normalized text that make a match more than chance
_MIN_PART = 8  # the same, for a value that is a part of an earlier text
_MIN_FAR = 16  # the same, for a value that the code around is not known to have read
_RUN = 3  # words in a row that make a match more than chance
_GAP = " \x00 "  # stands for text that is explained already

_SHARED = (
    int, float, bool, complex, type(None), enum.Enum, type, types.ModuleType, types.FunctionType,
    types.BuiltinFunctionType,
)  # fmt: skip
_ATOMS = (str, bytes, *_SHARED)


class Produced(NamedTuple):
    """A value that may explain later ones: ``source`` is the recorder's own key for it.

    Attributes:
        was_read: whether the code whose value is to be explained has read it; None if its reads
            are not known.
    """

    source: tuple[int, str]
    value: object
    was_read: bool | None = None


def leaves(value: object, depth: int = 0) -> Iterator[object]:
    """``value`` and everything in it that could have been passed on by itself."""
    yield value
    if depth < DEPTH:
        for item in items_in(value):
            yield from leaves(item, depth + 1)


def items_in(value: object) -> Iterable[object]:
    """What ``value`` holds that could have been passed on by itself."""
    return () if isinstance(value, _ATOMS) else _items(value)


def _items(value: object) -> Iterable[object]:
    if isinstance(value, Mapping):
        return cast("Mapping[object, object]", value).values()
    if isinstance(value, (list, tuple, set, frozenset)):
        return cast("Sequence[object]", value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name) for field in dataclasses.fields(value)]
    known = getattr(type(value), "model_fields", None)
    if known is not None:  # pydantic, which the core does not import
        fields = cast("Mapping[str, pydantic.fields.FieldInfo]", known)
        # a default is its class's, and one object for all: nobody passed it on
        return [
            item
            for name, item in vars(value).items()
            if name not in fields or item is not fields[name].default
        ]
    return ()


def identifiable(value: object) -> bool:
    """Whether the identity of ``value`` proves anything (Python shares small values)."""
    if isinstance(value, (str, bytes)):
        return len(value) >= 2
    if isinstance(value, (tuple, frozenset)):
        return bool(value)  # pyright: ignore[reportUnknownArgumentType]
    return not isinstance(value, _SHARED)


def normalized(text: str) -> str:
    """``text`` in lower case with everything but words folded to blanks."""
    return re.sub(r"[\W_]+", " ", text).strip().lower()


def explain_text(
    value: object, produced: Sequence[Produced], known: str
) -> list[tuple[tuple[int, str], Evidence]]:
    """The sources whose text stands in ``value``.

    Args:
        value: what is to be explained.
        produced: earlier values, in the order in which they are tried: newest first, and before
            all others those that were read. What was not read counts only by a long whole text.
        known: normalized text that everybody could see (the question), which proves nothing.
    """
    texts = [normalized(leaf) for leaf in leaves(value) if isinstance(leaf, str)]
    texts = [text for text in texts if text]
    found: list[tuple[tuple[int, str], Evidence]] = []
    for source, earlier, was_read in produced:
        if not any(text.replace("\x00", "").strip() for text in texts):
            break
        parts = [normalized(leaf) for leaf in leaves(earlier) if isinstance(leaf, str)]
        if was_read is False:
            evidence, masks = _whole(texts, parts, known, _MIN_FAR)
        else:
            evidence, masks = _match(texts, parts, known)
        if evidence is None and was_read:
            evidence, masks = _numbers(texts, earlier, known)
        if evidence is not None:
            found.append((source, evidence))
        for mask in masks:
            texts = [mask.sub(_GAP, text) for text in texts]
    return found


_Found: TypeAlias = tuple[Evidence | None, list[re.Pattern[str]]]


def _whole(texts: list[str], parts: list[str], known: str, least: int) -> _Found:
    """Those of ``parts``, an earlier value's texts, that stand in ``texts`` as they are."""
    words = [
        re.compile(rf"\b{re.escape(part)}\b")
        for part in parts
        if len(part) >= least and part not in known
    ]
    masks = [whole for whole in words if any(whole.search(text) for text in texts)]
    return Evidence.TEXT if masks else None, masks


def _numbers(texts: list[str], earlier: object, known: str) -> _Found:
    """The numbers in ``earlier`` that stand in ``texts``: they have no identity."""
    numbers = {
        normalized(str(leaf))
        for leaf in leaves(earlier)
        if isinstance(leaf, (int, float)) and not isinstance(leaf, bool)
    }
    words = [re.compile(rf"\b{re.escape(number)}\b") for number in sorted(numbers)]
    masks = [
        word for word in words
        if not word.search(known) and any(word.search(text) for text in texts)
    ]  # fmt: skip
    return Evidence.WORDS if masks else None, masks


def _match(texts: list[str], parts: list[str], known: str) -> _Found:
    """How ``parts``, an earlier value's texts, explain ``texts``, and what of them they explain."""
    evidence, masks = _whole(texts, parts, known, _MIN_TEXT)
    if evidence is None:
        for text in texts:
            if len(text) >= _MIN_PART and text not in known and any(text in part for part in parts):
                evidence = Evidence.TEXT
                masks.append(re.compile(re.escape(text)))
    if evidence is None:
        shared = _runs(texts) & _runs(parts) - _runs([known])
        if shared:
            evidence = Evidence.WORDS
            masks += [re.compile(re.escape(run)) for run in shared]
    return evidence, masks


def _runs(texts: Iterable[str]) -> set[str]:
    runs: set[str] = set()
    for text in texts:
        words = text.split()
        runs.update(" ".join(words[i : i + _RUN]) for i in range(len(words) - _RUN + 1))
    return {run for run in runs if "\x00" not in run}
