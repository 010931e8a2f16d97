"""``optimize`` as a stream of AutoGen's events, which AutoGen's ``Console`` shows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Literal

from autogen_agentchat.base import TaskResult
from autogen_agentchat.messages import BaseAgentEvent, TextMessage
from pydantic import ConfigDict

import trace_bridge
from trace_bridge import Progress, Run

SOURCE = "trace_bridge"


class ProgressEvent(BaseAgentEvent):
    """Where a run is."""

    content: str
    type: Literal["ProgressEvent"] = "ProgressEvent"

    def to_text(self) -> str:
        """One line."""
        return self.content


class OptimizeResult(TaskResult):
    """The end of a run; its last message is the report.

    Attributes:
        run: what ``trace_bridge.optimize`` returns.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    run: Run


async def optimize_stream(
    agent: object, trainset: Sequence[Any], metric: Any, **kwargs: Any
) -> AsyncGenerator[ProgressEvent | OptimizeResult]:
    """``trace_bridge.optimize_async`` as a stream: an event for each stage, and the result last.

    ``await Console(optimize_stream(team, tasks, metric))`` shows it and gives the result. Whoever
    leaves early ends the run; with a journal, the next one goes on from there.

    Args:
        agent: see ``optimize``.
        trainset: see ``optimize``.
        metric: see ``optimize``.
        kwargs: further arguments of ``optimize``, except ``progress``.
    """
    events: asyncio.Queue[Progress] = asyncio.Queue()
    work = asyncio.ensure_future(
        trace_bridge.optimize_async(agent, trainset, metric, progress=events.put_nowait, **kwargs)
    )
    stage = ""
    try:
        while not work.done() or not events.empty():
            told = asyncio.ensure_future(events.get())
            await asyncio.wait([work, told], return_when=asyncio.FIRST_COMPLETED)
            if not told.done():
                told.cancel()
                continue
            progress = told.result()
            if progress.note or progress.stage != stage:
                stage = progress.stage
                yield ProgressEvent(source=SOURCE, content=progress.note or _line(progress))
        run = work.result()
    finally:
        if not work.done():
            work.cancel()
            await asyncio.wait([work])
    report = TextMessage(source=SOURCE, content=str(run))
    yield OptimizeResult(messages=[report], stop_reason=str(run.verdict), run=run)


def _line(progress: Progress) -> str:
    best = "" if progress.best is None else f", best {progress.best:.3f}"
    return f"{progress.stage}: {progress.evaluations} of {progress.total} evaluations{best}"
