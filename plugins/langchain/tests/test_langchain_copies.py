"""Copies with other values, of every construct: they run with them, and the original does not."""

import asyncio
import functools
import textwrap
import types
from collections.abc import Callable
from typing import Annotated

import pytest
from langchain_core.messages import SystemMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RouterRunnable, RunnableLambda, RunnableParallel
from langchain_core.tools import BaseTool, StructuredTool, tool
from langchain_test_tools import ScriptModel
from langchain_zoo import GLOBAL_PROMPT, ZOO, closed, inline, model, search, template, text
from langgraph.graph import START, StateGraph
from pydantic import BaseModel, Field
from trace_bridge_langchain import functions, wrap
from trace_bridge_langchain.arguments import described, descriptions
from trace_bridge_langchain.layout import Layout
from trace_bridge_langchain.module import LangChainModule
from trace_bridge_langchain.parts import is_users


def other(place):
    value = place.get()
    if place.kind == "demos":
        return [{**demo, "b": "CHANGED"} for demo in value]
    return f"{value} CHANGED"


@pytest.mark.parametrize("name", ZOO)
def test_what_is_trained_by_default(name):
    agent, _, expected = ZOO[name]
    found = LangChainModule(agent).default_paths()
    assert sorted(set(expected) - set(found)) == []


@pytest.mark.parametrize("name", ZOO)
def test_a_copy_runs_with_its_values_and_the_original_with_its_own(name):
    agent, given, expected = ZOO[name]
    layout = Layout(agent)
    before, shown = agent.invoke(given), repr(agent)
    for place in layout.places:
        if place.path not in expected:
            continue
        copy = layout.fresh_copy({place.path: other(place)}).find(agent)
        assert copy is not agent
        assert "CHANGED" in str(copy.invoke(given)), place.path
        assert "CHANGED" in str(copy.batch([given])[0])
        assert "CHANGED" in str(list(copy.stream(given)))
        assert "CHANGED" in str(asyncio.run(copy.ainvoke(given)))
        assert type(copy) is type(agent)
    assert agent.invoke(given) == before
    assert repr(agent) == shown


@pytest.mark.parametrize("name", ZOO)
def test_without_a_change_the_copy_is_the_agent(name):
    agent, _, _ = ZOO[name]
    layout = Layout(agent)
    assert layout.copy(dict(layout.originals)).find(agent) is agent


@pytest.mark.parametrize("name", ZOO)
def test_equal_agents_have_equal_paths(name):
    agent, _, _ = ZOO[name]
    paths = [place.path for place in Layout(agent).places]
    assert paths == [place.path for place in Layout(agent).places]
    assert len(set(paths)) == len(paths)


def test_what_does_not_change_is_shared():
    agent, _, _ = ZOO["parallel"]
    layout = Layout(agent)
    copy = layout.fresh_copy({"a/prompt/human:template": "New {q}"}).find(agent)
    assert copy.steps__["b"] is agent.steps__["b"]
    assert copy.steps__["a"] is not agent.steps__["a"]
    assert copy.steps__["a"].middle[0] is agent.steps__["a"].middle[0]


def test_bound_tools_show_the_new_description():
    agent, given, _ = ZOO["bound tools"]
    layout = Layout(agent)
    [path] = [p.path for p in layout.places if p.kind == "description"]
    copy = layout.fresh_copy({path: "Look things up."}).find(agent)
    assert "Look things up." in copy.invoke(given)
    assert "Search the web" in agent.invoke(given)
    assert search.description == "Search the web for things."


def test_texts_in_the_code():
    agent = RunnableLambda(inline)
    layout = Layout(agent)
    [place] = [p for p in layout.places if p.get() == "An inline literal prompt here"]
    assert place.kind == "text"
    copy = layout.fresh_copy({place.path: "Another text"}).find(agent)
    assert copy.invoke({"q": "why?"}) == f"Another text / {GLOBAL_PROMPT}why?"


