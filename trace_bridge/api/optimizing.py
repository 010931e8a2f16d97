"""``optimize``: an agent, data and a metric in, a Run out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, cast

import pluggy

from trace_bridge import plugins as plugin_manager
from trace_bridge.api.run import Run
from trace_bridge.api.wrapping import (
    known_optimizers,
    model_of,
    module_of,
    optimizer_of,
    trained,
)
from trace_bridge.graph import JSON, canonical, digest, jsonable
from trace_bridge.graph.code import code_digest
from trace_bridge.graph.guards import Phrases
from trace_bridge.optimizers.base import Optimizer, run_sync
from trace_bridge.recording.agent import AgentModule
from trace_bridge.report.terminal import LiveView
from trace_bridge.training.budget import Budget, Ledger
from trace_bridge.training.evaluate import Evaluator
from trace_bridge.training.journal import Journal
from trace_bridge.training.metric import Metric, MetricLike, name_of
from trace_bridge.training.records import Engine, Notes, Progress, RunRecord
from trace_bridge.training.search import Hooks, Search
from trace_bridge.training.split import split
from trace_bridge.training.task import Rows, Task

_WORDS = 4  # of an answer that no other example has; a shorter one also stands in prompts by chance
_LONG = 40  # characters of an input, by which an example is learnt by heart


def optimize(  # noqa: PLR0913 (one verb says it all)
    agent: object,
    trainset: Sequence[Any],
    metric: MetricLike,
    *,
    valset: Sequence[Any] | None = None,
    testset: Sequence[Any] | None = None,
    optimizer: str | type[Optimizer] | Optimizer = "auto",
    llm: object = None,
    trainable: Sequence[str] | None = None,
    budget: Budget | None = None,
    engine: Engine | None = None,
    baselines: Mapping[str, Mapping[str, object]] | None = None,
    plugins: Sequence[object] = (),
    progress: Callable[[Progress], object] | bool = True,
) -> Run:
    """Search for values that make ``agent`` better on ``metric``, and compare on held-out data.

    The agent is never written: ``run.apply(agent)`` does that, ``run.export()`` gives a copy.

    Args:
        agent: a framework's agent (with its plugin installed), a ``Module``, or a function.
        trainset: examples in the framework's own form, or mappings of the agent's arguments.
        metric: ``(example, output)`` to a score, ``(score, text)`` or ``Feedback``; or a list.
        valset: chooses between candidates; drawn from ``trainset`` with the seed when absent.
        testset: held out; decides the verdict. Drawn from ``trainset`` when absent.
        optimizer: a name, class or instance; ``"auto"`` takes what suits the parameters.
        llm: the model that proposes: a LiteLLM name, a function, or the framework's own client;
            by default TRACE_BRIDGE_MODEL, then the agent's own model.
        trainable: globs over paths; prompts and demonstrations by default.
        budget: what the run may spend; 200 evaluations by default.
        engine: concurrency, seed, journal.
        baselines: candidates to measure beside, on the held-out examples only.
        plugins: pluggy plugins for this run only: trackers, guardrails, stop rules.
        progress: False for silence, or a function that is told where the run is.

    Raises:
        TypeError: no plugin can wrap the agent, or ``llm`` is no model.
        ValueError: nothing to train, an agent that cannot run, too little data or budget, no
            model where one is needed, or a budget in dollars and a model with an unknown price.
        LookupError: a path, glob or optimizer that does not exist.
        ModuleNotFoundError: the optimizer needs a package that is not installed.
        MetricError: the metric failed on every validation example.
        ModelUnavailableError, BudgetExhaustedError: before the original could be evaluated.
    """
    return run_sync(
        optimize_async(
            agent, trainset, metric, valset=valset, testset=testset, optimizer=optimizer, llm=llm,
            trainable=trainable, budget=budget, engine=engine, baselines=baselines,
            plugins=plugins, progress=progress,
        )
    )  # fmt: skip


async def optimize_async(  # noqa: PLR0913 (as optimize)
    agent: object,
    trainset: Sequence[Any],
    metric: MetricLike,
    *,
    valset: Sequence[Any] | None = None,
    testset: Sequence[Any] | None = None,
    optimizer: str | type[Optimizer] | Optimizer = "auto",
    llm: object = None,
    trainable: Sequence[str] | None = None,
    budget: Budget | None = None,
    engine: Engine | None = None,
    baselines: Mapping[str, Mapping[str, object]] | None = None,
    plugins: Sequence[object] = (),
    progress: Callable[[Progress], object] | bool = True,
) -> Run:
    """``optimize`` for those who are in an event loop already; same arguments."""
    budget, engine = budget or Budget(), engine or Engine()
    manager = plugin_manager.with_plugins(plugins)
    module = module_of(agent, manager)
    parameters = trained(module, trainable)
    problem = module.problem()
    if problem:
        msg = f"{type(module.agent).__qualname__} cannot run: {problem}"
        raise ValueError(msg)
    sets = split(trainset, valset, testset, seed=engine.seed, evaluations=budget.evaluations)
    rows = [
        _rows(module, name, examples)
        for name, examples in zip(("train", "validation", "test"), sets, strict=True)
    ]
    task = Task(module, parameters, rows[0], rows[1], rows[2], dict(baselines or {}))
    _check_task(task, budget, engine)
    _offer_choices(task)
    _withhold(task)
    notes = Notes()
    model = model_of(llm, module, manager)
    known = known_optimizers(manager)
    chosen = optimizer_of(optimizer, parameters, model, engine.seed, known, notes.add)
    _check_prices(budget, chosen, module, manager)
    metrics = _metrics(metric, module, manager)
    code = [code_digest(function) for function in _raw(metric)]
    salt = digest(module.fingerprint(), module.state_dict(), code)
    _note_shared(task, notes)
    job = _Job(task, chosen, metrics, salt, notes, manager)
    watch = LiveView() if progress is True else progress or _silent
    return Run(await _execute(job, budget, engine, watch), module, manager)


@dataclass(frozen=True, slots=True)
class _Job:
    """A run that is fully determined, apart from what it may spend."""

    task: Task
    optimizer: Optimizer
    metrics: Sequence[Metric]
    salt: str
    notes: Notes
    manager: pluggy.PluginManager


async def _execute(
    job: _Job, budget: Budget, engine: Engine, watch: Callable[[Progress], object]
) -> RunRecord:
    """Run a job to its verdict, and leave nothing open."""
    hook = job.manager.hook
    hooks = Hooks(
        lambda run, proposal: hook.proposal_made(run=run, proposal=proposal),
        lambda run, trial: hook.trial_finished(run=run, trial=trial),
        watch,
    )
    journal = Journal(engine.journal, _run_key(job, engine), _about(job), resume=engine.resume)
    ledger = Ledger(budget, journal)
    evaluator = Evaluator(
        job.task.module, job.metrics, engine=engine, ledger=ledger, journal=journal, salt=job.salt,
        notes=job.notes,
    )  # fmt: skip
    search = Search(
        job.task,
        job.optimizer,
        evaluator,
        engine=engine,
        ledger=ledger,
        journal=journal,
        hooks=hooks,
    )
    evaluator.changed = search.report
    try:
        with plugin_manager.instrumented(job.manager):
            return await search.run()
    finally:
        evaluator.close()
        journal.close()
        if isinstance(watch, LiveView):
            watch.close()


def _silent(_progress: Progress) -> None:
    """Show nothing."""


def _rows(module: AgentModule[Any], name: str, examples: Sequence[Any]) -> Rows:
    keys = [module.encode(example) for example in examples]
    return Rows(name, examples, keys, traced=name == "train")


def _check_task(task: Task, budget: Budget, engine: Engine) -> None:
    """Refuse a run that cannot come to a verdict, before it costs anything."""
    if not task.train.examples:
        msg = "no training examples are left after the split: pass more, or valset= and testset="
        raise ValueError(msg)
    for name, state in task.baselines.items():
        unknown = state.keys() - {parameter.name for parameter in task.parameters}
        if unknown:
            paths = ", ".join(sorted(unknown))
            msg = f"the baseline {name!r} sets {paths}, which this run does not train"
            raise LookupError(msg)
    compared = (2 + len(task.baselines)) * len(task.test) * engine.repeats
    needed = compared + len(task.validation) * engine.repeats
    if needed >= budget.evaluations:
        msg = (
            f"Budget(evaluations={budget.evaluations}) leaves nothing for a search: the original"
            f" takes {len(task.validation)} validation examples and the held-out comparison"
            f" {compared} evaluations. Allow more than {needed}, or pass smaller sets."
        )
        raise ValueError(msg)


def _check_prices(
    budget: Budget, optimizer: Optimizer, module: AgentModule[Any], manager: pluggy.PluginManager
) -> None:
    """Refuse a budget in dollars for models that nobody knows the price of, before any is called.

    A model that only shows while the agent runs is refused then, by the ledger.
    """
    used = [optimizer.llm, *(manager.hook.llm(client=client) for client in module.models())]
    for model in used:
        problem = budget.problem(model.model) if model else ""
        if problem:
            raise ValueError(problem)


def _offer_choices(task: Task) -> None:
    """Give demos parameters the demonstrations that the training examples' labels make."""
    offered: dict[str, list[JSON]] = {}
    for example in task.train.examples:
        for path, demo in task.module.labelled(example).items():
            offered.setdefault(path, []).append(demo)
    for parameter in task.parameters:
        parameter.choices = parameter.choices or offered.get(parameter.name, ())


