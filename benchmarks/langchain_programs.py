"""A chain and a graph with instant fake models, and how long a call of them takes.

Run as a program in a peer's environment, it measures OpenInference's instrumentation there.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import contextmanager
from typing import Any, TypedDict

from langchain_core.language_models import FakeListChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langgraph.graph import END, START, StateGraph

from benchmarks.rounds import ratios, together


class State(TypedDict, total=False):
    """What the nodes share."""

    question: str
    one: str
    two: str
    three: str


def programs() -> Mapping[str, tuple[Any, dict[str, Any]]]:
    """Agents and what they are called with."""
    model = FakeListChatModel(responses=["an answer"])
    chain = ChatPromptTemplate.from_template("Answer {question}") | model | StrOutputParser()

    def one(state: State) -> State:
        return {"one": str(model.invoke(state["question"]).content)}

    def two(state: State) -> State:
        return {"two": str(model.invoke(state["one"]).content)}

    def three(state: State) -> State:
        return {"three": str(model.invoke(state["two"]).content)}

    graph = StateGraph(State)
    for node in (one, two, three):
        graph.add_node(f"node_{node.__name__}", node)
    graph.add_edge(START, "node_one")
    graph.add_edge("node_one", "node_two")
    graph.add_edge("node_two", "node_three")
    graph.add_edge("node_three", END)
    given = {"question": "Why is the sky blue?"}
    return {"prompt | model | parser": (chain, given), "3-node graph": (graph.compile(), given)}


def _openinference(rounds: int, calls: int) -> dict[str, Any]:
    from openinference.instrumentation.langchain import LangChainInstrumentor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    found: dict[str, Any] = {}
    for name, (agent, given) in programs().items():

        @contextmanager
        def instrumented(agent: Any = agent, given: Any = given) -> Any:
            instrumentor = LangChainInstrumentor()
            instrumentor.instrument(tracer_provider=provider)
            try:
                yield lambda: agent.invoke(given)
            finally:
                instrumentor.uninstrument()
                exporter.clear()

        found[name] = ratios(
            lambda agent=agent, given=given: agent.invoke(given),
            {"recording": instrumented}, rounds, calls, together,
        )["recording"]  # fmt: skip
    return found


if __name__ == "__main__":
    print(json.dumps(_openinference(*map(int, sys.argv[1:]))))
