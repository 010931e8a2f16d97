"""Seams that record components: prompts, models, tools, retrievers, parsers, functions.

Each looks up one context variable, and is the original method where nothing is recorded. The
original runs on what stands for the object in the current run: a copy with other values, or itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

from langchain_core.prompt_values import ChatPromptValue
from langchain_core.runnables.config import var_child_runnable_config

from trace_bridge import Call, current_call
from trace_bridge_langchain import models
from trace_bridge_langchain.discovery import own_name
from trace_bridge_langchain.layout import (
    UNKNOWN,
    Site,
    called_by,
    is_users_function,
    runs_users_code,
)
from trace_bridge_langchain.made import site_of_made
from trace_bridge_langchain.outcomes import returned, tracked
from trace_bridge_langchain.running import Attached, attached, met
from trace_bridge_langchain.shared import givers
from trace_bridge_langchain.states import Reads, plain

Method = Callable[..., Any]


def op_of(site: Site, value: Any, call: Call) -> str:
    """The name of a component in the graph: its path, or in a function its name below that."""
    op = site.op or own_name(value) or type(value).__name__
    return op if call.parent is None else f"{call.op}.{op.rpartition('.')[2]}"


def given_to(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> object:
    """The input: of ``invoke(input)``, or of a tool's ``run(tool_input)``."""
    return args[0] if args else kwargs.get("input", kwargs.get("tool_input"))


