"""Running candidates on examples: concurrently, each in its own context, journal first."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import functools
import inspect
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

from trace_bridge.graph import (
    JSON,
    Feedback,
    Node,
    Parameter,
    Subgraph,
    digest,
    dump_subgraph,
    jsonable,
    load_subgraph,
    subgraph,
)
from trace_bridge.graph.context import overlaid
from trace_bridge.llm.base import BudgetExhaustedError, ModelUnavailableError, Usage, gate
from trace_bridge.llm.refusals import remedy
from trace_bridge.llm.retrying import in_vain
from trace_bridge.recording import Recorder, link
from trace_bridge.recording.agent import AgentModule
from trace_bridge.training.budget import Ledger, Meter
from trace_bridge.training.journal import Journal
from trace_bridge.training.metric import Metric, MetricError, judge
from trace_bridge.training.records import Engine, Notes
from trace_bridge.training.task import Rows

_BACKOFF = 0.5  # seconds before the first repetition after a provider's failure; doubles


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One candidate on one example.

    Attributes:
        score: the metric's, or the failure score.
        text: the feedback in words.
        output: the agent's output as JSON; None if it raised.
        error: what the agent or the metric raised; the metric, if ``metric_failed``.
        usage: what it cost; nothing in this session if it was ``reused``.
        graph: the minimal subgraph, for training examples.
    """

    score: float
    text: str
    output: JSON
    error: str
    usage: Usage
    seconds: float
    metric_failed: bool = False
    graph: dict[str, JSON] | None = None
    reused: bool = False


class GivenUp(BaseException):
    """Nobody waits for an evaluation any more: it is no failure of the agent's."""


