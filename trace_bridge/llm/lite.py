"""LiteLLM: a hundred providers behind one name. Imported only when a model is called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trace_bridge.llm.base import Message, Reply, Usage


class LiteLLM:
    """A model by its LiteLLM name, such as ``"openai/gpt-4o"``.

    Args:
        model: the name; the key comes from the provider's usual environment variable.
        retries: how often a call is repeated after a rate limit or a provider's failure.
        options: passed on to ``litellm.acompletion`` (``api_base``, ``temperature``, ...).
    """

    def __init__(self, model: str, *, retries: int = 3, **options: Any) -> None:
        self.model = model
        self.retries = retries
        self.options = options

    async def complete(self, messages: Sequence[Message]) -> Reply:
        """Ask the provider; LiteLLM's exceptions propagate."""
        import litellm

        response: Any = await litellm.acompletion(  # pyright: ignore[reportUnknownMemberType]
            model=self.model, messages=list(messages), num_retries=self.retries, **self.options
        )
        choice = response.choices[0]
        usage = getattr(response, "usage", None)
        return Reply(
            choice.message.content or "",
            Usage(
                calls=1,
                prompt_tokens=getattr(usage, "prompt_tokens", 0) or 0,
                completion_tokens=getattr(usage, "completion_tokens", 0) or 0,
            ),
            choice.finish_reason or "stop",
        )
