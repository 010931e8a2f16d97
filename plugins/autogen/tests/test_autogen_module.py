"""What a team could learn, how copies of it run, and what becomes of the values."""

import asyncio
import functools
import json

import pytest
import trace_bridge_autogen
from autogen_agentchat.agents import (
    AssistantAgent,
    BaseChatAgent,
    CodeExecutorAgent,
    SocietyOfMindAgent,
)
from autogen_agentchat.base import Response, Team
from autogen_agentchat.conditions import MaxMessageTermination, TextMentionTermination
from autogen_agentchat.messages import TextMessage
from autogen_agentchat.teams import (
    MagenticOneGroupChat,
    RoundRobinGroupChat,
    SelectorGroupChat,
    Swarm,
)
from autogen_agentchat.tools import AgentTool
from autogen_core.memory import ListMemory
from autogen_core.models import SystemMessage, UserMessage
from autogen_core.tools import FunctionTool, StaticWorkbench, ToolOverride
from autogen_ext.code_executors.local import LocalCommandLineCodeExecutor
from autogen_ext.models.openai import OpenAIChatCompletionClient
from autogen_ext.models.replay import ReplayChatCompletionClient
from autogen_oracle import recorded
from autogen_test_tools import ScriptClient, wish
from trace_bridge_autogen import AutoGenModule

import trace_bridge

TWO = "You are {}.\n\nPlan: wait and see.\n\nBe brief."


def pair(client=None, **more):
    client = client or ScriptClient()
    agents = [
        AssistantAgent(name, client, system_message=TWO.format(name), description=f"{name} acts")
        for name in ("alice", "bob")
    ]
    return RoundRobinGroupChat(
        agents, name="home", termination_condition=MaxMessageTermination(3), **more
    )


def parameters_of(node):
    """All parameters that a node depends on."""
    found, left = {}, [node]
    while left:
        at = left.pop()
        if id(at) not in found:
            found[id(at)] = at
            left += at.parents
    return [at for at in found.values() if isinstance(at, trace_bridge.Parameter)]


def look(place: str) -> str:
    """Look."""
    return f"saw {place}"


# slots


def test_paths_kinds_and_defaults():
    module = AutoGenModule(pair())
    assert {path: p.kind for path, p in module.named_parameters() if "alice" in path} == {
        "home/alice:system_message": "text",
        "home/alice:plan": "prompt",
        "home/alice:description": "description",
        "home/alice:reflect_on_tool_use": "value",
        "home/alice:max_tool_iterations": "number",
    }
    assert module.default_paths() == ["home/alice:plan", "home/bob:plan"]
    assert module.state_dict()["home/alice:plan"] == "wait and see."
    assert module.state_dict()["home/alice:system_message"] == (
        "You are alice.\n\nPlan: {plan}\n\nBe brief."
    )


def test_a_part_and_the_rest_of_a_message_are_changed_apart():
    module = AutoGenModule(pair())
    changed = {
        "home/alice:plan": "look around",
        "home/alice:system_message": "I am alice.\n\nPlan: {plan}\n\nSo long.",
    }
    made = module.export(changed)
    text = made._participants[0]._system_messages[0].content
    assert text == "I am alice.\n\nPlan: look around\n\nSo long."
    assert AutoGenModule(made).state_dict() | changed == AutoGenModule(made).state_dict()
    refused = dict(module.named_parameters())["home/alice:system_message"].refusal
    assert "must have Plan:, {plan} once" in refused("I am alice.")
    assert "nothing but {plan} after Plan:" in refused("Plan: {plan} and more")
    assert refused(changed["home/alice:system_message"]) is None


def test_other_markers_and_attributes_that_the_user_names():
    agent = AssistantAgent("alice", ScriptClient(), system_message="Style: dry\n\nPlan: none")
    agent.mood = "calm"
    module = AutoGenModule(agent, spans={"style": "Style:"}, attributes={"alice": "mood"})
    state = module.state_dict()
    assert state["alice:style"] == "dry"
    assert state["alice:mood"] == "calm"
    assert "alice:plan" not in state
    with pytest.raises(LookupError, match="there is no alise; there are: alice"):
        AutoGenModule(agent, attributes={"alise": "mood"})


