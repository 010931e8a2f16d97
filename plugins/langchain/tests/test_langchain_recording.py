"""Edges of chains: what prompts fill in, numbers and flags, branches, streams."""

import json

import pytest
from langchain_core.example_selectors import BaseExampleSelector
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, FewShotPromptTemplate, PromptTemplate
from langchain_core.runnables import (
    RouterRunnable,
    RunnableBranch,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
    RunnablePick,
    chain,
)
from langchain_test_tools import ScriptModel, edges
from langchain_zoo import template
from langgraph.graph import START, StateGraph
from trace_bridge_langchain import TraceCallback
from typing_extensions import TypedDict

import trace_bridge as tb

GIVEN = {"q": "What is it, then?"}


def yes(messages):
    return "maths" if "Classify" in messages[0].content else "no"


classify = template("Classify {q}") | ScriptModel(function=yes) | StrOutputParser()
solve = template("Solve {q}") | ScriptModel()
CLASSIFY, SOLVE = "Classify {q}", "Solve {q}"


def recorded(agent, how="invoke", given=GIVEN):
    """The edges of a run, and the texts of the parameters that its output depends on."""
    with TraceCallback(agent, raise_error=True) as trace:
        result = getattr(agent, how)(given, config={"callbacks": [trace]})
        if how == "stream":
            assert list(result)
        [run] = trace._runs
        found = trace.output.backward("x").parameters
    return edges(run) if isinstance(run, tb.Recorder) else set(), {p.data for p in found}


def test_a_prompt_reads_what_it_fills_in():
    agent = (
        RunnablePassthrough.assign(noted=template("Note {q}") | ScriptModel() | StrOutputParser())
        | RunnablePassthrough.assign(other=classify)
        | template("Tell {other}")
        | ScriptModel()
    )
    found, texts = recorded(agent)
    assert texts == {"Tell {other}", CLASSIFY}
    assert ("noted", "other.prompt") not in found


def test_what_selects_examples_reads_all_names():
    class Selector(BaseExampleSelector):
        def select_examples(self, given):
            return [{"shown": given["noted"]}]

        def add_example(self, example):
            return None

    few = FewShotPromptTemplate(
        example_selector=Selector(), example_prompt=PromptTemplate.from_template("{shown}"),
        suffix="Now {q}", input_variables=["q"],
    )  # fmt: skip
    agent = RunnablePassthrough.assign(noted=classify) | few | ScriptModel()
    assert CLASSIFY in recorded(agent)[1]


NUMBERS = {
    "a flag": classify | RunnableLambda(lambda s: s == "maths") | RunnableLambda(lambda b: [b]),
    "of a builtin": classify | RunnableLambda(len) | RunnableLambda(lambda n: [n + 1]),
    "by name": RunnablePassthrough.assign(n=classify | RunnableLambda(len))
    | RunnableLambda(lambda d: [d["n"] > 2]),
    "in a prompt": RunnablePassthrough.assign(n=classify | RunnableLambda(len))
    | template("It has {n}") | ScriptModel(),
    "in the result": RunnableParallel(n=classify | RunnableLambda(len)),
    "picked": classify | RunnableLambda(lambda s: {"n": len(s)}) | RunnablePick("n")
    | RunnableLambda(lambda n: [n]),
    "parsed": classify | RunnableLambda(lambda s: str(len(s))) | RunnableLambda(json.loads)
    | RunnableLambda(lambda n: [n]),
}  # fmt: skip


@pytest.mark.parametrize("how", ["invoke", "stream"])
@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_and_flags_lead_to_what_made_them(name, how):
    assert CLASSIFY in recorded(NUMBERS[name], how)[1]


def test_a_number_that_the_agent_was_given_is_nobodys_output():
    agent = RunnablePassthrough.assign(n=classify | RunnableLambda(len)) | template("{k}: {q}")
    found, _ = recorded(agent | ScriptModel(), given={**GIVEN, "k": 5})
    assert not {target for _, target in found} & {"prompt"}


