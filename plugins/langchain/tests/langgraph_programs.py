"""LangGraph programs with the edges that their code really has, written down by hand.

``PROGRAMS``: name -> (graph, input, truth). An edge (a, b) says that b read something that a made,
or (for a router) that a's outcome chose b. The truth was written from the code, before any run.
"""

import operator
from dataclasses import dataclass
from typing import Annotated, TypedDict

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from langchain_test_tools import ScriptModel
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import Command, Send

model = ScriptModel()


def ask(text):
    return model.invoke(text).content


def graph_of(state, nodes, *edges):
    graph = StateGraph(state)
    for name, node in nodes.items():
        graph.add_node(name, node)
    for edge in edges:
        if callable(edge[1]):
            graph.add_conditional_edges(*edge)
        else:
            graph.add_edge(*edge)
    return graph


# ------------------------------------------------------------------ RAG with grading, one retry


class Rag(TypedDict, total=False):
    question: str
    documents: list
    verdict: str
    tries: int
    reply: str


def rag():
    def retrieve(state):
        return {"documents": [f"a document on {state['question']}"]}

    def grade(state):
        good = "better" in state["documents"][0]
        return {"verdict": "relevant to it" if good else "beside the point"}

    def decide(state):
        return "write" if state["verdict"].startswith("relevant") else "rewrite"

    def rewrite(state):
        return {"question": f"{state['question']} but better"}

    def write(state):
        return {"reply": ask(f"Answer {state['question']} by {state['documents']}")}

    graph = graph_of(
        Rag, {"retrieve": retrieve, "grade": grade, "rewrite": rewrite, "write": write},
        (START, "retrieve"), ("retrieve", "grade"), ("grade", decide, ["write", "rewrite"]),
        ("rewrite", "retrieve"), ("write", END),
    )  # fmt: skip
    truth = {
        ("retrieve", "grade"), ("grade", "grade.decide"), ("grade.decide", "rewrite"),
        ("grade.decide", "write"),
        ("rewrite", "retrieve"), ("rewrite", "write"), ("retrieve", "write"),
        ("rewrite", "write.model"), ("retrieve", "write.model"), ("write.model", "write"),
    }  # fmt: skip
    return graph.compile(), {"question": "the old question"}, truth


# ------------------------------------------------------------------ supervisor and workers


class Team(TypedDict, total=False):
    task: str
    research: str
    text: str


def supervisor():
    def lead(state):
        step = "researcher" if "research" not in state else "author" if "text" not in state else END
        return Command(goto=step)

    def researcher(state):
        return {"research": ask(f"Find facts for {state['task']}")}

    def author(state):
        return {"text": ask(f"Write up {state['research']}")}

    graph = StateGraph(Team)
    graph.add_node("lead", lead, destinations=("researcher", "author", END))
    graph.add_node("researcher", researcher)
    graph.add_node("author", author)
    graph.add_edge(START, "lead")
    graph.add_edge("researcher", "lead")
    graph.add_edge("author", "lead")
    truth = {
        ("lead", "researcher"), ("lead", "author"),
        ("researcher.model", "researcher"), ("researcher", "author.model"),
        ("researcher", "author"), ("author.model", "author"),
        # asking whether a key is there depends on who wrote it (lead's last turn leads nowhere)
        ("researcher", "lead"),
    }  # fmt: skip
    return graph.compile(), {"task": "the quarterly numbers"}, truth


# ------------------------------------------------------------------ map and reduce


class Jokes(TypedDict, total=False):
    topic: str
    subjects: list
    jokes: Annotated[list, operator.add]
    best: str


def map_reduce():
    def subjects(state):
        return {"subjects": [f"{state['topic']} of lions", f"{state['topic']} of penguins"]}

    def spread(state):
        return [Send("joke", {"subject": subject}) for subject in state["subjects"]]

    def joke(state):
        return {"jokes": [ask(f"Joke about {state['subject']}")]}

    def choose(state):
        return {"best": state["jokes"][0]}

    graph = graph_of(
        Jokes, {"subjects": subjects, "joke": joke, "choose": choose},
        (START, "subjects"), ("subjects", spread, ["joke"]), ("joke", "choose"), ("choose", END),
    )  # fmt: skip
    truth = {
        ("subjects", "subjects.spread"), ("subjects.spread", "joke"),
        ("subjects", "joke"), ("subjects", "joke.model"),
        ("joke.model", "joke"), ("joke", "choose"),
    }  # fmt: skip
    return graph.compile(), {"topic": "animals"}, truth


