"""What a plugin shows of an agent: a Module whose parameters live in the framework's object."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar

from trace_bridge.graph import JSON, Module, Parameter, jsonable
from trace_bridge.recording.nesting import StandIn
from trace_bridge.recording.recorder import Recorder, current_call
from trace_bridge.recording.slot import Slot

AgentT = TypeVar("AgentT")

_DEFAULT_KINDS = ("prompt", "demos")


class AgentModule(Module, Generic[AgentT]):
    """A Module over somebody's agent, which it never writes (only ``apply`` does).

    A plugin subclasses it for its framework. ``run`` executes the agent with the values that are
    current in this context; what happens meanwhile is reported to ``current_call()`` and
    ``model_call()`` by the seams that the plugin's ``instrument`` hook installs.
    """

    framework: str = ""
    methods: ClassVar[Sequence[str]] = ()  # by which the framework's agents are called

    def __init__(self, agent: AgentT) -> None:
        self.agent = agent

    @abstractmethod
    def slots(self) -> Sequence[Slot]:
        """All places in the agent that could be trained; paths are stable and unique."""

    @abstractmethod
    def run(self, example: Any) -> object | Awaitable[object]:
        """Execute the agent on one example with the current values; may be a coroutine."""

    @abstractmethod
    def apply(self, state: Mapping[str, object]) -> None:
        """Write ``state`` into the user's agent."""

    @abstractmethod
    def export(  # pyright: ignore[reportIncompatibleMethodOverride] a Module's own form is source
        self,
        state: Mapping[str, object],
        format: str = "",  # noqa: A002
    ) -> object:
        """The agent with ``state`` as the framework's own object, usable without trace_bridge.

        Raises:
            ValueError: for a format that the plugin does not know, naming those it does.
        """

    def attached(self) -> AbstractContextManager[object]:
        """A context in which calls of the agent itself read this module's parameters.

        They are recorded with them, too; ``trace_bridge.record`` enters it.
        """
        return nullcontext()

    def recording(self, example: Any) -> AbstractContextManager[object]:
        """A context in which a run on ``example`` is recorded, if nothing is recorded already.

        For ``run``, where the framework's seams have to work and whoever runs it does not record.
        """
        if current_call() is not None:
            return nullcontext()
        return Recorder(self.inputs(example)).recording()

    def parts(self) -> Iterable[tuple[tuple[str, ...], object]]:
        """All objects of the agent that were found, with the names that lead to each.

        The core looks in their functions and attributes for agents of other frameworks.
        """
        return ()

    def standing_in(self, *, live: bool) -> AbstractContextManager[StandIn]:
        """What runs in place of the agent where one of another framework calls it.

        It may be entered in any thread, and lasts as long as one run of the agent around.

        Args:
            live: it is the user's own run: the agent itself takes part in it, and not a copy.

        Raises:
            NotImplementedError: the plugin's hook ``agents`` names classes, and it lacks this.
        """
        msg = (
            f"the plugin for {self.framework} finds its agents inside others (hook agents), so its"
            f" {type(self).__name__} needs standing_in()"
        )
        raise NotImplementedError(msg)

    @property
    def outer(self) -> AgentModule[Any]:
        """Itself; where agents of other frameworks are inside, the Module of the agent around."""
        return self

    def inner(
        self, agent: object, state: Mapping[str, object]
    ) -> tuple[AgentModule[Any], Mapping[str, object]] | None:
        """The Module over an agent of another framework inside, and its part of ``state``."""
        return None

    def problem(self) -> str:
        """Why the agent cannot run at all now (no model is configured, say); empty if it can."""
        return ""

    def nothing_to_train(self) -> str:
        """Why there is no slot, for the error message."""
        return "it has no parameters"

    def left_out(self) -> Mapping[str, str]:
        """What was found but cannot be trained: by path or name, the reason why."""
        return {}

    def clone(self, state: Mapping[str, object]) -> AgentModule[AgentT]:
        """A Module over a copy of the agent that holds ``state``; the agent stays as it is."""
        return type(self)(self.export(state))  # pyright: ignore[reportArgumentType]

    def models(self) -> Sequence[object]:
        """The framework's model clients that the agent would use now."""
        return ()

    def fingerprint(self) -> Mapping[str, object]:
        """What, besides parameters and example, determines an output: code, models, versions.

        Results in a journal are only reused while it stays the same. No secrets, no addresses
        that differ between runs.
        """
        return {"framework": self.framework, "agent": type(self.agent).__qualname__}

    def inputs(self, example: Any) -> Mapping[str, object]:
        """What of an example the agent is given, by name."""
        return dict(example)

    def encode(self, example: Any) -> JSON:
        """The example as JSON: it identifies the example in the journal."""
        return jsonable(example)

    def fields(self, output: object) -> Mapping[str, object] | None:
        """The named parts of an output, if it is a record of several values."""
        return None

    def labelled(self, example: Any) -> Mapping[str, JSON]:
        """The demonstrations that an example's labels make, by path of the demos parameter."""
        return {}

    def native(self, state: Mapping[str, object]) -> Mapping[str, JSON]:
        """The framework's own JSON save file for ``state``, if there is such a thing.

        ``Run.save`` puts its own data beside it under one more key, so one file serves both.
        """
        return {}

    @cached_property
    def _parameters(self) -> dict[str, Parameter]:
        return {slot.path: slot.parameter() for slot in self.slots()}

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """One parameter for each slot; the same objects each time."""
        return iter(self._parameters.items())

    def default_paths(self) -> list[str]:
        """What is trained unless the user names something else: prompts and demonstrations."""
        return [path for path, p in self.named_parameters() if p.kind in _DEFAULT_KINDS]
