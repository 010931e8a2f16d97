"""The sides: what the programs need of ours and of each peer, under the same names.

``node``, ``bundle`` and ``trained.bundle`` are the libraries' own functions; the rest is what their
interfaces call differently. A side imports its library when it is made, in its own worker.
"""

# ruff: noqa: D102
# (the methods of one side are those of the others; where a name is not enough, one says more)

from __future__ import annotations

import copy
import importlib
import importlib.metadata
import json
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

FEEDBACK = "too short"
BUDGET = 20_000  # characters, where a prompt is asked to fit


class Ours:
    """trace_bridge."""

    def __init__(self) -> None:
        self.trace: Any = importlib.import_module("trace_bridge")
        self.versions = {"trace_bridge": self.trace.__version__}
        self.node, self.bundle = self.trace.node, self.trace.bundle
        code = partial(self.trace.bundle, trainable=True, unsafe=True)
        self.trained = SimpleNamespace(bundle=code)

    def forget(self) -> None:
        """Nothing is kept."""

    def parents(self, output: Any) -> Sequence[Any]:
        return output.parents

    def change(self, function: Any, old: str, new: str) -> None:
        """Give a trainable function another source, as an optimizer does."""
        function.parameter.set(function.parameter.base.replace(old, new))

    # the graph

    def backward(self, output: Any, _parameters: Sequence[Any]) -> Any:
        return output.backward(FEEDBACK)

    def prompt(self, graph: Any, _parameters: Sequence[Any]) -> str:
        return graph.to_program()

    def fitted(self, graph: Any) -> str:
        return graph.to_program(BUDGET)

    def counted(self, graph: Any) -> tuple[int, int]:
        """Nodes and edges of the minimal subgraph."""
        return len(graph.nodes), sum(len(graph.edges(node)) for node in graph.nodes)

    def draw(self, output: Any) -> str:
        graph = output.backward(FEEDBACK)
        return graph.mermaid() + graph.dot()

    def copy(self, output: Any) -> Any:
        return copy.deepcopy(output)

    def state(self, parameter: Any, output: Any) -> str:
        """A module that holds the end of the graph: save its state, load it again, copy it."""
        holder = type("Holder", (self.trace.Module,), {})()
        holder.parameter, holder.last = parameter, output
        saved = json.dumps(holder.state_dict())
        holder.load_state_dict(json.loads(saved))
        holder.copy()
        return saved

    def module(self, forward: Callable[..., Any]) -> Any:
        """An agent with this forward."""
        kind = type("Agent", (self.trace.Module,), {"forward": staticmethod(forward)})
        return kind()

    # a stub model, which answers at once

    def optimizer(self, parameter: Any) -> tuple[Any, list[str]]:
        """OptoPrime with a stub that suggests another value each time, and the last of them."""
        said, numbers = list[str](), count()

        def stub(_messages: object) -> str:
            said[:] = [str(next(numbers) % 10)]
            answer = f'<variable name="{parameter.name}">{said[-1]}</variable>'
            return f"<reasoning>next</reasoning>{answer}"

        return self.trace.OptoPrime([parameter], self.trace.CallableLLM(stub, "stub")), said

    # what textgrad has

    def leaf(self, text: str) -> Any:
        return self.node(text, trainable=True, description="a text")

    def asking(self, system: Any) -> Callable[[Any], Any]:
        @self.bundle()
        def ask(system: str, prompt: str) -> str:
            """Ask the model."""
            return stub_engine(prompt, system)

        return partial(ask, system)

    def logging(self, *, on: bool) -> None:
        """There is no log."""

    def backward_texts(self, output: Any) -> None:
        self.prompt(self.backward(output, []), [])


