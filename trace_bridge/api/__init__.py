"""The public verbs."""

from trace_bridge.api.optimizing import optimize, optimize_async
from trace_bridge.api.recording import Recording, record
from trace_bridge.api.run import Run, StateMismatchError, TunedState, load

__all__ = [
    "Recording",
    "Run",
    "StateMismatchError",
    "TunedState",
    "load",
    "optimize",
    "optimize_async",
    "record",
]
