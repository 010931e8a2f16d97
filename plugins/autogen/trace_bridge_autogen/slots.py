"""The trainable places of AutoGen's objects, and which operations read them."""

# AutoGen keeps what is trainable in private attributes.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import functools
import re
import sysconfig
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from autogen_agentchat.agents import (
    AssistantAgent,
    BaseChatAgent,
    CodeExecutorAgent,
    SocietyOfMindAgent,
)
from autogen_agentchat.base import Handoff, TerminationCondition
from autogen_agentchat.teams import BaseGroupChat, MagenticOneGroupChat, SelectorGroupChat
from autogen_agentchat.teams._group_chat._graph._digraph_group_chat import DiGraphEdge
from autogen_core.memory import ListMemory, MemoryContent, MemoryMimeType
from autogen_core.tools import BaseTool, FunctionTool, ToolOverride

from trace_bridge import Slot, join_path, signature_refusal, source_of
from trace_bridge_autogen import magentic, spans
from trace_bridge_autogen.discovery import Found, override_of, workbenches

# What reads a slot:
#   system  model calls that send the agent's own system messages
#   text    model calls of its owner (a team, for descriptions) whose prompt has the text
#   tool    model calls that are sent the tool
#   call    calls of the owner itself (a tool, a memory)
#   select  its team's choices of speakers
#   tools   turns of the agent in which it used tools
#   summary turns whose message sums up what tools gave
#   run     runs of the team
Reader = Literal["system", "text", "tool", "call", "select", "tools", "summary", "run"]

_SHOWN = "What the tool does and when to use it; shown to the model that chooses tools."
_PROMPT_LIKE = re.compile(r"prompt|instruct|system|template|plan\b", re.IGNORECASE)
_FIELD = re.compile(r"(?<!\{)\{(\w+)\}(?!\})")
_INSTALLED = tuple(
    str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "purelib", "platlib")
)


def as_it_is(value: object) -> object:
    """How a value that is JSON already is read."""
    return value


def replaced(_: object, value: object) -> object:
    """How a value that is JSON already is written: it takes the place of the other."""
    return value


@dataclass(frozen=True, slots=True, eq=False)
class Place(Slot):
    """A slot, and what reads it.

    Attributes:
        reader: which operations read it.
    """

    reader: Reader = "text"


@dataclass(frozen=True, slots=True, eq=False)
class Constant(Place):
    """A prompt that AutoGen has as a constant, for all teams of a kind.

    Attributes:
        text: the constant.
    """

    text: str = ""

    def get(self, owner: object | None = None) -> object:
        """The text that the orchestrators of a team will have."""
        held = magentic.held(self.owner if owner is None else owner)
        return held.get(self.path.rpartition(":")[2], self.text)

    def put(self, owner: object, value: object) -> None:
        """Let the orchestrators that a team will make have another text."""
        magentic.give(cast("Any", owner), self.path.rpartition(":")[2], str(value))


Make = Callable[..., Place]
CONSTANT = magentic.CHANGED  # the attribute of what AutoGen has as a constant


def slots_of(item: Found, wanted: Mapping[str, str]) -> Iterator[Place]:
    """The places in one object of the walk.

    Args:
        item: the object.
        wanted: by a slot's name, the marker after which a part of a system message stands.
    """
    value = item.value

    def make(name: str, attribute: str, kind: str, reader: Reader, **more: Any) -> Place:
        given: dict[str, Any] = {"decode": as_it_is, "encode": replaced, "reader": reader, **more}
        kept = given.pop("place", Place)
        return kept(join_path(item.owners, name), value, attribute, kind, **given)

    if isinstance(value, BaseChatAgent):
        yield from _of_agent(value, make, wanted)
        yield from _of_participant(item, make)
    elif isinstance(value, BaseGroupChat):
        yield from _of_team(value, make)
        yield from _of_participant(item, make)
    elif isinstance(value, BaseTool):
        yield from _of_tool(item, make)
    elif isinstance(value, (ToolOverride, Handoff)):
        yield from _beside_a_tool(item, make)
    elif isinstance(value, DiGraphEdge):
        yield from _of_edge(item, make)
    elif isinstance(value, ListMemory):
        yield make(
            "contents", "_contents", "value", "call", decode=_remembered, encode=_memories,
            check=_texts, constraint="A list of texts, which the model is told first.",
        )  # fmt: skip
    elif isinstance(value, TerminationCondition):
        yield from _of_condition(value, functools.partial(make, feeds=item.parent))
    elif is_users(type(value)):
        yield from _own_prompts(value, make)


