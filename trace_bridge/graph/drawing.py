"""Graphs for people to look at, and what is shown where there is no room for all of it.

Large graphs are folded so that an output still hangs on exactly the parameters that it hangs on
in truth, unless that would still be more than a program draws: then parameters, outputs and steps
share boxes, and no connection is lost, but some are shown that are none. All of it takes time in
proportion to nodes, edges and what is shown.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from trace_bridge.graph.backward import Subgraph
from trace_bridge.graph.edge import Edge
from trace_bridge.graph.node import Node
from trace_bridge.graph.shown import shortened, shown, value_of

_WHOLE = 100  # nodes: larger graphs are folded
_KEPT = 60  # nodes of a folded graph that are drawn because they are near to its ends
_ENDS = 40  # parameters, or outputs: if there are more, those that are connected alike are one box
_BITS = 256  # classes of parameters or outputs that are kept apart; the rest are taken as one
_COARSEST = 5  # times that it is folded again, to half of these each time (classes: a quarter)
_ARROWS = 300  # mermaid draws up to 500, unless it is told otherwise; graphviz takes 2 s for these
_TEXT = 50_000  # characters that mermaid reads
_SHORT = 60  # characters of a value
_SECONDS = 10  # for the program that draws

# ---------------------------------------------------------------------- values in short


def nearest(graph: Subgraph) -> list[Node]:
    """The nodes by how few edges lie between them and an output or a parameter.

    What is used together with a parameter is as near as the step that uses both.
    """
    nodes = graph.nodes
    rank = dict.fromkeys(nodes, len(nodes))
    rank.update((node, 0) for node, _ in graph.feedback)
    for node in reversed(nodes):
        after = rank[node] + 1
        for parent in graph.inputs(node)[0]:
            rank[parent] = min(rank[parent], after)
    below: dict[Node, int] = {}
    for node in nodes:
        parents, _ = graph.inputs(node)
        known = [below[parent] for parent in parents if parent in below]
        if known or node.trainable:
            below[node] = min(known, default=-1) + 1
            for other in (node, *(parent for parent in parents if parent not in below)):
                rank[other] = min(rank[other], below[node])
    return sorted(nodes, key=rank.__getitem__)


def _places(graph: Subgraph, folded: int = 0) -> list[Hashable]:
    """For each node which box it is drawn in; ``folded`` times, this was still too much."""
    nodes = graph.nodes
    if len(nodes) <= _WHOLE and not folded:
        return list(range(len(nodes)))
    most, bits = _ENDS >> folded, max(1, _BITS >> 2 * folded)
    index = {node: at for at, node in enumerate(nodes)}
    parents = [[index[parent] for parent in graph.inputs(node)[0]] for node in nodes]
    parameters = [at for at, node in enumerate(nodes) if node.trainable]
    outputs = sorted({index[node] for node, _ in graph.feedback})
    kept = {index[node] for node in nearest(graph)[: _KEPT >> folded]}
    for ends in (parameters, outputs):
        (kept.update if len(ends) <= most else kept.difference_update)(ends)

    def reach(ends: Mapping[int, int], *, forward: bool) -> list[int]:
        """Sets, as bits, of the ends (by number) that a node depends on, or that depend on it."""
        sets = [0] * len(nodes)
        for at, number in ends.items():
            sets[at] |= 1 << min(number, bits - 1)
        for at in range(len(nodes)) if forward else range(len(nodes) - 1, -1, -1):
            for parent in parents[at]:
                to, of = (at, parent) if forward else (parent, at)
                sets[to] |= sets[of]
        return sets

    # Steps that depend on the same parameters may share a box: no output will seem to depend on
    # more than it does. Of the ends that are many, those that are connected alike are one class,
    # which keeps the sets small and all of this linear.
    forward = len(parameters) < len(outputs)
    few, many = (parameters, outputs) if forward else (outputs, parameters)
    one = reach({at: number for number, at in enumerate(few)}, forward=forward)
    of_many = _classes(many, one, most)
    other = reach(of_many, forward=not forward)
    of_few = _classes(few, other, most)
    one = reach(of_few, forward=forward)
    used, made = (of_few, of_many) if forward else (of_many, of_few)
    passed = [0] * len(nodes)  # drawn nodes on the way here; they must not become a circle
    places: list[Hashable] = []
    for at in range(len(nodes)):
        passed[at] = max((passed[parent] + (parent in kept) for parent in parents[at]), default=0)
        if at in kept:
            places.append(at)
        elif at in used:
            places.append(("parameters", used[at], made.get(at)))
        elif at in made:
            places.append(("outputs", made[at]))
        else:
            places.append((one[at], other[at], passed[at]))
    return places


def _classes(ends: Sequence[int], sets: Sequence[int], most: int) -> dict[int, int]:
    """Numbers for ends; those with equal sets get the same one, if there are more than ``most``."""
    if len(ends) <= most:
        return {at: number for number, at in enumerate(ends)}
    numbers: dict[int, int] = {}
    return {at: numbers.setdefault(sets[at], len(numbers)) for at in ends}


# ---------------------------------------------------------------------- pictures

# how a box looks: brackets of mermaid, attributes of dot, colour
_LOOKS = {
    "parameter": ('{{"', '"}}', "shape=hexagon", "#fde68a"),
    "input": ('("', '")', 'shape=box, style="filled,rounded"', "#f3f4f6"),
    "step": ('["', '"]', "shape=box", "#dbeafe"),
    "output": ('(["', '"])', "shape=box, peripheries=2", "#dcfce7"),
    "folded": ('[["', '"]]', "shape=box3d", "#ffffff"),
}


@dataclass(frozen=True, slots=True)
class Box:
    """What is drawn for a node, or for many; ``look`` is a key of the table above."""

    look: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Arrow:
    """From one box (by its number) to another; weak ones are dashed."""

    start: int
    end: int
    label: str
    weak: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """Boxes and arrows, in one order for one graph."""

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]

    def mermaid(self) -> str:
        """As a mermaid flowchart."""
        lines = ["flowchart TD"]
        for number, box in enumerate(self.boxes):
            opening, closing, _, _ = _LOOKS[box.look]
            label = "<br/>".join(map(_for_mermaid, box.lines))
            lines.append(f"    n{number}{opening}{label}{closing}:::{box.look}")
        for arrow in self.arrows:
            line = "-.->" if arrow.weak else "-->"
            label = f'|"{_for_mermaid(arrow.label)}"|' if arrow.label else ""
            lines.append(f"    n{arrow.start} {line}{label} n{arrow.end}")
        lines += [
            f"    classDef {look} fill:{_LOOKS[look][3]},stroke:#6b7280,color:#111827"
            for look in dict.fromkeys(box.look for box in self.boxes)
        ]
        return "\n".join(lines)

    def dot(self) -> str:
        """In graphviz's language."""
        font = 'fontname="sans-serif", fontsize=10, color="#6b7280"'
        lines = ['digraph { graph [bgcolor="transparent", nslimit=1];']  # a third of the time
        lines.append(f'    node [style="filled", {font}]; edge [{font}];')
        for number, box in enumerate(self.boxes):
            _, _, shape, colour = _LOOKS[box.look]
            label = "\\n".join(map(_for_dot, box.lines))
            lines.append(f'    n{number} [{shape}, fillcolor="{colour}", label="{label}"];')
        for arrow in self.arrows:
            style = "dashed" if arrow.weak else "solid"
            label = _for_dot(arrow.label)
            lines.append(f'    n{arrow.start} -> n{arrow.end} [style={style}, label="{label}"];')
        return "\n".join([*lines, "}"])


