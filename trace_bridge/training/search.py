"""The loop of ``optimize``, straight through: draw, run, propose, race, accept, judge."""

from __future__ import annotations

import asyncio
import functools
import itertools
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from trace_bridge.graph import Feedback, digest, jsonable
from trace_bridge.graph.context import overlaid
from trace_bridge.llm.base import BudgetExhaustedError, ModelUnavailableError, Usage, gate
from trace_bridge.llm.retrying import persistently
from trace_bridge.optimizers.base import Optimizer, Proposal, StepPlan, Trial
from trace_bridge.training.accept import improves, verdict
from trace_bridge.training.budget import Kept, Ledger, Meter
from trace_bridge.training.candidates import (
    Candidate,
    in_one,
    journaled,
    race_cost,
    rungs,
    why_nothing,
)
from trace_bridge.training.evaluate import Evaluation, Evaluator
from trace_bridge.training.journal import Journal
from trace_bridge.training.metric import MetricError
from trace_bridge.training.records import Baseline, Engine, Progress, RunRecord, Verdict
from trace_bridge.training.task import Rows, State, Task


@dataclass(frozen=True, slots=True)
class Hooks:
    """What others do during a run, as plain callables."""

    proposal_made: Callable[[RunRecord, Proposal], Proposal | None]
    trial_finished: Callable[[RunRecord, Trial], object]
    progress: Callable[[Progress], object]


class _StopSearchError(Exception):
    """The search ends here, for the reason given; the held-out comparison still follows."""


