"""The backward pass: which nodes lie between parameters and outputs, in one linear sweep.

The seeds' Algorithms 1 and 2 (backward message passing with the minimal subgraph propagator,
Cheng, Nie and Swaminathan, "Trace is the Next AutoDiff", 2024) send growing sets from child to
parent. Because a node that cannot reach a parameter keeps no parents, the set that arrives is
simply what a walk over parents meets, so one walk gives the same result for all parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, TypeAlias, cast

from trace_bridge.graph.feedback import Feedback, FeedbackLike, as_feedback

if TYPE_CHECKING:
    from trace_bridge.graph.edge import Edge
    from trace_bridge.graph.node import Node
    from trace_bridge.graph.parameter import Parameter

_order = attrgetter("order")
Keep: TypeAlias = "Callable[[Node, int], bool]"  # of a node and the index of one of its edges


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Subgraph:
    """The nodes between parameters and outputs, with the feedback that the outputs got.

    ``nodes`` are in topological order (parents first) and include the direct inputs of nodes on
    a path, as the seeds' definition of the minimal subgraph does. ``values`` are the parameters'
    values when the subgraph was taken, so that it stays true after a candidate is gone.
    """

    members: tuple[Node, ...]
    said: tuple[tuple[Node, Feedback], ...]
    values: Mapping[Parameter, object]
    keep: Keep | None = None
    taken: int = field(init=False)

    def __post_init__(self) -> None:
        """Note when this was taken: nodes that are changed in place get a later order."""
        object.__setattr__(self, "taken", self.members[-1].order if self.members else 0)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The members, as they were when the subgraph was taken."""
        taken = self.taken
        if max(map(_order, self.members), default=0) > taken:
            return tuple(node.before(taken) for node in self.members)
        return self.members

    @property
    def feedback(self) -> tuple[tuple[Node, Feedback], ...]:
        """The outputs with what was said of them."""
        return tuple((node.before(self.taken), given) for node, given in self.said)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters that influenced the outputs, in order of creation."""
        return tuple(self.values)

    @property
    def score(self) -> float | None:
        """The mean of the scores given, if any was."""
        scores = [given.score for _, given in self.feedback if given.score is not None]
        return sum(scores) / len(scores) if scores else None

    def edges(self, node: Node) -> tuple[Edge, ...]:
        """The edges of ``node`` that belong to this subgraph: all but those not kept."""
        if self.keep is None:
            return node.edges
        return tuple(e for index, e in enumerate(node.edges) if self.keep(node, index))

    def inputs(self, node: Node) -> tuple[tuple[Node, ...], tuple[str, ...]]:
        """The parents of ``node`` in this subgraph, and the names under which it has them."""
        if self.keep is None:  # the usual case, where no edge has to be looked at
            parents = node.made_from()
            return parents, node.labels if parents else ()
        edges = self.edges(node)
        return tuple(edge.node for edge in edges), tuple(edge.label for edge in edges)

    def to(self, parameter: Parameter) -> Subgraph:
        """The part that connects ``parameter`` (the seeds' subgraph witnessed by it)."""
        reached = {parameter.order}  # a node's order stays with its value
        kept = {parameter.order}
        nodes = self.nodes
        for node in nodes:
            parents = [edge.node.order for edge in self.edges(node)]
            if not reached.isdisjoint(parents):
                reached.add(node.order)
                kept.update((node.order, *parents))
        keep = self.keep
        return Subgraph(
            tuple(node for node in nodes if node.order in kept),
            tuple((node, given) for node, given in self.feedback if node.order in reached),
            {other: value for other, value in self.values.items() if other.order in kept},
            lambda node, index: node.order in reached and (keep is None or keep(node, index)),
        )

    def backward(self) -> Iterator[Node]:
        """Nodes in the order in which a propagator may visit them: children first."""
        return reversed(self.nodes)

    def masked(self) -> Subgraph:
        """The outputs with their feedback, and nothing of how they were made."""
        from trace_bridge.graph.node import Node

        shown = {
            node: node if node.trainable else Node(node.peek(), name="output")
            for node, _ in self.feedback
        }
        said = tuple((shown[node], given) for node, given in self.feedback)
        return Subgraph(tuple(sorted(shown.values(), key=_order)), said, self.values)

    def to_program(self, budget: int | None = None) -> str:
        """The text that optimizers show a model: variables, definitions, steps and feedback.

        Args:
            budget: characters for all of it. The parameters' values and the feedback come first;
                then other values are shortened, then loops folded, then steps left out, those
                first that are far from outputs and parameters. What was cut is marked. The
                parameters' values are never cut: where they leave no room, the text is longer
                than that.
        """
        from trace_bridge.graph.program import Program

        return Program(self.parameters, values=self.values).text([self], budget)

    def mermaid(self) -> str:
        """A drawing as a mermaid flowchart; more than 100 nodes are folded, not drawn whole."""
        from trace_bridge.graph.drawing import picture

        return picture(self).mermaid()

    def dot(self) -> str:
        """A drawing in graphviz's language; more than 100 nodes are folded, not drawn whole."""
        from trace_bridge.graph.drawing import picture

        return picture(self).dot()

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        # what notebooks call: SVG where graphviz can be run, else mermaid
        from trace_bridge.graph.drawing import picture, svg

        drawn = picture(self)
        made = svg(drawn.dot())
        text = drawn.mermaid()
        best = {"image/svg+xml": made} if made else {"text/markdown": f"```mermaid\n{text}\n```"}
        return {"text/plain": repr(self), **best}

    def __repr__(self) -> str:
        counted = f"{len(self.members)} nodes, {len(self.values)} parameters, {len(self.said)}"
        return f"<Subgraph of {counted} with feedback>"

    def __deepcopy__(self, _: object) -> Subgraph:
        return self  # it does not change, and its nodes are those of the run


def subgraph(
    feedback: Mapping[Node, FeedbackLike], keep: Keep | None = None, *, since: Node | None = None
) -> Subgraph:
    """The minimal subgraph of all outputs together, in O(nodes + edges) and without recursion.

    Args:
        feedback: outputs and what was said of each; they may differ.
        keep: called with a node and the index of one of its edges; an edge for which it is false
            is not followed. Use it to leave out weak evidence.
        since: cuts an interaction into steps: this node, and whatever is older, is an input.
    """
    if since is not None:
        keep = _newer(since, keep)
    given = [(node, as_feedback(said)) for node, said in feedback.items()]
    said = tuple((node if how.about is None else how.about, how) for node, how in given)
    seen = {node for node, _ in said}
    pending = list(seen)
    while pending:
        node = pending.pop()
        parents = node.made_from()
        if keep is not None:
            parents = [p for index, p in enumerate(parents) if p in seen or keep(node, index)]
        for parent in parents:
            if parent not in seen:
                seen.add(parent)
                if parent.requires_grad:  # else it has no parents
                    pending.append(parent)
    nodes = sorted(seen, key=_order)  # creation order is topological: parents exist before children
    values = {node: node.peek() for node in nodes if node.trainable}
    return Subgraph(tuple(nodes), said, cast("dict[Parameter, object]", values), keep)


def _newer(since: Node, keep: Keep | None) -> Keep:
    limit = since.order
    return lambda node, index: node.order > limit and (keep is None or keep(node, index))
