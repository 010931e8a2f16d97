"""Runs of teams, and how they choose who speaks."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Sequence
from contextlib import contextmanager
from contextvars import Context, copy_context
from typing import Any, cast

from autogen_agentchat.base import TaskResult
from autogen_agentchat.messages import BaseAgentEvent, BaseChatMessage, TextMessage
from autogen_agentchat.teams import BaseGroupChat, MagenticOneGroupChat
from autogen_agentchat.teams._group_chat._base_group_chat_manager import BaseGroupChatManager
from autogen_agentchat.teams._group_chat._sequential_routed_agent import SequentialRoutedAgent

from trace_bridge import Call, current_call, seams_installed
from trace_bridge_autogen.examples import shown
from trace_bridge_autogen.models import single, stands_in
from trace_bridge_autogen.running import Attached, Scope, attached
from trace_bridge_autogen.turns import stepwise

# Contexts of runs on a runtime that the user has started, by the id of the team: such a runtime
# handles messages in tasks that know nothing of the run.
_elsewhere: dict[str, Context] = {}


def run_stream(original: Callable[..., Any]) -> Callable[..., Any]:
    """The seam of ``BaseGroupChat.run_stream``."""

    def run_stream(self: BaseGroupChat, *args: Any, **kwargs: Any) -> Any:
        where, call = attached(), current_call()
        if where is None or call is None:
            return original(self, *args, **kwargs)
        return _run(where, call, self, kwargs.get("task"), lambda: original(self, *args, **kwargs))

    return run_stream


async def _run(
    where: Attached, outer: Call, team: BaseGroupChat, task: object,
    begin: Callable[[], AsyncGenerator[Any]],
) -> AsyncGenerator[Any]:  # fmt: skip
    where.begins(outer)
    given = cast("list[object]", task) if isinstance(task, list) else [task]
    inputs = {"task": single([where.origin(m) for m in given])} if task is not None else {}
    call = outer.component(where.op(team), inputs, where.read(team, "run"))
    around = where.scope(outer)
    scope = where.opened(call, team)
    if around is not None and isinstance(around.owner, BaseGroupChat):
        cause = around.causes.get(team.name)
        scope.chosen = around.chosen if cause is None else (*around.chosen, cause)
        call.because(*scope.chosen)
    if isinstance(team, MagenticOneGroupChat):  # which does not keep its task in its thread
        scope.thread += [
            TextMessage(content=m, source="user") if isinstance(m, str) else m
            for m in given
            if isinstance(m, (str, BaseChatMessage))
        ]

    def seen(item: object) -> None:
        if isinstance(item, TaskResult):
            _returned(where, call, item)
            call.end()

    with _found_elsewhere(call, team):
        async for item in stepwise(call, begin, seen):
            yield item


@contextmanager
def _found_elsewhere(call: Call, team: BaseGroupChat) -> Generator[None]:
    """Let the handlers of a runtime that the user has started find back to ``call``."""
    if team._embedded_runtime:
        yield
        return
    with call.entered():
        _elsewhere[team._team_id] = copy_context()
    try:
        with seams_installed(lambda: [(SequentialRoutedAgent, "on_message_impl", on_message_impl)]):
            yield
    finally:
        _elsewhere.pop(team._team_id, None)


def _returned(where: Attached, call: Call, result: TaskResult) -> None:
    said = [m for m in result.messages if isinstance(m, BaseChatMessage)]
    origins = {id(origin): origin for origin in map(where.origin, said)}
    call.returns(result, {"": shown(result)}, list(origins.values()))


def select_speaker(original: Callable[..., Any]) -> Callable[..., Any]:
    """The seam of ``BaseGroupChatManager.select_speaker``, where it chooses by what was said."""

    async def select_speaker(self: BaseGroupChatManager, thread: Any) -> Any:
        where, call = attached(), current_call()
        scope = None if where is None else where.scope(call)
        if where is None or call is None or scope is None:
            return await original(self, thread)
        inputs = _considered(where, self, thread)
        parameters = where.read(scope.owner, "select")
        with call.component(f"{where.op(scope.owner)}/select", inputs, parameters) as made:
            chosen = await original(self, thread)
            made.returns(chosen)
        for name in [chosen] if isinstance(chosen, str) else chosen:
            scope.causes[name] = made
        return chosen

    return select_speaker


def _considered(where: Attached, manager: Any, thread: Sequence[object]) -> dict[str, object]:
    """What a choice looks at besides the prompt of a model."""
    functions = ("_selector_func", "_candidate_func")
    graph = getattr(manager, "_graph", None)
    if graph is not None:
        edges = [edge for node in graph.nodes.values() for edge in node.edges]
        if not any(edge.condition or edge.condition_function for edge in edges):
            return {}
    elif not any(getattr(manager, name, None) for name in functions) and hasattr(
        manager, "_selector_prompt"
    ):
        return {}
    heard = [message for message in thread if isinstance(message, BaseChatMessage)]
    return {f"message.{at}": where.origin(message) for at, message in enumerate(heard, 1)}


def update_message_thread(original: Callable[..., Any]) -> Callable[..., Any]:
    """The seam of ``BaseGroupChatManager.update_message_thread``: what is said in a team."""

    async def update_message_thread(self: BaseGroupChatManager, messages: Any) -> Any:
        where, call = attached(), current_call()
        scope = None if where is None else where.scope(call)
        if where is not None and call is not None and scope is not None:
            for message in messages:
                if message.source == self._name and where.maker(message) is None:
                    _written(where, scope, message)
            scope.thread.extend(messages)
        return await original(self, messages)

    return update_message_thread


def _written(where: Attached, scope: Scope, message: BaseAgentEvent | BaseChatMessage) -> None:
    """Note a message that a team's manager wrote itself: from what its model has said."""
    text = message.to_text()
    said = [c for c in scope.models if _within(str(c.fields.get("", "")), text)]
    last = scope.models[-1:]
    inputs = {f"part.{at}": call for at, call in enumerate(said or last, 1)}
    at = where.at(scope.owner)
    layout = where.layout
    places = [] if at is None else layout.read(at, "text")
    stand = [p for p in places if stands_in(str(where.value(p)), [text]) is not None]
    parameters = {} if at is None else layout.of(stand, at)
    with scope.call.component(f"{where.op(scope.owner)}/message", inputs, parameters) as made:
        made.returns(message, {"": text})
    where.made(message, made)
    _chosen(scope, last)


