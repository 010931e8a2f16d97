"""trace_bridge: a working LangChain, DSPy or AutoGen agent gets better by itself.

Names are resolved on first use, so that importing this package is light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trace_bridge.api import (
        Recording,
        Run,
        StateMismatchError,
        TunedState,
        load,
        optimize,
        optimize_async,
        record,
    )
    from trace_bridge.graph import (
        Edge,
        Evidence,
        ExecutionError,
        Feedback,
        LostEdgeWarning,
        Module,
        Node,
        Operator,
        Parameter,
        Subgraph,
        UnsafeCodeError,
        bundle,
        code_runner,
        model,
        no_trace,
        node,
        revised,
        signature_refusal,
        source_of,
        subgraph,
    )
    from trace_bridge.graph.code import code_digest
    from trace_bridge.graph.paths import join_path
    from trace_bridge.graph.values import JSON, digest, jsonable
    from trace_bridge.hookspecs import hookimpl
    from trace_bridge.llm.base import (
        LLM,
        BudgetExhaustedError,
        CallableLLM,
        Message,
        ModelCall,
        ModelUnavailableError,
        Reply,
        Usage,
        complete,
        gate,
        model_call,
    )
    from trace_bridge.llm.embedded import embedded
    from trace_bridge.llm.lite import LiteLLM
    from trace_bridge.llm.refusals import refused
    from trace_bridge.optimizers.base import (
        Change,
        Optimizer,
        Proposal,
        StepPlan,
        Trial,
        judge_change,
    )
    from trace_bridge.optimizers.bootstrap import Bootstrap
    from trace_bridge.optimizers.credit import Blame, blamed
    from trace_bridge.optimizers.gepa import GEPA
    from trace_bridge.optimizers.opro import OPRO
    from trace_bridge.optimizers.optoprime import OptoPrime
    from trace_bridge.optimizers.textgrad import TextGrad
    from trace_bridge.optimizers.tuner import Optuna
    from trace_bridge.plugins import framework_of
    from trace_bridge.recording import (
        Call,
        Recorder,
        SeamPlace,
        Slot,
        StandIn,
        cloned_function,
        current_call,
        in_place_of,
        link,
        note_read,
        refer,
        references,
        seams_installed,
        subclasses,
    )
    from trace_bridge.recording.agent import AgentModule
    from trace_bridge.training.budget import Budget
    from trace_bridge.training.metric import Metric, MetricError
    from trace_bridge.training.records import Engine, Progress, RunRecord, Verdict

_HOMES = {
    "api": (
        "Recording", "Run", "StateMismatchError", "TunedState", "load", "optimize",
        "optimize_async", "record",
    ),
    "graph": (
        "Edge", "Evidence", "ExecutionError", "Feedback", "LostEdgeWarning", "Module", "Node",
        "Operator", "Parameter", "Subgraph", "UnsafeCodeError", "bundle", "code_runner", "model",
        "no_trace", "node", "revised", "signature_refusal", "source_of", "subgraph",
    ),
    "graph.code": ("code_digest",),
    "graph.paths": ("join_path",),
    "graph.values": ("JSON", "digest", "jsonable"),
    "hookspecs": ("hookimpl",),
    "llm.base": (
        "BudgetExhaustedError", "CallableLLM", "LLM", "Message", "ModelCall",
        "ModelUnavailableError", "Reply", "Usage", "complete", "gate", "model_call",
    ),
    "llm.embedded": ("embedded",),
    "llm.lite": ("LiteLLM",),
    "llm.refusals": ("refused",),
    "optimizers.base": (
        "Change", "Optimizer", "Proposal", "StepPlan", "Trial", "judge_change",
    ),
    "optimizers.bootstrap": ("Bootstrap",),
    "optimizers.credit": ("Blame", "blamed"),
    "optimizers.gepa": ("GEPA",),
    "optimizers.opro": ("OPRO",),
    "optimizers.optoprime": ("OptoPrime",),
    "optimizers.textgrad": ("TextGrad",),
    "optimizers.tuner": ("Optuna",),
    "plugins": ("framework_of",),
    "recording": (
        "Call", "Recorder", "SeamPlace", "Slot", "StandIn", "cloned_function", "current_call",
        "in_place_of", "link", "note_read", "refer", "references", "seams_installed", "subclasses",
    ),
    "recording.agent": ("AgentModule",),
    "training.budget": ("Budget",),
    "training.metric": ("Metric", "MetricError"),
    "training.records": ("Engine", "Progress", "RunRecord", "Verdict"),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__version__ = "0.1.0"

__all__ = [
    "GEPA",
    "JSON",
    "LLM",
    "OPRO",
    "AgentModule",
    "Blame",
    "Bootstrap",
    "Budget",
    "BudgetExhaustedError",
    "Call",
    "CallableLLM",
    "Change",
    "Edge",
    "Engine",
    "Evidence",
    "ExecutionError",
    "Feedback",
    "LiteLLM",
    "LostEdgeWarning",
    "Message",
    "Metric",
    "MetricError",
    "ModelCall",
    "ModelUnavailableError",
    "Module",
    "Node",
    "Operator",
    "Optimizer",
    "OptoPrime",
    "Optuna",
    "Parameter",
    "Progress",
    "Proposal",
    "Recorder",
    "Recording",
    "Reply",
    "Run",
    "RunRecord",
    "SeamPlace",
    "Slot",
    "StandIn",
    "StateMismatchError",
    "StepPlan",
    "Subgraph",
    "TextGrad",
    "Trial",
    "TunedState",
    "UnsafeCodeError",
    "Usage",
    "Verdict",
    "blamed",
    "bundle",
    "cloned_function",
    "code_digest",
    "code_runner",
    "complete",
    "current_call",
    "digest",
    "embedded",
    "framework_of",
    "gate",
    "hookimpl",
    "in_place_of",
    "join_path",
    "jsonable",
    "judge_change",
    "link",
    "load",
    "model",
    "model_call",
    "no_trace",
    "node",
    "note_read",
    "optimize",
    "optimize_async",
    "record",
    "refer",
    "references",
    "refused",
    "revised",
    "seams_installed",
    "signature_refusal",
    "source_of",
    "subclasses",
    "subgraph",
]


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        msg = f"module 'trace_bridge' has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(f"trace_bridge.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
