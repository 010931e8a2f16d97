"""What of an example the agent is given, what is its label, and how it is identified."""

import dataclasses
import json
from datetime import UTC, datetime
from operator import itemgetter
from typing import TypedDict
from uuid import uuid4

import pytest
from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import (
    ChatPromptTemplate,
    FewShotChatMessagePromptTemplate,
    MessagesPlaceholder,
    PromptTemplate,
)
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import (
    RouterRunnable,
    RunnableLambda,
    RunnablePassthrough,
    RunnablePick,
)
from langchain_core.tools import tool
from langchain_zoo import with_history
from langgraph.func import entrypoint
from langgraph.graph import MessagesState, StateGraph
from langsmith.schemas import Example
from pydantic import BaseModel
from trace_bridge_langchain.examples import (
    demonstration,
    encode,
    fields_of,
    given_of,
    inputs_of,
    named_inputs,
    reference_of,
)
from trace_bridge_langchain.intake import Intake, intake_of

MODEL = FakeListChatModel(responses=["yes"])
ASK = ChatPromptTemplate.from_template("{question}") | MODEL | StrOutputParser()
GRADE = ChatPromptTemplate.from_template("{question} {answer}") | MODEL
CHAT = ChatPromptTemplate.from_messages([("system", "Be kind."), MessagesPlaceholder("messages")])
HISTORY = ChatPromptTemplate.from_messages(
    [MessagesPlaceholder("history", optional=True), ("human", "{question}")]
)


def langsmith_example(inputs, outputs=None, **more):
    return Example(
        id=uuid4(), dataset_id=uuid4(), created_at=datetime.now(UTC), inputs=inputs,
        outputs=outputs, **more,
    )  # fmt: skip


class Shelf(BaseRetriever):
    def _get_relevant_documents(self, query, *, run_manager):
        return [Document(query)]


@tool
def double(number: int) -> int:
    """Twice as much."""
    return 2 * number


def shout(text: str) -> str:
    return text.upper()


class State(TypedDict):
    question: str
    context: str
    answer: str


class Given(TypedDict):
    question: str


def graph(state, given=None):
    builder = StateGraph(state, input_schema=given) if given else StateGraph(state)
    builder.add_node("say", lambda held: {})
    builder.set_entry_point("say")
    return builder.compile()


@entrypoint()
def task(text: str) -> str:
    return text


RAG = {"context": Shelf(), "question": RunnablePassthrough()} | GRADE
ITEMS = {"context": itemgetter("question") | Shelf(), "question": itemgetter("question")} | GRADE
ASSIGNED = RunnablePassthrough.assign(answer=itemgetter("question") | Shelf()) | GRADE
BOTH = RunnablePassthrough.assign(answer=ASK) | RunnableLambda(lambda held: held["answer"])
OPEN = RunnableLambda(lambda held: held["question"]) | MODEL
SAID = {"inputs": {"question": "q"}, "outputs": {"answer": "a"}}