class Moody(BaseChatAgent):
    """Somebody's own agent: with a text of the class, and a system message."""

    style = "plain"

    def __init__(self, client):
        super().__init__("moody", "has moods")
        self._client = client
        self._system_message = SystemMessage(content="You are moody.")
        self.mood = "calm"
        self.tools = (client,)

    @property
    def produced_message_types(self):
        return (TextMessage,)

    @property
    def computed(self):
        return self.mood

    async def on_messages(self, messages, cancellation_token):
        asked = UserMessage(content=f"{self.mood} and {self.style}", source="self")
        said = await self._client.create([self._system_message, asked])
        return Response(chat_message=TextMessage(content=said.content, source=self.name))

    async def on_reset(self, cancellation_token):
        pass


async def test_attributes_of_somebodys_own_agent():
    client = ScriptClient()
    agent = Moody(client)
    module = AutoGenModule(agent, attributes={"moody": ["mood", "style", "_system_message"]})
    assert module.state_dict() == {
        "moody:system_message": "You are moody.", "moody:mood": "calm", "moody:style": "plain",
    }  # fmt: skip
    state = {"moody:system_message": "Be brave.", "moody:style": "bold", "moody:mood": "wild"}
    sent = ["Be brave.", "wild and bold"]
    with trace_bridge_autogen.instrument():
        _, traced = await recorded(module, "go", state)
    assert client.prompts[-1] == sent
    assert {p.name for p in parameters_of(traced.output)} == set(state)
    with trace_bridge.record(module), module.using(state):
        await agent.run(task="go")
    assert client.prompts[-1] == sent
    assert (Moody.style, agent.style, agent.mood) == ("plain", "plain", "calm")
    assert "style" not in vars(agent)


@pytest.mark.parametrize(
    ("name", "error", "match"),
    [
        ("moods", LookupError, "moody holds no 'moods'; it holds: .*mood"),
        ("computed", LookupError, "moody holds no 'computed'"),
        ("tools", TypeError, "'tools' of moody holds a tuple: texts, numbers"),
    ],
)
def test_attributes_that_cannot_be_trained(name, error, match):
    with pytest.raises(error, match=match):
        AutoGenModule(Moody(ScriptClient()), attributes={"moody": name})


async def test_a_marker_in_braces_is_filled_in():
    client = ScriptClient()
    agent = AssistantAgent("alice", client, system_message="Do this: {plan}!")
    module = AutoGenModule(agent)
    assert module.state_dict()["alice:plan"] == ""
    with module.using({"alice:plan": "sing"}):
        await module.run({"task": "go"})
    assert client.prompts[0][0] == "Do this: sing!"


def test_tools_and_code():
    tool = FunctionTool(look, description="Looks.")
    agent = AssistantAgent("alice", ScriptClient(), tools=[tool])
    state = AutoGenModule(agent).state_dict()
    assert state["alice/tools/look:description"] == "Looks."
    assert state["alice/tools/look:code"].startswith("def look(place: str)")
    code = state["alice/tools/look:code"].replace("saw", "found")
    caged = AutoGenModule(agent).export({"alice/tools/look:code": code})
    with pytest.raises(trace_bridge.UnsafeCodeError, match="unsafe=True"):
        caged._workbench[0]._tools[0]._func("x")
    made = AutoGenModule(agent, unsafe=True).export({"alice/tools/look:code": code})
    assert made._workbench[0]._tools[0]._func("x") == "found x"
    assert tool._func("x") == "saw x"


class Home:
    """Something that tools act on."""

    def __init__(self):
        self.acts = 0

    def act(self, place: str) -> str:
        """Act."""
        self.acts += 1
        return f"acted in {place}: {self.acts}"


