"""Edges of chains: what prompts fill in, numbers and flags, branches, streams."""

import json

import pytest
from langchain_core.example_selectors import BaseExampleSelector
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, FewShotPromptTemplate, PromptTemplate
from langchain_core.runnables import (
    ConfigurableField,
    ConfigurableFieldSingleOption,
    RouterRunnable,
    RunnableBranch,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
    RunnablePick,
    chain,
)
from langchain_test_tools import ScriptModel, edges
from langchain_zoo import failing, template
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


told = PromptTemplate(
    template="Tell {q} {prompt}", input_variables=["q"], partial_variables={"prompt": "Briefly."}
)
alternatives = template("Think of {q}").configurable_alternatives(
    ConfigurableField(id="which"), default_key="short", long=template("Think long of {q}")
)
few = FewShotPromptTemplate(
    examples=[{"a": "1"}], example_prompt=PromptTemplate.from_template("So: {a}"),
    prefix="Look at {other}", suffix="Now {q}", input_variables=["q", "other"],
)  # fmt: skip
several = ChatPromptTemplate.from_messages([("system", "Be kind."), ("human", "Now: {q}")])
MADE = {
    "configured": (
        told.configurable_fields(partial_variables=ConfigurableField(id="more"))
        .with_config(configurable={"more": {"prompt": "At length."}}),
        ["Tell {q} {prompt}"],
    ),
    "another text configured": (
        told.configurable_fields(template=ConfigurableField(id="text"))
        .with_config(configurable={"text": "Say {q} {prompt}"}),
        ["Briefly."],
    ),
    "an option": (
        told.configurable_fields(
            template=ConfigurableFieldSingleOption(
                id="text", options={"a": "Say {q} {prompt}"}, default="a"
            )
        ),
        ["Briefly."],
    ),
    "an alternative": (
        alternatives.with_config(configurable={"which": "long"}), ["Think long of {q}"],
    ),
    "in a function": (RunnableLambda(lambda x: told.partial(prompt="Now.").invoke(x)),
                      ["Tell {q} {prompt}"]),
    "with examples": (RunnableLambda(lambda x: few.partial(other="it").invoke(x)),
                      ["Look at {other}", "Now {q}", "So: {a}", [{"a": "1"}]]),
    "a part": (RunnableLambda(lambda x: several[:1].invoke({**x})), ["Be kind."]),
    "returned": (RunnableLambda(lambda _: several + "more"), ["Be kind.", "Now: {q}"]),
}  # fmt: skip


@pytest.mark.parametrize("changed", [False, True])
@pytest.mark.parametrize("how", ["invoke", "stream", "batch"])
@pytest.mark.parametrize("name", MADE)
def test_a_prompt_that_is_made_on_the_way_reads_what_is_the_agents_own(name, how, changed):
    prompt, expected = MADE[name]
    agent = prompt | ScriptModel() | StrOutputParser()
    with TraceCallback(agent, raise_error=True) as trace:
        for parameter in trace.module.parameters():
            if changed and isinstance(parameter.data, str):
                parameter.set(f"{parameter.data} Changed.")
        given = [GIVEN] if how == "batch" else GIVEN
        result = getattr(agent, how)(given, config={"callbacks": [trace]})
        assert ("Changed." in "".join(result)) == changed
        found = [p.data for p in trace.output.backward("x").parameters]
    wanted = [f"{text} Changed." if changed and isinstance(text, str) else text
              for text in expected]  # fmt: skip
    assert sorted(map(str, found)) == sorted(map(str, wanted))


bound = ScriptModel()
BINDINGS = {
    "one of two": RunnableBranch(
        (lambda _: False, template("A {q}") | bound.bind(temperature=0.3)),
        template("B {q}") | bound.bind(temperature=0.7),
    ),
    "below a retry": template("B {q}") | bound.bind(temperature=0.7).with_retry(),
    "around a retry": template("B {q}") | bound.with_retry().bind(temperature=0.7),
    "a fallback": template("B {q}")
    | ScriptModel(function=failing).bind(temperature=0.3)
    .with_fallbacks([bound.bind(temperature=0.7)]),
}  # fmt: skip


@pytest.mark.parametrize("how", ["invoke", "stream"])
@pytest.mark.parametrize("name", BINDINGS)
def test_a_model_reads_the_numbers_that_are_bound_to_it(name, how):
    assert recorded(BINDINGS[name], how)[1] == {"B {q}", 0.7}
