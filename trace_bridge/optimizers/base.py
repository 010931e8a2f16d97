"""Optimizers propose; they do not run agents, write to them or remember."""

from __future__ import annotations

import random
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar

from trace_bridge.graph import (
    Feedback,
    FeedbackLike,
    Node,
    Operator,
    Parameter,
    Subgraph,
    canonical,
)
from trace_bridge.graph.guards import Phrases
from trace_bridge.graph.paths import join_path
from trace_bridge.llm.base import LLM, Usage

if TYPE_CHECKING:
    import asyncio

_T = TypeVar("_T")
_KEPT = 20  # trials that a loop of ``step()`` remembers
_RETRIES = 2  # after a model has failed in ``step()``; ``Engine`` has its own


@dataclass(frozen=True, slots=True)
class Change:
    """What a proposal says about one parameter, and what became of that."""

    path: str
    old: object
    new: object
    accepted: bool = True
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Proposal:
    """New values for some parameters. It changes nothing until it is tried."""

    changes: tuple[Change, ...]
    reasoning: str = ""
    optimizer: str = ""

    @property
    def state(self) -> dict[str, object]:
        """The accepted new values by path."""
        return {change.path: change.new for change in self.changes if change.accepted}


@dataclass(frozen=True, slots=True)
class Trial:
    """One candidate with its scores, its cost and its fate.

    Attributes:
        number: 0 for the original values.
        state: the candidate, by path.
        scores: per validation example (by its index), as far as it was evaluated.
        fate: ``"original"``, ``"accepted"``, or why it was dropped.
        feedback: what was said of it on the training examples that it was tried on before.
    """

    number: int
    state: Mapping[str, object]
    scores: Mapping[int, float]
    fate: str
    proposal: Proposal = Proposal(())
    usage: Usage = field(default_factory=Usage)
    feedback: tuple[Feedback, ...] = ()

    @property
    def score(self) -> float | None:
        """The mean of the scores, or None if there are none."""
        return sum(self.scores.values()) / len(self.scores) if self.scores else None


@dataclass(frozen=True, slots=True)
class StepPlan:
    """What an optimizer wants of the next step.

    Attributes:
        optimizer: the name of the one that will propose.
        minibatch: training examples to run the current candidate on, for their subgraphs.
        proposals: how many proposals it will make.
        gated: whether a proposal must do at least as well on that minibatch before it is run on
            the validation set. Right for optimizers that answer to the minibatch's feedback.
        start: values, by path, that the candidate which is run and changed has in place of the
            current ones: a step may go on from any candidate of the history.
        turns: how many optimizers take turns; the run's patience is for each of them.
    """

    optimizer: str
    minibatch: int
    proposals: int
    gated: bool
    start: Mapping[str, object] = field(default_factory=dict[str, object])
    turns: int = 1