async def test_the_code_of_a_tool_that_is_a_method():
    home = Home()
    client = ScriptClient(lambda messages, tools: wish("act", '{"place": "attic"}'))
    agent = AssistantAgent("alice", client, tools=[home.act])
    module = AutoGenModule(agent, unsafe=True)
    path = "alice/tools/act:code"
    state = {path: module.state_dict()[path].replace("acted in", "was in")}
    with module.using(state):
        result = await module.run({"task": "go"})
    assert result.messages[-1].content == "was in attic: 1"
    assert home.acts == 0  # the copy has a home of its own
    with module.attached(), module.using(state):
        result = await agent.run(task="go")
    assert result.messages[-1].content == "was in attic: 1"
    assert home.acts == 1
    result = await agent.run(task="go")
    assert result.messages[-1].content == "acted in attic: 2"


async def test_tools_that_are_overridden_or_shared():
    client = ScriptClient()
    tool = FunctionTool(look, description="Looks.")
    told = {"look": ToolOverride(name="peek", description="Peeks.")}
    bench = StaticWorkbench([FunctionTool(look, description="never told")], tool_overrides=told)
    agents = [
        AssistantAgent("alice", client, tools=[tool]),
        AssistantAgent("bob", client, tools=[tool]),
        AssistantAgent("carol", client, workbench=bench),
    ]
    module = AutoGenModule(RoundRobinGroupChat(agents, name="home", max_turns=3))
    state = module.state_dict()
    own, other = "home/alice/tools/look:description", "home/carol/tools/look:description"
    assert [state[path] for path in (own, other)] == ["Looks.", "Peeks."]
    assert f"{other}#2" not in state
    with trace_bridge_autogen.instrument():
        _, traced = await recorded(module, "go", {other: "Peeps."})
    read = {call.op: {p.name for p in call.parameters.values()} for call in traced.model_calls()}
    assert own in read["home/alice/model"]
    assert own in read["home/bob/model"]
    assert other in read["home/carol/model"]
    made = module.export({other: "Peeps."})
    schema = (await made._participants[2]._workbench[0].list_tools())[0]
    assert (schema["name"], schema["description"]) == ("peek", "Peeps.")
    assert told["look"].description == "Peeks."


async def test_a_team_is_chosen_by_its_description():
    def script(messages, tools):
        return "inner" if "roles are available" in str(messages[0].content) else "well"

    client = ScriptClient(script)
    inner = RoundRobinGroupChat(pair(client)._participants, name="inner", max_turns=1)
    team = SelectorGroupChat(
        [inner, AssistantAgent("other", client)], client, name="home", max_turns=1
    )
    module = AutoGenModule(team)
    path = "home/inner:description"
    with trace_bridge_autogen.instrument():
        _, traced = await recorded(module, "go", {path: "two who act"})
    assert "inner: two who act" in client.prompts[0][0]
    assert {path, "home:selector_prompt"} <= {p.name for p in parameters_of(traced.output)}
    with module.attached(), module.using({path: "who acts"}):
        await team.run(task="go")
    assert "inner: who acts" in client.prompts[2][0]
    assert inner.description == "A team of agents."


async def test_a_handoff_hands_over_what_a_candidate_says():
    def script(messages, tools):
        told = "|".join(str(message.content) for message in messages)
        return "done" if "adopting" in told or "over to you" in told else wish("transfer_to_bob")

    client = ScriptClient(script)
    agents = [
        AssistantAgent("alice", client, handoffs=["bob"]), AssistantAgent("bob", client),
    ]  # fmt: skip
    team = Swarm(agents, name="home", termination_condition=TextMentionTermination("done"))
    module = AutoGenModule(team)
    path = "home/alice/handoffs/transfer_to_bob:message"
    with trace_bridge_autogen.instrument():
        result, traced = await recorded(module, "go", {path: "over to you"})
    assert [m.to_text() for m in result.messages][2:] != []
    assert "over to you" in client.prompts[-1]
    assert path in {p.name for p in parameters_of(traced.output)}
    assert "adopting" in team._participants[0]._handoffs["transfer_to_bob"].message


async def test_what_ends_a_team_has_a_say():
    module = AutoGenModule(
        RoundRobinGroupChat(
            pair()._participants, name="home",
            termination_condition=MaxMessageTermination(3) | TextMentionTermination("stop"),
        )
    )  # fmt: skip
    with trace_bridge_autogen.instrument():
        _, traced = await recorded(module, "go")
    names = {p.name for p in parameters_of(traced.output)}
    assert {"home/termination/0:max_messages", "home/termination/1:text"} <= names