class Evaluator:
    """Evaluates candidates of one agent.

    Args:
        module: the agent.
        metrics: what outputs are judged by.
        salt: what, besides candidate and example, determines a result.
        notes: gets what users should know of evaluations.
    """

    def __init__(
        self, module: AgentModule[Any], metrics: Sequence[Metric], *, engine: Engine,
        ledger: Ledger, journal: Journal, salt: str, notes: Notes,
    ) -> None:  # fmt: skip
        self.module = module
        self.metrics = metrics
        self.engine = engine
        self.ledger = ledger
        self.journal = journal
        self.salt = salt
        self.notes = notes
        self.reused = 0
        self.changed: Callable[[], object] = _nobody
        self._pool = ThreadPoolExecutor(engine.concurrency, thread_name_prefix="trace_bridge")
        self._awaited: set[Future[Any]] = set()
        self._closed = False

    def close(self) -> None:
        """End the threads; what a run that was given up still waits for is cancelled."""
        self._closed = True
        for future in list(self._awaited):  # the loop that runs it may be waiting for us here
            future.cancel()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def wait(self, awaitable: Awaitable[Any], loop: asyncio.AbstractEventLoop) -> Any:
        """What an awaitable gives on ``loop``, for a thread.

        Raises:
            GivenUp: the run was cancelled meanwhile.
        """
        future = asyncio.run_coroutine_threadsafe(_awaited(awaitable), loop)
        self._awaited.add(future)
        if self._closed:
            future.cancel()
        try:
            return future.result()
        except concurrent.futures.CancelledError as error:
            if self._closed:
                raise GivenUp from error
            raise  # the agent's own doing
        finally:
            self._awaited.discard(future)

    def cost(
        self, states: Sequence[Mapping[str, object]], rows: Rows, indices: Sequence[int]
    ) -> int:
        """How many evaluations this would count that were not counted yet."""
        keys = {
            key for state in states for index in indices for key in self._keys(state, rows, index)
        }
        return self.ledger.uncounted(keys)

    def _keys(self, state: Mapping[str, object], rows: Rows, index: int) -> list[str]:
        limit = () if self.engine.timeout is None else (self.engine.timeout,)
        return [
            digest(self.salt, state, rows.keys[index], repeat, *["traced"][: rows.traced], *limit)
            for repeat in range(self.engine.repeats)
        ]

    async def evaluate(
        self, state: Mapping[str, object], rows: Rows, indices: Sequence[int]
    ) -> list[Evaluation]:
        """Evaluate one candidate; see ``evaluate_all``."""
        return (await self.evaluate_all([state], rows, indices))[0]

    async def evaluate_all(
        self, states: Sequence[Mapping[str, object]], rows: Rows, indices: Sequence[int]
    ) -> list[list[Evaluation]]:
        """Evaluate candidates beside each other on the same examples.

        Gives one list for each candidate, in the order of ``indices``, with all repeats of an
        example averaged. Before an error leaves, all that was started is finished and journaled;
        nothing is started any more after the error.

        Raises:
            BudgetExhaustedError: the model calls do not suffice.
            ModelUnavailableError: a provider failed, again after the retries.
        """
        values = [self.module.resolve(state) for state in states]
        keys = [[self._keys(state, rows, index) for index in indices] for state in states]
        turns = _Turns(self.engine.concurrency)
        jobs: dict[str, Coroutine[Any, Any, Evaluation]] = {}
        for number, of_state in enumerate(keys):
            for index, of_example in zip(indices, of_state, strict=True):
                for repeat, key in enumerate(of_example):
                    if key not in jobs:  # equal candidates and equal examples share one
                        job = functools.partial(self._one, values[number], rows, index, repeat, key)
                        jobs[key] = turns.take(job)
        results = await asyncio.gather(*jobs.values(), return_exceptions=True)
        done: dict[str, Evaluation] = {}
        for key, result in zip(jobs, results, strict=True):
            if isinstance(result, BaseException):
                raise result
            done[key] = result
            if result.metric_failed:
                self.notes.add(result.error)
        return [
            [_averaged([done[key] for key in of_example]) for of_example in of_state]
            for of_state in keys
        ]

    def subgraphs(
        self, evaluations: Sequence[Evaluation], parameters: Mapping[str, Parameter]
    ) -> list[Subgraph]:
        """The minimal subgraphs of evaluated training examples, over the live parameters."""
        return [load_subgraph(e.graph, parameters) for e in evaluations if e.graph is not None]

    async def _one(
        self,
        values: Mapping[Parameter, object],
        rows: Rows,
        index: int,
        repeat: int,
        key: str,
    ) -> Evaluation:
        first = self.ledger.count(key)
        row = self.journal.evaluation(key)
        if row is not None:
            self.reused += first
            self.changed()
            return _evaluation(row)
        loop = asyncio.get_running_loop()
        attempt = 0
        while True:
            self.ledger.check_time()
            work = _Work(self, values, rows.examples[index], repeat, key, loop, graphs=rows.traced)
            context = contextvars.copy_context()
            result = await loop.run_in_executor(self._pool, context.run, work.run)
            if work.meter.refused is not None:
                raise work.meter.refused
            if work.meter.failure is None:
                self.changed()
                return result
            if attempt >= self.engine.retries or in_vain(work.meter.failure):
                raise _failed(work.meter.failure, attempt + 1) from work.meter.failure
            await asyncio.sleep(_BACKOFF * 2**attempt)
            attempt += 1


class _Turns:
    """Lets some evaluations go on at once, and starts none after one has failed for good.

    Args:
        count: how many at once.
    """

    def __init__(self, count: int) -> None:
        self._free = asyncio.Semaphore(count)
        self._failure: Exception | None = None

    async def take(self, job: Callable[[], Awaitable[Evaluation]]) -> Evaluation:
        """Do ``job`` when it is its turn; raises what it raises, or what an earlier one did."""
        async with self._free:
            if self._failure is not None:
                raise self._failure
            try:
                return await job()
            except Exception as error:
                self._failure = error
                raise


