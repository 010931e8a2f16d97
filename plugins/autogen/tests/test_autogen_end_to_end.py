"""A team on the embedded model, by AutoGen's own client: found, improved, exported, saved."""

import contextlib

import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient

import trace_bridge as tb

THINGS = """car house dog hat ball tree door cup shoe bird boat chair table lamp book coat bag box
bed bus cat kite leaf"""


TUNED = "\n".join(
    f"Q: What colour is the {thing}?\nA: The {thing} is blue." for thing in THINGS.split()[:8]
)


@contextlib.asynccontextmanager
async def client_of(server):
    client = OpenAIChatCompletionClient(
        model=server.model, base_url=server.base_url, api_key=server.api_key, temperature=0.0,
        max_tokens=7,
        model_info={
            "vision": False, "function_calling": False, "json_output": False,
            "structured_output": False, "family": "unknown",
        },
    )  # fmt: skip
    try:
        yield client
    finally:
        await client.close()


def make_team(client):
    painter = AssistantAgent("painter", client, system_message="You answer.")
    editor = AssistantAgent("editor", client, system_message="Say it again.")
    return RoundRobinGroupChat([painter, editor], name="studio", max_turns=2)


def is_blue(example, result):
    said = next(m.content for m in result.messages if m.source == "painter")
    good = "blue" in said.lower()
    return float(good), "" if good else f"The painter says {said!r}. It should be blue."


def scripted(messages):
    """Proposes what the feedback asks for, if it stands there with the prompt it is about."""
    prompt = messages[-1]["content"]
    if "It should be blue" not in prompt or "studio_painter_system_message" not in prompt:
        return "<reasoning>Nothing to go by.</reasoning>"
    return f'<variable name="studio_painter_system_message">{TUNED}</variable>'


@pytest.mark.embedded
@pytest.mark.timeout(300)
async def test_a_team_on_a_real_model(tmp_path):
    server = tb.embedded()
    async with client_of(server) as client:
        team = make_team(client)
        tasks = [{"task": f"What colour is the {thing}?"} for thing in THINGS.split()]
        run = await tb.optimize_async(
            team, tasks[:8], is_blue, valset=tasks[8:14], testset=tasks[14:26],
            trainable=["*/painter:system_message"], optimizer="optoprime", llm=scripted,
            budget=tb.Budget(evaluations=50), progress=False,
            engine=tb.Engine(concurrency=server.slots, journal=tmp_path / "journal.sqlite"),
        )  # fmt: skip
        assert run.verdict == "better"
        assert run.verdict.before <= 0.2
        assert run.verdict.after >= run.verdict.before + 0.2
        proposals = len(run.trials) - 1
        assert run.record.usage.calls >= 2 * run.record.evaluations + proposals
        assert run.record.usage.prompt_tokens > 1000
        tuned = run.save(tmp_path / "tuned.json")
        again = make_team(client)
        tb.load(tuned).apply(again)
        text = again._participants[0]._system_messages[0].content
        assert text == TUNED
        assert team._participants[0]._system_messages[0].content == "You answer."
        result = await run.export().run(task=tasks[0]["task"])
        assert result.stop_reason == "Maximum number of turns 2 reached."
