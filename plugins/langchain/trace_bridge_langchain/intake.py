"""What an agent's ``invoke`` takes, as far as the agent says so itself."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from langchain_core.language_models import BaseLanguageModel
from langchain_core.output_parsers import BaseOutputParser
from langchain_core.prompts import BasePromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import (
    RouterRunnable,
    RunnableAssign,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
    RunnablePick,
    RunnableSequence,
)
from langchain_core.tools import BaseTool


@dataclass(frozen=True, slots=True)
class Intake:
    """What ``invoke`` takes. With nothing set, nothing is known.

    Attributes:
        required: names without which it fails.
        names: all names that it reads.
        bare: it takes one value: a text, or messages.
        closed: ``names`` were declared as inputs, so that a label among them is an input.
    """

    required: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    bare: bool = False
    closed: bool = False

    def only(self) -> str | None:
        """The one name that a lone value can only be meant for."""
        if self.required:
            return next(iter(self.required)) if len(self.required) == 1 else None
        if "messages" in self.names:
            return "messages"
        return next(iter(self.names)) if len(self.names) == 1 else None


_UNKNOWN, _BARE = Intake(), Intake(bare=True)
_TAKE_ONE = (BaseLanguageModel, BaseRetriever, BaseOutputParser)
_WRAPPERS = {
    "RunnableBindingBase": "bound", "RunnableWithFallbacks": "runnable",
    "DynamicRunnable": "default",
}  # fmt: skip


def intake_of(agent: Any) -> Intake:
    """What ``agent`` takes.

    ``get_input_schema()`` is not asked: it reads the source of functions for keys, misses those
    that other functions read, and fails for some runnables.
    """
    if isinstance(agent, BasePromptTemplate):
        names = frozenset(agent.input_variables)
        return Intake(names, names | set(agent.optional_variables), closed=True)
    if isinstance(agent, _TAKE_ONE):
        return _BARE
    if isinstance(agent, RunnableSequence):
        return _of_steps(cast("list[Any]", agent.steps))
    if isinstance(agent, RunnableParallel):
        return _of_parallel(list(agent.steps__.values()))
    if isinstance(agent, RunnablePick):
        return _declared({agent.keys} if isinstance(agent.keys, str) else set(agent.keys))
    if isinstance(agent, RouterRunnable):
        return _declared({"key", "input"})
    if isinstance(agent, RunnableLambda):
        return _of_function(getattr(agent, "func", None) or getattr(agent, "afunc", None))
    if isinstance(agent, BaseTool):
        names = frozenset(agent.args)
        return Intake(names if len(names) == 1 else frozenset(), names, closed=True)
    if isinstance(key := getattr(agent, "input_messages_key", None), str):  # with a history
        return _declared({key})
    if getattr(getattr(agent, "builder", None), "schemas", None):
        return _of_graph(agent.builder)
    return _of_wrapper(agent)


def _declared(names: set[str]) -> Intake:
    return Intake(frozenset(names), frozenset(names), closed=True)


def _of_wrapper(agent: Any) -> Intake:
    """Bindings, retries, fallbacks and configurable runnables take what they hold takes."""
    kinds = {kind.__name__ for kind in type(agent).__mro__}
    if "RunnableEachBase" in kinds:  # a list of it
        return _UNKNOWN
    held = next((name for kind, name in _WRAPPERS.items() if kind in kinds), None)
    return _UNKNOWN if held is None else intake_of(getattr(agent, held, None))


def _of_steps(steps: list[Any]) -> Intake:
    """The first step's; what is assigned on the way need not be given."""
    first = steps[0]
    if not isinstance(first, RunnableAssign):
        return intake_of(first)
    own, rest = intake_of(first.mapper), _of_steps(steps[1:]) if len(steps) > 1 else _UNKNOWN
    if not rest.names:
        return _UNKNOWN  # it gets all names, and may read any
    made = set(first.mapper.steps__)
    later = Intake(rest.required - made, rest.names - made, closed=rest.closed)
    return _together([own, later] if later.names else [own])


def _of_parallel(steps: list[Any]) -> Intake:
    """The branches'; what is merely passed on is a lone value, if no other branch says more."""
    telling = [intake_of(step) for step in steps if type(step) is not RunnablePassthrough]
    if not telling:
        return _BARE
    found = _together(telling)
    return found if len(telling) == len(steps) else replace(found, closed=False)


def _together(found: list[Intake]) -> Intake:
    """What is taken by runnables that get the same input."""
    if any(one.bare for one in found) and not any(one.names for one in found):
        return _BARE
    if not found or not all(one.names for one in found):
        return _UNKNOWN
    return Intake(
        frozenset[str]().union(*(one.required for one in found)),
        frozenset[str]().union(*(one.names for one in found)),
        closed=all(one.closed for one in found),
    )


def _of_function(function: Callable[..., Any] | None) -> Intake:
    if isinstance(function, operator.itemgetter):
        keys = cast("tuple[object, ...]", function.__reduce__()[1])
        names = {key for key in keys if isinstance(key, str)}
        return _declared(names) if names else _UNKNOWN
    try:
        first = next(iter(inspect.signature(cast("Any", function)).parameters.values()))
    except (StopIteration, TypeError, ValueError):
        return _UNKNOWN
    return _BARE if first.annotation in (str, "str") else _UNKNOWN


def _of_graph(builder: Any) -> Intake:
    """The keys of the input's schema; none is required, and a state's label is an output."""
    schema = getattr(builder, "input_schema", None) or getattr(builder, "input", None)
    keys = cast("Mapping[Any, Mapping[str, object]]", builder.schemas).get(schema) or {}
    names = frozenset(str(key) for key in keys)
    if names == frozenset({"__root__"}):
        return _BARE
    state = getattr(builder, "state_schema", None) or getattr(builder, "schema", None)
    return Intake(names=names, closed=schema is not state)
