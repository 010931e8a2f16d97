"""Model calls: announced before they are paid, linked to what the model really received."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import re
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self, cast

from autogen_agentchat.messages import BaseChatMessage
from autogen_agentchat.teams import BaseGroupChat, MagenticOneGroupChat
from autogen_core.models import (
    AssistantMessage,
    ChatCompletionClient,
    CreateResult,
    FunctionExecutionResultMessage,
    LLMMessage,
    SystemMessage,
    UserMessage,
)

from trace_bridge import (
    Call,
    Message,
    ModelCall,
    Reply,
    Usage,
    current_call,
    gate,
    model_call,
    refused,
)
from trace_bridge_autogen.running import Attached, Own, Received, Scope, attached
from trace_bridge_autogen.slots import Place

_FIELD = re.compile(r"(?<!\{)\{\w+\}(?!\})")

# Whoever asks a model in this context is behind the gate already: a cache, a replaying wrapper.
asking: ContextVar[bool] = ContextVar("trace_bridge_autogen_asking", default=False)


def model_name(client: object) -> str:
    """The name by which a client's calls are announced."""
    given = cast("Mapping[str, object]", getattr(client, "_create_args", None) or {})
    name = given.get("model") or getattr(client, "model", None)
    return name if isinstance(name, str) else type(client).__name__


def create(original: Callable[..., Any]) -> Callable[..., Any]:
    """The seam of ``ChatCompletionClient.create``."""

    async def create(self: ChatCompletionClient, *args: Any, **kwargs: Any) -> Any:
        call = current_call()
        if asking.get() or (call is None and gate.get() is None):
            return await original(self, *args, **kwargs)
        with _Asked(self, call, args, kwargs) as asked, _asking():
            client = _fresh(self, call)
            if client is self:
                result = await original(self, *args, **kwargs)
            else:
                result = await client.create(*args, **kwargs)
            asked.answered(result)
        return result

    return create


def create_stream(original: Callable[..., Any]) -> Callable[..., Any]:
    """The seam of ``ChatCompletionClient.create_stream``."""

    def create_stream(self: ChatCompletionClient, *args: Any, **kwargs: Any) -> Any:
        call = current_call()
        if asking.get() or (call is None and gate.get() is None):
            return original(self, *args, **kwargs)
        client = _fresh(self, call)
        if client is self:
            return _streamed(self, call, args, kwargs, lambda: original(self, *args, **kwargs))
        stream = client.create_stream
        return _streamed(self, call, args, kwargs, lambda: stream(*args, **kwargs))

    return create_stream


async def _streamed(
    client: ChatCompletionClient, call: Call | None, args: Any, kwargs: Any,
    begin: Callable[[], AsyncGenerator[Any]],
) -> AsyncGenerator[Any]:  # fmt: skip
    asked = _Asked(client, call, args, kwargs)
    with asked:  # by this generator, which may be driven from several contexts
        with _asking():
            stream = begin()
        try:
            while True:
                with _asking():
                    try:
                        piece = await anext(stream)
                    except StopAsyncIteration:
                        break
                if isinstance(piece, CreateResult):
                    asked.answered(piece)
                yield piece
        finally:
            with _asking():
                await stream.aclose()


def _fresh(client: Any, call: Call | None) -> Any:
    """The client to ask: in a repeated run, the one behind a response cache."""
    if call is None or call.recorder.repeat == 0:
        return client
    module = sys.modules.get("autogen_ext.models.cache")  # only there if it is in use
    while module is not None and isinstance(client, module.ChatCompletionCache):
        client = client.client
    return client


