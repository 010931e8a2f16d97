"""An agent in plain LangGraph, as somebody might have it: it knows nothing of trace_bridge.

One node plans which table to look at, one looks the question up there, one answers.
"""

from typing import TypedDict

from langchain_core.language_models import BaseChatModel
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

TABLES = {
    "rivers": {"Nile": 6650, "Amazon": 6400, "Yangtze": 6300, "Danube": 2850, "Rhine": 1230},
    "mountains": {"Everest": 8849, "Kilimanjaro": 5895, "Blanc": 4806, "Fuji": 3776, "Etna": 3357},
}


class State(TypedDict, total=False):
    """What the nodes share."""

    question: str
    table: str
    facts: str
    answer: str


@tool
def look_up(table: str, name: str) -> str:
    """Look a name up in a table: its length in kilometres, or its height in metres."""
    return str(TABLES.get(table, {}).get(name, "unknown"))


def agent(model: BaseChatModel) -> CompiledStateGraph:
    """The agent, with a prompt for its planner and one for its speaker."""
    plan_prompt = ChatPromptTemplate.from_template("Think about this: {question}")
    answer_prompt = ChatPromptTemplate.from_template("Talk about {facts}. Asked was: {question}")

    def plan(state: State) -> State:
        return {"table": (plan_prompt | model).invoke({"question": state["question"]}).text.strip()}

    def search(state: State) -> State:
        name = state["question"].rstrip("?").split()[-1]
        return {"facts": look_up.invoke({"table": state["table"], "name": name})}

    def speak(state: State) -> State:
        given = {"facts": state["facts"], "question": state["question"]}
        return {"answer": (answer_prompt | model).invoke(given).text.strip()}

    graph = StateGraph(State)
    for name, node in {"planner": plan, "searcher": search, "speaker": speak}.items():
        graph.add_node(name, node)
    graph.add_edge(START, "planner")
    graph.add_edge("planner", "searcher")
    graph.add_edge("searcher", "speaker")
    graph.add_edge("speaker", END)
    return graph.compile()
