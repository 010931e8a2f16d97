"""Beside others: LangSmith's tracing, OpenInference, versions without what the seams hold on to."""

import sys
import types

import pytest
from langchain_core.language_models import LLM
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langchain_core.tracers import LangChainTracer
from langchain_test_tools import Meter, ScriptModel
from trace_bridge_langchain import TraceCallback, wrap
from trace_bridge_langchain.seams import graph_node_class, instrumented

import trace_bridge as tb
from trace_bridge.llm.base import gate

GIVEN = {"question": "why?"}


def chain():
    return ChatPromptTemplate.from_template("Answer {question}") | ScriptModel() | StrOutputParser()


class Client:
    """Stands in for LangSmith's client: keeps the runs that it is sent."""

    tracing_queue = None

    def __init__(self):
        self.runs = []

    def create_run(self, name, **kwargs):
        self.runs.append(name)

    def update_run(self, *args, **kwargs):
        pass


def test_langsmith_sees_the_same_runs():
    agent, seen = chain(), {}
    for recorded in (False, True):
        client = Client()
        tracer = LangChainTracer(client=client)
        with TraceCallback(agent) as trace:
            agent.invoke(GIVEN, config={"callbacks": [tracer, trace] if recorded else [tracer]})
            assert len(trace.outputs) == recorded
        seen[recorded] = client.runs
    assert seen[False] == seen[True] != []


def spans(agent, exporter, config):
    exporter.clear()
    agent.invoke(GIVEN, config=config)
    return sorted(span.name for span in exporter.get_finished_spans())


def test_openinference_sees_the_same_spans():
    inference = pytest.importorskip("openinference.instrumentation.langchain")
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider, agent = InMemorySpanExporter(), TracerProvider(), chain()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentor = inference.LangChainInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    try:
        alone = spans(agent, exporter, {})
        with TraceCallback(agent) as trace:
            assert spans(agent, exporter, {"callbacks": [trace]}) == alone
            assert trace.output.backward("x").parameters == tuple(trace.parameters())
        assert spans(agent, exporter, {}) == alone
    finally:
        instrumentor.uninstrument()
    assert len(alone) >= 4


def test_a_langgraph_without_the_private_class_is_named(monkeypatch):
    import langgraph.graph  # noqa: F401

    name = "langgraph._internal._runnable"
    monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    with pytest.warns(UserWarning, match=r"langgraph \d.*RunnableCallable"):
        assert graph_node_class() is None


class Words(LLM):
    """An LLM that is no chat model, and does not stream."""

    @property
    def _llm_type(self):
        return "words"

    def _call(self, prompt, stop=None, run_manager=None, **kwargs):
        return f"said {prompt}"


@pytest.mark.parametrize("way", [lambda m: m.invoke("x"), lambda m: list(m.stream("x"))])
def test_a_call_of_an_llm_passes_the_gate_once(way):
    meter = Meter()
    token = gate.set(meter)
    try:
        with instrumented(), tb.Recorder({}).recording():
            way(Words())
    finally:
        gate.reset(token)
    assert meter.usage.calls == 1


def test_prompts_that_are_sent_together_are_announced_together():
    announced = []

    class Noting(Meter):
        def admit(self, call):
            announced.append(call.usage.calls)
            super().admit(call)

    token = gate.set(meter := Noting())
    try:
        with instrumented(), tb.Recorder({}).recording():
            Words().generate(["a", "b", "c"])
    finally:
        gate.reset(token)
    assert announced == [3]
    assert meter.usage.calls == 3


@tool
def locate(person: str) -> str:
    """Look a person up."""
    return f"{person} is in London"


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("tools/locate:code", "def locate(person, city):\n    return city\n", "locate"),
        ("tools/locate:code", "def find(person: str) -> str:\n    return person\n", "locate"),
        ("tools/locate:code", "def locate(person: str) -> str:\n    return (", "parse"),
        ("tools/locate:description", 7, "text"),
        ("prompt/human:template", "Answer", "question"),
        ("prompt/human:template", "Answer {question} in {language}", "language"),
        ("prompt/human:template", "Answer {question", "{"),
    ],
)
def test_what_would_break_is_refused_with_the_reason(path, value, reason):
    model = ScriptModel(function=lambda messages: AIMessage("x"))
    agent = ChatPromptTemplate.from_template("Answer {question}") | model.bind_tools([locate])

    def use(message):
        return locate.invoke({"person": "Ada"})

    known = dict(wrap(agent | RunnableLambda(use)).named_parameters())
    found = known[path].refusal(value)
    assert found
    assert reason in found.lower()