@pytest.mark.filterwarnings("ignore:Using LocalCommandLineCodeExecutor")
@pytest.mark.filterwarnings("ignore:No approval function set")  # 0.7.0 has none
def test_agents_that_ask_no_model_have_no_prompt():
    executor = LocalCommandLineCodeExecutor()
    agent = CodeExecutorAgent("coder", executor)
    assert AutoGenModule(agent).default_paths() == []


async def test_an_agent_without_a_system_message_can_learn_one():
    client = ScriptClient()
    module = AutoGenModule(AssistantAgent("alice", client, system_message=None))
    with trace_bridge_autogen.instrument():
        _, traced = await recorded(module, "go")
    assert [p.name for p in parameters_of(traced.output)] == ["alice:system_message"]
    with module.using({"alice:system_message": "Sing."}):
        await module.run({"task": "go"})
    assert client.prompts[-1] == ["Sing.", "go"]


def test_templates_keep_their_fields():
    team = SelectorGroupChat(pair()._participants, ScriptClient(), name="home")
    prompt = dict(AutoGenModule(team).named_parameters())["home:selector_prompt"]
    assert "must keep" in prompt.refusal("Choose somebody.")
    assert "nothing is filled in there" in prompt.refusal(f"{prompt.base} {{more}}")
    assert prompt.refusal(f"{prompt.base} {{{{braces}}}}") is None


async def test_magentics_prompts_reach_its_model_and_an_exported_team():
    client = ScriptClient(lambda messages, tools: "{}")
    team = MagenticOneGroupChat(pair()._participants, client, name="home")
    module = AutoGenModule(team)
    path = "home:task_ledger_facts_prompt"
    assert path in module.default_paths()
    with (
        module.using({path: "Just the facts of {task}."}),
        pytest.raises(KeyError),
    ):
        await module.run({"task": "life"})
    assert client.prompts[0] == ["Just the facts of life."]
    client.prompts.clear()
    made = module.export({path: "Facts of {task}, please."})
    with pytest.raises(KeyError):
        await made.run(task="life")
    assert client.prompts[0] == ["Facts of life, please."]
    client.prompts.clear()
    with pytest.raises(KeyError):
        await team.run(task="life")
    assert client.prompts[0][0].startswith("Below I will present you a request.")


async def test_magentics_ledger_prompt_has_a_say_in_who_speaks():
    answers = {
        "is_request_satisfied": False, "is_in_loop": False, "is_progress_being_made": True,
        "next_speaker": "alice", "instruction_or_question": "go on",
    }  # fmt: skip
    ledger = json.dumps({key: {"reason": "so", "answer": a} for key, a in answers.items()})

    def script(messages, tools):
        return ledger if "next_speaker" in str(messages[-1].content) else "facts"

    client = ScriptClient(script)
    team = MagenticOneGroupChat(pair(client)._participants, client, name="home", max_turns=2)
    with trace_bridge.record(team) as recording:
        await team.run(task="life")
    names = {p.name for p in parameters_of(recording.output)}
    assert {"home:progress_ledger_prompt", "home:task_ledger_facts_prompt"} <= names


# runs


async def test_runs_do_not_touch_the_team_nor_one_another():
    client = ReplayChatCompletionClient(["one", "two", "three"])
    module = AutoGenModule(pair(client))
    results = await asyncio.gather(*(module.run({"task": "go"}) for _ in range(3)))
    assert [[m.content for m in r.messages] for r in results] == [["go", "one", "two"]] * 3
    assert client._current_index == 0
    assert not module.agent._initialized


async def test_a_team_that_has_run_is_copied_too():
    team = pair()
    first = await team.run(task="go")
    result = await AutoGenModule(team).run({"task": "go"})
    assert len(result.messages) == len(first.messages)
    with pytest.raises(AssertionError):  # it goes on from what was said
        assert result.messages[1].content == first.messages[1].content


