"""Train LangChain and LangGraph agents with trace_bridge. Importing this loads neither of them."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from trace_bridge import hookimpl

if TYPE_CHECKING:
    from trace_bridge import LLM, AgentModule, Metric
    from trace_bridge_langchain.callback import TraceCallback
    from trace_bridge_langchain.module import LangChainModule

__version__ = "0.1.0"
__all__ = ["LangChainModule", "TraceCallback"]


def __getattr__(name: str) -> object:
    if name == "TraceCallback":  # a subclass of LangChain's handler, so it needs LangChain
        from trace_bridge_langchain.callback import TraceCallback

        return TraceCallback
    if name == "LangChainModule":
        from trace_bridge_langchain.module import LangChainModule

        return LangChainModule
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def _loaded() -> bool:
    """Whether the process uses LangChain: objects of a framework exist only after its import."""
    return "langchain_core" in sys.modules


@hookimpl
def wrap(agent: object) -> AgentModule[Any] | None:
    """A Module over a ``Runnable``: a chain, a compiled graph, a model, a tool."""
    if not _loaded():
        return None
    from langchain_core.runnables import Runnable

    if not isinstance(agent, Runnable):
        return None
    from trace_bridge_langchain.module import LangChainModule

    return LangChainModule(agent)


@hookimpl
def agents() -> dict[str, tuple[type, ...]] | None:
    """Runnables."""
    if not _loaded():
        return None
    from langchain_core.runnables import Runnable

    return {"langchain": (Runnable,)}


@hookimpl
def metric(function: object, module: AgentModule[Any]) -> Metric | None:
    """An evaluator of LangSmith's or LangChain's, or a metric, of a LangChain agent."""
    if not _loaded():
        return None
    from trace_bridge_langchain.module import LangChainModule

    if not isinstance(module, LangChainModule):
        return None
    from trace_bridge_langchain.evaluators import adapt

    return adapt(function)


@hookimpl
def llm(client: object) -> LLM | None:
    """A chat model as a model that proposes."""
    if not _loaded():
        return None
    from langchain_core.language_models import BaseLanguageModel

    if not isinstance(client, BaseLanguageModel):
        return None
    from trace_bridge_langchain.models import LangChainLLM

    return LangChainLLM(client)


@hookimpl
def instrument() -> AbstractContextManager[object] | None:
    """The seams on LangChain's classes, if LangChain is in use."""
    if not _loaded():
        return None
    from trace_bridge_langchain.seams import instrumented

    return instrumented()
