"""Turns of agents, and how chat messages become what models receive."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, cast

from autogen_agentchat.agents import BaseChatAgent
from autogen_agentchat.base import Response
from autogen_agentchat.messages import BaseChatMessage, HandoffMessage, ToolCallSummaryMessage
from autogen_core.models import AssistantMessage, FunctionExecutionResultMessage, LLMMessage

from trace_bridge import Call, Node, current_call
from trace_bridge_autogen.models import said_by
from trace_bridge_autogen.running import Attached, Scope, attached

_END = object()  # after the last item of a stream


class Turn:
    """One turn of an agent.

    It is driven step by step, and entered only while the agent itself works: whoever consumes the
    stream runs in the same context in between.
    """

    def __init__(
        self, where: Attached, outer: Call, around: Scope | None, agent: Any,
        messages: Sequence[BaseChatMessage],
    ) -> None:  # fmt: skip
        self.where = where
        framework = type(agent).__module__.startswith("autogen_agentchat.")
        # what AutoGen's own agents do with the messages is seen at their model calls
        inputs: dict[str, object] = {}
        if not framework:
            heard = enumerate(messages, 1)
            inputs = {f"message.{at}": where.origin(message) for at, message in heard}
        # the code of somebody's own agent may use its texts as it likes
        parameters = {} if framework else where.read(agent, "text", "tools", "summary")
        self.call = outer.component(where.op(agent), inputs, parameters, agent.description)
        if around is not None:
            if agent.name in around.causes:
                self.call.because(around.causes[agent.name])
            if around.chosen:
                self.call.because(*around.chosen)
        self.scope = where.opened(self.call, agent)
        self._remember(agent)
        if not framework:
            self.scope.thread = where.heard(agent)
            self.scope.thread.extend(messages)

    def _remember(self, agent: Any) -> None:
        """What an agent keeps that was not seen here was said before anything was recorded."""
        context = getattr(agent, "_model_context", None)
        for message in reversed(cast("list[LLMMessage]", getattr(context, "_messages", ()))):
            if self.where.bound(message) is not None:
                break  # and so is what came before
            self.where.bind(message, Node(message.content, "history"))

    def sees(self, item: object) -> None:
        """Note what the agent yields."""
        if isinstance(item, Response):
            if self.call.ended < 0:
                self.answered(item)
        else:
            self.where.made(item, self.call)

    def answered(self, response: Response) -> None:
        """Note the response: the turn is over, whatever the agent still does."""
        message = response.chat_message
        for inner in response.inner_messages or ():
            self.where.made(inner, self.call)
        self.where.made(message, self.call)
        self.scope.thread.append(message)
        if self.scope.results:  # else no setting for tools had a say
            summed = isinstance(message, ToolCallSummaryMessage)
            readers = ("tools", "summary") if summed else ("tools",)
            own = self.where.read(self.scope.owner, *readers)
            self.call.parameters = {**(self.call.parameters or {}), **own}
        self.call.returns(response, {"": message.to_text()}, self._made_of(message))
        self.call.yields(response)
        self.call.end()

    def _made_of(self, message: BaseChatMessage) -> object:
        """What the response was made of, where AutoGen's own agents say so."""
        scope = self.scope
        results = list(scope.results.values())
        if isinstance(message, ToolCallSummaryMessage):
            calls = [scope.results.get(wish.id) for wish in message.tool_calls]
            return [call for call in calls if call is not None] or results or None
        if isinstance(message, HandoffMessage):
            return results or None
        if (model := said_by(scope, message.to_model_text())) is not None:
            return [model]
        if type(message).__name__.startswith("StructuredMessage") and scope.models:
            return [scope.models[-1]]
        return None

    def failed(self, error: BaseException) -> None:
        """It has raised."""
        if isinstance(error, Exception):
            self.where.failed(error)

    def ended(self, error: BaseException | None = None) -> None:
        """It is over, perhaps by an exception."""
        if error is not None:
            self.failed(error)
        if self.call.ended < 0:
            self.call.end(error)


