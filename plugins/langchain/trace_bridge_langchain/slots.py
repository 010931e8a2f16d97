"""The trainable places of an agent's objects."""

from __future__ import annotations

import functools
import inspect
import re
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from langchain_core.language_models import BaseLanguageModel
from langchain_core.messages import BaseMessage
from langchain_core.prompts import (
    FewShotChatMessagePromptTemplate,
    FewShotPromptTemplate,
    FewShotPromptWithTemplates,
    PromptTemplate,
)
from langchain_core.runnables import RunnableBinding
from langchain_core.tools import BaseTool
from pydantic import BaseModel

from trace_bridge import Slot, jsonable, signature_refusal, source_of
from trace_bridge_langchain.arguments import description_of, descriptions, with_description
from trace_bridge_langchain.checks import not_empty, template_check, variables
from trace_bridge_langchain.functions import first_line
from trace_bridge_langchain.parts import is_users, parts, write

SOURCE = "source"  # the part of a function that is its code
_PROMPT_LIKE = re.compile(r"prompt|instruct|system|template", re.IGNORECASE)
_SETTINGS = {  # with the least and the greatest value that providers take
    "temperature": (0.0, 2.0), "top_p": (0.0, 1.0), "frequency_penalty": (-2.0, 2.0),
    "presence_penalty": (-2.0, 2.0),
}  # fmt: skip
_LEAST = 16  # characters of a text that is more than a key or a name
_MANY = 32  # texts in a container from which on it is data
_DEMOS = "Each object has values for the variables of the example's template."
_TOOL = "What the tool does and when to use it; shown to the model that chooses tools."
_ARGUMENT = "What the argument is, in a sentence; shown to the model that calls the tool."


def _same(value: object) -> object:
    return value


def _second(_: object, value: object) -> object:
    return value


@dataclass(frozen=True, slots=True, eq=False)
class Place(Slot):
    """A slot whose ``attribute`` is a part's name, as ``parts`` has it.

    Attributes:
        others: further places with the same value, which get every new one, too.
    """

    others: list[Place] = field(default_factory=list["Place"])

    def get(self, owner: object | None = None) -> object:
        """The value in ``owner``, or in the slot's own."""
        return self.decode(read(self.owner if owner is None else owner, self.attribute))

    def put(self, owner: object, value: object) -> None:
        """Write ``value`` into ``owner``."""
        write(owner, self.attribute, self.encode(read(owner, self.attribute), value))


def read(owner: Any, name: str) -> object:
    """The part ``name`` of ``owner``."""
    if name == SOURCE:
        return source_of(owner)
    if isinstance(owner, BaseModel) and name in type(owner).model_fields:
        return getattr(owner, name)
    return parts(owner)[name]


def slots_of(value: Any, join: Callable[[str], str]) -> Iterator[Place]:
    """The places in ``value`` itself; ``join`` makes a slot's name a path."""
    make = functools.partial(_place, value, join)
    if isinstance(value, PromptTemplate):
        yield _template(value, "template", make)
    elif isinstance(value, FewShotPromptTemplate):
        yield from (_template(value, name, make) for name in ("prefix", "suffix"))
        yield from _examples(value, make)
    elif isinstance(value, (FewShotChatMessagePromptTemplate, FewShotPromptWithTemplates)):
        yield from _examples(value, make)
    elif isinstance(value, BaseMessage):
        if isinstance(value.content, str) and value.content.strip():
            yield make("content", "prompt", check=not_empty)
    elif isinstance(value, BaseTool):
        yield from _tool(value, make)
        if is_users(type(value)):
            yield from _attributes(value, make, ("name", "description"))
    elif isinstance(value, functools.partial):
        yield from _keywords(cast("functools.partial[object]", value), make)
    elif isinstance(value, types.FunctionType):
        yield from _function(value, make)
    elif isinstance(value, BaseLanguageModel):
        yield from _settings(vars(value), make)
    else:
        yield from _of_object(value, make)


def _of_object(value: object, make: Callable[..., Place]) -> Iterator[Place]:
    if is_users(type(value)):
        yield from _attributes(value, make)
    elif any(kind.__name__ == "AgentMiddleware" for kind in type(value).__mro__):
        yield from _middleware(value, make)


def _attributes(
    value: object, make: Callable[..., Place], known: tuple[str, ...] = ()
) -> Iterator[Place]:
    for name, held in parts(value).items():
        if name not in known and (kind := _kind_of_text(name, held)):
            yield make(name, kind, check=not_empty)


def _middleware(value: object, make: Callable[..., Place]) -> Iterator[Place]:
    """The prompts of LangChain's own middleware; its default ones are trained on demand only."""
    defaults = inspect.signature(type(value)).parameters
    for name in ("system_prompt", "summary_prompt"):
        text = getattr(value, name, None)
        if not isinstance(text, str) or not text.strip():
            continue
        default = name in defaults and defaults[name].default == text
        is_template = name == "summary_prompt"  # the messages are filled in there
        yield make(
            name, "text" if default else "prompt",
            check=template_check(text, "f-string") if is_template else not_empty,
            constraint="A template (f-string). Keep {messages}." if is_template else "",
        )  # fmt: skip


