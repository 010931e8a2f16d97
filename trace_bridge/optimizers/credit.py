"""Credit: which parameters explain the bad feedback, by the graph alone.

Two measures, each from 0 to 1, are added up:

- *spectrum*: does bad feedback go together with being on the path? This is spectrum-based fault
  localization with Ochiai's coefficient (Abreu, Zoeteweij and van Gemund, "On the Accuracy of
  Spectrum-based Fault Localization", 2007), where a test is an output, what it covers are the
  parameters that it depends on, and feedback may be bad in part.
- *origin*: does what the feedback names first appear in a step that reads the parameter? This is a
  dynamic backward slice (Korel and Laski, "Dynamic Program Slicing", 1988) from the words of an
  output that its feedback repeats. A word counts by how much more often outputs that hold it fail
  than outputs do at all (the *increase* of Liblit et al., "Scalable Statistical Bug Isolation",
  2005), and the less the more places it comes from.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from trace_bridge.graph import Feedback, Node, Parameter, Subgraph
from trace_bridge.graph.shown import shown

_WORD = re.compile(r"\d+(?:\.\d+)+|[^\W_]+")
_READ = 4000  # characters of a value that are looked at
_NOTHING = 1e-9  # rounding errors
_Place: TypeAlias = "tuple[int, tuple[Parameter, ...]]"  # the order of a step, and what it reads


@dataclass(frozen=True, slots=True)
class Blame:
    """How well a parameter explains the bad feedback.

    Attributes:
        spectrum: how far bad feedback and depending on the parameter go together.
        origin: the share of bad feedback whose words first appear where the parameter is read.
    """

    parameter: Parameter
    spectrum: float
    origin: float

    @property
    def total(self) -> float:
        """What parameters are ranked by, from 0 to 2."""
        return self.spectrum + self.origin


def blamed(subgraphs: Sequence[Subgraph], parameters: Sequence[Parameter]) -> list[Blame]:
    """Those of ``parameters`` on which an output depends, the most blamed first.

    Scores count by where they lie between the best and the worst of all outputs; an output without
    a score, or where all score the same, has failed. Neither names nor the parameters' kinds
    matter, and equally blamed ones keep their order. Takes time in proportion to nodes, edges and
    the characters of values; only the first 4000 of each are read.
    """
    runs = [_Run(graph) for graph in subgraphs]
    outputs = [output for run in runs for output in run.outputs]
    _weigh(outputs)
    total = sum(output.failed for output in outputs)
    telling = _telling(outputs)
    covered: dict[Parameter, list[float]] = {}
    origin: dict[Parameter, list[float]] = {}
    for run in runs:
        for parameter, output in run.covered():
            covered.setdefault(parameter, []).append(output.failed)
        for parameter, share in run.origins(telling):
            origin.setdefault(parameter, []).append(share)
    found = [
        Blame(
            parameter,
            sum(covered[parameter]) / math.sqrt((total or 1) * len(covered[parameter])),
            sum(origin.get(parameter, ())) / (total or 1),
        )
        for parameter in parameters
        if parameter in covered
    ]
    return sorted(found, key=lambda blame: -blame.total)


@dataclass(slots=True)
class _Output:
    """An output: its words, those that its feedback repeats, and how far it has failed, 0 to 1."""

    score: float | None
    words: set[str]
    named: set[str]
    failed: float = 1.0


def _weigh(outputs: Sequence[_Output]) -> None:
    """Say of each output how far it has failed: 0 for the best score, 1 for the worst."""
    scores = [output.score for output in outputs if output.score is not None]
    best, worst = max(scores, default=0.0), min(scores, default=0.0)
    for output in outputs:
        if output.score is not None and best > worst:
            output.failed = (best - output.score) / (best - worst)


def _telling(outputs: Sequence[_Output]) -> dict[str, float]:
    """How much a word tells of failure, from above 0 to 1; words that tell nothing are left out."""
    held: dict[str, list[float]] = {}
    for output in outputs:
        for word in output.words:
            held.setdefault(word, []).append(output.failed)
    rate = sum(output.failed for output in outputs) / max(1, len(outputs))
    if rate == 1:  # nothing to compare with
        return dict.fromkeys(held, 1.0)
    increase = {word: sum(failed) / len(failed) - rate for word, failed in held.items()}
    return {word: more / (1 - rate) for word, more in increase.items() if more > _NOTHING}


class _Run:
    """A subgraph, and what it says about its outputs, which are bits of a number here."""

    def __init__(self, graph: Subgraph) -> None:
        self.graph = graph
        self.outputs = [_output(node, given) for node, given in graph.feedback]
        self.leads = {node.order: 0 for node in graph.nodes}
        for bit, (node, _) in enumerate(graph.feedback):
            self.leads[node.order] |= 1 << bit
        for node in graph.backward():
            for parent in graph.inputs(node)[0]:
                self.leads[parent.order] |= self.leads[node.order]

    def led_to(self, order: int) -> Iterator[_Output]:
        """The outputs that depend on the node of this order."""
        leads = self.leads.get(order, 0)  # masked subgraphs do not hold their parameters
        return (output for bit, output in enumerate(self.outputs) if leads >> bit & 1)

    def covered(self) -> Iterator[tuple[Parameter, _Output]]:
        """Each parameter with each output that depends on it."""
        for parameter in self.graph.parameters:
            for output in self.led_to(parameter.order):
                yield parameter, output

    def origins(self, telling: Mapping[str, float]) -> Iterator[tuple[Parameter, float]]:
        """Parameters with what of the outputs' failures is put down to them by named words."""
        named = {word for o in self.outputs if o.failed for word in o.named if word in telling}
        sources = _sources(self.graph, named) if named else {}
        for bit, output in enumerate(self.outputs):
            places = {
                word: [near for order, near in sources[word] if self.leads[order] >> bit & 1]
                for word in sorted(output.named & named)
            }
            weights = {word: telling[word] / len(p) for word, p in places.items() if p}
            total = sum(weights.values())
            for word, weight in weights.items():
                part = output.failed * weight / total / len(places[word])
                for near in places[word]:
                    for parameter in near:
                        yield parameter, part / len(near)


