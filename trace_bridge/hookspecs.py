"""Every hook, on one screen. A plugin implements some of them with ``trace_bridge.hookimpl``."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import pluggy

from trace_bridge.llm.base import LLM
from trace_bridge.optimizers.base import Factory, Proposal, Trial
from trace_bridge.recording.agent import AgentModule
from trace_bridge.training.metric import Metric
from trace_bridge.training.records import RunRecord

hookspec = pluggy.HookspecMarker("trace_bridge")
hookimpl = pluggy.HookimplMarker("trace_bridge")


@hookspec(firstresult=True)
def wrap(agent: object) -> AgentModule[Any] | None:
    """Return a Module over ``agent``, or None if it belongs to another framework."""


@hookspec
def agents() -> Mapping[str, tuple[type, ...]] | None:
    """Return the classes of the framework's agents by its name (``AgentModule.framework``).

    By them an agent is found inside one of another framework, and then wrapped.
    """


@hookspec(firstresult=True)
def metric(function: object, module: AgentModule[Any]) -> Metric | None:
    """Return the framework's own kind of metric or evaluator as a metric, or None."""


@hookspec(firstresult=True)
def llm(client: object) -> LLM | None:
    """Return the framework's own model client as an LLM, or None."""


@hookspec
def optimizers() -> Mapping[str, Factory] | None:
    """Return optimizers by the names that ``optimizer="name"`` finds them under.

    Each is a subclass of ``Optimizer``, or a function that takes ``llm=`` and ``seed=``.
    """


@hookspec
def instrument() -> AbstractContextManager[object] | None:
    """Return a context manager that installs the framework's seams while it is entered.

    Seams do nothing outside a run of ours; entering again only counts.
    """


@hookspec(firstresult=True)
def proposal_made(run: RunRecord, proposal: Proposal) -> Proposal | None:
    """Called before a proposal is tried: return another to replace it, or None to keep it."""


@hookspec
def trial_finished(run: RunRecord, trial: Trial) -> None:
    """Called after each trial: log it, save it, or raise to stop the run."""