class TraceOpt:
    """trace-opt: the seeds' own package (``opto``)."""

    def __init__(self) -> None:
        self.trace: Any = importlib.import_module("opto.trace")
        self.optimizers: Any = importlib.import_module("opto.optimizers")
        self.versions = {"trace-opt": importlib.metadata.version("trace-opt")}
        self.node, self.bundle = self.trace.node, self.trace.bundle
        code = partial(self.trace.bundle, trainable=True)
        self.trained = SimpleNamespace(bundle=code)  # it finds a source by the text ".bundle("

    def forget(self) -> None:
        """It keeps all nodes for ever; old rounds would make its later ones slower."""
        self.trace.GRAPH.clear()

    def parents(self, output: Any) -> Sequence[Any]:
        return output.parents

    def change(self, function: Any, old: str, new: str) -> None:
        function.parameter._data = function.parameter.data.replace(old, new)  # noqa: SLF001 (its optimizers do)

    # the graph

    def backward(self, output: Any, parameters: Sequence[Any]) -> Any:
        """The optimizer, since it holds the propagator and joins the parameters' graphs."""
        optimizer = self.optimizers.OptoPrime(list(parameters), llm=lambda **_: None)
        optimizer.backward(output, FEEDBACK)
        return optimizer

    def prompt(self, graph: Any, _parameters: Sequence[Any]) -> str:
        _system, user = graph.construct_prompt(graph.summarize())
        return user

    def fitted(self, _graph: Any) -> str:
        """It knows no budget."""
        return ""

    def counted(self, graph: Any) -> tuple[int, int]:
        nodes = [node for _, node in graph.trace_graph.graph]
        held = {id(node) for node in nodes}
        inside = [n for n in nodes if all(id(parent) in held for parent in n.parents)]
        return len(nodes), sum(len(node.parents) for node in inside)

    def draw(self, output: Any) -> str:
        return output.backward(FEEDBACK, visualize=True).source

    def copy(self, output: Any) -> Any:
        return copy.deepcopy(output)

    def state(self, parameter: Any, output: Any) -> str:
        holder = type("Holder", (self.trace.Module,), {})()
        holder.parameter, holder.last = parameter, output
        holder.save("state.pickle")
        holder.load("state.pickle")
        return Path("state.pickle").read_bytes().hex()

    def module(self, forward: Callable[..., Any]) -> Any:
        kind = type("Agent", (self.trace.Module,), {"forward": staticmethod(forward)})
        return kind()

    # a stub model, which answers at once

    def optimizer(self, parameter: Any) -> tuple[Any, list[str]]:
        said, numbers = list[str](), count()

        def stub(**_: object) -> Any:
            said[:] = [str(next(numbers) % 10)]
            answer = {
                "reasoning": "next",
                "answer": "",
                "suggestion": {parameter.py_name: said[-1]},
            }
            message = SimpleNamespace(content=json.dumps(answer))
            return SimpleNamespace(choices=[SimpleNamespace(message=message)])

        return self.optimizers.OptoPrime([parameter], llm=stub), said


class OpenInference:
    """OpenInference's decorator for functions: a span for each call, with an exporter in memory."""

    def __init__(self) -> None:
        instrumentation: Any = importlib.import_module("openinference.instrumentation")
        export: Any = importlib.import_module("opentelemetry.sdk.trace.export")
        memory: Any = importlib.import_module(
            "opentelemetry.sdk.trace.export.in_memory_span_exporter"
        )
        names = ("openinference-instrumentation", "opentelemetry-sdk")
        self.versions = {name: importlib.metadata.version(name) for name in names}
        self.exporter: Any = memory.InMemorySpanExporter()
        provider = instrumentation.TracerProvider()
        provider.add_span_processor(export.SimpleSpanProcessor(self.exporter))
        self.tracer: Any = provider.get_tracer("benchmark")

    def forget(self) -> None:
        self.exporter.clear()

    def node(self, value: Any, **_: object) -> Any:
        """It records calls of plain values."""
        return value

    def bundle(self) -> Callable[..., Any]:
        return self.tracer.chain

    def parents(self, _output: Any) -> Sequence[Any]:
        """A span knows which span it was called in, and not where its arguments are from."""
        return ()


class TextGrad:
    """textgrad."""

    def __init__(self) -> None:
        self.textgrad: Any = importlib.import_module("textgrad")
        operations: Any = importlib.import_module("textgrad.autograd.llm_ops")
        self.call: Any = operations.LLMCall
        self.versions = {"textgrad": importlib.metadata.version("textgrad")}

        class Stub(self.textgrad.EngineLM):
            model_string = "stub"

            def generate(self, prompt: str, system_prompt: str | None = None) -> str:
                return stub_engine(prompt, system_prompt)

            __call__ = generate

        self.engine = Stub()

    def forget(self) -> None:
        """It keeps nothing but its log."""

    def leaf(self, text: str) -> Any:
        return self.textgrad.Variable(text, role_description="a text")

    def asking(self, system: Any) -> Callable[[Any], Any]:
        """A function that asks the stub model."""
        return self.call(self.engine, system)

    def logging(self, *, on: bool) -> None:
        """It writes a line of JSON to a file for each call of a model, unless told not to."""
        self.textgrad.logger.disabled = not on

    def parents(self, output: Any) -> Sequence[Any]:
        return output.predecessors

    def backward_texts(self, output: Any) -> None:
        """One call of the model for each operation."""
        output.backward(engine=self.engine)


def stub_engine(_prompt: str, _system: str | None) -> str:
    """A model that answers at once."""
    return "an answer"


SIDES = {
    "trace_bridge": Ours,
    "trace-opt": TraceOpt,
    "openinference": OpenInference,
    "textgrad": TextGrad,
}
