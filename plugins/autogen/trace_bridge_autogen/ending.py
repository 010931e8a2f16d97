"""Runs of copies, to their end: also when somebody gives up waiting."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from typing import Any, cast

from autogen_agentchat.teams import BaseGroupChat
from autogen_core import CancellationToken, SingleThreadedAgentRuntime


async def run_to_end(objects: Sequence[Any], task: Any) -> object:
    """The result of running the first of ``objects`` on a task, with nothing left running.

    A cancelled team waits for its runtime to be idle, which that may never be (AutoGen 0.7). A copy
    belongs to us: its runtimes are stopped and what runs on them is cancelled.

    Raises:
        TypeError: the object has no ``run(task=)``.
    """
    agent = objects[0]
    token = CancellationToken()
    given = inspect.signature(agent.run).parameters if hasattr(agent, "run") else {}
    if "task" not in given:
        msg = f"{type(agent).__qualname__} cannot be run: it needs a method run(task=...)"
        raise TypeError(msg)
    more = {"cancellation_token": token} if "cancellation_token" in given else {}
    result: object = agent.run(task=task, **more)
    if not inspect.isawaitable(result):
        return result
    return await to_end(objects, cast("Awaitable[object]", result), token)


async def to_end(
    objects: Sequence[Any], result: Awaitable[object], token: CancellationToken | None = None
) -> object:
    """What ``result``, of a call of one of ``objects``, gives, with nothing left running."""
    work = asyncio.ensure_future(result)
    try:
        await asyncio.wait([work])  # which leaves it running when we are cancelled
        return work.result()
    finally:
        if token is not None:
            token.cancel()
        await _stop(objects)
        if not work.done():
            work.cancel()
            await asyncio.wait([work])


async def _stop(objects: Sequence[Any]) -> None:
    for value in objects:
        runtime = value._runtime if isinstance(value, BaseGroupChat) else None
        if not isinstance(runtime, SingleThreadedAgentRuntime):
            continue
        left = list(runtime._background_tasks)
        for task in left:
            task.cancel()
        if runtime._run_context is not None:
            with suppress(Exception, asyncio.CancelledError):  # what a handler raised is told
                await runtime.stop()
        # what they raise now (AutoGen counts a message twice) is of no interest
        await asyncio.gather(*left, return_exceptions=True)