class Optimizer(ABC):
    """Makes proposals from subgraphs with feedback.

    Subclasses define ``propose``. ``zero_feedback``, ``backward`` and ``step`` are a thin shell in
    PyTorch's words for those who write the loop themselves.

    Args:
        parameters: what ``step`` updates (parameters, or trainable bundles); ``optimize`` passes
            them to ``propose`` instead.
        llm: the model that proposes, for optimizers that use one.
        seed: all randomness of an optimizer comes from it.
    """

    name: ClassVar[str]
    needs_llm: ClassVar[bool] = False

    def __init__(
        self,
        parameters: Iterable[Parameter | Operator[..., object]] = (),
        llm: LLM | None = None,
        *,
        seed: int = 0,
    ) -> None:
        self.parameters: list[Parameter] = []
        for item in parameters:
            if isinstance(item, Operator):
                for parameter in item.parameters():
                    parameter.go_by(join_path([item.op], "code"), 0)
                self.parameters += item.parameters()
            else:
                self.parameters.append(item)
        names = [parameter.name for parameter in self.parameters]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            msg = (
                f"several parameters are called {', '.join(sorted(twice))}: give each a name of its"
                " own with node(..., name=), or take them from Module.parameters()"
            )
            raise ValueError(msg)
        self.llm = llm
        self.seed = seed
        self._trials: list[Trial] = []
        self._steps = 0
        self._stepped = Proposal(())
        self._loop: asyncio.AbstractEventLoop | None = None

    @abstractmethod
    async def propose(
        self,
        subgraphs: Sequence[Subgraph],
        parameters: Sequence[Parameter],
        history: Sequence[Trial],
        n: int = 1,
    ) -> list[Proposal]:
        """Make up to ``n`` proposals.

        Args:
            subgraphs: one for each example of the minibatch, with its feedback.
            parameters: the only ones that may be changed.
            history: the trials so far, in order.
            n: how many proposals are wanted.
        """

    def plan(self, history: Sequence[Trial]) -> StepPlan:
        """What the next step should be like."""
        return StepPlan(self.name, minibatch=6, proposals=1, gated=True)

    def settings(self) -> Mapping[str, object]:
        """What, besides its input, determines the proposals: part of the journal's keys."""
        return {
            "optimizer": self.name,
            "seed": self.seed,
            "model": self.llm.model if self.llm else None,
        }

    def random(self, history: Sequence[Trial]) -> random.Random:
        """A generator that is the same whenever the run is at this point."""
        # not by its length: a loop of ``step()`` forgets old trials
        return random.Random(f"{self.seed}/{history[-1].number + 1 if history else 0}")

    def zero_feedback(self) -> None:
        """Drop the pending feedback of all parameters."""
        for parameter in self.parameters:
            parameter.feedback.clear()

    def backward(self, output: Node, feedback: FeedbackLike) -> Subgraph:
        """Leave feedback about ``output`` on the parameters it depends on."""
        return output.backward(feedback)

    def step(self) -> Proposal:
        """Propose from the pending feedback, and make the accepted values the base values.

        Raises:
            ValueError: without parameters, or if no feedback has reached any of them.
            ModelUnavailableError: the model failed thrice, or said that it will again.
        """
        if not self.parameters:
            msg = f"{type(self).__name__} has no parameters to step: pass them to its constructor"
            raise ValueError(msg)
        # one backward leaves the same subgraph on every parameter that it reached
        pending = {
            id(graph): graph for parameter in self.parameters for graph in parameter.feedback
        }
        if not pending:
            msg = "no feedback has reached any parameter: call output.backward(feedback) first"
            raise ValueError(msg)
        found = list(pending.values())
        named = {parameter.name: parameter for parameter in self.parameters}
        scores = {i: graph.score for i, graph in enumerate(found)}
        trial = Trial(
            self._steps,
            {name: parameter.base for name, parameter in named.items()},
            {i: score for i, score in scores.items() if score is not None},
            "stepped" if self._steps else "original",
            self._stepped,
            feedback=tuple(said for graph in found for _, said in graph.feedback),
        )
        history = [*self._trials, trial]
        from trace_bridge.llm.retrying import persistently

        ask = partial(self.propose, found, self.parameters, history, 1)
        proposals = self._run(persistently(ask, _RETRIES))
        proposal = proposals[0] if proposals else Proposal((), optimizer=self.name)
        for path, value in proposal.state.items():
            named[path].set(value)
        self._trials, self._stepped, self._steps = _best(history), proposal, self._steps + 1
        return proposal

    def _run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """As ``run_sync``, in one loop for all steps: making one costs 100 operations."""
        import asyncio

        if _in_event_loop():
            return run_sync(coroutine)
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            weakref.finalize(self, self._loop.close)
        loop, running = self._loop, True

        async def last() -> _T:
            try:
                return await coroutine
            finally:
                if running:  # ``run_until_complete`` has the loop go round once more for this
                    loop.stop()

        task = loop.create_task(last(), context=copy_context())
        try:
            loop.run_forever()
            return task.result()
        finally:
            # ``task`` after Ctrl-C, and what it started: a client's logger, for one. A task that
            # outlives its loop can crash the interpreter when that ends.
            running = False
            if left := asyncio.all_tasks(loop):
                for other in left:
                    other.cancel()
                loop.run_until_complete(asyncio.wait(left))


Factory: TypeAlias = "type[Optimizer] | Callable[..., Optimizer]"


def _best(history: Sequence[Trial]) -> list[Trial]:
    """The trials without the worst of the older half, if they are too many."""
    if len(history) <= _KEPT:
        return list(history)
    worst = min(history[: _KEPT // 2], key=lambda trial: (trial.score or 0, trial.number))
    return [trial for trial in history if trial is not worst]


def run_sync(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine to its end, also where an event loop is running already (a notebook)."""
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    if not _in_event_loop():
        return asyncio.run(coroutine)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(copy_context().run, asyncio.run, coroutine).result()


def _in_event_loop() -> bool:
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def judge_change(parameter: Parameter, value: object, wording: Phrases | None = None) -> Change:
    """A change of ``parameter`` to ``value``, accepted or not by its checks and its kind's guards.

    ``wording`` is what the model that proposes was told, if it is one.
    """
    old = parameter.peek()
    if canonical(value) == canonical(old):  # 1 is not True, and a value may be an array
        return Change(parameter.name, old, value, accepted=False, reason="is the value that it has")
    reason = parameter.refusal(value)
    if reason is None and isinstance(value, str):
        reason = parameter.objection(value, wording)
    return Change(parameter.name, old, value, accepted=reason is None, reason=reason or "")


def reached(subgraphs: Iterable[Subgraph], parameters: Sequence[Parameter]) -> list[Parameter]:
    """Those of ``parameters`` that influenced an output: only they can be to blame."""
    found = {parameter for graph in subgraphs for parameter in graph.parameters}
    return [parameter for parameter in parameters if parameter in found]