@pytest.mark.parametrize(
    ("agent", "example", "given"),
    [
        # LangSmith's form: the inputs as they are
        (ASK, SAID, {"question": "q"}),
        (ASK, langsmith_example({"question": "q"}, {"answer": "a"}), {"question": "q"}),
        (ASK, {**SAID, "category": "hard"}, {"question": "q"}),
        (ASK, {"inputs": {"question": "q", "more": 1}}, {"question": "q", "more": 1}),
        (GRADE, {"inputs": {"question": "q", "answer": "a"}}, {"question": "q", "answer": "a"}),
        (ASK, {"inputs": "q", "outputs": "a"}, {"question": "q"}),
        (ASK, {"inputs": {"query": "q"}, "outputs": {}}, {"question": "q"}),
        (ASK, ("q", "a"), {"question": "q"}),
        (ASK, ({"question": "q"}, "a"), {"question": "q"}),
        # plain dicts: labels are no inputs, unless the agent asks for them
        (ASK, {"question": "q", "answer": "a"}, {"question": "q"}),
        (ASK, {"question": "q", "capital": "c"}, {"question": "q"}),
        (GRADE, {"question": "q", "answer": "a", "expected": 1}, {"question": "q", "answer": "a"}),
        (OPEN, {"question": "q", "answer": "a", "x": 1}, {"question": "q", "x": 1}),
        (OPEN, {"output": "only"}, {"output": "only"}),
        (HISTORY, {"question": "q", "history": []}, {"question": "q", "history": []}),
        (ITEMS, {"question": "q", "answer": "a"}, {"question": "q"}),
        (ASSIGNED, {"question": "q", "answer": "a"}, {"question": "q"}),
        (BOTH, {"question": "q", "answer": "a"}, {"question": "q"}),
        # a lone value gets the name that the agent takes
        (ASK, "q", {"question": "q"}),
        (ITEMS, "q", {"question": "q"}),
        (HISTORY, "q", {"question": "q"}),
        (ASK.with_retry(), "q", {"question": "q"}),
        (ASK.with_fallbacks([ASK]), "q", {"question": "q"}),
        (ASK.with_config(tags=["t"]), "q", {"question": "q"}),
        (PromptTemplate.from_template("{x}"), "q", {"x": "q"}),
        (double, 2, {"number": 2}),
        (CHAT, [("user", "q")], {"messages": [("user", "q")]}),
        (CHAT, "q", {"messages": [HumanMessage("q")]}),
        (CHAT, {"inputs": {"question": "q"}}, {"messages": [HumanMessage("q")]}),
        (CHAT, HumanMessage("q"), {"messages": [HumanMessage("q")]}),
        # agents that take one value
        (MODEL, "q", "q"),
        (MODEL, [HumanMessage("q")], [HumanMessage("q")]),
        (MODEL, HumanMessage("q"), [HumanMessage("q")]),
        (MODEL, {"question": "q", "answer": "a"}, "q"),
        (MODEL, {"inputs": {"messages": ["q"], "user": "u"}}, ["q"]),
        (RAG, SAID, "q"),
        (RAG, "q", "q"),
        ({"question": RunnablePassthrough()} | GRADE, SAID, "q"),
        ({"asked": RunnablePassthrough(), "said": ASK} | OPEN, SAID, {"question": "q"}),
        (RunnableLambda(shout), SAID, "q"),
        (RunnableLambda(len), SAID, {"question": "q"}),
        (RunnablePick(["question"]) | ASK, "q", {"question": "q"}),
        (RunnablePick("question") | ASK, {"question": "q", "answer": "a"}, {"question": "q"}),
        (RunnableLambda(itemgetter(0)), ["q"], ["q"]),
        (RunnableLambda(dict), SAID, {"question": "q"}),
        (RunnablePassthrough.assign(more=ASK), SAID, {"question": "q"}),
        (with_history(ASK), "q", {"q": "q"}),
        (ASK.map(), [{"question": "q"}], [{"question": "q"}]),
        (RouterRunnable({"a": ASK}), {"key": "a", "input": "q"}, {"key": "a", "input": "q"}),
        # graphs
        (graph(MessagesState), "q", {"messages": [HumanMessage("q")]}),
        (graph(MessagesState), {"question": "q"}, {"messages": [HumanMessage("q")]}),
        (graph(MessagesState), [HumanMessage("q")], {"messages": [HumanMessage("q")]}),
        (graph(State), {"question": "q", "answer": "a"}, {"question": "q"}),
        (graph(State), SAID, {"question": "q"}),
        (graph(State, Given), {"question": "q", "answer": "a", "level": 1}, {"question": "q"}),
        (graph(State, Given), "q", {"question": "q"}),
        (task, {"inputs": "q", "outputs": "a"}, "q"),
        (None, SAID, {"question": "q"}),
    ],
)
def test_what_invoke_is_given(agent, example, given):
    assert inputs_of(intake_of(agent), example) == given


def test_values_are_the_users_own_objects():
    question = ["a list"]
    example = {"inputs": {"question": question}}
    assert inputs_of(intake_of(ASK), example)["question"] is question
    assert inputs_of(intake_of(ASK), example) is not example["inputs"]


@pytest.mark.parametrize(
    ("agent", "example", "words"),
    [
        (GRADE, {"question": "q"}, r"takes answer, question.*'q'\} has question: .*\"answer\": "),
        (GRADE, {"inputs": {"x": 1, "y": 2}}, "has x, y"),
        (GRADE, "q", "takes answer, question.*has no names"),
        (graph(State), "q", "takes answer, context, question"),
        (graph(State), {"inputs": {"query": "q"}}, "has query"),
        (MODEL, {"inputs": {"a": "1", "b": "2"}}, r"one text or list of messages.*\"inputs\": \""),
        (MODEL, {}, "has nothing"),
        (ASK, None, "is None"),
        (GRADE, "q" * 500, r"'q{116}\.\.\. has"),
    ],
)
def test_errors_name_the_example_and_the_remedy(agent, example, words):
    with pytest.raises(ValueError, match=words):
        inputs_of(intake_of(agent), example)


