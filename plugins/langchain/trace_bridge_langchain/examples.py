"""Examples: LangSmith's form, plain dicts and plain inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from langchain_core.load import dumpd
from langchain_core.messages import BaseMessage
from langchain_core.prompt_values import PromptValue

from trace_bridge import JSON, jsonable

_LANGSMITH = {"inputs", "outputs", "reference_outputs", "metadata", "attachments", "id", "split"}


def record_of(example: Any) -> Mapping[str, Any]:
    """An example as ``inputs`` and ``outputs``, as LangSmith's datasets have it.

    A dict with ``inputs`` and nothing that LangSmith does not know is one; so is its ``Example``.
    Any other dict is all inputs, and its own reference at the same time; anything else is the
    input itself.
    """
    if isinstance(example, Mapping):
        held = cast("Mapping[str, Any]", example)
        if "inputs" in held and set(held) <= _LANGSMITH:
            outputs = held.get("outputs", held.get("reference_outputs"))
            return {**held, "outputs": outputs or {}}
        return {"inputs": held, "outputs": held}
    if hasattr(example, "inputs") and hasattr(example, "outputs"):
        attachments = getattr(example, "attachments", None) or {}
        return {
            "inputs": example.inputs, "outputs": example.outputs or {}, "attachments": attachments
        }  # fmt: skip
    return {"inputs": example, "outputs": {}}


def input_of(example: Any) -> object:
    """What ``invoke`` is given: the inputs; where they are one unnamed value, that value."""
    return record_of(example)["inputs"]


def named_inputs(example: Any) -> Mapping[str, object]:
    """The inputs by name."""
    given = input_of(example)
    return dict(cast("Mapping[str, object]", given)) if isinstance(given, Mapping) else {
        "input": given
    }  # fmt: skip


def encode(example: Any) -> JSON:
    """The example as JSON: it is what identifies it."""
    return jsonable(_plain(dict(record_of(example))))


def _plain(value: Any) -> Any:
    if isinstance(value, (BaseMessage, PromptValue)):
        return dumpd(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in cast("list[Any]", value)]
    return value


def fields_of(output: object) -> Mapping[str, object] | None:
    """The named parts of an output: the keys of a dict (a graph's last state, say)."""
    if isinstance(output, dict) and output:
        return {str(key): value for key, value in cast("dict[object, object]", output).items()}
    return None