def test_settings_of_a_model():
    agent, _, _ = ZOO["bound settings"]
    layout = Layout(agent)
    [place] = [p for p in layout.places if p.kind == "number"]
    copy = layout.fresh_copy({place.path: 0.9}).find(agent)
    assert copy.middle[0].kwargs == {"temperature": 0.9}
    assert agent.middle[0].kwargs == {"temperature": 0.5}


def test_globals_of_a_clone_are_looked_up_live(monkeypatch):
    function = functions.clone(inline, {"global.GLOBAL_PROMPT": None})
    functions.change(function, "global.GLOBAL_PROMPT", "Mine. ")
    assert function({"q": "why?"}).endswith("Mine. why?")
    monkeypatch.setitem(inline.__globals__, "model", ScriptModel(function=lambda _: "live"))
    assert function({"q": "why?"}) == "live"
    frozen = functions.clone(inline, {"global.GLOBAL_PROMPT": None}, live=False)
    assert type(frozen.__globals__) is dict


def test_variables_of_a_closure_that_do_not_change_stay_shared():
    count = 0

    def outer(prompt):
        def step():
            nonlocal count
            count += 1
            return f"{prompt} {count}"

        return step

    function = outer("first")
    clone = functions.clone(function, {"closure.prompt": None})
    functions.change(clone, "closure.prompt", "second")
    assert (function(), clone(), function()) == ("first 1", "second 2", "first 3")


def test_defaults():
    def function(a, b="two", *, c="three"):
        return a, b, c

    for name in ("b", "c"):
        clone = functions.clone(function, {})
        functions.change(clone, f"default.{name}", "new")
        assert "new" in clone(1)
        assert "new" not in function(1)


def test_changed_code_is_not_run_without_leave():
    from trace_bridge import UnsafeCodeError

    agent = RunnableLambda(closed("A closed prompt."))
    source = "def ask(x):\n    return system_prompt + x['q'] + '!'\n"
    module = LangChainModule(agent)
    with pytest.raises(UnsafeCodeError, match=r"LangChainModule\(agent, unsafe=True\)"):
        module.export({"ask:code": source}).invoke({"q": "why?"})
    module = LangChainModule(agent, unsafe=True)
    state = {"ask:code": source, "ask:system_prompt": "New. "}
    assert module.export(state).invoke({"q": "why?"}) == "New. why?!"
    assert agent.invoke({"q": "why?"}) == "A closed prompt. / why?"


class Search(BaseTool):
    """A tool of the user's own class."""

    name: str = "search_own"
    description: str = "Search the shelves."
    shelf: str = "the shelf by the window"

    def _run(self, query: str) -> str:
        return f"{query} on {self.shelf}"


def test_the_code_and_texts_of_a_users_tool_class():
    tool, other = Search(), Search()
    agent = RunnableLambda(lambda x: tool.invoke({"query": x})) | other
    module = LangChainModule(agent, unsafe=True)
    code = "def _run(self, query: str) -> str:\n    return f'{query} under {self.shelf}'\n"
    state = {"tools/search_own/run:code": code, "tools/search_own:shelf": "the bed"}
    made = module.export(state)
    assert made.invoke("Books") == "Books under the bed under the bed"
    assert agent.invoke("Books").endswith("on the shelf by the window")
    assert type(tool) is type(other) is Search
    assert "on" in Search()._run("x")


def test_the_code_of_a_callable_object_and_of_its_methods_in_a_graph():
    class Thinker:
        def __call__(self, state):
            return {"q": self.think(state["q"])}

        def think(self, text):
            return f"thought: {text}"

    graph = StateGraph(dict)
    graph.add_node("thinker", Thinker())
    graph.add_edge(START, "thinker")
    agent = graph.compile()
    module = LangChainModule(agent, unsafe=True)
    think = "def think(self, text):\n    return f'deeply: {text}'\n"
    call = "def __call__(self, state):\n    return {'q': self.think(state['q']) + '!'}\n"
    state = {"thinker/think:code": think, "thinker/call:code": call}
    assert module.export(state).invoke({"q": "x"}) == {"q": "deeply: x!"}
    assert agent.invoke({"q": "x"}) == {"q": "thought: x"}