def _withhold(task: Task) -> None:
    """Tell parameters what no model may copy into them: what single training examples say."""
    given: list[set[str]] = []
    answers: list[set[str]] = []
    for example, key in zip(task.train.examples, task.train.keys, strict=True):
        given.append(set(_texts(jsonable(task.module.inputs(example)))))
        answers.append(set(_texts(key)) - given[-1])
    # what several examples say (a label, an instruction) may belong into a prompt
    rows = Counter(chain.from_iterable([*given, *answers]))
    withheld = Phrases(
        [
            *(text for row in answers for text in row if rows[text] == 1),
            *(text for row in given for text in row if rows[text] == 1 and len(text) >= _LONG),
        ],
        _WORDS,
    )
    for parameter in task.parameters:
        parameter.withheld = withheld


def _texts(value: JSON) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _note_shared(task: Task, notes: Notes) -> None:
    """Say so if the optimizer may have seen held-out examples."""
    seen = {canonical(key) for rows in (task.train, task.validation) for key in rows.keys}
    shared = sum(canonical(key) in seen for key in task.test.keys)
    if shared:
        notes.add(f"{shared} of {len(task.test)} held-out examples were searched on as well")


def _raw(metric: MetricLike) -> list[object]:
    return list(cast("Sequence[object]", metric)) if isinstance(metric, (list, tuple)) else [metric]