# ------------------------------------------------------------------ plan and execute, with a loop


class Plan(TypedDict, total=False):
    goal: str
    steps: list
    done: Annotated[list, operator.add]
    report: str


def plan_execute():
    planner = ChatPromptTemplate.from_template("Plan how to reach {goal}") | model

    def plan(state):
        text = planner.invoke({"goal": state["goal"]}).content
        return {"steps": [f"{text}: first step", f"{text}: second step"]}

    def execute(state):
        step = state["steps"][0]
        return {"done": [ask(f"Do {step}")], "steps": state["steps"][1:]}

    def more(state):
        return "execute" if state["steps"] else "report"

    def report(state):
        return {"report": " and ".join(state["done"])}

    graph = graph_of(
        Plan, {"plan": plan, "execute": execute, "report_": report},
        (START, "plan"), ("plan", "execute"),
        ("execute", more, {"execute": "execute", "report": "report_"}), ("report_", END),
    )  # fmt: skip
    truth = {
        ("plan.prompt", "plan.model"), ("plan.model", "plan"),
        ("plan", "execute"), ("plan", "execute.model"), ("execute.model", "execute"),
        ("execute", "execute"), ("execute", "execute.model"), ("execute", "execute.more"),
        ("execute.more", "execute"), ("execute.more", "report_"), ("execute", "report_"),
    }  # fmt: skip
    return graph.compile(), {"goal": "the summit"}, truth


# ------------------------------------------------------------------ parallel branches


@dataclass
class Facts:
    city: str = ""
    weather: str = ""
    traffic: str = ""
    events: str = ""
    advice: str = ""


def parallel():
    def weather(state):
        return {"weather": ask(f"The weather in {state.city}")}

    def traffic(state):
        return {"traffic": ask(f"The traffic in {state.city}")}

    def events(state):
        return {"events": ask(f"The events in {state.city}")}

    def advise(state):  # it does not look at the events
        return {"advice": ask(f"Advise on {state.weather} and {state.traffic}")}

    graph = graph_of(
        Facts, {"sky": weather, "roads": traffic, "shows": events, "advise": advise},
        (START, "sky"), (START, "roads"), (START, "shows"),
        ("sky", "advise"), ("roads", "advise"), ("shows", "advise"), ("advise", END),
    )  # fmt: skip
    truth = {
        ("sky.model", "sky"), ("roads.model", "roads"), ("shows.model", "shows"),
        ("sky", "advise"), ("roads", "advise"),
        ("sky", "advise.model"), ("roads", "advise.model"), ("advise.model", "advise"),
    }  # fmt: skip
    # what nobody read does not lead to the output; "shows" itself does, as a key of the last state
    return graph.compile(), {"city": "Lisbon"}, truth


# ------------------------------------------------------------------ an agent with a tool


@tool
def look_up(name: str) -> str:
    """Look a name up in the register."""
    return f"{name} lives in Rome"


def _agent_says(messages):
    if isinstance(messages[-1], ToolMessage):
        return f"I found: {messages[-1].content}"
    call = {"name": "look_up", "args": {"name": "Marcus"}, "id": "1"}
    return AIMessage("", tool_calls=[call])


def tool_agent():
    bound = ScriptModel(function=_agent_says).bind_tools([look_up])

    def assistant(state):
        return {"messages": [bound.invoke(state["messages"])]}

    graph = graph_of(
        MessagesState, {"assistant": assistant, "tools": ToolNode([look_up])},
        (START, "assistant"), ("assistant", tools_condition), ("tools", "assistant"),
    )  # fmt: skip
    truth = {
        ("assistant.model", "assistant"),
        ("assistant", "assistant.tools_condition"), ("assistant.tools_condition", "tools.look_up"),
        ("assistant", "tools.look_up"), ("assistant", "assistant.model"),
        ("tools.look_up", "assistant.model"), ("assistant", "assistant"),
        ("tools.look_up", "assistant"),
    }  # fmt: skip
    return graph.compile(), {"messages": [HumanMessage("Where does Marcus live?")]}, truth


PROGRAMS = {
    "rag": rag, "supervisor": supervisor, "map and reduce": map_reduce,
    "plan and execute": plan_execute, "parallel": parallel, "tool agent": tool_agent,
}  # fmt: skip
