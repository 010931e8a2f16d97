"""The walk over an agent: every object that could hold something trainable, and its name.

``get_prompts()`` of LangChain sees neither branches nor fallbacks, routers, closures and graphs,
and raises for some. This walks over all parts (``parts.py``), breadth first, so that the shortest
way to an object names it.
"""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_core.language_models import BaseLanguageModel
from langchain_core.messages import BaseMessage
from langchain_core.prompts import BasePromptTemplate
from langchain_core.prompts.message import BaseMessagePromptTemplate
from langchain_core.runnables import Runnable, RunnableParallel, RunnableSequence
from langchain_core.tools import BaseTool

from trace_bridge import framework_of
from trace_bridge_langchain.parts import is_users, parts

# Attributes that say how something is composed, and nothing about what it is.
_TRANSPARENT = frozenset((
    "first", "middle", "last", "steps", "steps__", "bound", "kwargs", "func", "afunc", "coroutine",
    "messages", "prompt", "branches", "runnable", "runnables", "mapper", "default", "self",
    "wrapped", "keywords", "config", "example_prompt", "nodes", "runnable_", "data", "builder",
    "_tools_by_name", "tools_by_name", "alternatives",
))  # fmt: skip
# What a walk would only lose its way in: the run's own machinery, schemas, clients.
_ASIDE = frozenset((
    "callbacks", "callback_manager", "checkpointer", "store", "cache", "metadata", "channels",
    "config_specs", "custom_input_type", "custom_output_type", "input_schema", "output_schema",
    "args_schema", "client", "async_client", "root_client", "root_async_client", "managed",
))  # fmt: skip
_HANDLERS = ("callbacks", "callback_manager")  # of a config
_OURS = (Runnable, BaseMessage, types.FunctionType, str, int, float, dict, list, tuple)
_TASK = "_TaskFunction"  # private: what LangGraph's @task makes; each call is a new runnable
_ROLES = {"SystemMessage": "system", "HumanMessage": "human", "AIMessage": "ai"}


@dataclass(slots=True, eq=False)
class Found:
    """An object of the agent.

    Attributes:
        owners: the names that lead to it.
        parts: its parts, by the names of ``parts``.
        parents: the ids of the objects that it is a part of.
        other: whether it is an agent of another framework, into which nobody looks here.
    """

    value: Any
    owners: tuple[str, ...]
    parts: Mapping[str, object]
    parents: set[int] = field(default_factory=set[int])
    other: bool = False


class Walk:
    """All objects of an agent, by id, in the order in which they were met."""

    def __init__(self, agent: object) -> None:
        self.found: dict[int, Found] = {}
        self._add(agent, ())
        pending = deque([agent])
        while pending:
            value = pending.popleft()
            item = self.found.get(id(value), Found(value, (), {}))
            for name, part in item.parts.items():
                if _is_aside(value, name, part):
                    continue
                known = self.found.get(id(part))
                if known is None:
                    known = self._add(part, _owners(item, name, part))
                    if known is None:
                        continue
                    pending.append(part)
                known.parents.add(id(value))

    def _add(self, value: Any, owners: tuple[str, ...]) -> Found | None:
        other = not isinstance(value, _OURS) and framework_of(value) not in ("", "langchain")
        held = {} if other else parts(value)
        if other:
            return self.found.setdefault(id(value), Found(value, owners, held, other=True))
        if not held and not isinstance(value, (BaseLanguageModel, types.FunctionType)):
            return None
        found = self.found[id(value)] = Found(value, owners, held)
        return found

    def above(self, changed: set[int]) -> set[int]:
        """``changed`` and all objects that lead to one of them."""
        seen, pending = set(changed), list(changed)
        while pending:
            for parent in self.found[pending.pop()].parents - seen:
                seen.add(parent)
                pending.append(parent)
        return seen

    def below(self, value: object) -> list[Found]:
        """What ``value`` is made of, without what reports to the recorder by itself."""
        seen, pending, inside = {id(value)}, [value], list[Found]()
        while pending:
            item = self.found.get(id(pending.pop()))
            if item is None:
                continue
            inside.append(item)
            for name, part in item.parts.items():
                own = isinstance(part, (Runnable, BaseTool)) or type(part).__name__ == _TASK
                if isinstance(value, BasePromptTemplate) and isinstance(part, BasePromptTemplate):
                    own = False
                if id(part) not in seen and not own and not _is_aside(item.value, name, part):
                    seen.add(id(part))
                    pending.append(part)
        return inside


def _is_aside(owner: object, name: str, part: object) -> bool:
    """Whether the walk leaves a part out; the keys of a mapping are the user's own words."""
    if isinstance(part, (type, Runnable)):
        return isinstance(part, type)
    return name in (_HANDLERS if isinstance(owner, Mapping) else _ASIDE)


def _owners(item: Found, name: str, part: object) -> tuple[str, ...]:
    """The names that lead to ``part``; to tools the same wherever they are used."""
    if isinstance(part, BaseTool):
        return ("tools", part.name)
    label = _label(item.value, name, part)
    again = not label or item.owners[-1:] == (label,)
    return item.owners if again else (*item.owners, label)


def _label(owner: object, name: str, part: object) -> str:
    """How ``part`` is called in paths below ``owner``; empty if it only wraps something."""
    own = own_name(part)
    if isinstance(owner, BaseMessagePromptTemplate):
        return ""
    if isinstance(owner, types.FunctionType):
        sort, _, rest = name.partition(".")
        return rest if is_users(owner) and sort != "wrapped" else own
    if isinstance(owner, Mapping):
        return name
    if isinstance(owner, (list, tuple)) or name in _TRANSPARENT or name.startswith("args."):
        return own
    if not isinstance(owner, RunnableSequence):
        name = name.removeprefix("keywords.")
        return name.strip("_") if name.startswith("_") else name  # __call__, _run; not report_
    return own


def own_name(value: Any) -> str:
    """What an object is called wherever it stands; empty for what has no name."""
    if isinstance(value, BaseTool):
        return value.name
    if isinstance(value, (types.FunctionType, types.MethodType)):
        return value.__name__ if is_users(value) and value.__name__ != "<lambda>" else ""
    if isinstance(value, BasePromptTemplate):
        return "prompt"
    if isinstance(value, BaseLanguageModel):
        return "model"
    kind = type(value).__name__
    if isinstance(value, BaseMessage):
        return _ROLES.get(kind, kind)
    if isinstance(value, BaseMessagePromptTemplate):
        return _ROLES.get(kind.removesuffix("PromptTemplate"), "")
    if isinstance(value, Runnable) and not isinstance(value, RunnableParallel):
        name = getattr(value, "name", None) or ""
        function = getattr(value, "func", None) or getattr(value, "afunc", None)
        own = isinstance(function, types.FunctionType) and not is_users(function)
        return "" if own or name == "LangGraph" else name  # the name of graphs that have none
    return ""