async def test_a_function_that_makes_the_team():
    made = []

    def make():
        made.append(pair())
        return made[-1]

    module = AutoGenModule(make)
    with module.using({"home/alice:plan": "go first"}):
        await module.run({"task": "go"})
    assert "go first" in made[-1]._participants[0]._system_messages[0].content
    exported = module.export({"home/bob:plan": "go last"})
    assert "go last" in exported._participants[1]._system_messages[0].content
    with pytest.raises(TypeError, match="take run.export"):
        module.apply({"home/bob:plan": "x"})
    with pytest.raises(TypeError, match="record the agent that you call"), module.attached():
        pass


def test_what_makes_a_team_may_be_a_method_or_a_partial():
    class Maker:
        def make(self):
            return pair()

    def desk(client, *, size=2):
        return pair(client)

    for make in (Maker().make, functools.partial(desk, ScriptClient(), size=3)):
        assert "home/alice:plan" in trace_bridge_autogen.wrap(make).state_dict()
    left = functools.partial(desk, ScriptClient())  # an agent could be what takes a size
    assert trace_bridge_autogen.wrap(left) is None
    with pytest.raises(ValueError, match="must take nothing and be no coroutine"):
        trace_bridge.optimize(desk, [{"task": "go"}] * 9, lambda result: 1.0, llm=str)


def test_clients_far_inside_are_shared_too():
    inner = AssistantAgent("inner", ScriptClient())
    for at in range(4):
        agent = AssistantAgent(f"agent{at}", ScriptClient(), tools=[AgentTool(inner)])
        team = RoundRobinGroupChat([agent], name=f"team{at}", max_turns=1)
        inner = SocietyOfMindAgent(f"mind{at}", team, ScriptClient())
    module = AutoGenModule(inner)
    copied = AutoGenModule(module.export({}))
    assert list(map(id, copied.models())) == list(map(id, module.models()))
    assert len(copied.models()) == 9


async def test_an_object_that_runs_a_team():
    class Desk:
        def __init__(self):
            self.team = pair()
            self.log = []

        async def run(self, task):
            result = await self.team.run(task=f"Please: {task}")
            return result.messages[-1].content

    desk = Desk()
    run = trace_bridge_autogen.wrap(desk)
    assert isinstance(run, AutoGenModule)
    assert "Desk/home/alice:plan" in run.state_dict()
    assert str(await run.run({"task": "go"})).startswith("said")
    assert not desk.team._initialized


class Hanging(BaseChatAgent):
    """Never answers."""

    @property
    def produced_message_types(self):
        return (TextMessage,)

    async def on_messages(self, messages, cancellation_token):
        await asyncio.sleep(3600)
        return Response(chat_message=TextMessage(content="late", source=self.name))

    async def on_reset(self, cancellation_token):
        pass


async def test_a_cancelled_run_leaves_no_task_behind():
    team = RoundRobinGroupChat([Hanging("sloth", "slow")], name="home", max_turns=1)
    module = AutoGenModule(team)
    before = asyncio.all_tasks()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(module.run({"task": "go"}), 0.2)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
    again = await AutoGenModule(pair()).run({"task": "go"})
    assert again.messages


async def test_the_error_of_a_team_is_the_original_one():
    class BrokenError(Exception):
        pass

    def script(messages, tools):
        raise BrokenError("no luck")

    module = AutoGenModule(pair(ScriptClient(script)))
    with trace_bridge_autogen.instrument(), pytest.raises(BrokenError, match="no luck"):
        await module.run({"task": "go"})


@pytest.mark.parametrize(
    ("example", "match"),
    [
        ({"question_": "x"}, "an example needs a task: .* has question_"),
        ({"task": 3}, "a task is a text, a message or a list of messages, not int"),
    ],
)
async def test_examples_without_a_task(example, match):
    with pytest.raises(ValueError, match=match):
        await AutoGenModule(pair()).run(example)


def test_messages_are_encoded_without_their_chance():
    module = AutoGenModule(pair())
    one, other = (
        module.encode({"task": TextMessage(content="go", source="user"), "label": 1})
        for _ in range(2)
    )
    assert one == other
    assert json.loads(json.dumps(one)) == one


