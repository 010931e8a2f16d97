"""Agents that LangGraph and LangChain build: their prompts and tools are found, and tried."""

import asyncio
import json
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langchain_test_tools import ScriptModel, echo
from trace_bridge_langchain import TraceCallback, wrap
from trace_bridge_langchain.module import LangChainModule

import trace_bridge as tb

QUESTION = {"messages": [HumanMessage("Where is Ada?")]}


@tool
def locate(person: str) -> str:
    """Look a person up."""
    return f"{person} is in London"


def calls_a_tool(messages):
    """Asks the tool once, then says all that it has been told."""
    if any(message.type == "tool" for message in messages):
        return echo(messages)
    call = {"name": "locate", "args": {"person": "Ada"}, "id": "call-1"}
    return AIMessage("", tool_calls=[call])


def react(model):
    prebuilt = pytest.importorskip("langgraph.prebuilt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer versions call it deprecated; it is in use
        return prebuilt.create_react_agent(model, [locate], prompt="Be helpful to people.")


def agent(model):
    agents = pytest.importorskip("langchain.agents")
    return agents.create_agent(model, [locate], system_prompt="Be helpful to people.")


def middle(model):
    """An agent with middleware, whose own prompt is in a decorated function."""
    agents = pytest.importorskip("langchain.agents")
    middleware = pytest.importorskip("langchain.agents.middleware")

    @middleware.dynamic_prompt
    def told(request):
        return "Be helpful to people."

    return agents.create_agent(model, [locate], middleware=[told])


def run(module, state):
    with tb.Recorder({}).recording(), module.using(state):
        result = module.run({"inputs": QUESTION})
        return asyncio.run(result) if asyncio.iscoroutine(result) else result


@pytest.fixture(params=[react, agent, middle])
def module(request):
    return LangChainModule(request.param(ScriptModel(function=calls_a_tool)))


def prompt_path(module):
    return next(p for p, x in module.named_parameters() if x.data == "Be helpful to people.")


@pytest.fixture(autouse=True)
def seams():
    from trace_bridge_langchain.seams import instrumented

    with instrumented():
        yield


def test_prompt_and_tool_are_found_and_candidates_do_not_meet(module):
    path = prompt_path(module)
    kinds = {parameter.kind for _, parameter in module.named_parameters()}
    assert {"description", "code"} <= kinds

    def candidate(i):
        found = run(module, {path: f"Candidate number {i}."})["messages"][-1].content
        return found.startswith(f"Candidate number {i}.") and "Ada is in London" in found

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(candidate, range(16)))
    assert run(module, {})["messages"][-1].content.startswith("Be helpful to people.")


def test_the_model_reads_a_changed_description(module):
    model = module.models()[0]
    run(module, {"tools/locate:description": "Find out where somebody is."})
    assert "Find out where somebody is." in json.dumps(model.tools_seen[-1])
    run(module, {})
    assert "Look a person up." in json.dumps(model.tools_seen[-1])


def test_an_exported_agent_has_the_values(module):
    path = prompt_path(module)
    better = module.export({**module.state_dict(), path: "Exported prompt."})
    assert better.invoke(QUESTION)["messages"][-1].content.startswith("Exported prompt.")
    assert module.agent.invoke(QUESTION)["messages"][-1].content.startswith("Be helpful")


def summed(messages):
    return f"SUM: {messages[-1].content}"


def test_prompts_of_middleware():
    agents = pytest.importorskip("langchain.agents")
    known = pytest.importorskip("langchain.agents.middleware")
    agent = agents.create_agent(
        ScriptModel(), [],
        middleware=[
            known.SummarizationMiddleware(
                ScriptModel(function=summed), trigger=("messages", 3), keep=("messages", 1),
                summary_prompt="Sum it up: {messages}",
            ),
            known.TodoListMiddleware(),
        ],
    )  # fmt: skip
    module = wrap(agent)
    [path] = module.default_paths()  # what is LangChain's own is trained on demand
    assert path.endswith(":summary_prompt")
    assert any(path.endswith(":system_prompt") for path, _ in module.named_parameters())
    with pytest.raises(ValueError, match="must keep {messages}"):
        module.resolve({path: "Sum it up."})
    given = {"messages": [("user", "one"), ("ai", "two"), ("user", "three"), ("user", "four")]}
    with TraceCallback(agent) as trace:
        trace.module.load_state_dict({path: "Briefly: {messages}"})
        told = agent.invoke(given, config={"callbacks": [trace]})["messages"][-1].content
    assert "SUM: Briefly: " in told
    assert "SUM: Sum it up: " in agent.invoke(given)["messages"][-1].content