def picture(graph: Subgraph) -> Picture:
    """``graph`` as boxes and arrows, folded if it is large, until it can be drawn."""
    drawn, folded = _drawn(graph, _places(graph)), 0
    while folded < _COARSEST and (len(drawn.arrows) > _ARROWS or len(drawn.mermaid()) > _TEXT):
        folded += 1
        drawn = _drawn(graph, _places(graph, folded))
    return drawn


def _drawn(graph: Subgraph, boxed: Iterable[Hashable]) -> Picture:
    """``graph`` with its nodes in the boxes that ``_places`` has found for them."""
    numbers: dict[Hashable, int] = {}
    places = [numbers.setdefault(place, len(numbers)) for place in boxed]
    box_of = dict(zip(graph.nodes, places, strict=True))
    members: list[list[Node]] = [[] for _ in numbers]
    for node, number in box_of.items():
        members[number].append(node)
    said: dict[int, list[str]] = {}
    for node, given in graph.feedback:
        said.setdefault(box_of[node], []).append(_line(str(given), 2 * _SHORT))
    boxes = [_box(graph, nodes, said.get(number, [])) for number, nodes in enumerate(members)]
    found: dict[tuple[int, int], tuple[dict[str, None], bool]] = {}
    for node, box in box_of.items():
        edges: Sequence[Edge] = ()
        for at, (parent, label) in enumerate(zip(*graph.inputs(node), strict=True)):
            ends = box_of[parent], box
            if ends[0] == box:
                continue
            names, weak = found.get(ends, ({}, True))
            if weak:
                edges = edges or graph.edges(node)
                weak = edges[at].evidence.weak
            if len(members[ends[0]]) == len(members[ends[1]]) == 1:
                names[label] = None
            found[ends] = names, weak
    arrows = [
        Arrow(start, end, _line(", ".join(filter(None, names)), _SHORT), weak)
        for (start, end), (names, weak) in found.items()
    ]
    return Picture(tuple(boxes), tuple(arrows))


