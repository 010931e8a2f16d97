"""``optimize``: an agent, data and a metric in, a Run out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import pluggy

from trace_bridge import plugins as plugin_manager
from trace_bridge.api.run import Run
from trace_bridge.api.wrapping import model_of, module_of, optimizer_of, trained
from trace_bridge.graph import JSON, canonical, digest
from trace_bridge.graph.code import code_digest
from trace_bridge.optimizers.base import Optimizer, run_sync
from trace_bridge.recording.agent import AgentModule
from trace_bridge.report.terminal import LiveView
from trace_bridge.training.budget import Budget, Ledger
from trace_bridge.training.evaluate import Evaluator, Rows
from trace_bridge.training.journal import Journal
from trace_bridge.training.metric import Metric, MetricLike, name_of
from trace_bridge.training.records import Engine, Progress
from trace_bridge.training.search import Hooks, Search, Task
from trace_bridge.training.split import split


def optimize(
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
        ValueError: nothing to train, too little data or budget, or no model where one is needed.
        LookupError: a path, glob or optimizer that does not exist.
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
    sets = split(trainset, valset, testset, seed=engine.seed, evaluations=budget.evaluations)
    train, validation, test = (
        _rows(module, name, examples)
        for name, examples in zip(("train", "validation", "test"), sets, strict=True)
    )
    task = Task(module, parameters, train, validation, test, dict(baselines or {}))
    _check_task(task, budget, engine)
    _offer_choices(task)
    warnings = [f"{len(shared)} held-out examples are in the training data too" for shared in _shared(task)]
    chosen = optimizer_of(
        optimizer, parameters, model_of(llm, module, manager), engine.seed, warnings.append
    )
    metrics = _metrics(metric, module, manager)
    salt = digest(module.fingerprint(), module.state_dict(), [code_digest(m) for m in _raw(metric)])
    journal = Journal(
        engine.journal, _run_key(task, chosen, engine, salt), _about(task, chosen, metrics),
        resume=engine.resume,
    )  # fmt: skip
    view = LiveView() if progress is True else None
    hooks = Hooks(
        lambda run, proposal: manager.hook.proposal_made(run=run, proposal=proposal),
        lambda run, trial: manager.hook.trial_finished(run=run, trial=trial),
        view or (progress if callable(progress) else _silent),
    )
    ledger = Ledger(budget, journal)
    search: Search
    evaluator = Evaluator(
        module, metrics, engine=engine, ledger=ledger, journal=journal, salt=salt,
        changed=lambda: search.report(),
    )  # fmt: skip
    for warning in warnings:
        evaluator.notes.add(warning)
    search = Search(task, chosen, evaluator, engine=engine, ledger=ledger, journal=journal, hooks=hooks)
    try:
        with plugin_manager.instrumented(manager):
            return Run(await search.run(), module)
    finally:
        evaluator.close()
        journal.close()
        if view is not None:
            view.close()


def _silent(_progress: Progress) -> None:
    """Show nothing."""


def _rows(module: AgentModule[Any], name: str, examples: Sequence[Any]) -> Rows:
    return Rows(name, examples, [module.encode(example) for example in examples])


def _check_task(task: Task, budget: Budget, engine: Engine) -> None:
    """Refuse a run that cannot come to a verdict, before it costs anything."""
    if not task.train.examples:
        msg = "no training examples are left after the split: pass more, or valset= and testset="
        raise ValueError(msg)
    for name, state in task.baselines.items():
        unknown = state.keys() - {parameter.name for parameter in task.parameters}
        if unknown:
            msg = f"the baseline {name!r} sets {', '.join(sorted(unknown))}, which this run does not train"
            raise LookupError(msg)
    compared = (2 + len(task.baselines)) * len(task.test) * engine.repeats
    needed = compared + len(task.validation) * engine.repeats
    if needed >= budget.evaluations:
        msg = (
            f"Budget(evaluations={budget.evaluations}) leaves nothing for a search: the original takes"
            f" {len(task.validation)} validation examples and the held-out comparison {compared}"
            f" evaluations. Allow more than {needed}, or pass a smaller valset= and testset=."
        )
        raise ValueError(msg)


def _offer_choices(task: Task) -> None:
    """Give demos parameters the demonstrations that the training examples' labels make."""
    offered: dict[str, list[JSON]] = {}
    for example in task.train.examples:
        for path, demo in task.module.labelled(example).items():
            offered.setdefault(path, []).append(demo)
    for parameter in task.parameters:
        parameter.choices = parameter.choices or offered.get(parameter.name, ())


def _shared(task: Task) -> list[list[JSON]]:
    """Held-out examples that the optimizer may have seen (none or one list)."""
    seen = {canonical(key) for rows in (task.train, task.validation) for key in rows.keys}
    shared = [key for key in task.test.keys if canonical(key) in seen]
    return [shared] if shared else []


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
        adapted = manager.hook.metric(function=function, module=module) or function
        if not callable(adapted):
            msg = f"the metric {function!r} cannot be called: pass (example, output) -> score"
            raise TypeError(msg)
        found.append(cast("Metric", adapted))
    if not found:
        msg = "metric is an empty list: pass at least one (example, output) -> score"
        raise ValueError(msg)
    return found


def _run_key(task: Task, optimizer: Optimizer, engine: Engine, salt: str) -> str:
    """What determines a run, apart from its budget: with a larger one it goes on."""
    return digest(
        salt, task.train.keys, task.validation.keys, task.test.keys, task.baselines,
        [parameter.name for parameter in task.parameters], optimizer.settings(), engine.seed,
        engine.repeats, engine.failure_score, engine.patience,
    )  # fmt: skip


def _about(task: Task, optimizer: Optimizer, metrics: Sequence[Metric]) -> dict[str, JSON]:
    return {
        "agent": type(task.module.agent).__qualname__,
        "framework": task.module.framework,
        "optimizer": optimizer.name,
        "metrics": [name_of(metric) for metric in metrics],
        "trained": [parameter.name for parameter in task.parameters],
        "examples": {rows.name: len(rows) for rows in (task.train, task.validation, task.test)},
    }


