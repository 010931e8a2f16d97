"""Train DSPy programs with trace_bridge. Importing this loads neither DSPy nor the seams."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from trace_bridge import hookimpl

if TYPE_CHECKING:
    from trace_bridge import LLM, AgentModule, Metric
    from trace_bridge_dspy.teleprompter import TraceBridge

__version__ = "0.1.0"
__all__ = ["TraceBridge"]


def __getattr__(name: str) -> object:
    if name == "TraceBridge":  # a subclass of DSPy's Teleprompter, so it needs DSPy
        from trace_bridge_dspy.teleprompter import TraceBridge

        return TraceBridge
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def _loaded() -> bool:
    """Whether the process uses DSPy: objects of a framework exist only after its import."""
    return "dspy" in sys.modules


@hookimpl
def wrap(agent: object) -> AgentModule[Any] | None:
    """A Module over a ``dspy.Module``."""
    if not _loaded():
        return None
    import dspy

    if not isinstance(agent, dspy.Module):
        return None
    from trace_bridge_dspy.module import DSPyModule

    return DSPyModule(agent)


@hookimpl
def agents() -> dict[str, tuple[type, ...]] | None:
    """Programs."""
    if not _loaded():
        return None
    import dspy

    return {"dspy": (dspy.Module,)}


@hookimpl
def metric(function: object, module: AgentModule[Any]) -> Metric | None:
    """A DSPy metric (plain, GEPA style, or a ``dspy.Module``) of a DSPy program."""
    if not _loaded():
        return None
    from trace_bridge_dspy.module import DSPyModule

    if not isinstance(module, DSPyModule) or not callable(function):
        return None
    from trace_bridge_dspy.metrics import adapt

    return adapt(function)


@hookimpl
def llm(client: object) -> LLM | None:
    """A ``dspy.LM`` as a model that proposes."""
    if not _loaded():
        return None
    import dspy

    if not isinstance(client, dspy.BaseLM):
        return None
    from trace_bridge_dspy.models import DSPyLLM

    return DSPyLLM(client)


@hookimpl
def instrument() -> AbstractContextManager[object] | None:
    """The seams on DSPy's classes, if DSPy is in use."""
    if not _loaded():
        return None
    from trace_bridge_dspy.seams import instrumented

    return instrumented()
