"""The trainable places of a predictor and of a tool, and how values are written into them.

Signature classes are shared between copies of a predictor, so they are never changed in place:
``with_instructions`` and ``with_updated_fields`` give new classes (DSPy 3.0 to 3.4). Field prefixes
are no slots, since no adapter reads them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast

import dspy

from trace_bridge import Slot, jsonable

_INSTRUCTIONS = "Plain text: what the model has to do with the input fields. No field values."
_DEMOS = "Each object has values for the signature's fields, inputs and outputs."
_FIELD = "What the field holds, in one or two sentences; shown to the model beside its name."
_TOOL = "What the tool does and when to use it; shown to the model that chooses tools."

# DSPy's annotations know a signature class as a plain pydantic instance, or as None.
Signature: TypeAlias = Any

# A signature is a pydantic class that takes a millisecond to make; candidates repeat.
_CACHED = 512


@functools.lru_cache(maxsize=_CACHED)
def _with_instructions(signature: Signature, text: str) -> Signature:
    return signature.with_instructions(text)


@functools.lru_cache(maxsize=_CACHED)
def _with_description(signature: Signature, field: str, text: str) -> Signature:
    return signature.with_updated_fields(field, desc=text)


def signature_of(predictor: dspy.Predict) -> Signature:
    """The predictor's signature, a class."""
    return predictor.signature


def of_predictor(
    predictor: dspy.Predict, join: Callable[[str], str], tools: Sequence[dspy.Tool] = ()
) -> Iterator[Slot]:
    """The slots of a predictor.

    Args:
        predictor: their owner.
        join: makes a slot's name a path.
        tools: those whose text is baked into its instructions.
    """
    signature = signature_of(predictor)
    names = ", ".join(map(placeholder, tools))
    yield Slot(
        path=join("instructions"), owner=predictor, attribute="signature", kind="prompt",
        decode=functools.partial(_instructions, tools),
        encode=functools.partial(_instructed, tools),
        description=f"instructions for {signature.signature}",
        constraint=f"{_INSTRUCTIONS} Keep {names}." if names else _INSTRUCTIONS,
    )  # fmt: skip
    yield Slot(
        path=join("demos"), owner=predictor, attribute="demos", kind="demos", decode=_plain,
        encode=functools.partial(_examples, tuple(signature.input_fields)),
        description=f"demonstrations for {signature.signature}", constraint=_DEMOS,
    )  # fmt: skip
    for field in signature.fields:
        yield Slot(
            path=join(f"desc.{field}"), owner=predictor, attribute="signature", kind="description",
            decode=functools.partial(_description, field),
            encode=functools.partial(_described, field),
            description=f"description of the field {field}", constraint=_FIELD,
        )  # fmt: skip


def of_tool(tool: dspy.Tool, path: str, reader: dspy.Predict | None) -> Slot:
    """The slot of a tool; ``reader`` is the predictor that chooses between tools."""
    return Slot(
        path=path, owner=tool, attribute="desc", kind="description",
        decode=lambda desc: desc or "", encode=lambda _, desc: desc, feeds=reader,
        description=f"description of the tool {tool.name}", constraint=_TOOL,
    )  # fmt: skip


def placeholder(tool: dspy.Tool) -> str:
    """What stands for a tool's text in the value of instructions."""
    return f"{{tool:{tool.name}}}"


def _instructions(tools: Sequence[dspy.Tool], signature: Signature) -> str:
    text = signature.instructions
    for tool in tools:
        text = text.replace(str(tool), placeholder(tool))
    return text


def _instructed(tools: Sequence[dspy.Tool], signature: Signature, text: str) -> Signature:
    for tool in tools:
        text = text.replace(placeholder(tool), str(tool))
    return _with_instructions(signature, text)


def _description(field: str, signature: Signature) -> str:
    extra = signature.model_fields[field].json_schema_extra
    return str(cast("Mapping[str, object]", extra).get("desc") or "")


def _described(field: str, signature: Signature, text: str) -> Signature:
    return _with_description(signature, field, text)


def plain_demo(demo: Any) -> dict[str, Any]:
    """A demonstration (``dspy.Example`` or dict) as JSON, without DSPy's own keys."""
    store = demo.items(include_dspy=False) if isinstance(demo, dspy.Example) else demo.items()
    return {
        str(key): jsonable(value)
        for key, value in store
        if key != "augmented" and not str(key).startswith("dspy_")
    }


def _plain(demos: Sequence[Any]) -> list[dict[str, Any]]:
    return [plain_demo(demo) for demo in demos]


def _examples(inputs: Sequence[str], present: Sequence[Any], demos: Sequence[Any]) -> list[Any]:
    """``demos`` as DSPy's examples; one that is there already is kept, with its rich types."""
    kept = [(plain_demo(demo), demo) for demo in present]
    made: list[Any] = []
    for demo in demos:
        known = next((original for plain, original in kept if plain == demo), None)
        keys = [name for name in inputs if name in demo]
        made.append(dspy.Example(**demo).with_inputs(*keys) if known is None else known)
    return made


def rebake(
    predictor: dspy.Predict, tools: Sequence[Slot], values: Callable[[Slot], object]
) -> None:
    """Renew the text of changed tools in the predictor's instructions.

    ``ReAct`` renders its tools into the instructions of its predictor once, when it is made
    (``ReActV2`` when it runs). So that instructions and descriptions can be changed apart, the
    value of such instructions holds ``{tool:name}`` for a tool's text. When it is written, the
    tool's original text comes first, and is then replaced by its new one here.
    """
    signature = signature_of(predictor)
    text = signature.instructions
    for slot in tools:
        tool = cast("dspy.Tool", slot.owner)
        desc = values(slot)
        if desc != slot.get():
            text = text.replace(str(tool), str(tool.model_copy(update={"desc": desc})))
    if text != signature.instructions:
        predictor.signature = _with_instructions(signature, text)
