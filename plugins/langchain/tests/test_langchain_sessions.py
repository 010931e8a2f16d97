"""What agents keep between calls: evaluations neither find nor leave anything there."""

import operator
import warnings
from typing import Annotated, TypedDict

import pytest
from langchain_core.chat_history import InMemoryChatMessageHistory
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_test_tools import ScriptModel
from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import CachePolicy
from trace_bridge_langchain import TraceCallback, wrap

import trace_bridge as tb

PATH = "reply/ask/prompt/system:template"
TUNED = "Answer with a reason."


class State(TypedDict, total=False):
    question: str
    answer: str
    seen: Annotated[list, operator.add]


def answer(messages):
    return "Yes: so it is." if "reason" in messages[0].content else "Yes."


def graph(policy=None, **kept):
    prompt = ChatPromptTemplate.from_messages([("system", "Answer."), ("human", "{question}")])
    ask = prompt | ScriptModel(function=answer) | StrOutputParser()

    def reply(state):
        asked = ask.invoke({"question": state["question"]})
        return {"answer": asked, "seen": [state["question"]]}

    builder = StateGraph(State)
    builder.add_node("reply", reply, cache_policy=policy)
    builder.add_edge(START, "reply")
    return builder.compile(**kept)


def optimized(agent, metric):
    data = [{"inputs": {"question": f"Is {i}?"}} for i in range(20)]

    def proposer(messages):
        assert "Too terse" in messages[-1]["content"]
        return f'<variable name="reply_ask_prompt_system_template">{TUNED}</variable>'

    return tb.optimize(agent, data, metric, llm=proposer, optimizer="optoprime", progress=False)


@pytest.mark.parametrize("bound", [False, True])
def test_each_evaluation_of_a_graph_with_a_checkpointer_is_a_thread_of_its_own(bound):
    saver, seen = InMemorySaver(), []
    agent = graph(checkpointer=saver)

    def metric(outputs):
        seen.append(outputs["seen"])
        good = ":" in outputs["answer"]
        return {"key": "explained", "score": good, "comment": "" if good else "Too terse."}

    if bound:
        agent = agent.with_config(configurable={"thread_id": "the user's"})
    assert optimized(agent, metric).verdict == "better"
    assert {len(questions) for questions in seen} == {1}
    assert not saver.storage


def test_a_callback_leaves_the_users_thread_to_the_user():
    saver = InMemorySaver()
    agent = graph(checkpointer=saver)
    with TraceCallback(agent) as trace:
        trace.module.load_state_dict({PATH: TUNED})
        config = {"configurable": {"thread_id": "mine"}, "callbacks": [trace]}
        for _ in range(2):
            found = agent.invoke({"question": "Is 7?"}, config=config)
    assert found["answer"] == "Yes: so it is."
    assert found["seen"] == ["Is 7?", "Is 7?"]
    assert list(saver.storage) == ["mine"]


def test_a_cache_of_nodes_gives_no_values_the_results_of_others():
    agent, given = graph(CachePolicy(), cache=InMemoryCache()), {"question": "Is 7?"}
    assert agent.invoke(given)["answer"] == "Yes."
    with TraceCallback(agent) as trace:
        trace.module.load_state_dict({PATH: TUNED})
        config = {"callbacks": [trace]}
        assert agent.invoke(given, config=config)["answer"] == "Yes: so it is."
        better = trace.module.export({PATH: TUNED})
    assert better.invoke(given)["answer"] == "Yes: so it is."
    assert agent.invoke(given)["answer"] == "Yes."


def test_a_cache_of_nodes_hides_no_evaluation(seams):
    agent = graph(CachePolicy(), cache=InMemoryCache())
    module, [model] = wrap(agent), wrap(agent).models()
    for _ in range(3):
        module.run({"inputs": {"question": "Is 7?"}})
    assert len(model.prompts) == 3


pytestmark = pytest.mark.filterwarnings("ignore:The class")  # histories are deprecated, and in use


@pytest.fixture
def histories():
    return {}


def with_history(histories):
    prompt = ChatPromptTemplate.from_messages(
        [("system", "Answer."), MessagesPlaceholder("before"), ("human", "{question}")]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated, and in use
        from langchain_core.runnables.history import RunnableWithMessageHistory

        return RunnableWithMessageHistory(
            prompt | ScriptModel(),
            lambda session_id: histories.setdefault(session_id, InMemoryChatMessageHistory()),
            input_messages_key="question", history_messages_key="before",
        )  # fmt: skip


def test_each_evaluation_of_a_chain_with_a_history_is_a_session_of_its_own(histories):
    module = wrap(with_history(histories))
    told = [module.run({"inputs": {"question": f"Is {i}?"}}).content for i in range(3)]
    assert told == ["Answer. / Is 0?", "Answer. / Is 1?", "Answer. / Is 2?"]
    assert len(histories) == 3


def test_a_session_that_the_user_has_bound_stays(histories):
    agent = with_history(histories).with_config(configurable={"session_id": "mine"})
    module = wrap(agent)
    module.run({"inputs": {"question": "Is 1?"}})
    assert list(histories) == ["mine"]
