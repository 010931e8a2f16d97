import asyncio

import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.ui import Console
from autogen_test_tools import ScriptClient
from trace_bridge_autogen import optimize_stream

import trace_bridge

TASKS = [{"task": f"go {n}"} for n in range(40)]


def make_agent(script=None):
    return AssistantAgent("alice", ScriptClient(script), system_message="You are kind.")


def settings():
    return {
        "optimizer": "optoprime",
        "llm": lambda messages: '<variable name="alice_system_message">Shout.</variable>',
        "engine": trace_bridge.Engine(journal=None),
    }


def shouts(messages, tools):
    return "HELLO" if "Shout" in messages[0].content else "hello"


def loud(example, result):
    return float(result.messages[-1].content.isupper()), "Louder, please."


async def test_autogens_console_shows_it(capsys):
    result = await Console(optimize_stream(make_agent(shouts), TASKS, loud, **settings()))
    assert result.stop_reason.startswith("better")
    assert result.run.best.state == {"alice:system_message": "Shout."}
    assert result.messages[-1].content == str(result.run)
    shown = capsys.readouterr().out
    assert "ProgressEvent (trace_bridge)" in shown


async def test_an_error_comes_out():
    with pytest.raises(LookupError, match="unknown optimizer 'best'"):
        async for _ in optimize_stream(make_agent(), TASKS, loud, optimizer="best"):
            pass


async def test_who_leaves_early_ends_the_run():
    before = asyncio.all_tasks()
    stream = optimize_stream(make_agent(shouts), TASKS, loud, **settings())
    async for _ in stream:
        break
    await stream.aclose()
    for _ in range(5):  # generators that were left are closed by the loop
        await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