# ---------------------------------------------------------------------------- agents


def _of_agent(agent: BaseChatAgent, make: Make, wanted: Mapping[str, str]) -> Iterator[Place]:
    asks = isinstance(agent, CodeExecutorAgent) and agent._model_client is not None
    if asks or isinstance(agent, AssistantAgent):
        yield from _system(agent, make, wanted)
    if isinstance(agent, AssistantAgent):
        yield make("reflect_on_tool_use", "_reflect_on_tool_use", "value", "tools", check=_flag)
        yield make("max_tool_iterations", "_max_tool_iterations", "number", "tools", check=_count)
        if "tools" in _shows(agent):
            name = "tool_call_summary_format"
            yield make(
                name, f"_{name}", "text", "summary", check=fields_check(getattr(agent, f"_{name}"))
            )
    if isinstance(agent, SocietyOfMindAgent):
        yield make("instruction", "_instruction", "prompt", "text")
        yield make("response_prompt", "_response_prompt", "prompt", "text")
    if is_users(type(agent)):
        yield from _own_prompts(agent, make)


def _of_participant(item: Found, make: Make) -> Iterator[Place]:
    if isinstance(item.parent, BaseGroupChat):
        yield make(
            "description", "_description", "description", "text", feeds=item.parent,
            constraint="What it can do; shown to whoever chooses the next speaker.",
        )  # fmt: skip


def _shows(agent: object) -> set[str]:
    tools = any(
        getattr(bench, "_tools", None) for bench in getattr(agent, "_workbench", None) or ()
    )
    return {"tools"} if tools else set()


def _system(agent: Any, make: Make, wanted: Mapping[str, str]) -> Iterator[Place]:
    found = spans.spans_in(spans.first(agent._system_messages), wanted)
    decode, encode = spans.message(found)
    yield make(
        "system_message", "_system_messages", "text" if found else "prompt", "system",
        decode=decode, encode=encode, check=spans.keeps(found),
    )  # fmt: skip
    for span in found:
        decode, encode = spans.part(span)
        yield make(
            span.name, "_system_messages", "prompt", "system", decode=decode, encode=encode,
            check=spans.is_part, description=f"part of the system message, at {span.marker!r}",
        )  # fmt: skip


def _own_prompts(value: object, make: Make) -> Iterator[Place]:
    """Texts and system messages that a class of the user's own holds by a telling name."""
    for name, held in vars(value).items():
        if not _PROMPT_LIKE.search(name):
            continue
        if isinstance(held, str) and held.strip():
            yield make(name.lstrip("_"), name, "prompt", "text", check=fields_check(held))
        elif (codec := spans.codec_of(held)) is not None:
            decode, encode = codec
            yield make(
                name.lstrip("_"), name, "prompt", "text", decode=decode, encode=encode,
                check=is_text,
            )  # fmt: skip


# ---------------------------------------------------------------------------- teams, tools


def _of_team(team: BaseGroupChat, make: Make) -> Iterator[Place]:
    if isinstance(team, SelectorGroupChat):
        prompt = str(team._selector_prompt)
        yield make(
            "selector_prompt", "_selector_prompt", "prompt", "text", check=fields_check(prompt),
            constraint=_keep(prompt),
        )  # fmt: skip
        for name in ("selector_func", "candidate_func"):
            yield from _code(name, f"_{name}", getattr(team, f"_{name}"), make, "select")
    if isinstance(team, MagenticOneGroupChat):
        yield from _of_magentic(team, make)
    if isinstance(getattr(team, "_max_turns", None), int):
        yield make("max_turns", "_max_turns", "number", "run", check=_count)


def _of_magentic(team: MagenticOneGroupChat, make: Make) -> Iterator[Place]:
    given = str(team._final_answer_prompt)
    for name, text in magentic.prompts():
        if name == "final_answer_prompt" and given != text:  # one of the user's has no fields
            yield make(name, "_final_answer_prompt", "prompt", "text", check=is_text)
            continue
        yield make(
            name, CONSTANT, "prompt", "text", check=fields_check(text), constraint=_keep(text),
            place=functools.partial(Constant, text=text),
        )  # fmt: skip


def _keep(template: str) -> str:
    names = ", ".join(f"{{{name}}}" for name in dict.fromkeys(_FIELD.findall(template)))
    return f"A template: keep {names}, and invent no other." if names else ""


