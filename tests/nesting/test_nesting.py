"""Agents of one framework inside an agent of another: found, tried, recorded, exported, applied."""

import asyncio
import inspect
import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import trace_bridge
from trace_bridge import Recorder, link
from trace_bridge.plugins import installed, instrumented, wrap

sys.path.insert(0, str(Path(__file__).parent))
import nested_agents as agents

sys.path.pop(0)


@dataclass(frozen=True)
class Case:
    make: Any
    path: str  # of the inner agent's prompt
    value: str
    outer: str  # of the outer agent's
    outer_value: str
    example: Any
    ops: tuple[str, ...]  # that the graph has to show


CASES = {
    "chain in team": Case(
        agents.chain_in_team, "home/researcher/tools/lookup/chain/prompt/human:template",
        "Number {}: {{place}}", "home/researcher:plan", "plan {}.", {"task": "the attic"},
        ("home", "home/researcher/tools/lookup", "home/researcher/tools/lookup.prompt"),
    ),
    "chain in object": Case(
        agents.chain_in_object, "home/researcher/tools/lookup/chain/prompt/human:template",
        "Number {}: {{place}}", "home/researcher:plan", "plan {}.", {"task": "the attic"},
        ("home", "home/researcher/tools/lookup", "home/researcher/tools/lookup.prompt"),
    ),
    "program in graph": Case(
        agents.program_in_graph, "asker/ask/program/predict:instructions", "Number {}.",
        "speaker/speak/prompt/human:template", "plan {}: {{answer}}", {"question": "why?"},
        ("predict", "asker", "speaker.prompt"),
    ),
    "team in program": Case(
        agents.team_in_program, "ask_team/team/home/researcher:plan", "number {}.",
        "predict:instructions", "plan {}.", {"question": "why?"},
        ("predict", "ask_team", "home/researcher/model"),
    ),
}  # fmt: skip


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def example_of(module, case):
    if module.framework != "dspy":
        return case.example
    import dspy

    return dspy.Example(**case.example).with_inputs("question")


def run(module, state, case):
    """The output's text and the graph of a run with ``state``, in a context of its own."""
    example = example_of(module, case)
    recorder = Recorder(module.inputs(example))

    async def waited(output):
        return await output

    with module.using(state), recorder.recording() as root:
        output = module.run(example)
        if inspect.isawaitable(output):
            output = asyncio.run(waited(output))
        root.returns(output, module.fields(output))
    return str(output), recorder


def nodes_of(node):
    seen, pending = {}, [node]
    while pending:
        current = pending.pop()
        if id(current) not in seen:
            seen[id(current)] = current
            pending += current.parents
    return list(seen.values())


def test_all_parameters_have_one_grammar_and_are_found_once(case):
    agent, _ = case.make()
    module = wrap(agent, installed())
    names = [name for name, _ in module.named_parameters()]
    assert {case.path, case.outer} <= set(module.default_paths())
    assert len(names) == len(set(names))
    assert names == [name for name, _ in wrap(agent, installed()).named_parameters()]
    assert {name: p.name for name, p in module.named_parameters()} == {n: n for n in names}
    assert [slot.path for slot in module.slots()] == names
    assert not any("prompt_of_its_own" in name for name in names)  # another framework's business


def test_candidates_meet_in_no_run_and_write_nothing(case):
    agent, inner = case.make()
    module = wrap(agent, installed())
    before = module.state_dict()
    states = [
        {case.path: case.value.format(n), case.outer: case.outer_value.format(n + 100)}
        for n in range(10, 22)
    ]
    with instrumented(installed()), ThreadPoolExecutor(6) as pool:
        outputs = list(pool.map(lambda state: run(module, state, case)[0].lower(), states * 2))
    for number, output in enumerate(outputs):
        mine = number % 12 + 10
        assert {*re.findall(r"number (\d+)", output)} == {str(mine)}
        assert {*re.findall(r"plan (\d+)", output)} == {str(mine + 100)}
        assert "#2" not in output  # a program that counts its calls begins anew in each run
    assert wrap(agent, installed()).state_dict() == before
    assert getattr(inner, "asked", 0) == 0
    assert not getattr(inner, "_initialized", False)


def test_one_graph_holds_all_parameters_that_were_read(case):
    agent, _ = case.make()
    module = wrap(agent, installed())
    with instrumented(installed()):
        _, recorder = run(module, {}, case)
    node = link(recorder)
    nodes = nodes_of(node)
    assert {case.path, case.outer} <= {found.name for found in nodes}
    assert set(case.ops) <= {found.op for found in nodes}
    reached = {p.name for p in node.backward("bad").parameters}
    assert {case.path, case.outer} <= reached


