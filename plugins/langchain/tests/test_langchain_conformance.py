"""The LangChain plugin keeps every rule of the shipped conformance suite."""

from typing import TypedDict

import pytest
import trace_bridge_langchain
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, FewShotPromptTemplate, PromptTemplate
from langchain_core.runnables import RunnablePassthrough
from langchain_test_tools import ScriptModel
from langgraph.graph import END, START, StateGraph

from trace_bridge.testing import PluginConformance

pytestmark = pytest.mark.timeout(300)


class Rules(PluginConformance):
    plugin = trace_bridge_langchain
    framework_modules = ("langchain_core", "langgraph")

    def call(self, agent, example):
        return agent.invoke(example["inputs"])

    def changed(self, path, value, number):
        if path.endswith(":examples"):
            return [{**demo, "idea": f"idea {number}"} for demo in value]
        return super().changed(path, value, number)

    def model_calls(self, agent):
        return len(self.model.prompts)


class TestChainConformance(Rules):
    """A chain of two model calls, the second with examples."""

    def make_agent(self):
        self.model = ScriptModel()
        think = ChatPromptTemplate.from_messages(
            [("system", "Have an idea."), ("human", "{question}")]
        )
        say = FewShotPromptTemplate(
            examples=[{"question": "q", "idea": "i"}],
            example_prompt=PromptTemplate.from_template("For {question} it was {idea}"),
            prefix="Say what the idea is.",
            suffix="Here: {question} and {idea}",
            input_variables=["question", "idea"],
        )
        return (
            RunnablePassthrough.assign(idea=think | self.model | StrOutputParser())
            | say
            | self.model
            | StrOutputParser()
        )

    def examples(self):
        return [{"inputs": {"question": question}} for question in ("Why?", "How?")]

    def snapshot(self, agent):
        return repr(agent).replace(repr(self.model), "model")


class State(TypedDict, total=False):
    question: str
    plan: str
    answer: str


class TestGraphConformance(Rules):
    """A LangGraph of two nodes, with a prompt each."""

    def make_agent(self):
        self.model = model = ScriptModel()
        plan_prompt = ChatPromptTemplate.from_template("Plan for {question}")
        answer_prompt = ChatPromptTemplate.from_template("Answer with {plan}")

        def plan(state):
            return {"plan": (plan_prompt | model).invoke({"question": state["question"]}).content}

        def answer(state):
            return {"answer": (answer_prompt | model).invoke({"plan": state["plan"]}).content}

        graph = StateGraph(State)
        graph.add_node("planner", plan)
        graph.add_node("speaker", answer)
        graph.add_edge(START, "planner")
        graph.add_edge("planner", "speaker")
        graph.add_edge("speaker", END)
        return graph.compile()

    def examples(self):
        return [{"inputs": {"question": question}} for question in ("Why?", "How?")]

    def snapshot(self, agent):
        return [repr(node.bound) for node in agent.nodes.values()]