def _within(said: str, text: str) -> bool:
    return bool(said.strip()) and said.strip() in text


def _chosen(scope: Scope, last: Sequence[Call]) -> None:
    """MagenticOne's model names the next speaker where it says what that one has to do."""
    for call in last:
        scope.causes.clear()
        names = [agent.name for agent in cast("Any", scope.owner)._participants]
        said = str(call.fields.get("", ""))
        if "next_speaker" in said:
            scope.causes.update(dict.fromkeys(names, call))


def on_message_impl(original: Callable[..., Any]) -> Callable[..., Any]:
    """The seam of ``SequentialRoutedAgent.on_message_impl``: finds back to the run."""

    def on_message_impl(self: Any, message: Any, ctx: Any) -> Any:
        work = original(self, message, ctx)
        if attached() is not None:
            return work
        context = next((c for key, c in _elsewhere.items() if key in self.id.type), None)
        return work if context is None else _inside(context, work)

    return on_message_impl


async def _inside(context: Context, work: Coroutine[Any, Any, Any]) -> Any:
    own = context.copy()
    for variable, value in copy_context().items():  # the handler's own id, for one
        own.run(_set_if_absent, variable, value)
    return await asyncio.get_running_loop().create_task(work, context=own)


def _set_if_absent(variable: Any, value: object) -> None:
    if variable.name == "_MESSAGE_HANDLER_CONTEXT":
        variable.set(value)