def test_much_text_in_a_container_is_data():
    rows = {f"row {i}": f"the text of row {i}" for i in range(40)}
    few = {f"row {i}": f"the text of row {i}" for i in range(4)}
    agent = RunnableLambda(lambda x: rows[x] + few[x])
    assert [place.path for place in Layout(agent).places] == [f"few:row {i}" for i in range(4)]


def test_what_wraps_a_function_is_not_the_users():
    @functools.wraps(inline)
    def wrapper(x):
        return inline(x)

    assert is_users(inline)
    assert is_users(wrapper)
    theirs = functools.wraps(inline)(types.FunctionType(textwrap.dedent.__code__, {}))
    assert theirs.__module__ == inline.__module__
    assert not is_users(theirs)


def test_settings_have_the_bounds_that_providers_have():
    agent, _, _ = ZOO["bound settings"]
    [place] = [p for p in Layout(agent).places if p.kind == "number"]
    assert place.bounds == (0.0, 2.0)


def test_an_argument_in_a_tools_json_schema():
    fields = {"city": {"type": "string", "description": "The city to ask about."}}
    remote = StructuredTool(
        name="weather", description="The weather in a city.", func=lambda city: city,
        args_schema={"type": "object", "properties": fields},
    )  # fmt: skip
    model = ScriptModel()
    agent = RunnableLambda(lambda x: model.bind_tools([remote]).invoke(x))
    made = LangChainModule(agent).export({"tools/weather:args.city": "A town."})
    for one, told in ((made, "A town."), (agent, "The city to ask about.")):
        one.invoke("x")
        [shown] = model.tools_seen[-1]
        assert shown["function"]["parameters"]["properties"]["city"]["description"] == told


def test_a_tool_that_a_model_was_told_of_before():
    @tool
    def find(query: Annotated[str, "What to look for."]) -> str:
        """Look things up."""
        return query

    def shown():
        function = model.tools_seen[-1][0]["function"]
        return function["description"], function["parameters"]["properties"]["query"]["description"]

    model = ScriptModel()
    agent = RunnableLambda(lambda x: model.bind_tools([find]).invoke(x))
    agent.invoke("x")
    module = LangChainModule(agent)
    state = {"tools/find:description": "Find things.", "tools/find:args.query": "The thing."}
    module.export(state).invoke("x")
    assert shown() == ("Find things.", "The thing.")
    agent.invoke("x")
    assert shown() == ("Look things up.", "What to look for.")
    module.apply({**module.state_dict(), **state})
    agent.invoke("x")
    assert shown() == ("Find things.", "The thing.")


class Stop(BaseModel):
    city: str = Field(description="The city to stop at.")
    inside: list["Stop"] = Field(default=[], description="The stops in it.")


class Circle(BaseModel):
    radius: float = Field(description="How far it is from the middle.")


class Square(BaseModel):
    side: float = Field(description="How long a side is.")


class Trip(BaseModel):
    first: Stop = Field(description="Where it starts.")
    others: list[Stop] = Field(default=[], description="All others.")
    last: Stop | None = None
    area: Annotated[Circle | Square | None, Field(description="Where to look.")] = None
    spare: dict[str, Stop] = {}


TRIP = {
    "first": "Where it starts.", "first.city": "The city to stop at.",
    "first.inside": "The stops in it.", "others": "All others.",
    "others.city": "The city to stop at.", "others.inside": "The stops in it.",
    "last.city": "The city to stop at.", "last.inside": "The stops in it.",
    "area": "Where to look.", "area.radius": "How far it is from the middle.",
    "area.2.side": "How long a side is.", "spare.city": "The city to stop at.",
    "spare.inside": "The stops in it.",
}  # fmt: skip


