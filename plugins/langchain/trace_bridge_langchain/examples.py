"""Examples: LangSmith's form, plain dicts, pairs and plain inputs; and what of them invoke gets."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from langchain_core.documents import Document
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.prompt_values import PromptValue
from pydantic import BaseModel

from trace_bridge import JSON, jsonable
from trace_bridge_langchain.intake import Intake

# LangSmith's own words for the parts of an example.
_PARTS = {"inputs", "outputs", "reference_outputs", "metadata", "attachments", "id", "split"}
_REFERENCE = ("outputs", "reference_outputs")
# How people call the label of a plain dict. Such a key is an input only where a prompt asks for it.
_LABELS = {
    "answer", "answers", "expected", "expected_answer", "expected_output", "expected_outputs",
    "gold", "ground_truth", "label", "labels", "output", "outputs", "reference",
    "reference_answer", "reference_output", "reference_outputs", "target",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Record:
    """An example in LangSmith's terms.

    Attributes:
        inputs: what the agent is given.
        reference: what it should come to; None if nobody says.
        said: whether the user says which part is input; else ``inputs`` may hold more than that.
        metadata: as LangSmith has it.
        attachments: as LangSmith has it.
    """

    inputs: Any
    reference: Any = None
    said: bool = True
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    attachments: Mapping[str, Any] = field(default_factory=dict[str, Any])


def record_of(example: Any) -> Record:
    """The parts of an example.

    A dict with ``inputs`` is in LangSmith's form, as is its ``Example``. A tuple of two is
    ``(inputs, reference)``. Of another dict, the reference is what is called a label there
    (``answer``, ``expected`` and so on), or else all of it. Anything else is the input itself.
    """
    if isinstance(example, Mapping):
        held = cast("Mapping[str, Any]", example)
        if "inputs" in held and (held.keys() <= _PARTS or not held.keys().isdisjoint(_REFERENCE)):
            reference = next((held[name] for name in _REFERENCE if name in held), None)
            metadata, attachments = held.get("metadata") or {}, held.get("attachments") or {}
            return Record(held["inputs"], reference, metadata=metadata, attachments=attachments)
        labels = {name: value for name, value in held.items() if name in _LABELS}
        return Record(held, labels or held, said=False)
    if _is_langsmith(example):
        reference = getattr(example, "outputs", None)
        if reference is None:  # ExampleCreate calls them so
            reference = getattr(example, "reference_outputs", None)
        return Record(
            example.inputs or {}, reference, metadata=getattr(example, "metadata", None) or {},
            attachments=getattr(example, "attachments", None) or {},
        )  # fmt: skip
    if type(example) is tuple and len(cast("tuple[Any, ...]", example)) == 2:
        return Record(*cast("tuple[Any, Any]", example))
    return Record(example)


def _is_langsmith(example: object) -> bool:
    own = any(kind.__module__.startswith("langsmith.") for kind in type(example).__mro__)
    return own and hasattr(example, "inputs")


def inputs_of(intake: Intake, example: Any) -> Any:
    """What the ``invoke`` of an agent that takes ``intake`` is given for ``example``.

    Of a dict that does not say what is input, labels are left out. A lone value gets its name where
    the agent takes one name only (``messages`` gets a text as a message), and a dict of one value
    is that value where the agent takes a text or messages.

    Raises:
        ValueError: naming the example, what the agent takes, and the remedy.
    """
    if example is None:
        msg = (
            'an example is None: pass {"inputs": ..., "outputs": ...}, a dict, or what invoke gets'
        )
        raise ValueError(msg)
    record = record_of(example)
    given = record.inputs
    if isinstance(given, Mapping):
        pairs: dict[str, Any] = dict(cast("Mapping[str, Any]", given))
        if not record.said:
            pairs = _without_labels(pairs, intake)
        return _named(pairs, intake, example) if intake.names else _bare(pairs, intake, example)
    only = intake.only()
    if only is not None and isinstance(given, _LONE):
        return {only: _value(only, given)}
    if intake.names and isinstance(given, _LONE):
        raise ValueError(_needs_names(intake, example, "no names"))
    return [given] if isinstance(given, BaseMessage) else given


_LONE = (str, int, float, list, BaseMessage)  # other objects may be a graph's whole state


def named_inputs(example: Any, intake: Intake) -> Mapping[str, object]:
    """What the agent is given, by name; a lone value is called ``input``."""
    return by_name(inputs_of(intake, example))


def by_name(given: object) -> Mapping[str, object]:
    """An input by name; a lone value is called ``input``."""
    if not isinstance(given, Mapping):
        return {"input": given}
    return {str(key): value for key, value in cast("Mapping[object, object]", given).items()}


def reference_of(example: Any) -> Any:
    """What the output is compared with, or None."""
    return record_of(example).reference


def given_of(example: Any) -> Any:
    """What an evaluator gets as inputs, which knows nothing of the agent."""
    record = record_of(example)
    return record.inputs if record.said else _without_labels(dict(record.inputs), Intake())


def demonstration(prompt: Any, example: Any) -> dict[str, JSON] | None:
    """What ``example`` shows as one of a few-shot prompt's examples, if it has all of their names.

    A lone value goes by no name, so it is none of them.
    """
    record = record_of(example)
    pairs: dict[str, Any] = {}
    for part in (record.inputs, record.reference):
        if isinstance(part, Mapping):
            pairs.update(cast("Mapping[str, Any]", part))
    names: list[str] = getattr(getattr(prompt, "example_prompt", None), "input_variables", [])
    if not names or not pairs.keys() >= set(names):
        return None
    return {name: jsonable(plain(pairs[name])) for name in names}


def _without_labels(pairs: dict[str, Any], intake: Intake) -> dict[str, Any]:
    known = {name: value for name, value in pairs.items() if name in intake.names}
    if intake.closed and known:
        return known
    wanted = intake.required
    return {n: v for n, v in pairs.items() if n in wanted or n not in _LABELS} or pairs


def _named(pairs: dict[str, Any], intake: Intake, example: Any) -> dict[str, Any]:
    """``pairs`` for an agent that takes names."""
    missing = intake.required - pairs.keys()
    if not missing and (intake.required or not intake.names.isdisjoint(pairs)):
        return pairs
    only = intake.only()
    if only is not None and len(pairs) == 1:  # the data's one name is not the agent's
        return {only: _value(only, next(iter(pairs.values())))}
    raise ValueError(_needs_names(intake, example, ", ".join(map(str, pairs)) or "nothing"))


def _needs_names(intake: Intake, example: Any, found: str) -> str:
    takes = sorted(intake.required or intake.names)
    shown = ", ".join(f'"{name}": ...' for name in takes)
    return (
        f"the agent takes {', '.join(takes)}, and the example {_short(example)} has {found}:"
        f' give its inputs the agent\'s names, as in {{"inputs": {{{shown}}}, "outputs": ...}}'
    )


def _bare(pairs: dict[str, Any], intake: Intake, example: Any) -> Any:
    """``pairs`` for an agent that takes one value, or one that tells nothing (it gets them all)."""
    if not intake.bare:
        return pairs
    if len(pairs) == 1:
        return next(iter(pairs.values()))
    if "messages" in pairs:
        return pairs["messages"]
    msg = (
        f"the agent takes one text or list of messages, and the example {_short(example)} has"
        f" {', '.join(map(str, pairs)) or 'nothing'}: say which is the input, as in"
        ' {"inputs": "the text", "outputs": ...}'
    )
    raise ValueError(msg)


def _value(name: str, given: Any) -> Any:
    """A lone value as the input ``name``: a text becomes a message where messages are wanted."""
    if name == "messages" and isinstance(given, str):
        return [HumanMessage(given)]
    return [given] if name == "messages" and isinstance(given, BaseMessage) else given


def _short(example: object) -> str:
    text = repr(example)
    return text if len(text) <= 120 else f"{text[:117]}..."


def encode(example: Any) -> JSON:
    """The example as JSON: it identifies the example, whatever ids and dates it carries."""
    record = record_of(example)
    if not record.said:
        return jsonable(plain(record.inputs))
    parts: dict[str, Any] = {"inputs": record.inputs}
    if record.reference is not None:
        parts["outputs"] = record.reference
    if record.metadata:
        parts["metadata"] = record.metadata
    if record.attachments:  # names alone: links to the data are new each time
        parts["attachments"] = sorted(record.attachments)
    return jsonable(plain(parts))


_SEEN = ("content", "name", "tool_calls", "invalid_tool_calls", "tool_call_id", "artifact")


def plain(value: Any, inside: tuple[int, ...] = ()) -> Any:
    """``value`` with messages, prompts and documents as dicts of what a model sees of them."""
    if id(value) in inside:
        return "..."
    inside = (*inside, id(value))
    if isinstance(value, PromptValue):
        return plain(value.to_messages(), inside)
    if isinstance(value, BaseMessage):
        held = {name: getattr(value, name, None) for name in _SEEN}
        kept = {name: item for name, item in held.items() if item or name == "content"}
        return {"type": value.type, **plain(kept, inside)}
    if isinstance(value, Document):
        return {"page_content": value.page_content, "metadata": plain(value.metadata, inside)}
    if isinstance(value, Mapping):
        pairs = cast("Mapping[Any, Any]", value).items()
        return {str(key): plain(item, inside) for key, item in pairs}
    if isinstance(value, (list, tuple)):
        return [plain(item, inside) for item in cast("list[Any]", value)]
    return value


def fields_of(output: object) -> Mapping[str, object] | None:
    """The named parts of an output: a dict's keys (a graph's last state, say), a record's fields.

    Messages, documents and prompts are one value each.
    """
    if isinstance(output, str):
        return None
    if isinstance(output, Mapping):
        pairs = cast("Mapping[object, object]", output).items()
        return {str(key): value for key, value in pairs} or None
    if isinstance(output, (BaseMessage, Document, PromptValue)):
        return None
    if isinstance(output, BaseModel):
        return dict(vars(output)) or None
    if dataclasses.is_dataclass(output) and not isinstance(output, type):
        return {item.name: getattr(output, item.name) for item in dataclasses.fields(output)}
    return None