class _Work:
    """One evaluation in a worker thread, in a context of its own."""

    def __init__(
        self, evaluator: Evaluator, values: Mapping[Parameter, object], example: object,
        repeat: int, key: str, loop: asyncio.AbstractEventLoop, *, graphs: bool,
    ) -> None:  # fmt: skip
        self.evaluator = evaluator
        self.module = evaluator.module
        self.values = values
        self.example = example
        self.key = key
        self.loop = loop
        self.graphs = graphs
        self.meter = Meter(evaluator.ledger)
        self.recorder = Recorder(self.module.inputs(example), repeat)

    def wait(self, awaitable: Awaitable[Any]) -> Any:
        """Run an awaitable on the run's event loop, in this thread's context."""
        return self.evaluator.wait(awaitable, self.loop)

    def run(self) -> Evaluation:
        """Evaluate; what succeeds is journaled here, so that an interrupted run keeps it too."""
        started = time.monotonic()
        gate.set(self.meter)
        output, failure, node = self._run_agent()
        feedback, problem = self._judge(output, failure)
        graph = self._graph(node, feedback) if self.graphs else None
        result = Evaluation(
            score=self.evaluator.engine.failure_score if feedback.score is None else feedback.score,
            text=feedback.text,
            output=None if failure else jsonable(output),
            error=failure or problem,
            usage=self.meter.usage,
            seconds=time.monotonic() - started,
            metric_failed=bool(problem),
            graph=graph,
        )
        if self.meter.refused is None and self.meter.failure is None:
            self.evaluator.journal.keep_evaluation(self.key, asdict(result))
        return result

    def _run_agent(self) -> tuple[object, str, Node]:
        output: object = None
        failure = ""
        with overlaid(self.values):
            try:
                with self.recorder.recording() as root:
                    output = self.module.run(self.example)
                    if inspect.isawaitable(output):
                        output = self.wait(_within(self.evaluator.engine.timeout, output))
                    root.returns(output, self.module.fields(output))
            except BudgetExhaustedError:
                failure = "the budget is spent"
            except Exception as error:  # noqa: BLE001 (whatever the agent raises is its output)
                failure = f"{type(error).__name__}: {error}"
                raised = getattr(error, "node", None)
                output = raised if isinstance(raised, Node) else None
        # a native agent's output is a node already
        return output, failure, output if isinstance(output, Node) else link(self.recorder)

    def _judge(self, output: object, failure: str) -> tuple[Feedback, str]:
        if failure:
            return Feedback(f"The agent failed: {failure}"), ""
        plain = output.peek() if isinstance(output, Node) else output
        try:
            return judge(self.evaluator.metrics, self.example, plain, self.wait), ""
        except BudgetExhaustedError:
            return Feedback(), "the budget is spent"
        except MetricError as error:
            return Feedback(f"No score, since {error}"), str(error)

    def _graph(self, node: Node, feedback: Feedback) -> dict[str, JSON]:
        with overlaid(self.values):  # the subgraph keeps the values that were current
            return dump_subgraph(subgraph({node: feedback}))


def _failed(error: Exception, times: int) -> ModelUnavailableError:
    often = f"{times} times" if times > 1 else "once"
    return ModelUnavailableError(
        f"the agent's model failed {often} on one example: {type(error).__name__}:"
        f" {error}{remedy(error)}. What was finished is in the journal: run again to go on."
    )


def _nobody() -> None:
    """Nobody wants to know."""


async def _within(seconds: float | None, awaitable: Awaitable[Any]) -> Any:
    """What an agent gives in that time.

    Raises:
        TimeoutError: it was cancelled.
    """
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await awaitable
    except TimeoutError as error:
        if not limit.expired():
            raise  # the agent's own
        msg = f"it took more than {seconds:g} seconds (Engine(timeout=))"
        raise TimeoutError(msg) from error


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def _evaluation(row: dict[str, Any]) -> Evaluation:
    """What the journal kept."""
    found: dict[str, Any] = {**row, "usage": Usage(**row["usage"]), "reused": True}
    return Evaluation(**found)


def _averaged(repeats: Sequence[Evaluation]) -> Evaluation:
    """The first of some repeats, with the mean of their scores."""
    first = repeats[0]
    if len(repeats) == 1:
        return first
    score = sum(e.score for e in repeats) / len(repeats)
    usage = functools.reduce(lambda total, e: total + e.usage, repeats, Usage())
    return replace(first, score=score, usage=usage)
