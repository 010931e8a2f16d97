"""Loops in a run: blocks of steps that repeat, of which a reader needs few as they are.

That a step repeats the one a period before is seen as in parameterized matching (Baker, "A Theory
of Parameterized Pattern Matching", 1993): the same operation, on inputs that are the same, or that
moved on with it. All of it takes time in proportion to steps, edges and the characters read.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count, groupby, zip_longest
from math import isqrt
from operator import is_
from typing import TypeAlias

from trace_bridge.graph.backward import Subgraph
from trace_bridge.graph.node import Node
from trace_bridge.graph.shown import is_literal, level, shortened, shown, sign_of

_Traits: TypeAlias = "frozenset[tuple[Hashable, ...]]"
Piece: TypeAlias = "tuple[str, tuple[Node, ...]]"  # a head, and the nodes whose values follow it

_FEWEST = 3  # blocks that are worth folding
_TRIED = 8  # of the next steps with the same operation: each may be one period away
_ODD = 2  # so many blocks with something rare stay as they are, or what half of the room takes
_STEP = 150  # characters that a step takes, more or less
_INPUTS = 400  # characters for the inputs of steps that are shown as one
_SHORT = 80  # characters for the name of an operation, or for the numbers given to it
_ITEM = 12  # characters of a value at the least: where there is room for less, some are left out
_AROUND = 3  # characters that an item of a list takes besides: quotes and a comma
_EACH = " each time"
_NEWLINE = "\n#       "
# as ``source.described`` begins, and what tools say: "KeyError: 'x'", "Execution error in search"
_FAILED = re.compile(r"\((\w+)\) |\W*(?:\w+ ){0,2}?(\w*(?:error|exception))\b", re.IGNORECASE)
_NUMBERED = re.compile(r"(.*)_([1-9][0-9]*)", re.DOTALL)
_WORD = re.compile(r"\w\w+")


@dataclass(frozen=True, slots=True)
class Fold:
    """Steps of which one text tells; ``pieces`` is that text, but for the values."""

    steps: tuple[Node, ...]
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class _Repeat:
    """From place ``start`` on, a block of ``length`` steps happens ``times`` times."""

    start: int
    length: int
    times: int

    def block(self, number: int) -> range:
        """The places of the steps of one block; blocks count from 0."""
        return range(self.start + number * self.length, self.start + (number + 1) * self.length)


@dataclass
class Loops:
    """The loops of a run.

    Attributes:
        steps: what the run is shown as, in topological order.
        graph: the run.
        value: the value that a step had in this run.
        limit: characters of a value that are read.
        room: characters that there are for all steps.
        folds: steps of which one text is enough, by the first, which stands for the others.
        odd: steps of blocks that stay as they are because of what they show, the most telling
            first.
    """

    steps: Sequence[Node]
    graph: Subgraph
    value: Callable[[Node], object]
    limit: int
    room: int
    folds: dict[Node, Fold] = field(default_factory=dict[Node, Fold], init=False)
    odd: list[Node] = field(default_factory=list[Node], init=False)

    def __post_init__(self) -> None:
        self._parents: list[Sequence[Node]] = []
        self._labels: list[Sequence[str]] = []
        for step in self.steps:  # two lists, since pairs would keep Python's collector busy
            parents, labels = self.graph.inputs(step)
            self._parents.append(parents)
            self._labels.append(labels)
        self._places = {step: at for at, step in enumerate(self.steps)}
        self._first: dict[Node, Node] = {}
        self._said = {node for node, _ in self.graph.feedback}
        said = " ".join(given.text for _, given in self.graph.feedback)
        self._words = frozenset(_WORD.findall(said.lower()))

    def fold(self, name: Callable[[Node], str]) -> None:
        """Find what can be folded; ``name`` gives what a node goes by.

        Of each loop, the first block and the last stay as they are, those with feedback, and some
        that show what is new or rare: a failure, nothing where others have something, a value of
        another type or sign, words of the feedback.
        """
        for step in self.steps:  # in order, so that the names of a loop make a range
            name(step)
        for repeat in self._repeats():
            whole = self._telling(repeat)
            for is_whole, group in groupby(range(repeat.times), whole.__contains__):
                blocks = list(group)
                if is_whole or len(blocks) < _FEWEST:
                    continue
                pieces = self._pieces(repeat, blocks, name)
                if pieces:
                    places = chain.from_iterable(map(repeat.block, blocks))
                    steps = tuple(self.steps[at] for at in places)
                    self.folds[steps[0]] = Fold(steps, pieces)
                    self._first.update(dict.fromkeys(steps, steps[0]))

    def unfolded(self) -> list[Node]:
        """The steps that stand for themselves, or for a fold, in their order."""
        return [step for step in self.steps if self._first.get(step, step) is step]

    def ranked(self, near: Iterable[Node]) -> list[Node]:
        """What to show first: outputs, then folds, since these tell most, then the rest.

        Of the rest, by turns, what is ``near`` and what is odd.
        """
        said = (node for node, _ in self.graph.feedback)
        turns = zip_longest((self._first.get(node, node) for node in near), self.odd)
        rest = (node for node in chain.from_iterable(turns) if node is not None)
        return [*said, *self.folds, *rest]

    # ------------------------------------------------------------------ what repeats

    def _repeats(self) -> list[_Repeat]:
        """From left to right; at each place with the period that covers most."""
        size = len(self.steps)
        following, latest = [size] * size, dict[tuple[str, str], int]()
        for at in range(size - 1, -1, -1):
            like = self.steps[at].op, self.steps[at].name
            following[at] = latest.get(like, size)
            latest[like] = at
        ends: dict[int, int] = {}  # how far a period holds: no step is looked at twice for one
        found: list[_Repeat] = []
        at = 0
        while at < size:
            best, most = _Repeat(at, 1, 1), size
            second = following[at]
            for _ in range(_TRIED):
                period = second - at
                if at + (_FEWEST + 2) * period > size:  # the first and the last are not folded
                    break
                end = max(second, ends.get(period, 0))
                if best.times > 1 and second <= most and not self._moved_on(most, period):
                    end = second  # it covers no more than the best so far
                elif end == second:
                    while self._moved_on(end, period):
                        end += 1
                    ends[period] = end
                times = (end - at) // period
                if times >= _FEWEST + 2 and times * period > best.times * best.length:
                    best, most = _Repeat(at, period, times), end
                second = following[second]
            if best.times > 1:
                found.append(best)
            at += best.length * best.times
        return found

    def _moved_on(self, at: int, period: int) -> bool:
        """Whether a step does what the one a period before did, on inputs that moved with it."""
        if at == len(self.steps):
            return False
        step, before = self.steps[at], self.steps[at - period]
        if step.op != before.op or step.name != before.name:
            return False
        parents, earlier = self._parents[at], self._parents[at - period]
        labels, names = self._labels[at], self._labels[at - period]
        if len(parents) > len(earlier) > 0:  # as in a conversation: what there was, and more
            return labels[: len(names)] == names and all(map(is_, earlier, parents))
        if labels != names:
            return False
        for parent, other in zip(parents, earlier, strict=True):
            if parent is other:
                continue
            now, then = self._places.get(parent), self._places.get(other)
            if now is None or then is None:
                if not (is_literal(parent) and is_literal(other)):
                    return False
            elif now - then != period:
                return False
        return True

    # ------------------------------------------------------------------ what is worth reading

    def _telling(self, repeat: _Repeat) -> set[int]:
        """The blocks of a loop that stay as they are."""
        shared: dict[_Traits, _Traits] = {}  # most blocks have the same, which saves time
        traits: list[_Traits] = []
        for number in range(repeat.times):
            found = self._traits(repeat.block(number))
            traits.append(shared.setdefault(found, found))
        counts = Counter[tuple[Hashable, ...]]()
        for found, times in Counter(traits).items():
            counts.update(dict.fromkeys(found, times))
        few = isqrt(repeat.times)
        rare = {
            trait
            for trait, times in counts.items()
            if times <= (repeat.times // 2 if trait[0] == _FAILED else few)
        }
        weights = {found: _weight(found & rare, counts) for found in shared}
        known: set[tuple[Hashable, ...]] = set()
        ranked: list[tuple[float, int]] = []
        for number, found in enumerate(traits):
            weight = weights[found]
            if found in shared:  # for the first time
                del shared[found]
                if number > 1:  # a counter may begin with 0, which is unlike the other numbers
                    weight = max(weight, _weight(found - known, counts, 1.0))
                known |= found
            if weight and 0 < number < repeat.times - 1:
                ranked.append((-weight, number))
        places = sorted(self._places.get(node, -1) - repeat.start for node in self._said)
        said = [at // repeat.length for at in places if 0 <= at < repeat.times * repeat.length]
        most = max(_ODD, self.room // (2 * _STEP * repeat.length))
        odd = dict.fromkeys([*said, *(number for _, number in sorted(ranked)[:most])])
        self.odd += [self.steps[at] for number in odd for at in repeat.block(number)]
        return {0, *odd, repeat.times - 1}

    def _traits(self, block: range) -> _Traits:
        """What may set a block apart: kinds of values, and words of the feedback in them."""
        found: list[tuple[Hashable, ...]] = []
        for place, at in enumerate(block):
            value = self.value(self.steps[at])
            found.append((*_kind(value), place))
            if self._words:
                text = shown(value, self.limit).lower()
                found += [(word,) for word in self._words.intersection(_WORD.findall(text))]
        return frozenset(found)

    # ------------------------------------------------------------------ what is shown instead

    def _pieces(
        self, repeat: _Repeat, blocks: Sequence[int], name: Callable[[Node], str]
    ) -> tuple[Piece, ...]:
        """A text for each step of the block; none where the names do not make a range."""
        lines = "step" if repeat.length == 1 else f"{repeat.length} steps"
        mark = f"# the same {lines} {len(blocks)} more times:\n"
        pieces: list[Piece] = []
        for place in range(repeat.length):
            places = [repeat.block(number)[place] for number in blocks]
            steps = tuple(self.steps[at] for at in places)
            names = _spread([name(step) for step in steps])
            given = self._given(places, repeat.length, name)
            if names is None or given is None:
                return ()
            op = shortened(steps[0].op, _SHORT)
            made = f"{op}({shortened(given, _INPUTS)})\n#     gave " if given else ""
            pieces.append((f"{mark}#   {names} = {made}", steps))
            mark = ""
        return tuple(pieces)

    def _given(
        self, places: Sequence[int], period: int, name: Callable[[Node], str]
    ) -> str | None:  # fmt: skip
        """The inputs of steps that are shown as one; None where they do not make ranges."""
        known = [len(self._parents[at - period]) for at in places]
        grows = len(self._parents[places[0]]) > known[0]
        if not grows:
            known = [0] * len(places)
        rows = [self._parents[at][first:] for at, first in zip(places, known, strict=True)]
        labels = self._labels[places[0]][known[0] :]
        if any(self._labels[at][first:] != labels for at, first in zip(places, known, strict=True)):
            return None
        said = ["what the one before was given"] if grows else []
        for at, label in enumerate(labels):  # zip would hold an iterator for each row
            text = _together([row[at] for row in rows], name)
            if text is None:
                return None
            said.append(sign_of(label) + text)
        return ", ".join(said)


def column(values: Sequence[object], room: int, limit: int) -> str:
    """The values of steps that are shown as one, in at most ``room`` characters.

    Each is shortened to ``limit`` characters or less; where that does not do, some are left out of
    the middle, which is marked.
    """
    first = shown(values[0], limit, _NEWLINE)
    if all(shown(value, limit, _NEWLINE) == first for value in values):
        return shortened(shortened(first, room - len(_EACH)) + _EACH, room)
    if len(values) * (_ITEM + _AROUND) < room:
        texts = [shown(value, limit) for value in values]
        share = max(_ITEM, level([len(text) + _AROUND for text in texts], room - 2) - _AROUND)
        values = [
            value if len(text) <= share and not isinstance(value, str) else shortened(text, share)
            for value, text in zip(values, texts, strict=True)
        ]
    return shown(values, room)


def _weight(
    traits: _Traits, counts: Mapping[tuple[Hashable, ...], int], least: float = 0.0
) -> float:  # fmt: skip
    """How much ``traits`` tell: the rarer the more, and failures before all."""
    return max(
        (max(least, 1 / counts[trait]) + (trait[0] == _FAILED) for trait in traits), default=0.0
    )


def _kind(value: object) -> tuple[Hashable, ...]:
    """What a value is at a glance: a failure, its type, whether it is empty, its sign."""
    if isinstance(value, str):
        failed = _FAILED.match(value)
        return (_FAILED, failed[1] or failed[2]) if failed else (str, bool(value.strip()))
    if isinstance(value, (int, float)):
        return (type(value), value > 0, value < 0, value == value)  # noqa: PLR0124 (not so nan)
    kind = type(value)
    return (kind, bool(value)) if kind in (list, tuple, dict) else (kind,)


def _together(nodes: Sequence[Node], name: Callable[[Node], str]) -> str | None:
    """What ``nodes`` go by, in short; None if there is no short way to say it."""
    if all(node is nodes[0] for node in nodes):
        return name(nodes[0])
    if all(map(is_literal, nodes)):
        values = [node.peek() for node in nodes]
        return name(nodes[0]) if len(set(map(name, nodes))) == 1 else shown(values, _SHORT)
    return _spread([name(node) for node in nodes])


def _spread(names: Sequence[str]) -> str | None:
    """Names that count up evenly as a range: ``a_2 .. a_9``, or ``a_2, a_4 .. a_10``."""
    first, second = (_NUMBERED.fullmatch(name) for name in names[:2])
    if second is None or (first[1] if first else names[0]) != second[1]:
        return None
    start = int(first[2]) if first else 0
    gap = int(second[2]) - start
    counted = zip(names[1:], count(start + gap, gap), strict=False)
    if gap <= 0 or any(name != f"{second[1]}_{number}" for name, number in counted):
        return None
    between = f", {names[1]}" if gap > 1 or first is None else ""
    return f"{names[0]}{between} .. {names[-1]}"
