"""The AutoGen plugin keeps every rule of the shipped conformance suite."""

import asyncio
import contextvars
import json

import pytest
import trace_bridge_autogen
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import BaseGroupChat, RoundRobinGroupChat, SelectorGroupChat
from autogen_core import CancellationToken
from autogen_test_tools import ScriptClient, digest_of, wish

from trace_bridge.testing import PluginConformance

pytestmark = pytest.mark.timeout(300)

LOOP = asyncio.Runner()


@pytest.fixture(scope="module", autouse=True)
def _closed():
    yield
    LOOP.close()


class Rules(PluginConformance):
    plugin = trace_bridge_autogen
    framework_modules = ("autogen_agentchat", "autogen_core", "autogen_ext")

    def call(self, agent, example):
        """AutoGen's objects keep what was said, and belong to the loop that they first ran in."""

        async def afresh():
            try:
                return await agent.run(task=example["task"])
            finally:
                if isinstance(agent, BaseGroupChat):
                    await agent.reset()
                else:
                    await agent.on_reset(CancellationToken())

        return LOOP.run(afresh(), context=contextvars.copy_context())

    def examples(self):
        return [{"task": task} for task in ("Why is that?", "How is that?")]

    def model_calls(self, agent):
        return len(self.client.prompts)

    def snapshot(self, agent):
        self.client.prompts, kept = [], self.client.prompts
        try:
            return super().snapshot(agent)
        finally:
            self.client.prompts = kept

    def output(self, output):
        return [(message.source, message.to_text()) for message in output.messages]


class TestAgentConformance(Rules):
    """One assistant."""

    def make_agent(self):
        self.client = ScriptClient()
        return AssistantAgent("alice", self.client, system_message="You are kind.")


class TestTeamConformance(Rules):
    """Two assistants in turn."""

    def make_agent(self):
        self.client = ScriptClient()
        agents = [
            AssistantAgent(name, self.client, system_message=f"You are {name}.\n\nPlan: wait.")
            for name in ("alice", "bob")
        ]
        stop = MaxMessageTermination(4)
        return RoundRobinGroupChat(agents, name="home", termination_condition=stop)


def look(place: str) -> str:
    """Look somewhere."""
    return f"nothing in {place}"


class TestSelectorConformance(Rules):
    """A team whose model chooses, with a tool."""

    def make_agent(self):
        def script(messages, tools):
            text = "\n".join(str(message.content) for message in messages)
            if "role play" in text:
                turn = sum(name in text for name in ("alice: said", "bob: said"))
                return "bob" if turn % 2 else "alice"
            if tools and "nothing in" not in text:
                return wish("look", json.dumps({"place": digest_of(messages, tools)}))
            return digest_of(messages, tools)

        self.client = ScriptClient(script)
        agents = [
            AssistantAgent(
                "alice", self.client, system_message="You look.", tools=[look],
                reflect_on_tool_use=True, description="looks",
            ),
            AssistantAgent("bob", self.client, system_message="You judge.", description="judges"),
        ]  # fmt: skip
        return SelectorGroupChat(
            agents, self.client, name="home", termination_condition=MaxMessageTermination(5)
        )

    def used(self, module, example):
        return [path for path in module.default_paths() if "selector" not in path]
