"""Nodes, operators, modules and the backward pass: the core that knows no framework."""

from trace_bridge.graph.backward import Subgraph, subgraph
from trace_bridge.graph.bundle import ExecutionError, Operator, bundle
from trace_bridge.graph.context import no_trace
from trace_bridge.graph.feedback import Feedback, FeedbackLike, as_feedback
from trace_bridge.graph.kinds import Kind, kind_named, register_kind
from trace_bridge.graph.module import Module
from trace_bridge.graph.node import Edge, Evidence, Node, Parameter, node
from trace_bridge.graph.serial import dump_subgraph, load_subgraph
from trace_bridge.graph.source import CodeRunner, UnsafeCodeError, code_runner
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
    "no_trace",
    "node",
    "register_kind",
    "subgraph",
]
