"""What recording LangChain and LangGraph costs: ``python -m benchmarks.langchain [--quick]``.

A chain and a three-node graph with instant fake models, bare and recorded in alternating rounds;
the figures are medians of ratios of CPU times. OpenInference's instrumentation is measured on the
same programs, in an environment of its own. Fails if something is missed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import trace_bridge_langchain as plugin
from trace_bridge_langchain.seams import instrumented

import trace_bridge as tb
from benchmarks.core.peers import openinference
from benchmarks.core.table import Goal, Row, heading, summary
from benchmarks.langchain_programs import programs
from benchmarks.rounds import Way, ratios, together

PEER = "openinference-langchain"
RECORDING, IDLE = Goal(1.15, 1.05, least=False), Goal(1.02, 1.0, least=False)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and fail if a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.langchain")
    parser.add_argument("--quick", action="store_true", help="few rounds")
    rounds, calls = (5, 40) if parser.parse_args(arguments).quick else (25, 100)
    theirs = openinference(PEER, "langchain_programs.py", rounds, calls)
    groups: dict[str, list[Row]] = {}
    for name, (agent, given) in programs().items():
        found = ratios(
            lambda a=agent, g=given: a.invoke(g), ways(agent, given), rounds, calls, together
        )
        rows = groups[name] = [
            Row(what, f"{theirs[name]:.2f}x" if what == "recording" else "",
                f"{value:.2f}x", value, IDLE if what == "idle" else RECORDING)
            for what, value in found.items()
        ]  # fmt: skip
        print(heading(name, "OpenInference"))
        for row in rows:
            print(row.line(), flush=True)
    names = ("langchain-core", "langgraph", "trace-bridge-langchain")
    print("\n" + ", ".join(f"{name} {version(name)}" for name in names) + "; all models are fakes")
    print(summary(groups))
    if not all(row.held for rows in groups.values() for row in rows):
        sys.exit(1)


def ways(agent: Any, given: Mapping[str, Any]) -> dict[str, Way]:
    """The ways in which a call of ``agent`` is measured."""
    module: tb.AgentModule[Any] = plugin.LangChainModule(agent)
    example = {"inputs": given}

    @contextmanager
    def idle() -> Generator[Any]:
        with instrumented():
            yield lambda: agent.invoke(given)

    @contextmanager
    def recording() -> Generator[Any]:
        def evaluated() -> None:
            recorder = tb.Recorder(given)
            with recorder.recording() as root:
                output = module.run(example)
                root.returns(output, module.fields(output))

        with instrumented():
            yield evaluated

    @contextmanager
    def callback() -> Generator[Any]:
        with plugin.TraceCallback(agent) as trace:
            yield lambda: agent.invoke(given, config={"callbacks": [trace]})

    return {"idle": idle, "recording": recording, "recording by the callback": callback}


if __name__ == "__main__":
    main()
