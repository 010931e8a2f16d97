"""LiteLLM: a hundred providers behind one name. Imported only when a model is called."""

from __future__ import annotations

import os
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
        """Ask the provider; LiteLLM's exceptions propagate once the retries are used up."""
        import litellm
        import tenacity

        litellm.suppress_debug_info = True  # or it prints advertisements when a call fails
        attempts = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(self.retries + 1),
            wait=tenacity.wait_random_exponential(multiplier=0.5, max=30),
            retry=tenacity.retry_if_exception(_may_pass),
            reraise=True,
        )
        response: Any = await attempts(self._ask, messages)
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

    async def _ask(self, messages: Sequence[Message]) -> Any:
        import litellm

        ask: Any = litellm.acompletion  # typed in parts only
        # LiteLLM's own retries would repeat what cannot pass, such as a wrong key
        settings = {"num_retries": 0, "max_retries": 0, **self.options}
        return await ask(model=self.model, messages=list(messages), **settings)


def configured() -> LiteLLM | None:
    """The model that the environment variable TRACE_BRIDGE_MODEL names, if it is set."""
    name = os.environ.get("TRACE_BRIDGE_MODEL")
    return LiteLLM(name) if name else None


def _may_pass(error: BaseException) -> bool:
    """Whether a failure may be gone at the next try: rate limits, time-outs, failing servers."""
    status = getattr(error, "status_code", None)
    return isinstance(status, int) and (status in (408, 409, 429) or status >= 500)