def test_fingerprints_are_the_same_in_each_process_and_follow_settings():
    def client(temperature):
        return OpenAIChatCompletionClient(
            model="gpt-4o", api_key="secret-key", temperature=temperature
        )

    prints = [AutoGenModule(pair(client(t))).fingerprint() for t in (0.5, 0.5, 1)]
    assert prints[0] == prints[1] != prints[2]
    assert "secret" not in json.dumps(prints)
    assert {"class": "OpenAIChatCompletionClient", "model": "gpt-4o", "temperature": 1} in (
        prints[2]["models"]
    )


# values


async def test_apply_reaches_a_team_that_has_run():
    client = ScriptClient(lambda messages, tools: "bob")
    team = SelectorGroupChat(
        pair()._participants, client, name="home", allow_repeated_speaker=True,
        termination_condition=MaxMessageTermination(2),
    )  # fmt: skip
    await team.run(task="go")
    module = AutoGenModule(team)
    prompt = f"{module.state_dict()['home:selector_prompt']} Well?"
    module.apply({"home:selector_prompt": prompt, "home/bob:description": "bob rests"})
    client.prompts.clear()
    await team.run(task="go on")
    assert "Well?" in client.prompts[0][0]
    assert "bob: bob rests" in client.prompts[0][0]


async def test_an_overlay_is_not_baked_into_managers():
    """The first run of a team makes its manager, which copies what the team holds then."""
    client = ScriptClient(lambda messages, tools: "bob")
    team = SelectorGroupChat(
        pair()._participants, client, name="home", allow_repeated_speaker=True,
        termination_condition=MaxMessageTermination(2),
    )  # fmt: skip
    module = AutoGenModule(team)
    path = "home:selector_prompt"
    other = f"{module.state_dict()[path]} Well?"
    with module.attached(), module.using({path: other, "home/bob:description": "bob rests"}):
        await team.run(task="go")
    assert "Well?" in client.prompts[0][0]
    assert "bob: bob rests" in client.prompts[0][0]
    client.prompts.clear()
    await team.run(task="go on")
    assert "Well?" not in client.prompts[0][0]
    assert "bob: bob acts" in client.prompts[0][0]


def test_export_as_a_component():
    client = OpenAIChatCompletionClient(model="gpt-4o", api_key="secret-key")
    document = AutoGenModule(pair(client)).export({"home/bob:plan": "go last"}, "component")
    assert "secret-key" not in json.dumps(document)
    again = Team.load_component(json.loads(json.dumps(document)))
    assert "go last" in again._participants[1]._system_messages[0].content
    with pytest.raises(ValueError, match="exports as itself, or 'component'"):
        AutoGenModule(pair(client)).export({}, "yaml")
    with pytest.raises(ValueError, match="cannot write as JSON"):
        AutoGenModule(pair()).export({}, "component")


def nobody(messages):
    return None


def test_a_component_holds_all_that_has_changed_or_says_what_it_cannot():
    client = OpenAIChatCompletionClient(model="gpt-4o", api_key="secret-key")
    agents = [
        AssistantAgent("alice", client, handoffs=["bob"], tools=[look]),
        AssistantAgent("bob", client, memory=[ListMemory("notes")]),
    ]
    team = SelectorGroupChat(agents, client, name="home", selector_func=nobody, max_turns=4)
    module = AutoGenModule(team, unsafe=True)
    state = module.state_dict()
    held = {
        "home/alice/handoffs/transfer_to_bob:description": "hand over",
        "home/alice/handoffs/transfer_to_bob:message": "your turn",
        "home/alice/tools/look:description": "peeks",
        "home/alice/tools/look:code": state["home/alice/tools/look:code"].replace("saw", "found"),
        "home/bob/memory/notes:contents": ["one", "two"],
        "home/bob:description": "rests",
        "home:selector_prompt": f"{state['home:selector_prompt']} Well?",
        "home:max_turns": 7,
        "home/bob:max_tool_iterations": 5,
    }
    with pytest.warns(UserWarning, match="SECURITY WARNING"):
        again = Team.load_component(module.export(held, "component"))
    loaded = AutoGenModule(again).state_dict()
    texts = {k: v for k, v in held.items() if not k.endswith(":code")}
    assert {k: v for k, v in loaded.items() if k in texts} == texts
    assert again._participants[0]._workbench[0]._tools[0]._func("x") == "found x"
    chooser = {"home:selector_func": state["home:selector_func"].replace("None", "'bob'")}
    with pytest.raises(ValueError, match="no place for .* home:selector_func: export without"):
        module.export(chooser, "component")
    code = {path: value for path, value in held.items() if path.endswith(":code")}
    with pytest.raises(ValueError, match=r"look:code.*AutoGenModule\(agent, unsafe=True\)"):
        AutoGenModule(team).export(code, "component")
    orchestrated = AutoGenModule(MagenticOneGroupChat(agents, client, name="home"))
    with pytest.raises(ValueError, match="home:task_ledger_facts_prompt"):
        orchestrated.export({"home:task_ledger_facts_prompt": "Facts of {task}."}, "component")


