"""The seams: methods of AutoGen's classes (0.7) that report to the run they are called in.

Public methods of base types, on every subclass that defines them, so that the agents and clients
that somebody wrote are seen too; besides, a few of AutoGen's own on managers and orchestrators.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

from autogen_agentchat.agents import BaseChatAgent
from autogen_agentchat.messages import BaseChatMessage
from autogen_agentchat.teams import BaseGroupChat
from autogen_agentchat.teams._group_chat._base_group_chat_manager import BaseGroupChatManager
from autogen_agentchat.teams._group_chat._round_robin_group_chat import RoundRobinGroupChatManager
from autogen_agentchat.teams._group_chat._swarm_group_chat import SwarmGroupChatManager
from autogen_core.code_executor import CodeExecutor
from autogen_core.memory import Memory
from autogen_core.model_context import ChatCompletionContext
from autogen_core.models import ChatCompletionClient
from autogen_core.tools import BaseTool, FunctionTool, Workbench

from trace_bridge import SeamPlace, seams_installed, subclasses
from trace_bridge_autogen import magentic, models, orchestrator, teams, tools, turns

_Maker = Callable[[Callable[..., Any]], Callable[..., Any]]

_EVERYWHERE: tuple[tuple[type, str, _Maker], ...] = (
    (ChatCompletionClient, "create", models.create),
    (ChatCompletionClient, "create_stream", models.create_stream),
    (BaseChatAgent, "on_messages", turns.on_messages),
    (BaseChatAgent, "on_messages_stream", turns.on_messages_stream),
    (BaseChatMessage, "to_model_message", turns.to_model_message),
    (ChatCompletionContext, "add_message", turns.add_message),
    (Workbench, "call_tool", tools.call_tool),
    (Workbench, "call_tool_stream", tools.call_tool_stream),
    (BaseTool, "run_json", tools.run_json),
    (FunctionTool, "run", tools.run_function),
    (Memory, "update_context", tools.update_context),
    (CodeExecutor, "execute_code_blocks", tools.execute_code_blocks),
    (BaseGroupChat, "run_stream", teams.run_stream),
    (BaseGroupChatManager, "select_speaker", teams.select_speaker),
    (BaseGroupChatManager, "update_message_thread", teams.update_message_thread),
)
# These choose by their order, or by who was handed to: nothing that was said decides.
_NO_CHOICE = (RoundRobinGroupChatManager, SwarmGroupChatManager, magentic.Orchestrator)


@contextmanager
def instrumented() -> Generator[None]:
    """Have the seams installed; entering again only counts."""
    with seams_installed(_places):
        yield


def _places() -> Iterator[SeamPlace]:
    for base, name, make in _EVERYWHERE:
        for kind in subclasses(base):
            if name == "select_speaker" and kind in _NO_CHOICE:
                continue
            method = vars(kind).get(name)
            if method is not None and not getattr(method, "__isabstractmethod__", False):
                yield kind, name, make
    yield from orchestrator.places()
