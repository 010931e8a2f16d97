"""An AutoGen agent or team as a Module: what it could learn, and how it runs."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from autogen_agentchat.base import TaskResult
from autogen_agentchat.teams import BaseGroupChat
from autogen_core.models import ChatCompletionClient

from trace_bridge import JSON, AgentModule, Slot, StandIn
from trace_bridge_autogen import components, examples
from trace_bridge_autogen.ending import run_to_end, to_end
from trace_bridge_autogen.fingerprint import clients, fingerprint
from trace_bridge_autogen.layout import Layout
from trace_bridge_autogen.managers import renew_manager
from trace_bridge_autogen.overlay import overlaid
from trace_bridge_autogen.running import Attached


class AutoGenModule(AgentModule[Any]):
    """A Module over an agent, a team, an object that runs some, or a function that makes one.

    Each run executes a copy of its own that holds the current values, with a runtime of its own;
    clients of models are shared. A function without parameters is called for each run instead.

    Args:
        agent: what has ``run(task=)``, or a function that makes it.
        spans: by a slot's name, the marker after which a part of a system message stands, up to the
            next empty line; ``{"plan": "Plan:"}`` where a message has that.
        attributes: further slots: by an object's path, an attribute or several
            (``{"home/alice": ["mood", "style"]}``).
        unsafe: run code that a model has written in this process. Without it, changed code needs a
            code runner, and raises UnsafeCodeError where there is none.

    Raises:
        LookupError: a path or attribute in ``attributes`` does not exist; the message names those
            that do.
        TypeError: an attribute holds what cannot be trained.
    """

    framework = "autogen"
    methods = (
        "run", "run_stream", "on_messages", "on_messages_stream", "reset", "on_reset",
        "save_state", "load_state",
    )  # fmt: skip

    def __init__(
        self, agent: Any, *, spans: Mapping[str, str] | None = None,
        attributes: Mapping[str, str | Sequence[str]] | None = None, unsafe: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(agent)
        self.layout = Layout(agent, spans or {}, attributes or {}, unsafe=unsafe)
        self.layout.connect(dict(self.named_parameters()))

    def slots(self) -> Sequence[Slot]:
        """Prompts, plans, descriptions, tools, handoffs, routing, memories, numbers."""
        return self.layout.places

    def nothing_to_train(self) -> str:
        """Why there is no slot."""
        return (
            "no system message, prompt, description or tool was found in it; name an attribute:"
            " AutoGenModule(agent, attributes={'path': 'attribute'})"
        )

    def run(self, example: Any) -> Awaitable[object]:
        """Run a copy on a task; the TaskResult."""
        return self._run(example)

    async def _run(self, example: Any) -> object:
        task = examples.task_of(example)
        objects = self.layout.fresh(self.state_dict())
        where = Attached(self.layout, objects, live=False)
        with self.recording(example), where.entered():
            try:
                result = await run_to_end(objects, task)
            except Exception as error:
                failure = where.failure(error)
                if failure is None or failure is error:
                    raise
                raise failure from error
            refused = where.failure()
            if refused is not None:
                raise refused
            return result

    @contextmanager
    def attached(self) -> Generator[None]:
        """A context in which calls of the agent itself read this module's parameters.

        Raises:
            TypeError: the agent is a function that makes one: record what it made.
        """
        if self.layout.factory:
            msg = "this is a function that makes an agent: record the agent that you call"
            raise TypeError(msg)
        with self.standing_in(live=True) as agent, agent.called():
            yield

    def parts(self) -> Iterable[tuple[tuple[str, ...], object]]:
        """Agents, teams, tools, memories, conditions."""
        return [(item.owners, item.value) for item in self.layout.found]

    @contextmanager
    def standing_in(self, *, live: bool) -> Generator[StandIn]:
        """A copy that keeps what was said in it from call to call, or the agent itself."""
        own = [item.value for item in self.layout.found]
        objects = own if live else self.layout.fresh(self.state_dict())
        where = Attached(self.layout, objects, live=live)

        def find(value: Any) -> Any:
            at = self.layout.position.get(id(value))
            return value if at is None else objects[at]

        @contextmanager
        def called() -> Generator[Callable[[Any], Any]]:
            with where.entered():
                yield find

        if live:
            with overlaid(self.layout):
                yield StandIn(called)
        else:
            yield StandIn(called, functools.partial(to_end, objects))

    def inputs(self, example: Any) -> Mapping[str, object]:
        """The task."""
        return {"task": examples.task_of(example)}

    def encode(self, example: Any) -> JSON:
        """The example as JSON."""
        return examples.encode(example)

    def fields(self, output: object) -> Mapping[str, object] | None:
        """Of a TaskResult, what was said and why it ended; no ids and times of messages."""
        return {"": examples.shown(output)} if isinstance(output, TaskResult) else None

    def models(self) -> Sequence[object]:
        """The clients in the agent."""
        return [c for c in clients(self.layout) if isinstance(c, ChatCompletionClient)]

    def fingerprint(self) -> Mapping[str, object]:
        """Code, structure, models and versions."""
        return {"framework": self.framework, **fingerprint(self.layout)}

    def apply(self, state: Mapping[str, object]) -> None:
        """Write ``state`` into the user's objects, and make it this module's values.

        Teams that have run already follow, too.

        Raises:
            TypeError: the agent is a function that makes one; use ``export``.
            UnsafeCodeError: for changed code, unless this is ``unsafe``.
        """
        if self.layout.factory:
            msg = "a function that makes an agent cannot be written to: take run.export()"
            raise TypeError(msg)
        self.resolve(state)
        objects = [item.value for item in self.layout.found]
        self.layout.write(objects, state)
        for value in objects:
            if isinstance(value, BaseGroupChat):
                renew_manager(value)
        self.load_state_dict(state)

    def export(self, state: Mapping[str, object], format: str = "") -> object:  # noqa: A002
        """A copy of the agent with ``state``, which needs no trace_bridge to run.

        Args:
            state: values by path.
            format: ``"component"`` for the JSON of AutoGen Studio and ``load_component``, as a
                dict; keys of clients are masked in it.

        Raises:
            ValueError: an unknown format, something in the agent that is no component, or a
                changed value that AutoGen does not write (a prompt of MagenticOne, a function that
                chooses speakers).
        """
        if format not in ("", "component"):
            msg = f"unknown format {format!r}: an AutoGen agent exports as itself, or 'component'"
            raise ValueError(msg)
        self.resolve(state)
        agent = self.layout.fresh(state)[0]
        if not format:
            return agent
        document = components.document(agent)
        changed = [p for p in self.layout.places if p.path in state and state[p.path] != p.get()]
        lost = components.lost(document, {p.path: state[p.path] for p in changed})
        if lost:
            msg = (
                f"AutoGen's JSON has no place for what has changed in {', '.join(lost)}: export"
                " without a format (changed code of a tool is there with"
                " AutoGenModule(agent, unsafe=True))"
            )
            raise ValueError(msg)
        return document
