"""A team that goes on: feedback and new values per episode, and between its turns."""

import trace_bridge_autogen  # noqa: F401 (the plugin is found by its entry point)
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_test_tools import ScriptClient

import trace_bridge

TEXT = "You are {}.\n\nPlan: wait."


def pair(client):
    agents = [
        AssistantAgent(name, client, system_message=TEXT.format(name)) for name in ("alice", "bob")
    ]
    return RoundRobinGroupChat(agents, name="home", max_turns=1)


class Scripted(trace_bridge.Optimizer):
    """Proposes another plan for each parameter that the feedback has reached."""

    name = "scripted"

    async def propose(self, subgraphs, parameters, history, n=1):
        reached = {p for found in subgraphs for p in found.parameters}
        changes = [
            trace_bridge.judge_change(p, f"{p.peek()} Go!") for p in parameters if p in reached
        ]
        return [trace_bridge.Proposal(tuple(changes), "scripted", self.name)]


def names(found):
    return {parameter.name for parameter in found.parameters}


async def test_a_step_of_an_episode_has_a_subgraph_of_its_own():
    client = ScriptClient()
    team = pair(client)
    with trace_bridge.record(team) as trace:
        await team.run(task="go")
        await team.run()
        await team.run()
    first, second, third = trace.steps
    assert trace.output is third
    whole = names(third.backward("bad"))
    assert {"home/alice:plan", "home/bob:plan"} <= whole  # bob's turn led to the last of alice
    own = names(second.backward("bad", since=first))
    assert "home/bob:plan" in own
    assert "home/alice:plan" not in own
    last = third.backward("bad", since=second)
    assert "home/alice:plan" in names(last)
    assert "home/bob:plan" not in names(last)


async def test_a_plan_that_is_learned_between_turns_holds_from_the_next_turn_on():
    client = ScriptClient()
    team = pair(client)
    learned = []
    for _ in range(4):
        with trace_bridge.record(team) as trace:
            await (team.run() if learned else team.run(task="go"))
        optimizer = Scripted(trace.parameters())
        optimizer.zero_feedback()
        learned.append(names(trace.output.backward("too slow")))
        optimizer.step()
    # each turn's graph is its own: who spoke earlier is a message that was there
    assert ["home/alice:plan" in found for found in learned] == [True, False, True, False]
    plans = [prompt[0].partition("Plan: ")[2] for prompt in client.prompts]
    assert plans == ["wait.", "wait.", "wait. Go!", "wait. Go!"]
    assert len(client.prompts[-1]) == 5  # the team went on: alice and bob heard all that was said
    for agent in team._participants:  # and was never written
        assert agent._system_messages[0].content == TEXT.format(agent.name)


async def test_the_overlay_holds_for_one_turn_only():
    client = ScriptClient()
    team = pair(client)
    with trace_bridge.record(team) as trace:
        await team.run(task="go")
        plan = next(p for p in trace.parameters() if p.name == "home/bob:plan")
        plan.set("run!")
        await team.run()
        plan.set("wait.")
        await team.run()
        await team.run()
    plans = [prompt[0].partition("Plan: ")[2] for prompt in client.prompts]
    assert plans == ["wait.", "run!", "wait.", "wait."]
    assert len(trace.steps) == 4