def inputs_of(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Mapping[str, object]:
    """What went into a component, by name."""
    given = args[0] if args else given_to(args, kwargs)
    if isinstance(given, dict) and given:
        return cast("dict[str, object]", given)
    return {"input": given}


def read_of(site: Site, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Mapping[str, object]:
    """``inputs_of``, less what a prompt does not fill in."""
    given = args[0] if args else given_to(args, kwargs)
    if not (isinstance(given, dict) and given):
        return {"input": given}
    inputs, reads = cast("dict[str, object]", given), site.reads
    if reads is None or reads >= inputs.keys():
        return inputs
    return {name: value for name, value in inputs.items() if name in reads}


def chosen(where: Attached, made: Call) -> None:
    """Note the router that chose the graph node of which ``made`` is the outermost call."""
    if made.parent is None or made.parent.parent is not None:
        return
    config = var_child_runnable_config.get() or {}
    cause = where.causes.get(str((config.get("metadata") or {}).get("langgraph_node")))
    if cause is not None and cause is not made:
        made.because(cause)


Shown = Callable[[Any, Mapping[str, object]], Mapping[str, object] | None]


def component(original: Method, shown: Shown | None = None) -> Method:
    """A seam for ``invoke(input, ...)`` and its like.

    Args:
        original: the method.
        shown: what to show of an output, as fields; the output itself if it is not given.
    """

    def seam(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        call = current_call()
        if call is None:
            if len(args) == 2 and not kwargs:  # as chains call: nothing has to be unpacked
                return original(self, args[0], args[1])
            return original(self, *args, **kwargs)
        own, site, where = met(self)
        if site is UNKNOWN and shown is not None and where is not None:
            site = site_of_made(self, where)
        with call.component(
            op_of(site, self, call),
            read_of(site, args, kwargs),
            site.parameters,
            site.description,
        ) as made:
            if where is not None and where.causes:
                chosen(where, made)
            if shown is not None:
                causes = givers(made)
                if causes:
                    made.because(*causes)
            output = original(own, *args, **kwargs)
            made.returns(output, None if shown is None else shown(output, made.inputs))
        return output

    return seam


def acomponent(original: Method, shown: Shown | None = None) -> Method:
    """``component`` for a coroutine function."""

    async def seam(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        call = current_call()
        if call is None:
            return await original(self, *args, **kwargs)
        own, site, where = met(self)
        if site is UNKNOWN and shown is not None and where is not None:
            site = site_of_made(self, where)
        with call.component(
            op_of(site, self, call),
            read_of(site, args, kwargs),
            site.parameters,
            site.description,
        ) as made:
            if where is not None and where.causes:
                chosen(where, made)
            if shown is not None:
                causes = givers(made)
                if causes:
                    made.because(*causes)
            output = await original(own, *args, **kwargs)
            made.returns(output, None if shown is None else shown(output, made.inputs))
        return output

    return seam


def prepared(original: Method) -> Method:
    """A seam for ``prepare`` of what can be configured: ``with_config`` makes a new one of it."""

    def seam(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        runnable, config = original(self, *args, **kwargs)
        where = attached()
        return (runnable if where is None else where.find(runnable)), config

    return seam


def prompt(original: Method) -> Method:
    """``component`` for prompts."""
    return component(original, _own_messages)


def aprompt(original: Method) -> Method:
    """``acomponent`` for prompts."""
    return acomponent(original, _own_messages)


def _own_messages(output: object, inputs: Mapping[str, object]) -> Mapping[str, object] | None:
    """A prompt's own messages: those that it was given, somebody else has made."""
    if not isinstance(output, ChatPromptValue):
        return None
    lists = [_items(value) for value in inputs.values() if isinstance(value, list)]
    if not lists:
        return {"": output.messages}
    given = {id(message) for held in lists for message in held}
    return {"": [message for message in output.messages if id(message) not in given]}


def _items(values: object) -> list[object]:
    return cast("list[object]", values)


# ---------------------------------------------------------------------------- models


def met_model(self: Any, kwargs: Mapping[str, Any]) -> tuple[Any, Site, Attached | None]:
    """As ``met``: a model reads its settings, and the numbers and tools that are bound to it."""
    own, site, where = met(self)
    if where is None or not kwargs:
        return own, site, where
    layout = where.layout
    read = dict(site.parameters)
    for name, parameters in layout.settings.get(where.copy.original(self), {}).items():
        read.update((name, p) for p in parameters if p.peek() == kwargs.get(name))
    for tool in kwargs.get("tools") or ():
        read.update(layout.tools.get(_tool_name(tool), {}))
    return own, Site(site.op, site.description, read), where


def _tool_name(tool: Any) -> str:
    if not isinstance(tool, dict):
        return str(getattr(tool, "name", ""))
    held = cast("dict[str, Any]", tool)
    return str(held.get("name") or (held.get("function") or {}).get("name") or "")


def model(original: Method) -> Method:
    """A seam for ``invoke`` of models."""

    def seam(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        call = current_call()
        if call is None:
            if len(args) == 2 and not kwargs:  # as chains call: nothing has to be unpacked
                return original(self, args[0], args[1])
            return original(self, *args, **kwargs)
        own, site, where = met_model(self, kwargs)
        given = given_to(args, kwargs)
        with call.component(op_of(site, self, call), {"input": given}, site.parameters) as made:
            if where is not None and where.causes:
                chosen(where, made)
            output = original(own, *args, **kwargs)
            made.returns(output)
        return output

    return seam


def amodel(original: Method) -> Method:
    """``model`` for ``ainvoke``."""

    async def seam(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        call = current_call()
        if call is None:
            return await original(self, *args, **kwargs)
        own, site, where = met_model(self, kwargs)
        given = given_to(args, kwargs)
        with call.component(op_of(site, self, call), {"input": given}, site.parameters) as made:
            if where is not None and where.causes:
                chosen(where, made)
            output = await original(own, *args, **kwargs)
            made.returns(output)
        return output

    return seam


def generate(original: Method) -> Method:
    """A seam for ``_generate_with_cache``, through which every chat call but ``stream`` goes."""

    def seam(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if models.unattended():
            return original(self, *args, **kwargs)
        with models.metered(self) as call:
            own, watch = models.watched(self)
            result = original(own, *args, **kwargs)
            call.usage = models.usage_of(result, cached=watch is not None and watch.hit)
        return result

    return seam


def agenerate(original: Method) -> Method:
    """``generate`` for ``_agenerate_with_cache``."""

    async def seam(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if models.unattended():
            return await original(self, *args, **kwargs)
        with models.metered(self) as call:
            own, watch = models.watched(self)
            result = await original(own, *args, **kwargs)
            call.usage = models.usage_of(result, cached=watch is not None and watch.hit)
        return result

    return seam


def generate_texts(original: Method) -> Method:
    """A seam for ``_generate_helper`` of an LLM that is no chat model, for several prompts."""

    def seam(self: Any, prompts: list[str], *args: Any, **kwargs: Any) -> Any:
        with models.metered(self, len(prompts)) as call:
            result = original(self, prompts, *args, **kwargs)
            call.usage = replace(models.usage_of(result), calls=len(prompts))
        return result

    return seam


def agenerate_texts(original: Method) -> Method:
    """``generate_texts`` for ``_agenerate_helper``."""

    async def seam(self: Any, prompts: list[str], *args: Any, **kwargs: Any) -> Any:
        with models.metered(self, len(prompts)) as call:
            result = await original(self, prompts, *args, **kwargs)
            call.usage = replace(models.usage_of(result), calls=len(prompts))
        return result

    return seam


# ---------------------------------------------------------------------------- functions


def is_component(self: Any, site: Site) -> bool:
    """Whether a runnable over a function is the user's, and not a part of the framework."""
    if site.is_users or site.parameters or site.ends is not None:
        return True
    return site is UNKNOWN and runs_users_code(self)


def _met_function(self: Any) -> tuple[Any, Site | None, Attached | None]:
    """As ``met``; no site for what is no component.

    LangGraph makes new runnables on the way: for each call of a task, and some of its own.
    """
    own, site, where = met(self)
    if site is UNKNOWN:
        called = called_by(self)
        site = met(called)[1]
        if site is UNKNOWN:
            return own, site if is_users_function(called) else None, where
    return own, site if is_component(self, site) else None, where


def function(original: Method) -> Method:
    """A seam for ``invoke`` of a lambda or of a graph's node."""

    def seam(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        call = current_call()
        if call is None:
            return original(self, *args, **kwargs)
        own, site, where = _met_function(self)
        if site is None:
            return original(own, *args, **kwargs)
        given, inputs = tracked(self, site, args[0] if args else kwargs.pop("input"))
        with call.component(
            op_of(site, self, call), inputs, site.parameters, site.description
        ) as made:
            if where is not None and where.causes:
                chosen(where, made)
            output = original(own, given, *args[1:], **kwargs)
            if isinstance(inputs, Reads):
                output = plain(output)
            returned(site, where, made, output)
        return output

    return seam


def afunction(original: Method) -> Method:
    """``function`` for ``ainvoke``."""

    async def seam(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        call = current_call()
        if call is None:
            return await original(self, *args, **kwargs)
        own, site, where = _met_function(self)
        if site is None:
            return await original(own, *args, **kwargs)
        given, inputs = tracked(self, site, args[0] if args else kwargs.pop("input"))
        with call.component(
            op_of(site, self, call), inputs, site.parameters, site.description
        ) as made:
            if where is not None and where.causes:
                chosen(where, made)
            output = await original(own, given, *args[1:], **kwargs)
            if isinstance(inputs, Reads):
                output = plain(output)
            returned(site, where, made, output)
        return output

    return seam
