"""For tests: a scripted model, and the conformance suites for framework plugins and optimizers."""

from trace_bridge.testing.conformance import PluginConformance
from trace_bridge.testing.harness import RuleBrokenError
from trace_bridge.testing.optimizers import OptimizerConformance
from trace_bridge.testing.scripted import Exchange, ScriptedLLM

__all__ = [
    "Exchange",
    "OptimizerConformance",
    "PluginConformance",
    "RuleBrokenError",
    "ScriptedLLM",
]