def _keywords(value: functools.partial[object], make: Callable[..., Place]) -> Iterator[Place]:
    for name, held in value.keywords.items():
        if kind := _kind_of_text(name, held):
            yield make(f"keywords.{name}", kind, name, check=not_empty)


def texts_in(
    held: dict[object, object] | list[object], label: str, join: Callable[[str], str]
) -> Iterator[Place]:
    """The texts in a container of the user's own, which is called ``label``."""
    named = {
        name: kind
        for name, text in parts(held).items()
        if (kind := _kind_of_text(label if _PROMPT_LIKE.search(label) else name, text))
    }
    if len(named) <= _MANY:
        for name, kind in named.items():
            yield _place(held, join, name, kind, check=not_empty)


def block_in(held: Mapping[str, object], join: Callable[[str], str]) -> Iterator[Place]:
    """The text of a content block of a static message."""
    if held.get("type") == "text" and str(held.get("text") or "").strip():
        yield _place(held, join, "text", "prompt", "content", check=not_empty)


def _kind_of_text(name: str, held: object) -> str:
    """What a text of the user's is, by its name; nothing for a short one, or what is none."""
    if not isinstance(held, str) or not held.strip():
        return ""
    if _PROMPT_LIKE.search(name):
        return "prompt"
    return "text" if len(held) >= _LEAST and " " in held.strip() else ""


def settings_of(binding: RunnableBinding[Any, Any], join: Callable[[str], str]) -> Iterator[Place]:
    """The numbers that a binding passes to its model."""
    kwargs = cast("dict[str, object]", binding.kwargs)
    yield from _settings(kwargs, functools.partial(_place, kwargs, join))


def _place(
    owner: object, join: Callable[[str], str], part: str, kind: str, name: str = "", **more: Any
) -> Place:
    given: dict[str, Any] = {"decode": _same, "encode": _second, **more}
    return Place(join(name or part), owner, part, kind, **given)


def _template(value: Any, part: str, make: Callable[..., Place]) -> Place:
    text, sort = str(getattr(value, part)), str(value.template_format)
    names = variables(text, sort)
    words = re.sub(r"\{[^{}]*\}", "", text)
    given = {*value.partial_variables, *(value.input_variables if part != "template" else ())}
    keep = ", ".join(f"{{{name}}}" for name in names)
    more = ", ".join(f"{{{name}}}" for name in sorted(given - {*names}))
    return make(
        part, "prompt" if re.search(r"\w", words) else "text",  # "{question}" says nothing itself
        check=template_check(text, sort, given),
        constraint=f"A template ({sort})"
        + (f". Keep {keep}; invent no other." if names else " without variables.")
        + (f" You may use {more}." if more else ""),
    )  # fmt: skip


def _examples(value: Any, make: Callable[..., Place]) -> Iterator[Place]:
    if value.examples is not None:
        yield make("examples", "demos", decode=jsonable, constraint=_DEMOS)


def _tool(tool: BaseTool, make: Callable[..., Place]) -> Iterator[Place]:
    yield make(
        "description", "description", check=not_empty, constraint=_TOOL,
        description=f"description of the tool {tool.name}",
    )  # fmt: skip
    for name in descriptions(tool.args_schema):
        yield make(
            "args_schema", "description", f"args.{name}", check=not_empty,
            decode=functools.partial(description_of, name), constraint=_ARGUMENT,
            encode=functools.partial(with_description, name),
            description=f"description of the argument {name} of the tool {tool.name}",
        )  # fmt: skip


def _function(function: types.FunctionType, make: Callable[..., Place]) -> Iterator[Place]:
    users = is_users(function)
    for name, held in parts(function).items():
        if not isinstance(held, str) or not held.strip():
            continue
        sort, _, variable = name.partition(".")
        hinted = bool(_PROMPT_LIKE.search(variable)) and sort != "text"
        if hinted or (users and (" " in held.strip())):
            kind = "prompt" if hinted else "text"
            yield make(name, kind, name if sort == "text" else variable, check=not_empty)
    source = trainable_source(function) if users else ""
    if source:
        free = function.__code__.co_freevars
        yield make(
            SOURCE, "code", "code", description=first_line(function),
            check=functools.partial(_refusal, source, free),
            constraint=f"Must define {function.__name__} with the same arguments.",
        )  # fmt: skip


def trainable_source(function: types.FunctionType) -> str:
    """The source of a function, or nothing for one that has none of its own (a lambda)."""
    try:
        return source_of(function)
    except ValueError:
        return ""


def _refusal(source: str, free: tuple[str, ...], changed: object) -> str | None:
    return signature_refusal(source, free, str(changed))


def _settings(held: Mapping[str, object], make: Callable[..., Place]) -> Iterator[Place]:
    for name, (least, most) in _SETTINGS.items():
        value = held.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            yield make(name, "number", bounds=(min(least, value), max(most, value)))
