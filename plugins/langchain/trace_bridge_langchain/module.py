"""A LangChain runnable or LangGraph graph as a Module: what it could learn, and how it runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from langchain_core.language_models import BaseLanguageModel
from langchain_core.runnables import Runnable

from trace_bridge import JSON, AgentModule, Slot, StandIn
from trace_bridge_langchain import examples, versions
from trace_bridge_langchain.entries import METHODS, entry_seams
from trace_bridge_langchain.fingerprint import fingerprint
from trace_bridge_langchain.layout import Layout
from trace_bridge_langchain.running import Attached


class LangChainModule(AgentModule[Runnable[Any, Any]]):
    """A Module over a runnable; works with langchain-core 1.x, and langgraph from 0.6.

    Each run executes a light copy that holds the current values, and shares all else.

    Args:
        agent: a chain, a compiled graph, a model, a tool.
        unsafe: run code that a model has written in this process. Without it, changed code needs a
            code runner, and raises UnsafeCodeError where there is none.
    """

    framework = "langchain"
    methods = METHODS

    def __init__(self, agent: Runnable[Any, Any], *, unsafe: bool = False) -> None:
        super().__init__(agent)
        self.layout = Layout(agent, unsafe=unsafe)
        self.layout.connect(dict(self.named_parameters()))

    def slots(self) -> Sequence[Slot]:
        """Prompts, messages, demonstrations, texts of tools, code, numbers."""
        return self.layout.places

    def nothing_to_train(self) -> str:
        """Why there is no slot."""
        return "no prompt, message, tool or function with source was found in it"

    def left_out(self) -> Mapping[str, str]:
        """What was found and cannot be trained."""
        return self.layout.left_out()

    def run(self, example: Any) -> object | Awaitable[object]:
        """Invoke a copy with the current values; a coroutine where only ``ainvoke`` works."""
        where = Attached(self.layout, self.state_dict, alone=True)
        given = examples.inputs_of(self.layout.intake, example)
        if self.layout.is_async:
            return self._arun(where, given, example)
        agent, config = where.find(self.agent), self.layout.sessions.config()
        with self.recording(example), where.entered():
            return agent.invoke(given, config)

    async def _arun(self, where: Attached, given: Any, example: Any) -> object:
        agent, config = where.find(self.agent), self.layout.sessions.config()
        with self.recording(example), where.entered():
            return await agent.ainvoke(given, config)

    @contextmanager
    def attached(self) -> Generator[None]:
        """A context in which calls of the agent itself read this module's parameters."""
        where = Attached(self.layout, self.state_dict, live=True)
        with entry_seams(type(self.agent)), where.entered():
            yield

    def parts(self) -> Iterable[tuple[tuple[str, ...], object]]:
        """All that the walk met; agents of other frameworks are the last on their ways."""
        return [(item.owners, item.value) for item in self.layout.walk.found.values()]

    @contextmanager
    def standing_in(self, *, live: bool) -> Generator[StandIn]:
        """A light copy for each call, which shares what the agent holds, as in runs of its own."""

        @contextmanager
        def called() -> Generator[Callable[[Any], Any]]:
            where = Attached(self.layout, self.state_dict)
            with where.entered():
                yield where.find

        yield StandIn(called)

    def inputs(self, example: Any) -> Mapping[str, object]:
        """What of an example the agent is given."""
        return examples.named_inputs(example, self.layout.intake)

    def encode(self, example: Any) -> JSON:
        """The example as JSON."""
        return examples.encode(example)

    def fields(self, output: object) -> Mapping[str, object] | None:
        """The keys of a dict."""
        return examples.fields_of(output)

    def labelled(self, example: Any) -> Mapping[str, JSON]:
        """What the example shows, for each few-shot prompt whose names it has."""
        found = {
            place.path: examples.demonstration(place.owner, example)
            for place in self.layout.places
            if place.kind == "demos"
        }
        return {path: shown for path, shown in found.items() if shown is not None}

    def models(self) -> Sequence[object]:
        """The language models in the agent."""
        return [
            item.value
            for item in self.layout.walk.found.values()
            if isinstance(item.value, BaseLanguageModel)
        ]

    def fingerprint(self) -> Mapping[str, object]:
        """Code, structure, models and versions."""
        return {"framework": self.framework, **fingerprint(self.layout), **versions.installed()}

    def apply(self, state: Mapping[str, object]) -> None:
        """Write ``state`` into the user's objects, and make it this module's values.

        Raises:
            ValueError: changed code, which only an exported copy can have.
        """
        self.resolve(state)
        self.layout.write(state)
        self.load_state_dict(state)

    def export(self, state: Mapping[str, object], format: str = "") -> object:  # noqa: A002
        """A new runnable of the same kind with ``state``; it needs no trace_bridge to run.

        Models, retrievers, stores and whatever has not changed are shared with the user's agent.

        Raises:
            ValueError: for a format; there is only the runnable itself.
        """
        if format:
            msg = f"unknown format {format!r}: a LangChain agent exports as the runnable it is"
            raise ValueError(msg)
        self.resolve(state)
        return self.layout.fresh_copy(state, live=False).find(self.agent)
