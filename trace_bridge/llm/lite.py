"""LiteLLM: a hundred providers behind one name. Imported only when a model is called."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Sequence
from typing import Any

from trace_bridge.llm.base import Message, Reply, Usage
from trace_bridge.llm.prices import litellm, priced
from trace_bridge.llm.retrying import DeadlineError, may_pass, pause


class EmptyAnswerError(RuntimeError):
    """A provider's answer holds no choice: it failed, whatever its status says."""

    status_code = 502


class LiteLLM:
    """A model by its LiteLLM name, such as ``"openai/gpt-4o"``.

    Rate limits, time-outs, failing servers and connections are tried again, with a growing pause
    that has chance in it, or the one that the provider asks for (``Retry-After``,
    ``x-ratelimit-reset-*``). A wrong key, a refused prompt or an account without
    credit is not.

    Args:
        model: the name; the key comes from the provider's usual environment variable.
        retries: how often a call is repeated at most.
        deadline: seconds for all tries of a call and the pauses between them; None for no limit.
        options: passed on to ``litellm.acompletion`` (``api_base``, ``temperature``, ...).
    """

    def __init__(
        self, model: str, *, retries: int = 3, deadline: float | None = 600.0, **options: Any
    ) -> None:
        if retries < 0:
            raise ValueError(f"LiteLLM(retries={retries}): must be at least 0")
        if deadline is not None and deadline <= 0:
            raise ValueError(f"LiteLLM(deadline={deadline}): must be more than 0 seconds, or None")
        self.model = model
        self.retries = retries
        self.deadline = deadline
        self.options = options

    async def complete(self, messages: Sequence[Message]) -> Reply:
        """Ask the provider.

        Raises:
            DeadlineError: no time is left; the last failure is chained.
            Exception: LiteLLM's, of the last try, or of one that is not worth another.
        """
        litellm()  # its import takes seconds, which are none of the provider's
        failure: Exception | None = None
        limit = asyncio.timeout(self.deadline)
        try:
            async with limit:
                for attempt in itertools.count():
                    try:
                        return self._reply(await self._ask(messages))
                    except Exception as error:
                        if attempt == self.retries or limit.expired() or not may_pass(error):
                            raise
                        failure = error
                    await self._wait(failure, attempt, limit)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise self._late(failure) from failure or error
        raise AssertionError  # the loop has no end

    async def _wait(self, failure: Exception, attempt: int, limit: asyncio.Timeout) -> None:
        """Wait for the next try; raise at once if there is no time left for it."""
        seconds = pause(failure, attempt)
        ends = limit.when()
        if ends is not None and asyncio.get_running_loop().time() + seconds >= ends:
            raise self._late(failure, seconds) from failure
        await asyncio.sleep(seconds)

    def _late(self, failure: Exception | None, pause: float = 0.0) -> DeadlineError:
        said = f" after {type(failure).__name__}: {failure}" if failure else ""
        wait = f"; the next try would have come {pause:.3g} seconds later" if pause else ""
        return DeadlineError(
            f"no answer within {self.deadline:g} seconds (LiteLLM(deadline=)){said}{wait}"
        )

    async def _ask(self, messages: Sequence[Message]) -> Any:
        ask: Any = litellm().acompletion  # typed in parts only
        # LiteLLM's own retries would repeat what cannot pass, such as a wrong key
        settings = {"num_retries": 0, "max_retries": 0, **self.options}
        return await ask(model=self.model, messages=list(messages), **settings)

    def _reply(self, response: Any) -> Reply:
        if not response.choices:
            raise EmptyAnswerError("the provider answered without a choice")
        choice = response.choices[0]
        used = getattr(response, "usage", None)
        # with what LiteLLM knows besides tokens: cached prompts, tiers, prices among the options
        told = getattr(response, "_hidden_params", {}).get("response_cost") or 0.0
        usage = Usage(
            calls=1,
            prompt_tokens=getattr(used, "prompt_tokens", 0) or 0,
            completion_tokens=getattr(used, "completion_tokens", 0) or 0,
            dollars=told,
            priced=int(told > 0),
        )
        return Reply(
            choice.message.content or "",
            priced(self.model, usage, {}),
            choice.finish_reason or "stop",
        )


def configured() -> LiteLLM | None:
    """The model that the environment variable TRACE_BRIDGE_MODEL names, if it is set."""
    name = os.environ.get("TRACE_BRIDGE_MODEL")
    return LiteLLM(name) if name else None
