"""What runs but is no part of the agent: prompts that are made of its parts on the way.

A configured prompt (``configurable_fields``), ``prompt.partial()`` in a function, a slice of one:
each call makes a new object. What of it is the agent's own is told by identity, else by value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.prompts import BasePromptTemplate
from langchain_core.prompts.message import BaseMessagePromptTemplate

from trace_bridge import Parameter
from trace_bridge_langchain.layout import UNKNOWN, Site
from trace_bridge_langchain.parts import parts
from trace_bridge_langchain.running import Attached

_INSIDE = (BasePromptTemplate, BaseMessagePromptTemplate, BaseMessage, list, dict)


def site_of_made(prompt: Any, where: Attached) -> Site:
    """What is known of a prompt that was made while the agent runs: which parameters it reads."""
    read: dict[str, Parameter] = {}
    seen, pending = set[int](), [prompt]
    while pending:
        held = pending.pop()
        if id(held) in seen:
            continue
        seen.add(id(held))
        names = parts(held)
        pending += [part for part in names.values() if isinstance(part, _INSIDE)]
        read.update((parameter.name, parameter) for parameter in _read(held, names, where))
    return Site("", parameters=read) if read else UNKNOWN


def _read(held: Any, names: Mapping[str, object], where: Attached) -> list[Parameter]:
    """The parameters whose values an object holds: its own if it is known, or all equal ones."""
    original = where.copy.original(held)
    own: list[Parameter] = []
    equal: list[Parameter] = []
    for place, parameter in where.layout.by_class.get(type(held), ()):
        if id(place.owner) == original:
            own.append(parameter)
        elif place.attribute in names and place.decode(names[place.attribute]) == parameter.peek():
            equal.append(parameter)
    return own or equal