class _Asked:
    """One call of a model: behind the gate, and recorded where something is."""

    def __init__(
        self, client: ChatCompletionClient, call: Call | None, args: Any, kwargs: Any
    ) -> None:
        self.client = client
        messages = cast("Sequence[LLMMessage]", args[0] if args else kwargs.get("messages", ()))
        self.call: Call | None = None
        self.scope: Scope | None = None
        if call is not None:
            where = attached()
            self.scope = None if where is None else where.scope(call)
            self.call = _component(where, self.scope, call, messages, kwargs.get("tools") or ())
        self._gate: model_call | None = None
        self.paid: ModelCall | None = None

    def answered(self, result: CreateResult) -> None:
        """Note the result."""
        if self.paid is not None:
            self.paid.usage = usage_of(result)
        if self.call is None:
            return
        said = result.content
        self.call.returns(result, {"": said if isinstance(said, str) else _asking_for(said)})
        if self.scope is not None:
            self.scope.models.append(self.call)
            if not isinstance(said, str):
                self.scope.asked.update((wish.id, self.call) for wish in said)

    def __enter__(self) -> Self:
        if gate.get() is None:  # nobody counts: the name is not needed either
            return self
        self._gate = model_call(model_name(self.client))
        try:
            self.paid = self._gate.__enter__()
        except BaseException as error:
            self._ended(error)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if self.paid is not None and isinstance(error, Exception):
            self.paid.refused = refused(error)
        try:
            if self._gate is not None:
                self._gate.__exit__(kind, error, trace)
        finally:
            self._ended(error)

    def _ended(self, error: BaseException | None) -> None:
        if isinstance(error, Exception) and (where := attached()) is not None:
            where.failed(error)
        if self.call is not None:
            self.call.end(error)


class _asking(AbstractContextManager[None]):  # noqa: N801 (as those of the standard library)
    """A part of a call, where whoever asks a model is behind the gate already."""

    __slots__ = ("token",)

    def __enter__(self) -> None:
        self.token = asking.set(True)

    def __exit__(self, *_: object) -> None:
        asking.reset(self.token)


def usage_of(result: CreateResult) -> Usage:
    """What a result says that it has used."""
    used = result.usage
    if result.cached:
        return Usage(1, cached=1)
    return Usage(1, 0, used.prompt_tokens, used.completion_tokens)


def _asking_for(wishes: Sequence[Any]) -> str:
    return "\n".join(f"{wish.name}({wish.arguments})" for wish in wishes)


def _component(
    where: Attached | None, scope: Scope | None, call: Call, messages: Sequence[LLMMessage],
    tools: Sequence[Any],
) -> Call:  # fmt: skip
    if where is None or scope is None:
        inputs = {f"message.{at}": message.content for at, message in enumerate(messages, 1)}
        return call.component("model", inputs, {})
    own = _explained(where, scope, messages, tools)
    inputs = _inputs(where, scope, messages, own.texts)
    return call.component(f"{where.op(scope.owner)}/model", inputs, own.parameters)


def _inputs(
    where: Attached, scope: Scope, messages: Sequence[LLMMessage], texts: set[str]
) -> dict[str, object]:
    """What a model call was sent, but for ``texts``, by what it was made of.

    A conversation only grows: what the call before was sent, too, is not looked at again.
    """
    before = where.received.get(id(scope.owner))
    first, inputs = 0, dict[str, object]()
    if before is not None and before.begins(scope.owner, texts, messages):
        first, inputs = len(before.messages), before.inputs.copy()
    settled = True
    for at, message in enumerate(messages[first:], first + 1):
        if isinstance(message, SystemMessage) and message.content in texts:
            continue
        origin: object = where.bound(message)
        if not origin:
            origin, settled = _origin(where, scope, message), False
        if isinstance(origin, list):
            if not origin:
                continue
            origin = single(cast("list[object]", origin))
        inputs[f"message.{at}"] = origin
    if settled:
        where.received[id(scope.owner)] = Received(scope.owner, texts, tuple(messages), inputs)
    return inputs


def single(origin: object) -> object:
    """An origin, without a list around it if it is the only one."""
    if isinstance(origin, list) and len(cast("list[object]", origin)) == 1:
        return cast("list[object]", origin)[0]
    return cast("object", origin)