def _of_tool(item: Found, make: Make) -> Iterator[Place]:
    tool = cast("BaseTool[Any, Any]", item.value)
    told = [override_of(bench, tool) for bench in workbenches(item.parent)]
    if not any(override is not None and override.description is not None for override in told):
        yield make("description", "_description", "description", "tool", constraint=_SHOWN)
    if isinstance(tool, FunctionTool):
        function: object = tool._func
        yield from _code("code", "_func", function, make, "call")


def _beside_a_tool(item: Found, make: Make) -> Iterator[Place]:
    value: object = item.value
    if isinstance(value, Handoff):
        tools = [tool for tool in item.parent._handoff_tools if tool.name == value.name]
        yield make("message", "message", "text", "call", feeds=tools[0] if tools else None)
    elif isinstance(value, ToolOverride) and value.description is not None:
        yield make("description", "description", "description", "tool", constraint=_SHOWN)


def _of_edge(item: Found, make: Make) -> Iterator[Place]:
    edge: Any = item.value
    if isinstance(edge.condition, str):
        yield make(
            "condition", "condition", "text", "select", feeds=item.parent,
            constraint="The path is taken if this text is in the last message.",
        )  # fmt: skip
    more = functools.partial(make, feeds=item.parent)
    yield from _code("condition", "condition_function", edge.condition_function, more, "select")


def _of_condition(condition: object, make: Make) -> Iterator[Place]:
    if isinstance(getattr(condition, "_max_messages", None), int):
        yield make("max_messages", "_max_messages", "number", "run", check=_count)
    if isinstance(getattr(condition, "_termination_text", None), str):
        yield make("text", "_termination_text", "text", "run")


def _code(
    name: str, attribute: str, function: object, make: Make, reader: Reader
) -> Iterator[Place]:
    target = getattr(function, "__func__", function)
    if not isinstance(target, types.FunctionType) or not is_users(target):
        return
    try:
        source = source_of(target)
    except ValueError:  # a lambda, or made by exec
        return
    yield make(
        name, attribute, "code", reader, decode=_source,
        encode=replaced,  # the layout makes the function, which may need a code runner
        check=functools.partial(_other_signature, source, target.__code__.co_freevars),
        description=(target.__doc__ or "").strip().partition("\n")[0],
        constraint=f"Must define {target.__name__} with the same arguments.",
    )  # fmt: skip


def _source(function: Any) -> str:
    return source_of(getattr(function, "__func__", function))


def _other_signature(source: str, free: tuple[str, ...], value: object) -> str | None:
    return signature_refusal(source, free, str(value))


# ---------------------------------------------------------------------------- values


def fields_check(template: str) -> Callable[[object], str | None]:
    """A check that a new template has the fields of ``template``, and no others."""
    needed = set(_FIELD.findall(template))

    def check(value: object) -> str | None:
        if not isinstance(value, str) or not value.strip():
            return "must be a text that is not empty"
        if not needed:
            return None
        try:
            value.format(**dict.fromkeys(needed, ""))
        except KeyError as error:
            return f"must not use {{{error.args[0]}}}: nothing is filled in there"
        except (ValueError, IndexError, AttributeError) as error:
            return f"is no template ({error}): write {{{{ and }}}} for braces that are text"
        if lost := needed - set(_FIELD.findall(value)):
            names = ", ".join(f"{{{name}}}" for name in sorted(lost))
            return f"must keep {names}: what is filled in there would be lost"
        return None

    return check


def is_text(value: object) -> str | None:
    """A check that a value is a text."""
    return None if isinstance(value, str) else f"must be text, not {type(value).__name__}"


def _flag(value: object) -> str | None:
    return None if isinstance(value, bool) else "must be true or false"


def _count(value: object) -> str | None:
    whole = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return None if whole else "must be a whole number above 0"


def _texts(value: object) -> str | None:
    right = isinstance(value, list) and all(isinstance(v, str) for v in cast("list[object]", value))
    return None if right else "must be a list of texts"


def _remembered(contents: list[MemoryContent]) -> list[str]:
    return [str(content.content) for content in contents]


def _memories(_: object, texts: list[str]) -> list[MemoryContent]:
    return [MemoryContent(content=text, mime_type=MemoryMimeType.TEXT) for text in texts]


def is_users(value: object) -> bool:
    """Whether a function or class is the user's own, and not installed."""
    import sys

    module = getattr(value, "__module__", None) or ""
    held = sys.modules.get(module)
    file = getattr(held, "__file__", None)
    if file is None:
        return module == "__main__" or (held is None and bool(module))
    return not str(Path(file).resolve()).startswith(_INSTALLED)