def test_what_is_taken_for_the_reference():
    assert reference_of(SAID) == {"answer": "a"}
    assert reference_of({"inputs": {}, "reference_outputs": "a"}) == "a"
    assert reference_of(langsmith_example({}, {"answer": "a"})) == {"answer": "a"}
    assert reference_of(("q", "a")) == "a"
    assert reference_of({"question": "q", "answer": "a"}) == {"answer": "a"}
    assert reference_of({"question": "q", "capital": "c"}) == {"question": "q", "capital": "c"}
    assert reference_of("q") is None
    assert given_of({"question": "q", "answer": "a"}) == {"question": "q"}
    assert given_of(SAID) == {"question": "q"}


def test_a_chain_with_its_own_variable_called_inputs():
    example = {"inputs": "x", "style": "short"}
    chain = ChatPromptTemplate.from_template("{inputs} {style}")
    assert inputs_of(intake_of(chain), example) == example


def test_examples_as_demonstrations():
    turns = ChatPromptTemplate.from_messages([("human", "{question}"), ("ai", "{answer}")])
    shots = FewShotChatMessagePromptTemplate(examples=[], example_prompt=turns)
    shown = {"question": "q", "answer": "a"}
    for example in (SAID, langsmith_example(**SAID), {**shown, "level": 1}):
        assert demonstration(shots, example) == shown
    for example in ("q", ("q", "a"), {"question": "q"}, {"inputs": {"question": "q"}}):
        assert demonstration(shots, example) is None
    assert demonstration(ASK, SAID) is None


def test_names_of_inputs():
    assert named_inputs("q", Intake()) == {"input": "q"}
    assert named_inputs("q", intake_of(ASK)) == {"question": "q"}
    assert named_inputs({"inputs": None}, Intake()) == {"input": None}
    assert named_inputs({"inputs": {1: "x"}}, Intake()) == {"1": "x"}


def test_examples_as_json():
    assert encode(SAID) == SAID
    assert encode(("q", "a")) == {"inputs": "q", "outputs": "a"}
    assert encode({"question": "q", "answer": "a"}) == {"question": "q", "answer": "a"}
    assert encode("q") == {"inputs": "q"}
    first, second = (langsmith_example({"question": "q"}, {"answer": "a"}) for _ in range(2))
    assert first.id != second.id
    assert encode(first) == encode(second) == SAID
    labelled = langsmith_example({"question": "q"}, metadata={"split": "a"})
    assert encode(labelled) == {"inputs": {"question": "q"}, "metadata": {"split": "a"}}


def test_messages_and_documents_as_json():
    call = {"name": "double", "args": {"number": 2}, "id": "c1", "type": "tool_call"}
    human = HumanMessage("q", id=str(uuid4()))
    example = {
        "inputs": {"messages": [human, AIMessage("", tool_calls=[call])]},
        "outputs": {"found": Document("text", id=str(uuid4()), metadata={"page": 1})},
    }  # fmt: skip
    found = encode(example)
    assert found == {
        "inputs": {"messages": [
            {"type": "human", "content": "q"},
            {"type": "ai", "content": "", "tool_calls": [call]},
        ]},
        "outputs": {"found": {"page_content": "text", "metadata": {"page": 1}}},
    }  # fmt: skip
    assert json.loads(json.dumps(found)) == found
    prompt = ChatPromptTemplate.from_template("{x}").invoke({"x": "q"})
    assert encode({"inputs": prompt}) == {"inputs": [{"type": "human", "content": "q"}]}


def test_a_dict_that_holds_itself_ends_there():
    circle = {"question": "q"}
    circle["self"] = circle
    assert encode({"inputs": circle}) == {"inputs": {"question": "q", "self": "..."}}


def test_fields_of_outputs():
    class Grade(BaseModel):
        score: int
        why: str

    @dataclasses.dataclass
    class Pair:
        left: object
        right: object

    whole = ["x"]
    assert fields_of({"a": 1}) == {"a": 1}
    assert fields_of({}) is None
    assert fields_of(Grade(score=1, why="w")) == {"score": 1, "why": "w"}
    assert fields_of(Pair(whole, 2))["left"] is whole
    for single in ("text", AIMessage("x"), Document("x"), None, [1], Pair):
        assert fields_of(single) is None
