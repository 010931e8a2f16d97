"""Subgraphs as a small program, for a model to read.

The representation is the seeds' (OptoPrime: "every computational graph can be expressed as a
pseudo code"): definitions, variables, the program, its values and the feedback. All of it takes
time in proportion to nodes, edges and characters, also where a budget leaves most of them out.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import accumulate, chain, filterfalse, groupby
from operator import add
from typing import NamedTuple

from trace_bridge.graph.backward import Subgraph
from trace_bridge.graph.drawing import nearest
from trace_bridge.graph.folding import Fold, Loops, column
from trace_bridge.graph.kinds import kind_named
from trace_bridge.graph.node import Node
from trace_bridge.graph.parameter import Parameter
from trace_bridge.graph.shown import is_literal, level, shortened, shown, sign_of, value_of

_READABLE = 200  # characters to which values are shortened before loops are folded
_SHORT = 80  # characters to which values are shortened before steps are left out
_LINE = 60  # characters to which lines are shortened before some are left out
_NAME = 100  # characters of an identifier; some people call nodes by their text
_HEAD = 400  # characters for the inputs of a step, under a budget
_LEAST = 3  # characters that a node takes at the very least
_BARE = 240  # characters for a run of which only feedback is shown, and that in short
_GAVE = "\n    # gave "
_NEWLINE = "\n    "  # keeps further lines of values and feedback apart from what follows
_SAID = "<feedback>\n{}\n</feedback>"


class _Line(NamedTuple):
    """What is shown of a step, or of several: a head, and values that would take so many."""

    head: str
    nodes: tuple[Node, ...]
    length: int


@dataclass
class Program:
    """Subgraphs as text. Identifiers are unique over all of them; parameters keep theirs.

    Attributes:
        parameters: what may be changed; other parameters are shown as inputs.
        limit: characters that one value may take; longer ones are cut in the middle and marked.
        values: the parameters' values to show; by default those of the current context.
    """

    parameters: Sequence[Parameter]
    limit: int = 2000
    values: Mapping[Parameter, object] | None = None
    _names: dict[Node, str] = field(default_factory=dict[Node, str], init=False, repr=False)
    # what names were asked for -> the number that the next one like it gets
    _wished: dict[str, int] = field(default_factory=dict[str, int], init=False, repr=False)
    # named, because steps that are shown use them, but not shown themselves so far
    _pending: set[Node] = field(default_factory=set[Node], init=False, repr=False)

    def __post_init__(self) -> None:
        self._restart()

    def _restart(self) -> None:
        for known in (self._names, self._wished, self._pending):
            known.clear()
        for parameter in self.parameters:
            self._identify(parameter)

    def parameter_named(self, name: str) -> Parameter | None:
        """The parameter that goes by ``name`` in this text, or by its path."""
        for parameter in self.parameters:
            if name in (self._names[parameter], parameter.name):
                return parameter
        return None

    def name_of(self, parameter: Parameter) -> str:
        """What ``parameter`` goes by in this text."""
        return self._names[parameter]

    # ------------------------------------------------------------------ all of it

    def text(self, graphs: Sequence[Subgraph], budget: int | None = None) -> str:
        """Variables, definitions and a section for each subgraph.

        Args:
            graphs: runs of one program.
            budget: characters for all of it. Variables and feedback come first; then values are
                shortened, then loops folded (see ``Loops``), then steps left out, those first that
                are far from outputs and from parameters; short runs stay whole. What was cut is
                marked. Variables are never cut: where they leave too little, some feedback in
                short, for up to a quarter of the budget, goes on top of it, because without any a
                model could only guess.
        """
        variables = _section("variables", self.variables())
        if budget is None:
            rest = self._whole(graphs, [self.trace(graph) for graph in graphs])
        else:
            rest = self._within(graphs, budget, budget - len(variables))
        return "\n\n".join(filter(None, [variables, *rest]))

    def _whole(self, graphs: Sequence[Subgraph], runs: Iterable[str]) -> list[str]:
        numbered = [_section(f"run {number}", run) for number, run in enumerate(runs, 1)]
        return [_section("definitions", self.definitions(graphs)), *numbered]

    def _within(self, graphs: Sequence[Subgraph], budget: int, room: int) -> list[str]:
        """The sections after the variables, which leave ``room`` of the budget."""
        small = [len(graph.members) * _LEAST <= room for graph in graphs]
        runs = [self.trace(g) if fits else "" for g, fits in zip(graphs, small, strict=True)]
        if all(small):
            sections = self._whole(graphs, runs)
            if _length(sections) <= room:
                return sections
        needs = [len(run) if fits else max(0, room) for run, fits in zip(runs, small, strict=True)]
        self._restart()
        floors = [  # what it takes to show all feedback, and to say that all steps are left out
            len(_section(f"run {number}", f"{_left_out(len(graph.members), 'steps')}\n\n\n"))
            + len(self._said(graph))
            for number, graph in enumerate(graphs, 1)
        ]
        room = max(room, min(budget // 4, sum(min(floor, _BARE) for floor in floors)))
        given = max(1, (room - sum(floors)) // 4)  # at least the mark that there are some
        definitions = _section("definitions", self.definitions(graphs, given))
        room -= _length([definitions])
        known, share = len(graphs), level(floors, room)
        if share >= max(floors):
            share = level(needs, room - sum(floors))
            rooms = [floor + min(need, share) for floor, need in zip(floors, needs, strict=True)]
        else:
            rooms = [min(floor, max(share, _BARE)) for floor in floors]
            if sum(rooms) > room:
                last = room - _length([_left_out(known, "runs")])
                known = max(1, sum(end <= last for end in accumulate(rooms)))
        sections = [definitions]
        for number, (graph, size) in enumerate(zip(graphs[:known], rooms, strict=False), 1):
            heading = len(_section(f"run {number}", "\n\n"))
            sections.append(_section(f"run {number}", self.trace(graph, size - heading)))
        if known < len(graphs):
            sections.append(_left_out(len(graphs) - known, "runs"))
        return sections

    # ------------------------------------------------------------------ its parts

    def variables(self) -> str:
        """The parameters with what is to be respected, and their values in full."""
        return "\n".join(map(self._variable, self.parameters))

    def _variable(self, parameter: Parameter) -> str:
        value = parameter.peek() if self.values is None else self.values[parameter]
        about = f"<about>{parameter.description}</about>\n" if parameter.description else ""
        if parameter.constraint:
            about += f"<constraint>{parameter.constraint}</constraint>\n"
        return (
            f'<variable name="{self._names[parameter]}" kind="{parameter.kind}">\n{about}'
            f"<value>\n{kind_named(parameter.kind).show(value)}\n</value>\n</variable>"
        )

    def definitions(self, graphs: Iterable[Subgraph], room: int | None = None) -> str:
        """What the operations do, each once; with ``room``, in at most so many characters."""
        known: dict[str, list[str]] = {}  # the operations that one text describes
        lines: list[str] = []
        for node in chain.from_iterable(graph.nodes for graph in graphs):
            text, op = node.description, node.op
            if text and op not in known.get(text, ()) and not node.trainable:
                known.setdefault(text, []).append(op)
                lines.append(f"[{op}] {' '.join(text.split())}")
        return fitted(lines, room)

    def trace(self, graph: Subgraph, room: int | None = None) -> str:
        """One run: its inputs, its steps with their values, and the feedback.

        With ``room``, in at most so many characters, for which it has to be 100 at least: feedback
        comes first; then values are shortened, then loops folded, then steps left out, and those
        that are near to outputs and parameters stay longest. What was cut is marked.
        """
        if room is None:
            return "\n".join([*self._steps(graph), self._said(graph)])
        said = self._said(graph, room - len(_left_out(len(graph.members), "steps")) - 1)
        return "\n".join([*self._some_steps(graph, room - len(said)), said])

    def _said(self, graph: Subgraph, room: int | None = None) -> str:
        said = [f"{self._name(node)}: {given}" for node, given in graph.feedback]
        lines = [text.replace("\n", _NEWLINE) for text in said]
        return _SAID.format(fitted(lines, None if room is None else room - len(_SAID.format(""))))

    # ------------------------------------------------------------------ steps

    def _steps(self, graph: Subgraph) -> list[str]:
        """All steps. This loop is what takes the time of a prompt: it is kept tight."""
        names, pending, limit = self._names, self._pending, self.limit
        small, wished, whole = 10 ** min(18, limit - 1), self._wished, graph.keep is None
        signs: dict[tuple[str, ...], list[str]] = {}
        lines: list[str] = []
        for node in self._unseen(graph):
            data = node.peek() if type(node) is Node else value_of(node, graph)
            if type(data) is str and len(data) <= limit and "\n" not in data:
                value, plain = data, False
            elif plain := type(data) is int and -small < data < small:
                value = str(data)
            else:
                value = shown(data, limit, _NEWLINE)
            wish = node.name
            if wish == "constant" == node.op and (plain or is_literal(node)):
                names[node] = value
                continue
            number = wished.get(wish)
            if number is None or pending or (name := f"{wish}_{number}") in wished:
                name = names[node] if node in pending else self._identify(node)
            else:  # as _identify does, where others had the same wish
                wished[wish] = number + 1
                names[node] = name
            if whole:
                parents, labels = node.made_from(), node.labels
            else:
                parents, labels = graph.inputs(node)
            if not parents:
                lines.append(f"{name} = {value}")
                continue
            sign = signs.get(labels)
            if sign is None:
                sign = signs[labels] = list(map(sign_of, labels))
            if len(parents) == 1:  # most often, and this is worth a tenth of the time
                arguments = sign[0] + names[parents[0]]
            else:
                arguments = ", ".join(map(add, sign, map(names.__getitem__, parents)))
            lines.append(f"{name} = {node.op}({arguments}){_GAVE}{value}")
        if pending:
            pending.difference_update(graph.nodes)
        return lines

    def _unseen(self, graph: Subgraph) -> Iterable[Node]:
        """The nodes that are to be shown: those without a name, or with one that is pending."""
        names, pending = self._names, self._pending
        if not pending:
            return filterfalse(names.__contains__, graph.nodes)
        return [node for node in graph.nodes if node not in names or node in pending]

    def _some_steps(self, graph: Subgraph, room: int) -> list[str]:
        """Steps in at most ``room`` characters: with shorter values, folded, or not all."""
        pending = self._pending
        steps = [node for node in self._unseen(graph) if not is_literal(node)]
        folds: Mapping[Node, Fold] = {}
        kept = self._affordable(steps, steps, graph, room, folds, _READABLE)
        if len(kept) < len(steps):
            loops = Loops(steps, graph, partial(value_of, graph=graph), self.limit, room)
            loops.fold(self._name)
            folds, steps = loops.folds, loops.unfolded()
            kept = self._affordable(steps, steps, graph, room, folds, _SHORT)
            if len(kept) < len(steps):
                order = loops.ranked(nearest(graph))
                kept = self._affordable(order, steps, graph, room, folds, _SHORT)
        lines: list[_Line] = []
        for is_kept, group in groupby(steps, kept.__contains__):
            if is_kept:
                lines += chain.from_iterable(map(kept.__getitem__, group))
            else:
                missing = sum(len(folds[node].steps) if node in folds else 1 for node in group)
                lines.append(_Line(_left_out(missing, "steps"), (), 0))
        pending.difference_update(kept, *(folds[node].steps for node in kept if node in folds))
        room -= sum(len(line.head) + 1 for line in lines)
        share = level([line.length for line in lines], room)
        return [line.head + self._values(line.nodes, graph, share) for line in lines]

    def _affordable(
        self, order: Iterable[Node], steps: Sequence[Node], graph: Subgraph, room: int,
        folds: Mapping[Node, Fold], least: int,
    ) -> dict[Node, list[_Line]]:  # fmt: skip
        """The first of ``steps`` in that order which fit with values of ``least`` characters.

        With the marks for what is left out between them.
        """
        mark = 0 if order is steps else len(_left_out(len(graph.members), "steps")) + 1
        places = {node: at for at, node in enumerate(steps, 1)}
        missing = [False, *(True for _ in steps), False]
        found: dict[Node, list[_Line]] = {}
        most = room
        room -= mark
        for node in order:
            at = places.get(node)
            if at is None or node in found:
                continue
            pieces = folds[node].pieces if node in folds else [(self._head(node, graph), (node,))]
            lines = [
                _Line(head, nodes, len(self._values(nodes, graph, most))) for head, nodes in pieces
            ]
            gaps = missing[at - 1] + missing[at + 1] - 1
            cost = sum(len(line.head) + 1 + min(line.length, least) for line in lines)
            if cost + gaps * mark > room:
                if node in folds:
                    continue
                break
            room -= cost + gaps * mark
            missing[at] = False
            found[node] = lines
        return found

    def _values(self, nodes: Sequence[Node], graph: Subgraph, room: int) -> str:
        """The value of a step, or those of steps that are shown as one."""
        if len(nodes) > 1:
            room = min(room, self.limit * len(nodes))
            return column([value_of(node, graph) for node in nodes], room, self.limit)
        return "".join(_value(node, graph, min(room, self.limit)) for node in nodes)

    def _head(self, node: Node, graph: Subgraph) -> str:
        name = self._name(node)
        parents, labels = graph.inputs(node)
        if not parents:
            return f"{name} = "
        arguments = ", ".join(map(add, map(sign_of, labels), map(self._name, parents)))
        return f"{name} = {shortened(node.op, _NAME)}({shortened(arguments, _HEAD)}){_GAVE}"

    # ------------------------------------------------------------------ names

    def _name(self, node: Node) -> str:
        """The name of a node that is referred to; it may be shown later, or be left out."""
        name = self._names.get(node)
        if name is None:
            if is_literal(node):
                name = self._names[node] = shown(node.peek(), self.limit)
            else:
                name = self._identify(node)
                self._pending.add(node)
        return name

    def _identify(self, node: Node) -> str:
        wished, wish = self._wished, node.name
        number = wished.get(wish)
        if number is None:
            wish = _identifier(wish)
            number = wished.get(wish)
        if number is None:
            number = wished[wish] = 1
            base, _, digits = wish.rpartition("_")  # it may look like one of those made below
            if not (digits.isdecimal() and wished.get(base, 0) > int(digits)):
                self._names[node] = wish
                return wish
        name = f"{wish}_{number}"
        while name in wished:
            number += 1
            name = f"{wish}_{number}"
        wished[wish] = number + 1
        self._names[node] = name
        return name


def _section(title: str, body: str) -> str:
    return f"# {title}\n{body}" if body else ""


def _length(sections: Iterable[str]) -> int:
    """With the empty line before each."""
    return sum(len(section) + 2 for section in sections if section)


def _left_out(number: int, what: str) -> str:
    return f"# ... {number} {what} left out"


def fitted(lines: Sequence[str], room: int | None) -> str:
    """The lines as one text of at most ``room`` characters, the longest shortened first."""
    text = "\n".join(lines)
    if room is None or len(text) <= room:
        return text
    share = level([len(line) for line in lines], room - len(lines))
    if share >= _LINE:
        text = "\n".join(shortened(line, share) for line in lines)
    return shortened(text, room)


def _value(node: Node, graph: Subgraph, limit: int) -> str:
    return shown(value_of(node, graph), limit, _NEWLINE)


@lru_cache(maxsize=1024)
def _identifier(wish: str) -> str:
    """``wish`` as an identifier."""
    if wish.isidentifier() and not keyword.iskeyword(wish) and len(wish) <= _NAME:
        return wish
    base = re.sub(r"\W+", "_", wish)[:_NAME].strip("_") or "value"
    if not base.isidentifier() or keyword.iskeyword(base):
        base = f"v_{base}"
    # some characters of words are none of identifiers: a superscript 2
    return base if base.isidentifier() else re.sub(r"[^a-zA-Z0-9_]+", "_", base)
