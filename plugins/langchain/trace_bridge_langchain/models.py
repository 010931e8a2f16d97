"""Model calls: announced before they are paid, with what they have used; and models as LLMs."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

from langchain_core.caches import BaseCache
from langchain_core.globals import get_llm_cache
from langchain_core.language_models import BaseChatModel, BaseLanguageModel, BaseLLM
from langchain_core.messages import AIMessage, BaseMessage, convert_to_messages

from trace_bridge import Message, ModelCall, Reply, Usage, current_call, gate, model_call, refused

# Whoever calls a model in this context is behind the gate already.
unmetered: ContextVar[bool] = ContextVar("trace_bridge_langchain_unmetered", default=False)

# what providers call the reason why an answer ended: OpenAI and Google, Anthropic, Ollama, Bedrock
_ENDED = ("finish_reason", "stop_reason", "done_reason", "stopReason")


_gate = gate.get  # seams ask it at every call


def unattended() -> bool:
    """Whether nobody counts calls here, nor wants fresh answers."""
    if _gate() is not None:
        return False
    call = current_call()
    return call is None or call.recorder.repeat == 0


def model_name(model: Any) -> str:
    """The name by which a model's calls are announced."""
    names = (getattr(model, name, None) for name in ("model_name", "model", "model_id"))
    return next((name for name in names if isinstance(name, str)), type(model).__name__)


@contextmanager
def metered(model: Any, calls: int = 1) -> Generator[ModelCall]:
    """Requests to a provider, behind the gate; set ``usage`` of what this yields.

    Raises:
        BudgetExhaustedError: the gate does not let it happen.
    """
    if unmetered.get():
        yield ModelCall(model_name(model))
        return
    with model_call(model_name(model), calls) as call:
        try:
            yield call
        except Exception as error:
            call.refused = refused(error)
            raise


def usage_of(result: Any, *, cached: bool = False) -> Usage:
    """What a ``ChatResult``, an ``LLMResult`` or a message says that it has used."""
    if cached:
        return Usage(1, cached=1)
    message = result if isinstance(result, BaseMessage) else _message(result)
    tokens: Mapping[str, Any] = getattr(message, "usage_metadata", None) or {}
    if not tokens:
        told: Mapping[str, Any] = getattr(result, "llm_output", None) or {}
        tokens = told.get("token_usage") or told.get("usage") or {}
    return Usage(
        1, 0, _count(tokens, "input_tokens", "prompt_tokens"),
        _count(tokens, "output_tokens", "completion_tokens"),
    )  # fmt: skip


def _message(result: Any) -> object:
    generations = getattr(result, "generations", None) or [None]
    return getattr(generations[0], "message", None)


def _count(tokens: Mapping[str, Any], *names: str) -> int:
    return int(next((tokens[name] for name in names if tokens.get(name)), 0))


class Watched(BaseCache):
    """A response cache that notes whether it had the response."""

    def __init__(self, cache: BaseCache) -> None:
        self.cache = cache
        self.hit = False

    def lookup(self, prompt: str, llm_string: str) -> Any:
        """See ``BaseCache``."""
        found = self.cache.lookup(prompt, llm_string)
        self.hit = isinstance(found, list)
        return found

    async def alookup(self, prompt: str, llm_string: str) -> Any:
        """See ``BaseCache``."""
        found = await self.cache.alookup(prompt, llm_string)
        self.hit = isinstance(found, list)
        return found

    def update(self, prompt: str, llm_string: str, return_val: Any) -> None:
        """See ``BaseCache``."""
        self.cache.update(prompt, llm_string, return_val)

    async def aupdate(self, prompt: str, llm_string: str, return_val: Any) -> None:
        """See ``BaseCache``."""
        await self.cache.aupdate(prompt, llm_string, return_val)

    def clear(self, **kwargs: Any) -> None:
        """See ``BaseCache``."""
        self.cache.clear(**kwargs)


def watched(model: Any) -> tuple[Any, Watched | None]:
    """``model``, or a copy of it that tells cache hits; a repeated run wants no cached reply."""
    own = model.cache
    cache = own if isinstance(own, BaseCache) else None if own is False else get_llm_cache()
    if cache is None or isinstance(cache, Watched):
        return model, None
    call = current_call()
    if call is not None and call.recorder.repeat > 0:
        return model.model_copy(update={"cache": False}), None
    watch = Watched(cache)
    return model.model_copy(update={"cache": watch}), watch


class LangChainLLM:
    """A chat model or LLM of LangChain's as a model that proposes."""

    def __init__(self, client: BaseLanguageModel[Any]) -> None:
        self.client = client
        self.model = model_name(client)

    async def complete(self, messages: Sequence[Message]) -> Reply:
        """Ask the model; the caller stands behind the gate already."""
        given = convert_to_messages([dict(message) for message in messages])
        token = unmetered.set(True)
        try:
            answer: object = await self.client.ainvoke(given)
        finally:
            unmetered.reset(token)
        if not isinstance(answer, AIMessage):
            return Reply(str(answer))
        told = cast("dict[str, object]", answer.response_metadata)
        reason = str(next((told[name] for name in _ENDED if told.get(name)), ""))
        text = answer.text if isinstance(answer.text, str) else answer.text()
        return Reply(str(text), usage_of(answer), reason)


def streams(model: BaseChatModel | BaseLLM, kwargs: Mapping[str, Any], *, is_async: bool) -> bool:
    """Whether ``stream`` asks the provider itself, and not ``invoke`` (private: see langchain)."""
    if isinstance(model, BaseLLM):
        names = ("_stream", "_astream") if is_async else ("_stream",)
        return any(getattr(type(model), name) is not getattr(BaseLLM, name) for name in names)
    decide: Any = getattr(model, "_should_stream", None)
    if decide is None:
        return True
    return bool(decide(async_api=is_async, **{**kwargs, "stream": True}))
