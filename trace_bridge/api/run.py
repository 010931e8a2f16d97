"""Runs and tuned states: a RunRecord plus the verbs that need plugins or reports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pluggy

from trace_bridge import plugins
from trace_bridge.api.wrapping import module_of
from trace_bridge.recording.agent import AgentModule
from trace_bridge.report.diff import diff
from trace_bridge.report.terminal import summary
from trace_bridge.training.records import RunRecord, Trial, Verdict

KEY = "trace_bridge"  # our part of a file that the framework may own
_FORMAT = 1


class StateMismatchError(ValueError):
    """The agent is not what the values were tuned for; nothing was changed."""


@dataclass(frozen=True)
class TunedState:
    """Values by path, and the original values that they were tuned from."""

    state: Mapping[str, object]
    original: Mapping[str, object]

    def apply(self, agent: object, *, force: bool = False) -> None:
        """Write the values into ``agent``.

        Raises:
            StateMismatchError: a path is missing, or holds neither the original nor the tuned
                value; with ``force`` only missing paths are an error.
        """
        self.write(module_of(agent, plugins.installed()), self.state, force=force)

    def restore(self, agent: object, *, force: bool = False) -> None:
        """Write the original values back; raises as ``apply`` does."""
        self.write(module_of(agent, plugins.installed()), self.original, force=force)

    def export(self, agent: object, format: str = "") -> Any:  # noqa: A002
        """A copy of ``agent`` with the values, in the framework's own form; see ``Run.export``."""
        module = module_of(agent, plugins.installed())
        self.check(module, self.state)
        return module.export(self.state, format)

    def write(
        self, module: AgentModule[Any], state: Mapping[str, object], *, force: bool = False
    ) -> None:
        """Write ``state`` into the agent of ``module``, if it is what it should be."""
        self.check(module, state, force=force)
        module.apply(state)

    def check(
        self, module: AgentModule[Any], state: Mapping[str, object], *, force: bool = False
    ) -> None:
        """Whether ``state`` may be written; raises as ``apply`` does."""
        present = module.state_dict()
        missing = [path for path in state if path not in present]
        if missing:
            there = ", ".join(present) or "nothing trainable"
            msg = f"the agent has no {', '.join(missing)}; it has: {there}"
            raise StateMismatchError(msg)
        known = (self.original, self.state)
        strange = [path for path in state if all(present[path] != k[path] for k in known)]
        if strange and not force:
            msg = (
                f"{', '.join(strange)}: neither the value that was tuned nor the result; the agent"
                " has changed since. Pass force=True to overwrite it."
            )
            raise StateMismatchError(msg)

    def document(self, module: AgentModule[Any]) -> dict[str, object]:
        """What ``Run.save`` writes: the framework's own save file with our part beside it."""
        ours = {"format": _FORMAT, "state": dict(self.state), "original": dict(self.original)}
        return {**module.native(self.state), KEY: ours}


class Run:
    """One finished ``optimize``.

    A framework may keep a run on the agent that came of it. So a copy of a run is the run itself;
    and pickled, it becomes its summary, a string, which can be read where trace_bridge is not.
    ``save`` is what keeps the values.

    Attributes:
        record: all that happened, as data.
        original: the values that the run started from, by path.
    """

    def __init__(
        self, record: RunRecord, module: AgentModule[Any], manager: pluggy.PluginManager
    ) -> None:
        self.record = record
        present = module.state_dict()
        self.original: Mapping[str, object] = {path: present[path] for path in record.best.state}
        self._module = module
        self._manager = manager

    @property
    def verdict(self) -> Verdict:
        """``"better"`` or ``"no reliable gain"``, with the interval on held-out data."""
        return self.record.verdict

    @property
    def best(self) -> Trial:
        """The trial to use: the original, unless the verdict is ``"better"``."""
        return self.record.best

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All candidates, the original first."""
        return self.record.trials

    @property
    def tuned(self) -> TunedState:
        """The values of ``best``, apart from this run."""
        return TunedState(self.best.state, self.original)

    def apply(self, agent: object, *, force: bool = False) -> None:
        """Write the best values into ``agent``: the only thing here that changes it.

        Raises:
            StateMismatchError: the agent is not what was optimized.
        """
        self.tuned.write(module_of(agent, self._manager), self.tuned.state, force=force)

    def restore(self, agent: object, *, force: bool = False) -> None:
        """Write the original values back into ``agent``."""
        self.tuned.write(module_of(agent, self._manager), self.original, force=force)

    def export(self, agent: object | None = None, format: str = "") -> Any:  # noqa: A002
        """The optimized agent (or ``agent``) with the best values, usable without trace_bridge.

        Args:
            agent: another agent of the same shape; the optimized one by default. Not changed. One
                of another framework that was found inside the optimized one is exported alone. A
                text is the ``format``, for the optimized one.
            format: what the plugin offers besides the framework's own object.
        """
        if agent is None or isinstance(agent, str):
            return self._module.export(self.best.state, agent or format)
        inner = self._module.inner(agent, self.best.state)
        if inner is not None:
            module, state = inner
            return module.export(state, format)
        module = module_of(agent, self._manager)
        self.tuned.check(module, self.best.state)
        return module.export(self.best.state, format)

    def diff(self) -> str:
        """What the best values change, as a unified diff; empty if nothing does."""
        return diff(self.original, self.best.state, self._module.parameters())

    def save(self, path: str | Path) -> Path:
        """Write the best values to a JSON file for ``trace_bridge.load``.

        Where the framework has a JSON format of its own, the file is in it as well.
        """
        target = Path(path)
        document = self.tuned.document(self._module)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(
            json.dumps(document, ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
        )
        return target

    def __str__(self) -> str:
        return summary(self.record)

    def __copy__(self) -> Run:
        return self

    def __deepcopy__(self, memo: object) -> Run:
        return self

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)


def load(path: str | Path) -> TunedState:
    """The tuned values in a file that ``Run.save`` wrote.

    Raises:
        ValueError: the file holds none; the message names it.
    """
    source = Path(path)
    try:
        document = json.loads(source.read_text(encoding="utf-8"))
        ours = document[KEY]
        if ours["format"] > _FORMAT:
            msg = f"{source} was written by a newer trace_bridge: upgrade to read it"
            raise ValueError(msg)
        return TunedState(ours["state"], ours["original"])
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        msg = f"{source} holds no tuned values ({error!r}): write such a file with run.save(path)"
        raise ValueError(msg) from error
