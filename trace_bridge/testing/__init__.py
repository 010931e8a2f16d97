"""For tests: scripted and recorded models, and conformance suites for plugins and optimizers."""

from trace_bridge.testing.conformance import PluginConformance
from trace_bridge.testing.harness import RuleBrokenError
from trace_bridge.testing.optimizers import OptimizerConformance
from trace_bridge.testing.recorded import RecordedLLM, RecordingError, UnseenCall
from trace_bridge.testing.scripted import Exchange, ScriptedLLM

__all__ = [
    "Exchange",
    "OptimizerConformance",
    "PluginConformance",
    "RecordedLLM",
    "RecordingError",
    "RuleBrokenError",
    "ScriptedLLM",
    "UnseenCall",
]
