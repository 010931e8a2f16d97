"""The walk over a team: every AutoGen object in it, by the names that lead to it."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from autogen_agentchat.agents import BaseChatAgent
from autogen_agentchat.base import TerminationCondition
from autogen_agentchat.teams import BaseGroupChat
from autogen_agentchat.tools import AgentTool, TeamTool
from autogen_core.memory import Memory
from autogen_core.models import ChatCompletionClient
from autogen_core.tools import BaseTool, ToolOverride, Workbench

AUTOGEN = (BaseChatAgent, BaseGroupChat, BaseTool, Memory)
_ASIDE = frozenset(("_runtime", "_output_message_queue", "_message_factory"))


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """An object of the agent.

    Attributes:
        owners: the names that lead to it.
        parent: the agent or team that holds it; None for the outermost.
    """

    value: Any
    owners: tuple[str, ...]
    parent: Any = None


def walk(agent: object) -> Iterator[Found]:
    """Agents, teams, tools, memories and conditions below ``agent``, each once, from the outside.

    The names are those that the user gave, so that paths outlive copies and saved components.
    """
    yield from _walk(Found(agent, (name_of(agent),)), set())


def runs_agents(agent: object) -> bool:
    """Whether this is an agent or team, runs some, or is a function that makes one."""
    if isinstance(agent, (BaseChatAgent, BaseGroupChat)):
        return True
    if is_function(agent):
        return _makes_agents(cast("Callable[[], object]", agent))
    return callable(getattr(agent, "run", None)) and any(
        isinstance(part, (BaseChatAgent, BaseGroupChat)) for _, part in _attributes(agent)
    )


def is_function(agent: object) -> bool:
    """Whether it is a function, which can only make an agent, and not be one."""
    return isinstance(agent, (types.FunctionType, types.MethodType, functools.partial))


def _makes_agents(function: Callable[[], object]) -> bool:
    """A function that takes nothing cannot be an agent: it is called to see what it makes."""
    given = function.keywords if isinstance(function, functools.partial) else ()
    try:
        if any(name not in given for name in inspect.signature(function).parameters):
            return False
    except (TypeError, ValueError):  # a method of a class that is not written in Python
        return False
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        return False
    made = function()
    return not is_function(made) and runs_agents(made)


def name_of(value: object) -> str:
    """The name that the user gave, or that of the class."""
    name = getattr(value, "name", None)
    return name if isinstance(name, str) and name else type(value).__name__


def _walk(item: Found, seen: set[int]) -> Iterator[Found]:
    if id(item.value) in seen:
        return
    seen.add(id(item.value))
    yield item
    holder = item.parent if isinstance(item.value, TerminationCondition) else item.value
    for name, part in parts_of(item.value):
        yield from _walk(Found(part, (*item.owners, *name), holder), seen)


def parts_of(value: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """What ``value`` holds, with the names that lead there."""
    if isinstance(value, BaseGroupChat):
        yield from _of_team(value)
    elif isinstance(value, BaseChatAgent):
        yield from _of_agent(value)
    elif isinstance(value, (AgentTool, TeamTool)):
        runner = getattr(cast("object", value), "_task_runner", None)
        if runner is not None:
            yield (name_of(runner),), runner
    elif isinstance(value, TerminationCondition):
        for number, condition in enumerate(_listed(value, "_conditions")):
            yield (str(number),), condition
    elif not isinstance(value, (*AUTOGEN, ChatCompletionClient)):
        yield from _attributes(value)


def _of_team(value: BaseGroupChat) -> Iterator[tuple[tuple[str, ...], Any]]:
    for participant in _listed(value, "_participants"):
        yield (name_of(participant),), participant
    if (condition := getattr(value, "_termination_condition", None)) is not None:
        yield ("termination",), condition
    if (graph := getattr(value, "_graph", None)) is not None:  # GraphFlow
        for node in graph.nodes.values():
            for number, edge in enumerate(node.edges):
                again = "" if number == 0 else f"#{number + 1}"
                yield (f"{node.name}->{edge.target}{again}",), edge


def _of_agent(agent: BaseChatAgent) -> Iterator[tuple[tuple[str, ...], Any]]:
    for workbench in workbenches(agent):
        for tool in tools_in(workbench):
            yield ("tools", tool.name), tool
            if (override := override_of(workbench, tool)) is not None:
                yield ("tools", tool.name), override
    for tool in _listed(agent, "_handoff_tools"):
        yield ("handoffs", tool.name), tool
    for handoff in cast("dict[str, Any]", getattr(agent, "_handoffs", {})).values():
        yield ("handoffs", handoff.name), handoff
    for number, memory in enumerate(_listed(agent, "_memory")):
        yield ("memory", getattr(memory, "name", None) or str(number)), memory
    yield from _attributes(agent)


def tools_in(workbench: object) -> list[BaseTool[Any, Any]]:
    """The tools of a workbench that holds them here, and not on a server."""
    return _listed(workbench, "_tools")


def override_of(workbench: object, tool: BaseTool[Any, Any]) -> ToolOverride | None:
    """What a workbench tells models of a tool instead of what the tool says, if it does."""
    held = cast("dict[str, ToolOverride]", getattr(workbench, "_tool_overrides", None) or {})
    return held.get(tool.name)


def workbenches(agent: object) -> list[Any]:
    """The workbenches of an agent."""
    return _listed(agent, "_workbench")


def _listed(value: object, name: str) -> list[Any]:
    held: object = getattr(value, name, None)
    return list(cast("list[Any]", held)) if isinstance(held, (list, tuple)) else []


def _attributes(value: object) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Agents, teams and tools in an object's own attributes (of an agent around agents, say)."""
    for name, held in cast("dict[str, Any]", getattr(value, "__dict__", {})).items():
        if name in _ASIDE:
            continue
        items = held if isinstance(held, (list, tuple)) else [held]
        pairs = held.items() if isinstance(held, dict) else enumerate(cast("list[Any]", items))
        for key, item in cast("Iterator[tuple[object, Any]]", pairs):
            if isinstance(item, AUTOGEN) and not isinstance(item, BaseTool | Memory):
                yield (_label(name, item, key if isinstance(held, dict) else None),), item
            elif isinstance(item, Workbench) and name != "_workbench":
                yield from ((("tools", tool.name), tool) for tool in tools_in(item))


def _label(attribute: str, item: object, key: object) -> str:
    named = getattr(item, "name", None)
    default = type(item).__name__
    if isinstance(named, str) and named and named != default:
        return named
    return attribute.lstrip("_") if key is None else str(key)