def _output(node: Node, given: Feedback) -> _Output:
    words = set(_words(shown(node.peek(), _READ)))
    return _Output(given.score, words, words.intersection(_words(shown(given.text, _READ))))


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text)]


def _count(value: object, words: set[str]) -> Counter[str]:
    """How often a value holds each of these words."""
    text = shown(value, _READ)
    folded = text.casefold()
    if not any(word in folded for word in words):  # most often; all words take ten times as long
        return Counter()
    return Counter(word for word in _words(text) if word in words)


def _sources(graph: Subgraph, words: set[str]) -> dict[str, list[_Place]]:
    """Where each word comes from: the steps that hold it more often than all they are made of."""
    found: dict[str, list[_Place]] = {word: [] for word in words}
    held: dict[int, Counter[str]] = {}
    near: dict[int, tuple[Parameter, ...]] = {}
    for node in graph.nodes:
        parents = graph.inputs(node)[0]
        value = graph.values[node] if isinstance(node, Parameter) else node.peek()
        own = _count(value, words)
        held[node.order] = own
        near[node.order] = suspects = _suspects(node, parents, near)
        for word, times in own.items():
            if times > sum(held[parent.order][word] for parent in parents):
                found[word].append((node.order, suspects))
    return found


def _suspects(
    node: Node, parents: Sequence[Node], near: Mapping[int, tuple[Parameter, ...]]
) -> tuple[Parameter, ...]:
    """The parameters that a step reads; where it reads none, those that the steps before it do."""
    if isinstance(node, Parameter):
        return (node,)
    read = tuple(dict.fromkeys(p for p in parents if isinstance(p, Parameter)))
    if read or len(parents) == 1:
        return read or near[parents[0].order]
    return tuple(dict.fromkeys(p for parent in parents for p in near[parent.order]))
