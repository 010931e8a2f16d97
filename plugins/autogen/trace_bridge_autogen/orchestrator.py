"""What MagenticOne's orchestrator does by methods of its own, seen and with other prompts."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

from autogen_agentchat.messages import BaseChatMessage

from trace_bridge import SeamPlace, current_call
from trace_bridge_autogen import magentic
from trace_bridge_autogen.running import attached


def places() -> Iterator[SeamPlace]:
    """The seams on its private methods (AutoGen 0.7)."""
    yield magentic.Orchestrator, "_thread_to_context", _thread
    for name in magentic.NAMES:
        make = functools.partial(_filled, f"{name}_prompt")
        yield magentic.Orchestrator, f"_get_{name}_prompt", make


def _filled(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def fill(self: Any, *args: Any, **kwargs: Any) -> Any:
        where = attached()
        team = None if where is None else where.team(self)
        text = None if where is None or team is None else where.texts(team).get(name)
        if text is None:
            return original(self, *args, **kwargs)
        return magentic.filling(original, text)(self, *args, **kwargs)

    return fill


def _thread(original: Callable[..., Any]) -> Callable[..., Any]:
    def _thread_to_context(self: Any) -> Any:
        context = original(self)
        where = attached()
        if where is not None and current_call() is not None:
            said = [m for m in self._message_thread if isinstance(m, BaseChatMessage)]
            if len(said) == len(context):
                for message, made in zip(said, context, strict=True):
                    maker = where.maker(message)
                    if maker is not None:
                        where.bind(made, maker)
        return context

    return _thread_to_context
