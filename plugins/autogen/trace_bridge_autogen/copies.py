"""Copies of agents and teams that run by themselves, beside the user's.

Measured on AutoGen 0.7.5: a team that has run cannot be deep-copied (its runtime, queue and locks),
and what ``dump_component`` writes loses callables. So the copier is told beforehand what to share
and what to make anew.
"""

# AutoGen keeps what a copy needs in private attributes.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import copy
import inspect
import logging
import sys
import threading
import types
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, cast

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import BaseGroupChat
from autogen_core import AgentRuntime, SingleThreadedAgentRuntime
from autogen_core.code_executor import CodeExecutor
from autogen_core.models import ChatCompletionClient
from autogen_core.tools import FunctionTool, StaticWorkbench, Workbench

from trace_bridge import in_place_of

_T = TypeVar("_T")

_SHARED = (
    ChatCompletionClient, CodeExecutor, logging.Logger, threading.Thread, type(threading.Lock()),
    type(threading.RLock()),
)  # fmt: skip
_ATOMS = (
    str, bytes, int, float, complex, type(None), type, types.ModuleType, types.FunctionType,
    types.BuiltinFunctionType,
)  # fmt: skip
_DEPTH = 100  # how deep the attributes of an agent are looked into: teams in agents in teams


def copied(agent: _T) -> tuple[_T, Mapping[int, Any]]:
    """An agent or team like ``agent``, which runs by itself.

    Clients of models, code executors, workbenches on servers and whatever cannot be copied are
    shared. A ``ReplayChatCompletionClient`` counts its replies, so each copy has its own.

    Returns:
        The copy, and the copies of all parts by the id of the original.

    Raises:
        TypeError: something refuses to be copied; the message says to pass a function that makes
            the agent.
    """
    memo: dict[int, Any] = {}
    _Look(memo).at(agent, 0)
    try:
        made = copy.deepcopy(agent, memo)
    except Exception as error:
        msg = (
            f"{type(agent).__qualname__} cannot be copied ({type(error).__name__}: {error}): pass a"
            " function without parameters that makes it"
        )
        raise TypeError(msg) from error
    return made, memo


class _Look:
    """Fills ``memo`` with what is not to be deep-copied as it is."""

    def __init__(self, memo: dict[int, Any]) -> None:
        self.memo = memo
        self.seen: set[int] = set()

    def at(self, value: Any, depth: int) -> None:
        other = in_place_of(value)
        if other is not None:
            self.memo[id(value)] = other
            return
        if isinstance(value, _ATOMS) or id(value) in self.seen or depth > _DEPTH:
            return
        self.seen.add(id(value))
        if isinstance(value, types.MethodType):
            self.at(value.__self__, depth + 1)
        elif isinstance(value, Mapping):
            self.all(cast("Mapping[object, object]", value).values(), depth)
        elif isinstance(value, (list, tuple, set, frozenset)):
            self.all(cast("Iterable[object]", value), depth)
        elif not self._told(value):
            self.all(cast("dict[str, object]", getattr(value, "__dict__", {})).values(), depth)
            if not _copyable(value):
                self.memo[id(value)] = value

    def all(self, values: Iterable[object], depth: int) -> None:
        for value in list(values):
            self.at(value, depth + 1)

    def _told(self, value: object) -> bool:
        """Whether the copier was told what to do with ``value``."""
        if _replays(value):
            return True
        server = isinstance(value, Workbench) and not isinstance(value, StaticWorkbench)
        if isinstance(value, _SHARED) or server:
            self.memo[id(value)] = value
        elif isinstance(value, AgentRuntime):
            self.memo[id(value)] = SingleThreadedAgentRuntime(ignore_unhandled_exceptions=False)
        elif isinstance(value, asyncio.Queue):
            self.memo[id(value)] = asyncio.Queue[object]()
        else:
            return False
        return True


def _replays(value: object) -> bool:
    """Whether it is a client that counts its replies (autogen-ext need not be installed)."""
    module = sys.modules.get("autogen_ext.models.replay")
    return module is not None and isinstance(value, module.ReplayChatCompletionClient)


def _copyable(value: object) -> bool:
    if hasattr(type(value), "__deepcopy__"):
        return True
    try:
        value.__reduce_ex__(4)
    except Exception:  # noqa: BLE001 (an open socket, a generator: each says it in its own way)
        return False
    return not inspect.iscoroutine(value)


def renew(objects: Iterable[object]) -> None:
    """Make copies of teams and agents run by themselves, apart from the originals."""
    for value in objects:
        if isinstance(value, BaseGroupChat):
            _renew(value)
        elif isinstance(value, AssistantAgent):
            _hand_on(value)


def _renew(team: BaseGroupChat) -> None:
    """Make a copy of a team one that has not run yet, with an identity and a runtime of its own."""
    old, team._team_id = team._team_id, str(uuid.uuid4())
    for name, value in list(vars(team).items()):
        if isinstance(value, str) and name != "_team_id" and old in value:
            setattr(team, name, value.replace(old, team._team_id))
    team._participant_topic_types = [
        name.replace(old, team._team_id) for name in team._participant_topic_types
    ]
    team._initialized = team._is_running = False
    team._embedded_runtime = True


def _hand_on(agent: AssistantAgent) -> None:
    """Let handoff tools tell the messages of a copy's own handoffs: they are closures."""
    for tool in agent._handoff_tools:
        made = agent._handoffs[tool.name].handoff_tool
        if isinstance(tool, FunctionTool) and isinstance(made, FunctionTool):
            tool._func = made._func


def agree(objects: Iterable[object]) -> None:
    """Let teams and agents know what was written to their parts: they keep copies of texts."""
    for value in objects:
        if isinstance(value, BaseGroupChat):
            _describe(value)
        elif isinstance(value, AssistantAgent):
            for tool in value._handoff_tools:  # components are made of the handoffs
                value._handoffs[tool.name].description = tool.description


def _describe(team: BaseGroupChat) -> None:
    team._participant_descriptions = [agent.description for agent in team._participants]