# the hooks


@pytest.mark.parametrize(
    "metric",
    [
        lambda example, result: float(len(result.messages) == 3),
        lambda result: float(len(result.messages) == 3),
        lambda result, example: float(len(result.messages) == 3 and "task" in example),
    ],
)
def test_metrics_in_every_order(metric):
    def proposer(messages):
        return '<variable name="home_alice_plan">nothing new</variable>'

    run = trace_bridge.optimize(
        pair(), [{"task": f"go {n}"} for n in range(12)], metric, llm=proposer, progress=False,
        optimizer="optoprime", trainable=["home/alice:plan"],
        engine=trace_bridge.Engine(journal=None),
    )  # fmt: skip
    assert run.verdict == "no reliable gain"
    assert run.record.trials[0].score == 1


async def test_an_async_metric_sees_steps_agents_and_the_end():
    seen = []

    async def metric(example, result):
        await asyncio.sleep(0)
        said = [message.source for message in result.messages]
        seen.append((said, result.stop_reason))
        return float(said.count("alice") == 1)

    run = await trace_bridge.optimize_async(
        pair(), [{"task": f"go {n}"} for n in range(12)], metric, progress=False,
        optimizer="optoprime", trainable=["home/alice:plan"],
        llm=lambda messages: '<variable name="home_alice_plan">nothing new</variable>',
        engine=trace_bridge.Engine(journal=None),
    )  # fmt: skip
    assert run.record.trials[0].score == 1
    for said, reason in seen:
        assert said == ["user", "alice", "bob"]
        assert "Maximum number of messages 3 reached" in reason


@pytest.mark.parametrize("where", ["agent", "tool"])
async def test_an_example_that_takes_too_long_fails_and_leaves_no_task_behind(where):
    """Cancelling AutoGen 0.7 while a tool works hangs for ever: the copy is given up."""

    async def look(place: str) -> str:
        """Look."""
        await asyncio.sleep(3600)
        return place

    slow = Hanging("sloth", "slow")
    if where == "tool":
        client = ScriptClient(lambda messages, tools: wish("look", '{"place": "yard"}'))
        slow = AssistantAgent("sloth", client, tools=[look], system_message="You look.")
    team = RoundRobinGroupChat([*pair()._participants, slow], name="house", max_turns=3)
    before = asyncio.all_tasks()
    failures = []

    def metric(example, result):
        failures.append(result)  # never called: there is no result
        return 1.0

    run = await trace_bridge.optimize_async(
        team, [{"task": f"go {n}"} for n in range(12)], metric, progress=False,
        optimizer="optoprime", trainable=["house/bob:plan"],
        llm=lambda messages: "nothing",
        engine=trace_bridge.Engine(journal=None, timeout=0.05),
    )  # fmt: skip
    assert run.record.trials[0].score == 0
    assert failures == []
    for _ in range(5):
        await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_a_client_proposes():
    client = ScriptClient(lambda messages, tools: f"heard {messages[-1].content}")
    llm = trace_bridge_autogen.llm(client)
    reply = await trace_bridge.complete(llm, [{"role": "user", "content": "hello"}])
    assert reply.text == "heard hello"
    assert reply.usage.prompt_tokens == 7
    assert trace_bridge_autogen.llm("gpt-4o") is None


def test_doctor_names_what_there_is():
    assert "no system message" in AutoGenModule(Hanging("sloth", "slow")).nothing_to_train()