def told(model):
    """What the model was told last of the arguments of its tool."""
    [shown] = model.tools_seen[-1]
    return {name: held["description"] for name, held in described(shown["function"]["parameters"])}


@pytest.mark.parametrize("schema", [Trip, Trip.model_json_schema()], ids=["class", "json"])
@pytest.mark.parametrize("when", ["before", "in a call"])
def test_fields_inside_of_arguments(schema, when):
    plan = StructuredTool(
        name="plan", description="Plan a trip.", args_schema=schema, func=lambda **given: given
    )
    model, before = ScriptModel(), Trip.model_json_schema()
    agent = (
        RunnableLambda(lambda _: "x") | model.bind_tools([plan])
        if when == "before"
        else RunnableLambda(lambda x: model.bind_tools([plan]).invoke(x))
    )
    module = LangChainModule(agent)
    own = {path: p.data for path, p in module.named_parameters() if ":args." in path}
    assert sorted(own.values()) == sorted(set(TRIP.values()))  # an equal text is one parameter
    for path, was in own.items():
        made = module.export({path: "Another text."})
        for one, new in ((made, "Another text."), (agent, was)):
            one.invoke("x")
            assert told(model) == {n: new if t == was else t for n, t in TRIP.items()}, path
    assert Trip.model_json_schema() == before
    assert descriptions(Trip) == TRIP  # of a class that is made anew of its fields, too


def test_what_a_tool_receives_stays_what_it_is():
    plan = StructuredTool(
        name="plan", description="Plan a trip.", args_schema=Trip, func=lambda first, **_: first
    )
    module = LangChainModule(plan)
    state = {"self:args.first.city": "A town.", "self:args.first": "The first."}
    made = module.export({**state, "self:args.area.2.side": "Metres."})
    assert made.invoke({"first": {"city": "Rome"}}) == Stop(city="Rome")
    found = descriptions(made.args_schema)
    assert {**TRIP, **found}.items() >= {
        ("first", "The first."), ("first.city", "A town."), ("area.2.side", "Metres."),
        ("area.radius", TRIP["area.radius"]), ("first.inside", TRIP["first.inside"]),
    }  # fmt: skip


def test_a_field_that_no_schema_can_show_is_left_out():
    class Given(BaseModel):
        done: Callable[[], None] = Field(description="Called in the end.")
        city: str = Field(description="The city.", alias="town")

    assert descriptions(Given) == {"city": "The city."}


def test_underscores_at_the_end_belong_to_a_name():
    [place] = Layout(RunnableParallel(report_=template("Tell {q}"))).places
    assert place.path == "report_/human:template"


WORDS = ("metadata", "store", "cache", "client", "last")


def test_the_users_own_words_are_names_whatever_they_are():
    agents = {word: template(f"For {word} {{q}}") | model for word in WORDS}
    for agent in (RunnableParallel(agents), RouterRunnable(agents)):
        assert wrap(agent).default_paths() == [f"{word}/prompt/human:template" for word in WORDS]
    table = {word: f"What is told of {word}" for word in WORDS}
    told = RunnableLambda(lambda x: table[x["q"]])
    assert [path.rpartition(":")[2] for path, _ in wrap(told).named_parameters()] == [*WORDS]


def test_a_client_that_is_a_runnable_is_found():
    class Bot:
        def __init__(self):
            self.client = template("Inside {q}") | model

        def ask(self, given):
            return self.client.invoke(given)

    assert wrap(RunnableLambda(Bot().ask)).default_paths() == ["ask/client/prompt/human:template"]


def test_a_text_in_two_places_is_checked_for_both():
    static = ChatPromptTemplate.from_messages([SystemMessage("Answer it briefly, please.")]) | text
    filled = ChatPromptTemplate.from_messages([("system", "Answer it briefly, please.")]) | text
    module = wrap(RunnableParallel(a=static, b=filled))
    [path] = module.default_paths()
    with pytest.raises(ValueError, match="must not use {q}"):
        module.resolve({path: "Answer {q}"})