def _box(graph: Subgraph, nodes: Sequence[Node], said: Sequence[str]) -> Box:
    """The box of ``nodes``, with what was said of them."""
    node = nodes[0]
    made = any(graph.inputs(other)[0] for other in nodes)
    look = "parameter" if node.trainable else "output" if said else "step" if made else "input"
    if len(nodes) > 1:
        lines = [f"{len(nodes)} {look}s"]
        look = "folded" if look in ("step", "input") else look
    else:
        title = f"{node.name} = {node.op}" if made and node.op != node.name else node.name
        lines = [title, shown(value_of(node, graph), _SHORT, " ")]
    lines += [f"feedback: {text}" for text in said[:2]]
    lines += [f"and {len(said) - 2} more"] if len(said) > 2 else []
    return Box(look, tuple(filter(None, (_line(line, 3 * _SHORT) for line in lines))) or ("…",))


def _line(text: str, limit: int) -> str:
    """``text`` on one line, and without what cannot be printed."""
    text = "".join(sign if sign.isprintable() else " " for sign in text)
    return shortened(" ".join(text.split()), limit)


# What ends a mermaid label, or would be read as markdown, an entity, a formula or an icon in it.
_MARKUP = re.compile(r"""["#&<>`*_~|\\@\[\]{}%$]|^\W|(?<=www)\.|:(?=//|fa-)|(?<=\d)[.)](?=\s|$)""")


def _for_mermaid(text: str) -> str:
    return _MARKUP.sub(lambda found: f"#{ord(found[0])};", text)


def _for_dot(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")


def svg(dot: str) -> str:
    """A drawing in graphviz's language as SVG; empty where graphviz is missing, or fails."""
    import shutil
    import subprocess

    program = shutil.which("dot")
    if program is None:
        return ""
    try:
        done = subprocess.run(
            [program, "-Tsvg"], input=dot, capture_output=True, timeout=_SECONDS, check=True,
            encoding="utf-8",
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError, UnicodeError):
        return ""
    return done.stdout[max(0, done.stdout.find("<svg")) :]  # a page has its prologue already
