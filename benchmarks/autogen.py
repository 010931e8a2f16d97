"""What recording AutoGen teams costs: ``python -m benchmarks.autogen [--quick]``.

Teams of two assistants with instant fake models that speak 4 and 20 times, bare and recorded in
alternating rounds; the figures are medians of ratios of CPU times. OpenInference's instrumentation
is measured on the same teams, in an environment of its own. Fails if something is missed.

Building edges is no part of recording: it happens once for each run, when it is over.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import trace_bridge_autogen as plugin
from trace_bridge_autogen.seams import instrumented

import trace_bridge as tb
from benchmarks.autogen_programs import LOOP, TASK, TURNS, added, make, run, timed
from benchmarks.core.peers import openinference
from benchmarks.core.table import Goal, Row, heading, summary
from benchmarks.rounds import Way, ratios

PEER = "openinference-autogen"
RECORDING, IDLE = Goal(1.15, 1.05, least=False), Goal(1.02, 1.0, least=False)
GOALS = {"idle": IDLE, "recording": RECORDING}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and fail if a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.autogen")
    parser.add_argument("--quick", action="store_true", help="few rounds")
    rounds, calls = (3, 4) if parser.parse_args(arguments).quick else (25, 12)
    theirs = openinference(PEER, "autogen_programs.py", rounds, calls)
    groups: dict[str, list[Row]] = {}
    for turns in TURNS:
        name, team = f"{turns} turns", make(turns)
        found = ratios(lambda t=team: run(t), ways(team), rounds, calls, added)
        bare, copies = evaluating(team, turns)
        found |= ratios(bare, copies, rounds, calls, added)
        rows = groups[name] = [
            Row(what, f"{theirs[name]:.2f}x" if what == "recording" else "",
                f"{value:.2f}x", value, GOALS.get(what, Goal()),
                counts=size(team) if what.endswith("built") else "")
            for what, value in found.items()
        ]  # fmt: skip
        print(heading(name, "OpenInference"))
        for row in rows:
            print(row.line(), flush=True)
    names = ("autogen-agentchat", "trace-bridge-autogen")
    print("\n" + ", ".join(f"{name} {version(name)}" for name in names) + "; all models are fakes")
    print(summary(groups))
    if not all(row.held for rows in groups.values() for row in rows):
        sys.exit(1)


def ways(team: Any) -> Mapping[str, Way[float]]:
    """The ways in which a run of the user's own ``team`` is measured."""
    module = plugin.AutoGenModule(team)

    async def recorded() -> tb.Recorder:
        recorder = tb.Recorder({"task": TASK})
        with recorder.recording() as root:
            root.returns(await team.run(task=TASK))
        return recorder

    async def linked() -> tb.Node:
        return tb.link(await recorded())

    @contextmanager
    def idle() -> Generator[Any]:
        with instrumented():
            yield lambda: run(team)

    @contextmanager
    def recording() -> Generator[Any]:
        with instrumented(), module.attached():
            yield lambda: timed(recorded, team)

    @contextmanager
    def graph() -> Generator[Any]:
        with instrumented(), module.attached():
            yield lambda: timed(linked, team)

    return {"idle": idle, "recording": recording, "recording, edges built": graph}


def evaluating(team: Any, turns: int) -> tuple[Callable[[], float], Mapping[str, Way[float]]]:
    """A run of a team made for it, and as ``optimize`` does it: of a copy, with edges built."""
    module = plugin.AutoGenModule(team)

    async def new() -> object:
        return await make(turns).run(task=TASK)

    async def evaluated() -> tb.Node:
        recorder = tb.Recorder({"task": TASK})
        with recorder.recording() as root:
            root.returns(await module.run({"task": TASK}))
        return tb.link(recorder)

    @contextmanager
    def copies() -> Generator[Any]:
        with instrumented():
            yield lambda: timed(evaluated, team)

    return lambda: timed(new, team), {"evaluating / a new team": copies}


def size(team: Any) -> str:
    """How many nodes and edges a recorded run has."""

    async def recorded() -> tb.Node:
        recorder = tb.Recorder({"task": TASK})
        with recorder.recording() as root:
            root.returns(await plugin.AutoGenModule(team).run({"task": TASK}))
        return tb.link(recorder)

    with instrumented():
        nodes = tb.subgraph({LOOP.run(recorded()): tb.Feedback(score=1.0)}).nodes
    return f"{len(nodes)} nodes, {sum(len(node.parents) for node in nodes)} edges"


if __name__ == "__main__":
    main()
