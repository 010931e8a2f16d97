"""Subgraphs as a small program, for a model to read.

The representation is the seeds' (OptoPrime: "every computational graph can be expressed as a
pseudo code"): definitions, variables, the program, its values and the feedback.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from trace_bridge.graph import Node, Parameter, Subgraph, kind_named
from trace_bridge.graph.values import canonical

_CUT_MARK = " …[{} characters left out]… "


def shortened(text: str, limit: int) -> str:
    """``text`` with its middle cut out and marked, if it is longer than ``limit`` characters."""
    if len(text) <= limit:
        return text
    mark = _CUT_MARK.format(len(text) - limit)
    head = limit * 2 // 3
    return text[:head] + mark + text[len(text) - (limit - head) :]


@dataclass
class Program:
    """Subgraphs as text. Identifiers are unique over all of them; parameters keep theirs.

    Attributes:
        parameters: what may be changed; other parameters are shown as inputs.
        limit: characters that one value may take; longer ones are cut in the middle and marked.
    """

    parameters: Sequence[Parameter]
    limit: int = 2000
    _names: dict[Node, str] = field(default_factory=dict[Node, str])
    _taken: set[str] = field(default_factory=set[str])

    def __post_init__(self) -> None:
        for parameter in self.parameters:
            self._identify(parameter, parameter.name)

    def variables(self) -> str:
        """The parameters with what is to be respected, and their values in full."""
        return "\n".join(
            f'<variable name="{self._names[parameter]}" kind="{parameter.kind}">\n'
            + (f"<about>{parameter.description}</about>\n" if parameter.description else "")
            + (f"<constraint>{parameter.constraint}</constraint>\n" if parameter.constraint else "")
            + f"<value>\n{kind_named(parameter.kind).show(parameter.peek())}\n</value>\n</variable>"
            for parameter in self.parameters
        )

    def definitions(self, graphs: Sequence[Subgraph]) -> str:
        """What the operations do, each once."""
        described = {
            node.op: node.description
            for graph in graphs
            for node in graph.nodes
            if node.description and not node.trainable
        }
        return "\n".join(f"[{op}] {' '.join(text.split())}" for op, text in described.items())

    def trace(self, graph: Subgraph) -> str:
        """One run: its inputs, its steps with their values, and the feedback."""
        lines: list[str] = []
        for node in graph.nodes:
            if node not in self._names:
                self._identify(node, node.name)
                lines.append(f"{self._names[node]} = {self._step(node, graph)}")
        blamed = "\n".join(f"{self._names[node]}: {given}" for node, given in graph.feedback)
        return "\n".join(lines) + f"\n<feedback>\n{blamed}\n</feedback>"

    def _step(self, node: Node, graph: Subgraph) -> str:
        known = isinstance(node, Parameter) and node in graph.values
        data = graph.values[node] if known else node.peek()  # pyright: ignore[reportArgumentType] a Parameter
        value = shortened(_text(data), self.limit)
        edges = graph.edges(node)
        if not edges:
            return value
        arguments = ", ".join(
            f"{edge.label}={self._names[edge.node]}" if edge.label else self._names[edge.node]
            for edge in edges
        )
        return f"{node.op}({arguments})\n    # gave {value}"

    def _identify(self, node: Node, wish: str) -> None:
        base = re.sub(r"\W+", "_", wish).strip("_") or "value"
        if base[0].isdigit() or keyword.iskeyword(base):
            base = f"v_{base}"
        name, number = base, 1
        while name in self._taken:
            name, number = f"{base}_{number}", number + 1
        self._taken.add(name)
        self._names[node] = name

    def parameter_named(self, name: str) -> Parameter | None:
        """The parameter that goes by ``name`` in this text, or by its path."""
        for parameter in self.parameters:
            if name in (self._names[parameter], parameter.name):
                return parameter
        return None


def _text(value: object) -> str:
    return value if isinstance(value, str) else canonical(value)