def _metrics(
    metric: MetricLike, module: AgentModule[Any], manager: pluggy.PluginManager
) -> list[Metric]:
    """The metrics, a framework's own adapted by its plugin.

    Raises:
        TypeError: for something that cannot be called.
    """
    found: list[Metric] = []
    for function in _raw(metric):
        adapted = manager.hook.metric(function=function, module=module.outer) or function
        if not callable(adapted):
            msg = f"the metric {function!r} cannot be called: pass (example, output) -> score"
            raise TypeError(msg)
        found.append(cast("Metric", adapted))
    if not found:
        msg = "metric is an empty list: pass at least one (example, output) -> score"
        raise ValueError(msg)
    return found


def _run_key(job: _Job, engine: Engine) -> str:
    """What determines a run, apart from its budget: with a larger one it goes on."""
    task = job.task
    return digest(
        job.salt, task.train.keys, task.validation.keys, task.test.keys, task.baselines,
        [parameter.name for parameter in task.parameters], job.optimizer.settings(), engine.seed,
        engine.repeats, engine.failure_score, engine.patience,
    )  # fmt: skip


def _about(job: _Job) -> dict[str, JSON]:
    """What a person who opens the journal wants to know of a run."""
    task = job.task
    return {
        "agent": type(task.module.agent).__qualname__,
        "framework": task.module.framework,
        "optimizer": job.optimizer.name,
        "metrics": [name_of(metric) for metric in job.metrics],
        "trained": [parameter.name for parameter in task.parameters],
        "examples": {rows.name: len(rows) for rows in (task.train, task.validation, task.test)},
    }