def _explained(
    where: Attached, scope: Scope, messages: Sequence[LLMMessage], tools: Sequence[Any]
) -> Own:
    """What a call reads of its owner: parameters, and messages that are nothing but these."""
    at = where.at(scope.owner)
    if at is None:
        return Own({}, set())
    first = messages[0] if messages else None
    known = where.explained.get(at)
    if known is not None and known[0] is first and not tools:
        return known[1]
    layout, places, own = where.layout, list[Place](), set[str]()
    if texts := layout.read(at, "text"):
        sent = [str(message.content) for message in messages]
        values = [str(where.value(place)) for place in texts]
        places += [
            place
            for place, value in zip(texts, values, strict=True)
            if stands_in(value, sent) is not None
        ]
        own.update(set(sent).intersection(values))
    told = list[SystemMessage]()
    if system := layout.read(at, "system"):
        told = list(getattr(scope.owner, "_system_messages", ()))
        said: set[object] = {message.content for message in told}
        own.update(message.content for message in told)
        if not told or any(isinstance(m, SystemMessage) and m.content in said for m in messages):
            places += system
    if tools:
        places += layout.tools(at, {_tool_name(tool) for tool in tools})
    found = Own(layout.of(places, at), own)
    if len(told) == 1 and told[0] is first and not texts and not tools:
        where.explained[at] = first, found
    return found


def _tool_name(tool: Any) -> str:
    return tool["name"] if isinstance(tool, Mapping) else str(tool.name)


def stands_in(template: str, sent: Sequence[str]) -> str | None:
    """The text that a template (or its words, between the fields) stands in."""
    pieces = [re.sub(r"\s+", " ", piece.strip()) for piece in _FIELD.split(template)]
    # a template that is filled in has {{ for a brace; a plain text may have two
    looks = [(piece, piece.replace("{{", "{").replace("}}", "}")) for piece in pieces if piece]
    if not looks:
        return None
    for text in sent:
        flat = re.sub(r"\s+", " ", text)
        if all(plain in flat or filled in flat for plain, filled in looks):
            return text
    return None


def _origin(where: Attached, scope: Scope, message: LLMMessage) -> object:
    """What a message that was not seen before is made of; itself where that cannot be told."""
    if isinstance(message, FunctionExecutionResultMessage):
        return [where.bound(result) or result.content for result in message.content]
    if isinstance(message, AssistantMessage):
        return said_by(scope, message.content) or message.content
    if isinstance(message.content, str):
        quoted = _quoted(where, scope, message.content)
        # what else stands in a prompt that a team writes is the template, which is a parameter
        if quoted or isinstance(scope.owner, BaseGroupChat):
            return quoted
    return message.content


def said_by(scope: Scope, content: object) -> Call | None:
    """The model call of a turn or team that said this, the newest first."""
    for call in reversed(scope.models):
        if call.output is not None and cast("CreateResult", call.output).content == content:
            return call
    return None


def _quoted(where: Attached, scope: Scope, text: str) -> list[object]:
    """The messages that a team or somebody's own agent has heard, and that its prompt quotes."""
    found: dict[int, object] = {}
    for message in scope.thread:
        if isinstance(message, BaseChatMessage):
            said = message.to_model_text().strip()
            if said and said in text:
                origin = where.maker(message) or said
                found[id(origin)] = origin
    if isinstance(scope.owner, MagenticOneGroupChat):  # facts, and a plan made from them
        for call in scope.models:
            said = str(call.fields.get("", "")).strip()
            if said and said in text:
                found[id(call)] = call
    return list(found.values())


class AutoGenLLM:
    """An AutoGen client as a model that proposes."""

    def __init__(self, client: ChatCompletionClient) -> None:
        self.client = client
        self.model = model_name(client)

    async def complete(self, messages: Sequence[Message]) -> Reply:
        """Ask the client; the caller stands behind the gate already."""
        given: list[LLMMessage] = []
        for message in messages:
            if message["role"] == "system":
                given.append(SystemMessage(content=message["content"]))
            elif message["role"] == "assistant":
                given.append(AssistantMessage(content=message["content"], source="assistant"))
            else:
                given.append(UserMessage(content=message["content"], source="user"))
        with _asking():
            result = await self.client.create(given)
        said = result.content if isinstance(result.content, str) else _asking_for(result.content)
        return Reply(said, usage_of(result), str(result.finish_reason))