def _turn(agent: object, messages: Sequence[BaseChatMessage]) -> Turn | None:
    """The turn that begins now; None if nothing is recorded, or the agent is in its turn already.

    An agent's ``on_messages`` may use its own ``on_messages_stream``, and that of its base class.
    """
    where, call = attached(), current_call()
    if where is None or call is None:
        return None
    where.begins(call)
    scope = where.scope(call)
    if scope is not None and scope.owner is agent and scope.call.ended < 0:
        return None
    return Turn(where, call, scope, agent, messages)


def on_messages(original: Callable[..., Any]) -> Callable[..., Any]:
    """The seam of ``BaseChatAgent.on_messages``."""

    async def on_messages(self: BaseChatAgent, messages: Any, *args: Any, **kwargs: Any) -> Any:
        turn = _turn(self, messages)
        if turn is None:
            return await original(self, messages, *args, **kwargs)
        try:
            with turn.call.entered():
                response = await original(self, messages, *args, **kwargs)
            turn.sees(response)
        except BaseException as error:
            turn.ended(error)
            raise
        turn.ended()
        return response

    return on_messages


def on_messages_stream(original: Callable[..., Any]) -> Callable[..., Any]:
    """The seam of ``BaseChatAgent.on_messages_stream``."""

    def on_messages_stream(self: BaseChatAgent, messages: Any, *args: Any, **kwargs: Any) -> Any:
        turn = _turn(self, messages)
        if turn is None:
            return original(self, messages, *args, **kwargs)
        begin = functools.partial(original, self, messages, *args, **kwargs)
        return stepwise(turn.call, begin, turn.sees, turn.failed)

    return on_messages_stream


async def stepwise(
    call: Call, begin: Callable[[], AsyncGenerator[Any]], seen: Callable[[Any], object],
    failed: Callable[[Exception], object] | None = None,
) -> AsyncGenerator[Any]:  # fmt: skip
    """What an asynchronous generator yields, with ``call`` entered only while it works.

    ``seen`` is told each item before it is passed on, and may end the call; it ends with the
    generator at the latest.
    """
    item: Any = None
    try:
        entered = call.entered()
        with entered:
            stream = begin()
        try:
            while True:
                with entered:
                    item = await anext(stream, _END)
                if item is _END:
                    break
                seen(item)
                yield item
        finally:
            if item is not _END:
                with entered:
                    await stream.aclose()
    except BaseException as error:
        if failed is not None and isinstance(error, Exception):
            failed(error)
        if call.ended < 0:
            call.end(error)
        raise
    if call.ended < 0:
        call.end()


def to_model_message(original: Callable[..., Any]) -> Callable[..., Any]:
    """The seam of ``BaseChatMessage.to_model_message``: binds the model's message to the chat's."""

    def to_model_message(self: BaseChatMessage) -> Any:
        made = original(self)
        where = attached()
        if where is not None and current_call() is not None:
            maker = where.maker(self)
            where.bind(made, self.to_model_text() if maker is None else maker)
        return made

    return to_model_message


def add_message(original: Callable[..., Any]) -> Callable[..., Any]:
    """The seam of ``ChatCompletionContext.add_message``: what agents add themselves."""

    async def add_message(self: Any, message: Any) -> Any:
        where, call = attached(), current_call()
        if where is not None and call is not None:
            _added(where, call, message)
        return await original(self, message)

    return add_message


def _added(where: Attached, call: Call, message: object) -> None:
    scope = where.scopes.get(id(call))
    if scope is None:  # a memory adds what it remembers
        where.bind(message, call)
        return
    if isinstance(message, FunctionExecutionResultMessage):
        _bind_results(where, scope, message)
    elif isinstance(message, AssistantMessage) and where.bound(message) is None:
        model = said_by(scope, message.content)
        if model is not None:
            where.bind(message, model)


def _bind_results(where: Attached, scope: Scope, message: FunctionExecutionResultMessage) -> None:
    for result in message.content:
        call = scope.results.get(result.call_id)
        if where.bound(result) is None and call is not None:
            where.bind(result, call)
    origins: list[Call | Node | str] = []
    for result in message.content:
        bound = where.bound(result)
        origins.append(result.content if bound is None or isinstance(bound, list) else bound)
    where.bind(message, origins)
