"""For tests: a scripted model, and the conformance suite that every framework plugin passes."""

from trace_bridge.testing.conformance import PluginConformance
from trace_bridge.testing.harness import RuleBrokenError
from trace_bridge.testing.scripted import Exchange, ScriptedLLM

__all__ = ["Exchange", "PluginConformance", "RuleBrokenError", "ScriptedLLM"]