class Search:
    """One run: a search for a better candidate, and the comparison that decides."""

    def __init__(
        self, task: Task, optimizer: Optimizer, evaluator: Evaluator, *, engine: Engine,
        ledger: Ledger, journal: Journal, hooks: Hooks,
    ) -> None:  # fmt: skip
        self.task = task
        self.optimizer = optimizer
        self.evaluator = evaluator
        self.engine = engine
        self.ledger = ledger
        self.journal = journal
        self.hooks = hooks
        self.trials: list[Trial] = []
        self.held_out: dict[str, Mapping[int, float]] = {}
        self.stage = "starting"
        self.stopped = ""
        self.started = time.monotonic()
        self.original = {p.name: p.base for p in task.parameters}
        self.current = self.start = self.original  # the best so far; what a step changes
        self._originals: Sequence[Evaluation] = ()  # of the original, on the validation rows
        self.scores: Mapping[int, float] = {}  # of the current candidate, on the validation rows
        self._spent = journal.spent()  # by earlier sessions

    async def run(self) -> RunRecord:
        """Search until nothing more is to be had, then compare on the held-out rows.

        Whatever ends the search (budget, interruption, a failing provider) the best so far is
        returned; only a run that could not even evaluate the original raises.
        """
        await self._begin()
        try:
            await self._search()
        except (_StopSearchError, BudgetExhaustedError, ModelUnavailableError) as stop:
            self.stopped = str(stop)
        except asyncio.CancelledError:
            self.stopped = "interrupted"
            return self.record(
                Verdict(better=False, why="interrupted before the held-out comparison")
            )
        return await self._finish()

    # the search

    async def _begin(self) -> None:
        """Evaluate the original on the validation rows.

        Raises:
            MetricError: the metric failed on every row.
        """
        rows = self.task.validation
        self._enter("evaluating the original")
        if self.ledger.budget.measured:  # what one takes, before many are begun at once
            await self.evaluator.evaluate(self.original, rows, [0])
        evaluations = await self.evaluator.evaluate(self.original, rows, range(len(rows)))
        if all(e.metric_failed for e in evaluations):
            raise MetricError(evaluations[0].error)
        if all(e.error for e in evaluations):
            self.evaluator.notes.add(
                f"the original fails on every validation example: {evaluations[0].error}"
            )
        self.scores = dict(enumerate(e.score for e in evaluations))
        self._originals = evaluations
        self._keep(evaluations)
        self._finish_trial(
            Trial(0, self.original, self.scores, "original", usage=_usage(evaluations))
        )

    async def _search(self) -> None:
        idle = 0
        for step in itertools.count():
            if all(score == 1.0 for score in self.scores.values()):
                msg = "every validation example has a score of 1 already"
                raise _StopSearchError(msg)
            plan = self.optimizer.plan(self.trials)
            if idle >= self.engine.patience * plan.turns:
                msg = f"no candidate was accepted in {idle} steps"
                raise _StopSearchError(msg)
            idle = 0 if await self._step(step, plan) else idle + 1

    async def _step(self, step: int, plan: StepPlan) -> bool:
        """One step; whether it changed the current candidate."""
        self.start = {**self.current, **plan.start}
        generator = random.Random(f"{self.engine.seed}/{step}")
        train = self.task.train
        batch = sorted(generator.sample(range(len(train)), min(plan.minibatch, len(train))))
        self._afford([self.start], train, batch)
        self._enter(f"step {step + 1}: running the candidate to improve")
        runs = await self.evaluator.evaluate(self.start, train, batch)
        self._enter(f"step {step + 1}: {plan.optimizer} proposes")
        proposals = await self._propose(plan, runs, step)
        candidates = [Candidate(p) for p in proposals if p.state]
        if not candidates:
            fate = f"nothing to try: {why_nothing(proposals)}"
            refused = Candidate(in_one(proposals, plan.optimizer))
            self._finish_trial(self._trial(refused, {}, fate))
            return False
        if plan.gated:
            candidates = await self._gate(candidates, runs, batch, step)
        return bool(candidates) and await self._race(candidates, step)

    async def _propose(
        self, plan: StepPlan, runs: Sequence[Evaluation], step: int
    ) -> list[Proposal]:
        """The proposals of this step, from the journal if they were made before."""
        key = digest(
            self.evaluator.salt, self.optimizer.settings(), step, self.start,
            [t.scores for t in self.trials], [e.score for e in runs],
        )  # fmt: skip
        row = self.journal.proposals(key)
        if row is not None:
            return [journaled(item) for item in row["proposals"]]
        by_name = {parameter.name: parameter for parameter in self.task.parameters}
        graphs = self.evaluator.subgraphs(runs, by_name)
        ask = functools.partial(
            self.optimizer.propose, graphs, self.task.parameters, self.trials, plan.proposals
        )
        token = gate.set(Meter(self.ledger))
        try:
            with overlaid(self.task.module.resolve(self.start)):
                proposals = await persistently(
                    ask, self.engine.retries, lambda why: self.report(f"asking again: {why}")
                )
        finally:
            gate.reset(token)
        record = self.record()
        proposals = [self.hooks.proposal_made(record, p) or p for p in proposals]
        self.journal.keep_proposals(key, {"proposals": [jsonable(p) for p in proposals]})
        return proposals

    async def _gate(
        self,
        candidates: Sequence[Candidate],
        runs: Sequence[Evaluation],
        batch: Sequence[int],
        step: int,
    ) -> list[Candidate]:
        """Those that do no worse than what they change, on the minibatch that they answer to."""
        train = self.task.train
        states = [{**self.start, **candidate.proposal.state} for candidate in candidates]
        race = len(self.task.validation) * self.engine.repeats  # of the one that passes, at least
        while len(states) > 1 and not self._affords(states, train, batch, race):
            states.pop()
        self._afford(states, train, batch, race)
        self._enter(f"step {step + 1}: {len(states)} proposals on the minibatch")
        found = await self.evaluator.evaluate_all(states, train, batch)
        needed = sum(e.score for e in runs)
        passed: list[Candidate] = []
        for untried, evaluations in zip(candidates, found, strict=False):  # as many as affordable
            said = tuple(Feedback(e.text, e.score) for e in evaluations)
            candidate = Candidate(untried.proposal, said)
            total = sum(e.score for e in evaluations)
            if total >= needed:
                passed.append(candidate)
                continue
            fate = (
                f"worse on the minibatch: {total / len(batch):.3g} after {needed / len(batch):.3g}"
            )
            self._finish_trial(self._trial(candidate, {}, fate, _usage(evaluations)))
        return passed

    async def _race(self, candidates: Sequence[Candidate], step: int) -> bool:
        """Race candidates on common validation rows, halving them twice; keep a better winner."""
        rows = self.task.validation
        parts = rungs(len(rows)) if len(candidates) > 1 else [range(len(rows))]
        candidates = self._affordable(candidates, parts)
        scores: dict[int, dict[int, float]] = {number: {} for number in range(len(candidates))}
        done: dict[int, list[Evaluation]] = {number: [] for number in scores}
        alive = list(scores)
        for rung, indices in enumerate(parts):
            self._enter(
                f"step {step + 1}: {len(alive)} candidates on {indices[-1] + 1} validation rows"
            )
            states = [{**self.start, **candidates[number].proposal.state} for number in alive]
            found = await self.evaluator.evaluate_all(states, rows, indices)
            for number, evaluations in zip(alive, found, strict=True):
                scores[number].update(zip(indices, (e.score for e in evaluations), strict=True))
                done[number] += evaluations
            alive.sort(key=lambda number: (-_mean(scores[number]), number))
            if rung < len(parts) - 1:
                alive = alive[: math.ceil(len(alive) / 2)]
        winner = alive[0]
        better = improves(self.scores, scores[winner], self.engine.seed)
        for number, candidate in enumerate(candidates):
            fate = (
                "accepted"
                if number == winner and better
                else self._why_dropped(scores[number], winner=number == winner)
            )
            usage = _usage(done[number])
            self._finish_trial(self._trial(candidate, scores[number], fate, usage))
        if better:
            self.current = {**self.start, **candidates[winner].proposal.state}
            self.scores = scores[winner]
            self._keep(done[winner])
        return better

    def _why_dropped(self, scores: Mapping[int, float], *, winner: bool) -> str:
        if winner:
            return f"not reliably better than {_mean(self.scores):.3f} on the same rows"
        return "behind the winner" if len(scores) == len(self.scores) else "left behind in the race"

    def _affordable(
        self, candidates: Sequence[Candidate], parts: Sequence[range]
    ) -> Sequence[Candidate]:
        """As many of the candidates as the budget lets race to the end."""
        for size in range(len(candidates), 0, -1):
            if race_cost(size, parts) * self.engine.repeats <= self._available():
                return candidates[:size]
        msg = f"the budget of {self.ledger.budget.evaluations} evaluations is spent"
        raise _StopSearchError(msg)

    # what it costs

    def _held_out_cost(self) -> int:
        compared = 2 + len(self.task.baselines)
        return compared * len(self.task.test) * self.engine.repeats

    def _keep(self, current: Sequence[Evaluation]) -> None:
        """Keep of the budget what the comparison may take, by what validation rows took."""
        kept = Kept()
        for found, compared in ((self._originals, 1 + len(self.task.baselines)), (current, 1)):
            took = [(e.usage, e.seconds * self.engine.repeats) for e in found]
            kept += Kept.of(took, compared * len(self.task.test), self.engine.concurrency)
        self.ledger.kept = kept

    def _available(self) -> int:
        return self.ledger.remaining - self._held_out_cost()

    def _affords(
        self, states: Sequence[State], rows: Rows, indices: Sequence[int], then: int = 0
    ) -> bool:
        return self.evaluator.cost(states, rows, indices) + then <= self._available()

    def _afford(
        self, states: Sequence[State], rows: Rows, indices: Sequence[int], then: int = 0
    ) -> None:
        if not self._affords(states, rows, indices, then):
            msg = f"the budget of {self.ledger.budget.evaluations} evaluations is spent"
            raise _StopSearchError(msg)

    # the comparison

    async def _finish(self) -> RunRecord:
        """Compare original and found on rows that no optimizer has seen."""
        self.ledger.kept = Kept()
        self._enter("comparing on held-out examples")
        try:
            await self._compare("original", self.original)
            baselines = [await self._baseline(n, s) for n, s in self.task.baselines.items()]
            if self.current == self.original:
                self.held_out["found"] = self.held_out["original"]
                return self.record(self._verdict(), baselines)
            await self._compare("found", self.current)
        except (BudgetExhaustedError, ModelUnavailableError) as error:
            return self.record(
                Verdict(better=False, why=f"the held-out comparison failed: {error}")
            )
        except asyncio.CancelledError:
            return self.record(Verdict(better=False, why="interrupted in the held-out comparison"))
        return self.record(self._verdict(), baselines)

    async def _compare(self, name: str, state: State) -> Mapping[int, float]:
        rows = self.task.test
        found = await self.evaluator.evaluate(state, rows, range(len(rows)))
        self.held_out[name] = dict(enumerate(e.score for e in found))
        return self.held_out[name]

    async def _baseline(self, name: str, state: State) -> Baseline:
        scores = await self._compare(f"baseline {name}", {**self.original, **state})
        return Baseline(name, state, _mean(scores), scores)

    def _verdict(self) -> Verdict:
        found = verdict(self.held_out["original"], self.held_out["found"], self.engine.seed)
        if self.current == self.original:
            return replace(
                found, why=f"no candidate was better on the validation examples ({self.stopped})"
            )
        return found

    # what others see

    def record(
        self, judged: Verdict | None = None, baselines: Sequence[Baseline] = ()
    ) -> RunRecord:
        """The run so far."""
        judged = judged or Verdict(better=False, why="the search is still going on")
        accepted = [trial for trial in self.trials if trial.fate in ("original", "accepted")]
        original = Trial(0, self.original, {}, "original")
        found = accepted[-1] if accepted else original
        return RunRecord(
            trials=tuple(self.trials),
            best=found if judged.better else (self.trials[0] if self.trials else original),
            found=found,
            verdict=judged,
            held_out=dict(self.held_out),
            evaluations=self.ledger.evaluations,
            reused=self.evaluator.reused,
            usage=self._spent + self.ledger.session,
            session=self.ledger.session,
            seconds=time.monotonic() - self.started,
            stopped=self.stopped,
            baselines=tuple(baselines),
            warnings=tuple(self.evaluator.notes.lines),
            journal=self.journal.path,
        )

    def _trial(
        self, tried: Candidate, scores: Mapping[int, float], fate: str, usage: Usage | None = None
    ) -> Trial:
        proposal = tried.proposal
        state = {**self.start, **proposal.state}
        number = len(self.trials)
        return Trial(number, state, scores, fate, proposal, usage or Usage(), tried.feedback)

    def _finish_trial(self, trial: Trial) -> None:
        self.trials.append(trial)
        self.journal.keep_trial(trial.number, {**asdict(trial), "score": trial.score})
        self.hooks.trial_finished(self.record(), trial)
        score = "" if trial.score is None else f" {trial.score:.3f} on {len(trial.scores)} rows;"
        self.report(f"trial {trial.number}:{score} {trial.fate}")

    def _enter(self, stage: str) -> None:
        self.stage = stage
        self.report()

    def report(self, note: str = "") -> None:
        """Tell the live view where the run is."""
        self.hooks.progress(
            Progress(
                stage=self.stage,
                evaluations=self.ledger.evaluations,
                total=self.ledger.budget.evaluations,
                reused=self.evaluator.reused,
                calls=(self._spent + self.ledger.session).calls,
                best=_mean(self.scores) if self.scores else None,
                note=note,
            )
        )


def _mean(scores: Mapping[int, float]) -> float:
    return math.fsum(scores.values()) / len(scores) if scores else 0.0


def _usage(evaluations: Sequence[Evaluation]) -> Usage:
    return sum((e.usage for e in evaluations), Usage())
