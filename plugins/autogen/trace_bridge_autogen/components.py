"""The JSON of AutoGen Studio and of ``load_component``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from autogen_agentchat.agents import BaseChatAgent
from autogen_agentchat.teams import BaseGroupChat

from trace_bridge_autogen.models import stands_in


def document(agent: Any) -> dict[str, Any]:
    """An agent or team as AutoGen writes it.

    Raises:
        ValueError: it is no component, or holds something that is none.
    """
    if not isinstance(agent, (BaseChatAgent, BaseGroupChat)):
        msg = f"{type(agent).__qualname__} is no component of AutoGen: export without a format"
        raise ValueError(msg)  # noqa: TRY004 (the format is wrong for it)
    try:
        return json.loads(agent.dump_component().model_dump_json())
    except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
        msg = (
            f"{type(agent).__qualname__} holds something that AutoGen cannot write as JSON"
            f" ({error}): export without a format"
        )
        raise ValueError(msg) from error


def lost(component: Mapping[str, Any], changed: Mapping[str, object]) -> list[str]:
    """The paths of changed values that a component does not hold: AutoGen leaves them out."""
    leaves = list(_leaves(component))
    texts = [leaf for leaf in leaves if isinstance(leaf, str)]

    def is_there(value: object) -> bool:
        if isinstance(value, list):
            return all(map(is_there, cast("list[object]", value)))
        if isinstance(value, str) and value.strip():
            return stands_in(value, texts) is not None
        return value == "" or value in leaves

    return [path for path, value in changed.items() if not is_there(value)]


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        for inner in cast("dict[str, object]", value).values():
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in cast("list[object]", value):
            yield from _leaves(inner)
    else:
        yield value
