"""Nodes, operators, modules and the backward pass: the core that knows no framework."""

from trace_bridge.graph.backward import Subgraph, subgraph
from trace_bridge.graph.bundle import Operator, bundle
from trace_bridge.graph.context import no_trace
from trace_bridge.graph.edge import Edge, Evidence
from trace_bridge.graph.errors import ExecutionError
from trace_bridge.graph.feedback import Feedback, FeedbackLike, as_feedback
from trace_bridge.graph.kinds import Kind, kind_named, register_kind
from trace_bridge.graph.module import Module, model
from trace_bridge.graph.node import Node
from trace_bridge.graph.operators import LostEdgeWarning
from trace_bridge.graph.parameter import Parameter, node
from trace_bridge.graph.serial import dump_subgraph, load_subgraph
from trace_bridge.graph.source import (
    CodeRunner,
    UnsafeCodeError,
    code_runner,
    revised,
    signature_refusal,
    source_of,
)
from trace_bridge.graph.values import JSON, canonical, digest, jsonable

__all__ = [
    "JSON",
    "CodeRunner",
    "Edge",
    "Evidence",
    "ExecutionError",
    "Feedback",
    "FeedbackLike",
    "Kind",
    "LostEdgeWarning",
    "Module",
    "Node",
    "Operator",
    "Parameter",
    "Subgraph",
    "UnsafeCodeError",
    "as_feedback",
    "bundle",
    "canonical",
    "code_runner",
    "digest",
    "dump_subgraph",
    "jsonable",
    "kind_named",
    "load_subgraph",
    "model",
    "no_trace",
    "node",
    "register_kind",
    "revised",
    "signature_refusal",
    "source_of",
    "subgraph",
]