def test_a_graph_that_returns_numbers():
    class State(TypedDict, total=False):
        q: str
        count: int
        good: bool

    builder = StateGraph(State)
    builder.add_node("counted", lambda state: {"count": len(classify.invoke({"q": state["q"]}))})
    builder.add_node("judged", lambda state: {"good": state["count"] > 2})
    builder.add_edge(START, "counted")
    builder.add_edge("counted", "judged")
    found, texts = recorded(builder.compile())
    assert texts == {CLASSIFY}
    assert ("counted", "judged") in found


def test_a_lambda_as_a_node_reads_the_keys_that_it_reads():
    class State(TypedDict, total=False):
        q: str
        a: str
        b: str

    def first(state):
        return {"a": "made of " + state["q"]}

    @chain
    def second(state):
        return {"b": "also of " + state["q"]}

    def taken(state):
        return state["b"]

    builder = StateGraph(State)
    builder.add_node("first", first)
    builder.add_node("second", second)
    builder.add_node("third", RunnableLambda(taken) | (lambda b: {"a": b + "!"}))
    builder.add_edge(START, "first")
    builder.add_edge("first", "second")
    builder.add_edge("second", "third")
    found, _ = recorded(builder.compile())
    assert ("second", "third.taken") in found
    assert not any(maker == "first" for maker, _ in found)


CHOICES = {
    "by what was read": {"topic": classify, "q": lambda x: x["q"]}
    | RunnableBranch((lambda x: "maths" in x["topic"], solve), template("Else {q}")),
    "by a call": RunnableBranch(
        (lambda x: classify.invoke(x) == "maths", solve), template("Else {q}")
    ) | StrOutputParser(),
    "by a chain": RunnableBranch((classify | (lambda s: s == "maths"), solve), template("Else")),
    "by a key": RunnableParallel(key=classify, input=RunnablePassthrough())
    | RouterRunnable({"maths": solve}),
}  # fmt: skip


@pytest.mark.parametrize("how", ["invoke", "stream"])
@pytest.mark.parametrize("name", CHOICES)
def test_what_chooses_counts_for_what_was_chosen(name, how):
    assert recorded(CHOICES[name], how)[1] == {CLASSIFY, SOLVE}


async def test_what_chooses_counts_in_asynchronous_calls():
    agent = CHOICES["by a chain"]
    with TraceCallback(agent) as trace:
        config = {"callbacks": [trace]}
        await agent.ainvoke(GIVEN, config=config)
        assert [piece async for piece in agent.astream(GIVEN, config=config)]
        for output in trace.outputs:
            assert {p.data for p in output.backward("x").parameters} == {CLASSIFY, SOLVE}


@chain
def counted(given):
    return {"count": len(classify.invoke(given))}


@chain
def shouted(given):
    for word in classify.stream(given):
        yield word.upper()


@pytest.mark.parametrize("agent", [counted, RunnablePassthrough() | counted, shouted])
@pytest.mark.parametrize("how", ["invoke", "stream"])
def test_calls_inside_a_function_are_inside_it_in_streams_too(agent, how):
    assert CLASSIFY in recorded(agent, how)[1]


async def test_calls_inside_a_function_are_inside_it_in_asynchronous_streams():
    @chain
    async def waited(given):
        return {"count": len(await classify.ainvoke(given))}

    agent = RunnablePassthrough() | waited
    with TraceCallback(agent) as trace:
        config = {"callbacks": [trace]}
        assert [piece async for piece in agent.astream(GIVEN, config=config)]
        assert {p.data for p in trace.output.backward("x").parameters} >= {CLASSIFY}
        assert tb.current_call() is None


def test_prompts_of_other_kinds_read_all():
    prompt = ChatPromptTemplate.from_template("Tell {{other}}", template_format="mustache")
    agent = RunnablePassthrough.assign(other=classify) | prompt | ScriptModel()
    assert CLASSIFY in recorded(agent)[1]
