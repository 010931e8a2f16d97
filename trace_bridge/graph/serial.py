"""Subgraphs as JSON, so that a journal can keep them and a resumed run can read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from trace_bridge.graph.backward import Subgraph
from trace_bridge.graph.edge import Edge, Evidence
from trace_bridge.graph.feedback import Feedback
from trace_bridge.graph.node import Node
from trace_bridge.graph.parameter import Parameter
from trace_bridge.graph.values import JSON, jsonable


def dump_subgraph(graph: Subgraph) -> dict[str, JSON]:
    """``graph`` as JSON; parameters are referred to by name."""
    index = {node: position for position, node in enumerate(graph.nodes)}
    nodes: list[JSON] = [
        {"parameter": node.name, "value": jsonable(graph.values[cast("Parameter", node)])}
        if node.trainable
        else {
            "op": node.op,
            "name": node.name,
            "data": jsonable(node.peek()),
            "description": node.description,
            "edges": [
                [index[edge.node], edge.label, str(edge.evidence)] for edge in graph.edges(node)
            ],
        }
        for node in graph.nodes
    ]
    feedback: list[JSON] = [
        [index[node], given.text, given.score] for node, given in graph.feedback
    ]
    return {"nodes": nodes, "feedback": feedback}


def load_subgraph(dumped: Mapping[str, Any], parameters: Mapping[str, Parameter]) -> Subgraph:
    """The subgraph that ``dump_subgraph`` wrote; ``parameters`` are the live ones by name.

    A parameter that is not among them (not trained in this run) comes back as a plain node.
    """
    nodes: list[Node] = []
    values: dict[Parameter, object] = {}
    for item in dumped["nodes"]:
        name = item.get("parameter")
        if name in parameters:
            nodes.append(parameters[name])
            values[parameters[name]] = item["value"]
        elif name is not None:
            nodes.append(Node(item["value"], "constant", name=name))
        else:
            edges = [Edge(nodes[at], label, Evidence(why)) for at, label, why in item["edges"]]
            made = Node(
                item["data"], item["op"], edges, name=item["name"], description=item["description"]
            )
            nodes.append(made)
    feedback: list[tuple[Node, Feedback]] = [
        (nodes[at], Feedback(text, score)) for at, text, score in dumped["feedback"]
    ]
    return Subgraph(tuple(nodes), tuple(feedback), values)