def test_seams_are_gone_afterwards(case):
    agent, inner = case.make()
    kinds = [base for kind in (type(agent), type(inner)) for base in kind.__mro__]
    before = [dict(vars(kind)) for kind in kinds]
    module = wrap(agent, installed())
    with instrumented(installed()):
        run(module, {case.path: case.value.format(1)}, case)
    names = ("invoke", "ainvoke", "__call__", "acall", "run", "run_stream", "on_messages")
    for kind, held in zip(kinds, before, strict=True):
        for name in names:
            assert vars(kind).get(name) is held.get(name)


def test_the_fingerprint_knows_the_inner_agent(case):
    prints = [dict(wrap(case.make()[0], installed()).fingerprint()) for _ in range(2)]
    assert json.dumps(prints[0], default=str) == json.dumps(prints[1], default=str)
    [[name, inside]] = prints[0]["inside"].items()
    assert case.path.startswith(name)
    assert inside["framework"] != prints[0]["framework"]


def test_export_gives_native_agents_that_hold_the_inner_values(case):
    agent, inner = case.make()
    module = wrap(agent, installed())
    original = module.state_dict()
    changed = {**original, case.path: case.value.format(7), case.outer: case.outer_value.format(8)}
    made = module.export(changed)
    assert type(made) is type(agent)
    again = wrap(made, installed())
    assert again.state_dict() == changed
    assert module.state_dict() == wrap(agent, installed()).state_dict() == original
    assert "number 7" in run(again, {}, case)[0].lower()
    [inside, part] = module.inner(inner, changed)
    assert type(inside.export(part)) is type(inner)


def test_apply_writes_all_and_the_original_comes_back(case):
    agent, _ = case.make()
    original = wrap(agent, installed()).state_dict()
    changed = {**original, case.path: case.value.format(7)}
    wrap(agent, installed()).apply(changed)
    assert wrap(agent, installed()).state_dict() == changed
    wrap(agent, installed()).apply(original)
    assert wrap(agent, installed()).state_dict() == original


def test_record_reads_the_inner_values(case):
    agent, _ = case.make()
    example = case.example
    with trace_bridge.record(agent) as trace:
        if hasattr(agent, "run"):
            output = asyncio.run(agent.run(**example))
        else:
            output = agent(**example) if callable(agent) else agent.invoke(example)
    assert output is not None
    found = {p.name for p in trace.output.backward("bad").parameters}
    assert {case.path, case.outer} <= found


def test_one_optimize_tunes_them_together(case, tmp_path):
    agent, inner = case.make()
    before = wrap(agent, installed()).state_dict()

    class Both(trace_bridge.Optimizer):
        name = "both"

        async def propose(self, subgraphs, parameters, history, n=1):
            assert any(p.name == case.path for s in subgraphs for p in s.parameters)
            new = {case.path: case.value.format(7), case.outer: case.outer_value.format(8)}
            changes = tuple(trace_bridge.judge_change(p, new[p.name]) for p in parameters)
            return [trace_bridge.Proposal(changes, "both", self.name)]

    def metric(example, output):
        return sum(word in str(output).lower() for word in ("number 7", "plan 8")) / 2

    key = "task" if "task" in case.example else "question"
    data = [{key: f"thing {n}"} for n in range(24)]
    if key == "question" and type(agent).__module__ == agents.__name__:
        import dspy

        data = [dspy.Example(**row).with_inputs(key) for row in data]
    result = trace_bridge.optimize(
        agent, data, metric, optimizer=Both(), trainable=[case.path, case.outer], progress=False,
        engine=trace_bridge.Engine(concurrency=6, journal=None),
        budget=trace_bridge.Budget(evaluations=60),
    )  # fmt: skip
    assert result.verdict == "better"
    assert wrap(agent, installed()).state_dict() == before
    assert "7" in str(wrap(result.export(), installed()).state_dict()[case.path])
    assert type(result.export(inner)) is type(inner)
    tuned = trace_bridge.load(result.save(tmp_path / "tuned.json"))
    tuned.apply(agent)
    assert "7" in str(wrap(agent, installed()).state_dict()[case.path])
    result.restore(agent)
    assert wrap(agent, installed()).state_dict() == before
