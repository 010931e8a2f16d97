"""What determines an agent's outputs besides its parameters: code, structure, models, versions."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any, cast

from autogen_core.models import ChatCompletionClient

from trace_bridge import code_digest, jsonable
from trace_bridge_autogen.layout import Layout
from trace_bridge_autogen.models import model_name
from trace_bridge_autogen.slots import is_users

_SETTINGS = (
    "temperature", "top_p", "max_tokens", "max_completion_tokens", "seed", "stop",
    "frequency_penalty", "presence_penalty", "reasoning_effort",
)  # fmt: skip
_CHANCE = re.compile(r"_team_id|_topic_type|_running|_initialized|_runtime|_queue|_index|usage")


def clients(layout: Layout) -> list[ChatCompletionClient]:
    """The clients in an agent, each once."""
    found: dict[int, ChatCompletionClient] = {}
    for item in layout.found:
        for value in cast("dict[str, object]", getattr(item.value, "__dict__", {})).values():
            if isinstance(value, ChatCompletionClient):
                found[id(value)] = value
    return list(found.values())


def fingerprint(layout: Layout) -> dict[str, Any]:
    """The same in each process, while none of it changes; no secrets, no addresses."""
    from trace_bridge_autogen import __version__

    slots = {(id(place.owner), place.attribute) for place in layout.places}
    structure = [
        ["/".join(item.owners), type(item.value).__qualname__, _settings(item.value, slots)]
        for item in layout.found
    ]
    return {
        "plugin": __version__,
        "autogen": version("autogen-agentchat"),
        "structure": structure,
        "models": [_model(client) for client in clients(layout)],
        "code": code_digest(*_code(layout)),
    }


def _model(client: ChatCompletionClient) -> dict[str, Any]:
    given = cast("Mapping[str, object]", getattr(client, "_create_args", None) or {})
    named = {name: jsonable(given[name]) for name in _SETTINGS if name in given}
    return {"class": type(client).__qualname__, "model": model_name(client), **named}


def _settings(value: object, slots: set[tuple[int, str]]) -> dict[str, Any]:
    """The plain attributes of an object that are no slots and no chance."""
    held = cast("dict[str, object]", getattr(value, "__dict__", {}))
    return {
        name: jsonable(item)
        for name, item in held.items()
        if (item is None or isinstance(item, (bool, int, float, str)))
        and (id(value), name) not in slots
        and not _CHANCE.search(name)
    }


def _code(layout: Layout) -> Iterator[Any]:
    yield layout.agent if layout.factory else None
    for item in layout.found:
        if is_users(type(item.value)):
            yield type(item.value)
        for value in cast("dict[str, object]", getattr(item.value, "__dict__", {})).values():
            target: object = getattr(value, "__func__", value)
            if isinstance(target, types.FunctionType) and is_users(target):
                yield target
