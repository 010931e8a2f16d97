"""Who made what a model received, in every shape of team: the recorder against the truth."""

import asyncio
import contextvars

import pytest
import trace_bridge_autogen
from autogen_core import SingleThreadedAgentRuntime
from autogen_oracle import Asking, Traced, mismatches, recorded, tainted, tokens
from autogen_shapes import SHAPES, nested, reflection, selector, team_tool
from trace_bridge_autogen import AutoGenModule

from trace_bridge import Feedback, Recorder, subgraph


@pytest.mark.usefixtures("seams")
@pytest.mark.parametrize("shape", SHAPES)
async def test_parents_are_what_the_model_received(shape):
    agent, client = shape()
    module = AutoGenModule(agent)
    _, traced = await recorded(module, tainted("the task"))
    assert len(traced.model_calls()) == len(client.kept) > 0
    assert mismatches(traced, client) == []
    assert tokens(traced.output.peek())


def test_half_of_the_shapes_are_those_of_autogens_documentation():
    named = [shape for shape in SHAPES if ".html" in (shape.__doc__ or "")]
    assert len(SHAPES) >= 16
    assert len(named) >= len(SHAPES) / 2


@pytest.mark.usefixtures("seams")
async def test_forty_nested_runs_at_once_do_not_meet():
    """A tool that is a team, by forty candidates at once on one agent."""
    agent, client = team_tool()
    module = AutoGenModule(agent)
    paths = [path for path in module.default_paths() if path.endswith(":system_message")]
    base = module.state_dict()
    states = [{path: f"{base[path]} {tainted('candidate')}" for path in paths} for _ in range(40)]
    before = await agent.save_state()

    async def one(state):
        # its own script: the client is shared, and answers by whoever is spoken to
        return await recorded(module, tainted("a task"), state)

    client.replies = {key: [lines[-1]] for key, lines in client.replies.items()}
    client.replies["ALICE"] = Once(client.replies["ALICE"], agent)
    running = asyncio.all_tasks()
    jobs = [asyncio.create_task(one(state), context=contextvars.copy_context()) for state in states]
    runs = await asyncio.gather(*jobs)
    assert asyncio.all_tasks() <= running
    mine = [tokens(list(state.values())) for state in states]
    for (_, traced), own, state in zip(runs, mine, states, strict=True):
        with module.using(state):
            assert mismatches(traced, client) == []
        assert len(traced.model_calls()) == 4
        seen = set().union(*(client.received[id(call.output)] for call in traced.model_calls()))
        assert own <= seen
        assert not seen & (set().union(*mine) - own)
    assert await agent.save_state() == before
    assert module.state_dict() == base


class Once(list):
    """Alice asks for help where nobody has helped her yet."""

    def __init__(self, answers, agent):
        super().__init__(answers)
        self.helper = agent._workbench[0]._tools[0].name

    def chosen(self, text):
        if "FunctionExecutionResult" in text or self[-1] in text:
            return self[-1]
        return Asking([(self.helper, {"task": tainted("please help")})])


@pytest.mark.usefixtures("seams")
async def test_what_was_said_before_the_recording_is_a_constant():
    agent, client = reflection()
    await agent.run(task=tainted("an earlier task"))
    earlier = {id(kept) for kept in client.kept}
    client.counts = dict.fromkeys(client.counts, 0)
    _, traced = await recorded(AutoGenModule(agent), tainted("a later task"))
    assert mismatches(traced, client) == []
    again = [call for call in traced.model_calls() if id(call.output) not in earlier]
    assert len(again) == len(traced.model_calls())


@pytest.mark.usefixtures("seams")
async def test_what_an_earlier_recording_has_noted_is_a_constant_too():
    agent, client = reflection()
    module = AutoGenModule(agent)
    with module.attached():
        for _ in range(2):
            client.counts = dict.fromkeys(client.counts, 0)
            recorder = Recorder({})
            with recorder.recording() as root:
                task = tainted("a task")
                root.returns(await agent.run(task=task))
            traced = Traced(recorder)
            assert mismatches(traced, client, known=tokens(task)) == []


@pytest.mark.parametrize("shape", [selector, nested])
async def test_a_runtime_that_the_user_started(shape):
    """Its tasks know nothing of the recording that is under way."""
    runtime = SingleThreadedAgentRuntime()
    agent, client = shape()
    agent._runtime, agent._embedded_runtime = runtime, False
    runtime.start()
    recorder = Recorder({})
    module = AutoGenModule(agent)
    with trace_bridge_autogen.instrument(), module.attached(), recorder.recording() as root:
        task = tainted("the task")
        root.returns(await agent.run(task=task))
    await runtime.stop_when_idle()
    traced = Traced(recorder)
    assert len(traced.model_calls()) == len(client.kept) > 0
    assert mismatches(traced, client, known=tokens(task)) == []


@pytest.mark.usefixtures("seams")
async def test_only_what_had_a_say_is_blamed():
    agent, _ = selector()
    _, traced = await recorded(AutoGenModule(agent), tainted("the task"))
    first = traced.made_by("SelectorGroupChat/planner")[0]
    blamed = subgraph({traced.node(first): Feedback("bad")}).parameters
    names = {parameter.name for parameter in blamed}
    assert "SelectorGroupChat/planner:system_message" in names
    assert "SelectorGroupChat:selector_prompt" in names  # it made the planner speak
    assert "SelectorGroupChat/searcher:description" in names
    assert "SelectorGroupChat/searcher:system_message" not in names
    assert "SelectorGroupChat/searcher/tools/look:description" not in names


@pytest.mark.usefixtures("seams")
async def test_choices_make_turns_happen():
    agent, _ = selector()
    _, traced = await recorded(AutoGenModule(agent), tainted("the task"))
    for turn in traced.made_by("SelectorGroupChat/searcher"):
        assert "SelectorGroupChat/select" in [parent.op for parent in traced.node(turn).parents]
    for choice in traced.made_by("SelectorGroupChat/select"):
        assert [parent.op for parent in traced.node(choice).parents] == ["SelectorGroupChat/model"]
