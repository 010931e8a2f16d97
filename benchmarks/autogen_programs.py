"""Teams of AutoGen's with instant fake models, and how long a run of them takes.

Run as a program in a peer's environment, it measures OpenInference's instrumentation there.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import sys
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import contextmanager
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core.models import ChatCompletionClient, CreateResult, ModelInfo, RequestUsage

from benchmarks.rounds import ratios

TASK = "Why is the sky blue?"
TURNS = (4, 20)
LOOP = asyncio.Runner()


class Instant(ChatCompletionClient):
    """Says the same at once."""

    async def create(self, messages: Sequence[Any], **kwargs: Any) -> CreateResult:
        """An answer."""
        usage = RequestUsage(prompt_tokens=len(messages), completion_tokens=2)
        return CreateResult(content="an answer", finish_reason="stop", usage=usage, cached=False)

    async def create_stream(self, messages: Sequence[Any], **kwargs: Any) -> AsyncGenerator[Any]:
        """An answer in one piece."""
        yield await self.create(messages)

    async def close(self) -> None:
        """Nothing is open."""

    def actual_usage(self) -> RequestUsage:
        """Nothing is counted."""
        return RequestUsage(prompt_tokens=0, completion_tokens=0)

    def total_usage(self) -> RequestUsage:
        """Nothing is counted."""
        return self.actual_usage()

    def count_tokens(self, messages: Sequence[Any], **kwargs: Any) -> int:
        """One for each message."""
        return len(messages)

    def remaining_tokens(self, messages: Sequence[Any], **kwargs: Any) -> int:
        """Always enough."""
        return 1000

    @property
    def capabilities(self) -> Any:
        """See ``model_info``."""
        return self.model_info

    @property
    def model_info(self) -> ModelInfo:
        """Nothing but text."""
        return ModelInfo(
            family="unknown", function_calling=False, json_output=False, structured_output=False,
            vision=False,
        )  # fmt: skip


def make(turns: int) -> RoundRobinGroupChat:
    """Two agents that speak in turn, so often in all."""
    client = Instant()
    agents = [
        AssistantAgent(name, client, system_message=f"You are {name}. Be brief.")
        for name in ("writer", "critic")
    ]
    return RoundRobinGroupChat(agents, max_turns=turns)


def run(team: RoundRobinGroupChat) -> float:
    """The CPU time of one run; the team forgets it afterwards, which is not measured."""

    async def bare() -> object:
        return await team.run(task=TASK)

    return timed(bare, team)


def timed(call: Callable[[], Coroutine[Any, Any, object]], team: RoundRobinGroupChat) -> float:
    """The CPU time of something that runs the team."""

    async def once() -> float:
        started = time.process_time()
        await call()
        spent = time.process_time() - started
        if team._initialized:  # noqa: SLF001 (a copy may have run instead)
            await team.reset()
        return spent

    return LOOP.run(once(), context=contextvars.copy_context())


def added(call: Callable[[], float], calls: int) -> float:
    """The sum of the times that some calls took."""
    return sum(call() for _ in range(calls))


def _openinference(rounds: int, calls: int) -> dict[str, float]:
    from openinference.instrumentation.autogen_agentchat import AutogenAgentChatInstrumentor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    found: dict[str, float] = {}
    for turns in TURNS:
        name, team = f"{turns} turns", make(turns)

        @contextmanager
        def instrumented(team: RoundRobinGroupChat = team) -> Any:
            instrumentor = AutogenAgentChatInstrumentor()
            instrumentor.instrument(tracer_provider=provider)
            try:
                yield lambda: run(team)
                if not exporter.get_finished_spans():
                    sys.exit("no span was recorded")
            finally:
                instrumentor.uninstrument()
                exporter.clear()

        found[name] = ratios(
            lambda team=team: run(team), {"recording": instrumented}, rounds, calls, added
        )["recording"]
    return found


if __name__ == "__main__":
    print(json.dumps(_openinference(*map(int, sys.argv[1:]))))
