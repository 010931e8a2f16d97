"""States that note what is read of them, and are to the user's code what they were."""

import copy
import dataclasses
import operator
from typing import Annotated

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send
from pydantic import BaseModel, Field, PrivateAttr
from trace_bridge_langchain import TraceCallback, wrap
from trace_bridge_langchain.states import plain, watched
from typing_extensions import TypedDict

from trace_bridge import Recorder, link


class Model(BaseModel):
    question: str = ""
    notes: Annotated[list[str], operator.add] = Field(default_factory=list)
    answer: str = ""
    _secret: int = PrivateAttr(default=7)

    def told(self):
        return f"{self.question} {self._secret}"


@dataclasses.dataclass
class Data:
    question: str = ""
    notes: list[str] = dataclasses.field(default_factory=list)


@pytest.mark.parametrize("state", [Model(question="q", notes=["n"]), Data("q", ["n"])])
def test_a_state_object_notes_the_fields_that_are_read(state):
    seen, reads = watched(state)
    assert not reads
    assert isinstance(seen, type(state))
    assert seen.question == "q"
    assert reads == {"question": "q"}
    assert plain(seen) == state
    assert type(plain(seen)) is type(state)
    assert plain({"x": [seen]})["x"] == [state]


@pytest.mark.parametrize(
    "use",
    [
        lambda state: state.model_dump(), dict, repr,
        lambda state: state == Model(), lambda state: state.model_copy(update={"answer": "x"}),
        lambda state: state.model_dump_json(), copy.copy, copy.deepcopy,
    ],
)  # fmt: skip
def test_what_reads_a_whole_model_reads_all_of_it(use):
    state = Model(question="q")
    seen, reads = watched(state)
    assert use(seen) == use(state)
    assert set(reads) == {"question", "notes", "answer"}


def test_a_models_own_methods_read_as_ever():
    seen, reads = watched(Model(question="q"))
    assert seen.told() == "q 7"
    assert set(reads) == {"question"}


@pytest.mark.usefixtures("seams")
def test_a_graph_over_a_model_has_an_edge_for_each_field_that_a_node_reads():
    def note(state: Model):
        return {"notes": ["a note of some length"]}

    def think(state: Model):
        return {"answer": f"thought about {state.question}"}

    def close(state: Model):
        return {"answer": f"closed: {state.answer}"}

    graph = StateGraph(Model)
    for node in (note, think, close):
        graph.add_node(f"{node.__name__}_it", node)
    graph.add_edge(START, "note_it")
    graph.add_edge("note_it", "think_it")
    graph.add_edge("think_it", "close_it")
    graph.add_edge("close_it", END)
    module = wrap(graph.compile())
    recorder = Recorder(module.inputs({"inputs": {"question": "why?"}}))
    with recorder.recording() as root:
        output = module.run({"inputs": {"question": "why?"}})
        root.returns(output["answer"])
    assert output["answer"] == "closed: thought about why?"
    blamed = link(recorder).backward("x")
    ops = {node.op for node in blamed.nodes}
    assert {"close_it", "think_it"} <= ops
    assert "note_it" not in ops


class Strict:
    def __init_subclass__(cls, wants=None):
        if wants is None:
            raise TypeError("wants something")


@dataclasses.dataclass
class Wanting(Strict, wants="this"):
    question: str = ""
    answer: str = ""


class Last(BaseModel):
    question: str = ""
    answer: str = ""

    def __init_subclass__(cls, **kwargs):
        raise TypeError("nothing comes after it")


@pytest.mark.usefixtures("seams")
@pytest.mark.parametrize("kind", [Wanting, Last])
def test_a_state_class_that_can_have_no_subclass_is_passed_as_it_is(kind):
    def think(state: kind):
        assert type(state) is kind
        return {"answer": f"thought about {state.question}"}

    graph = StateGraph(kind)
    graph.add_node("think", think)
    graph.add_edge(START, "think")
    module = wrap(graph.compile())
    recorder = Recorder({"question": "why?"})
    with recorder.recording() as root:
        output = module.run({"inputs": {"question": "why?"}})
        root.returns(output["answer"])
    assert output["answer"] == "thought about why?"
    assert "think" in {node.op for node in link(recorder).backward("x").nodes}


class Nested(TypedDict, total=False):
    q: str
    kept: object


def itself(_):
    held: dict = {"a": 1}
    held["itself"] = held
    return {"kept": held}


LEFT = {
    "in a command": lambda state: Command(update={"kept": {"all": state}}),
    "in tuples": lambda state: {"kept": (state, [{"all": state}])},
    "itself": itself,
}


@pytest.mark.parametrize("name", LEFT)
def test_nothing_of_ours_is_left_in_what_a_node_returns(name):
    builder = StateGraph(Nested)
    builder.add_node("node", LEFT[name])
    builder.add_edge(START, "node")
    graph = builder.compile()
    with TraceCallback(graph, raise_error=True) as trace:
        output = graph.invoke({"q": "why?"}, config={"callbacks": [trace]})
    assert "StateReads" not in str([type(item) for item in _all(output, 6)])


def _all(value, deep):
    yield value
    if deep and isinstance(value, (dict, list, tuple)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _all(item, deep - 1)


def test_a_state_that_is_sent_on_is_the_users_own_kind():
    class Sending(TypedDict, total=False):
        q: str
        kept: str

    def fan(state):
        return [Send("one", state)]

    def one(state):
        return {"kept": state["q"] + "!"}

    builder = StateGraph(Sending)
    builder.add_node("first", lambda state: {"kept": state["q"]})
    builder.add_node("one", one)
    builder.add_edge(START, "first")
    builder.add_conditional_edges("first", fan, ["one"])
    graph = builder.compile()
    with TraceCallback(graph, raise_error=True) as trace:
        graph.invoke({"q": "why?"}, config={"callbacks": [trace]})
    [call] = [call for call in trace._runs[0].calls if call.op == "one"]
    assert list(call.inputs) == ["q"]  # and not all of it
