"""Tasks: what of an example a team is given; and metrics on what comes of it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from autogen_agentchat.base import TaskResult
from autogen_agentchat.messages import BaseChatMessage

from trace_bridge import JSON, jsonable

_TASKS = ("task", "question", "input", "query", "prompt")  # what people call it, the first counts
_CHANCE = ("id", "created_at")  # of a message: different in each process


def task_of(example: Any) -> Any:
    """What ``run(task=)`` gets: a text, a message, a list of messages, or None to go on.

    A mapping has it under ``task`` (or ``question``, ``input``, ``query``, ``prompt``), perhaps in
    its ``inputs``; the rest of it is for the metric.

    Raises:
        ValueError: there is no task in it; the message names what there is.
    """
    if not isinstance(example, Mapping):
        return _listed(example)
    held = cast("Mapping[str, Any]", example)
    inputs: Any = held.get("inputs")
    for source in (held, inputs):
        if isinstance(source, Mapping):
            found = cast("Mapping[str, Any]", source)
            for name in _TASKS:
                if name in found:
                    return _listed(found[name])
    if isinstance(inputs, str):
        return inputs
    msg = f"an example needs a task: give it as 'task'; this one has {', '.join(map(str, held))}"
    raise ValueError(msg)


def _listed(task: Any) -> Any:
    if task is None or isinstance(task, (str, BaseChatMessage)):
        return task
    if isinstance(task, Sequence) and all(isinstance(m, BaseChatMessage) for m in task):  # pyright: ignore[reportUnknownVariableType]
        return list(cast("Sequence[BaseChatMessage]", task))
    msg = f"a task is a text, a message or a list of messages, not {type(task).__qualname__}"  # pyright: ignore[reportUnknownArgumentType]
    raise ValueError(msg)


def shown(result: TaskResult) -> dict[str, object]:
    """A result for a model to read: what was said, and why it ended."""
    said = [message for message in result.messages if isinstance(message, BaseChatMessage)]
    return {
        "messages": [f"{message.source}: {message.to_text()}" for message in said],
        "stop_reason": result.stop_reason,
    }


def encode(example: Any) -> JSON:
    """An example as JSON that is the same in each process."""
    if isinstance(example, BaseChatMessage):
        return jsonable({k: v for k, v in example.dump().items() if k not in _CHANCE})
    if isinstance(example, Mapping):
        pairs = cast("Mapping[object, Any]", example).items()
        return {str(key): encode(value) for key, value in pairs}
    if isinstance(example, (list, tuple)):
        return [encode(item) for item in cast("Sequence[Any]", example)]
    return jsonable(example)


def adapt(function: Any) -> Callable[..., Any] | None:
    """A metric as ``(example, result)``; None if it takes that already.

    A metric may take the result only, or name its parameters ``result`` and ``example`` (or
    ``task``) in the other order.
    """
    try:
        names = [
            p.name
            for p in inspect.signature(function).parameters.values()
            if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
    except (TypeError, ValueError):  # no Python function
        return None
    if len(names) == 1:
        return _named(function, lambda _, result: function(result))
    if names[:1] in (["result"], ["task_result"], ["output"]):
        return _named(function, lambda example, result: function(result, example))
    return None


def _named(function: Any, adapted: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    return cast("Callable[..., Any]", functools.update_wrapper(adapted, function, updated=()))
