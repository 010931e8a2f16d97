"""Train AutoGen agents and teams with trace_bridge. Importing this does not load AutoGen."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from trace_bridge import hookimpl

if TYPE_CHECKING:
    from trace_bridge import LLM, AgentModule, Metric
    from trace_bridge_autogen.module import AutoGenModule
    from trace_bridge_autogen.streaming import optimize_stream

__version__ = "0.1.0"
__all__ = ["AutoGenModule", "optimize_stream"]


def __getattr__(name: str) -> object:
    if name == "AutoGenModule":
        from trace_bridge_autogen.module import AutoGenModule

        return AutoGenModule
    if name == "optimize_stream":
        from trace_bridge_autogen.streaming import optimize_stream

        return optimize_stream
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def _loaded() -> bool:
    """Whether the process uses AutoGen: objects of a framework exist only after its import."""
    return "autogen_agentchat" in sys.modules


@hookimpl
def wrap(agent: object) -> AgentModule[Any] | None:
    """A Module over an agent, a team, an object that runs some, or a function that makes one."""
    if not _loaded():
        return None
    from trace_bridge_autogen.discovery import runs_agents

    if not runs_agents(agent):
        return None
    from trace_bridge_autogen.module import AutoGenModule

    return AutoGenModule(agent)


@hookimpl
def agents() -> dict[str, tuple[type, ...]] | None:
    """Agents and teams."""
    if not _loaded():
        return None
    from autogen_agentchat.agents import BaseChatAgent
    from autogen_agentchat.teams import BaseGroupChat

    return {"autogen": (BaseChatAgent, BaseGroupChat)}


@hookimpl
def metric(function: object, module: AgentModule[Any]) -> Metric | None:
    """A metric on a TaskResult that takes it alone, or before the example."""
    if not _loaded():
        return None
    from trace_bridge_autogen.module import AutoGenModule

    if not isinstance(module, AutoGenModule):
        return None
    from trace_bridge_autogen.examples import adapt

    return adapt(function)


@hookimpl
def llm(client: object) -> LLM | None:
    """A ``ChatCompletionClient`` as a model that proposes."""
    if not _loaded():
        return None
    from autogen_core.models import ChatCompletionClient

    if not isinstance(client, ChatCompletionClient):
        return None
    from trace_bridge_autogen.models import AutoGenLLM

    return AutoGenLLM(client)


@hookimpl
def instrument() -> AbstractContextManager[object] | None:
    """The seams on AutoGen's classes, if AutoGen is in use."""
    if not _loaded():
        return None
    from trace_bridge_autogen.seams import instrumented

    return instrumented()
