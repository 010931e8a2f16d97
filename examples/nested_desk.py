"""A desk that answers questions, as somebody might have it: it knows nothing of trace_bridge.

An AutoGen team of one guide, who has two tools: one asks a LangChain chain which table to look at,
the other a DSPy program how to put what was found.
"""

import dspy
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core.models import ChatCompletionClient
from langchain_core.language_models import BaseChatModel
from langchain_core.prompts import ChatPromptTemplate

TABLES = {
    "rivers": {"Nile": 6650, "Amazon": 6400, "Yangtze": 6300, "Danube": 2850, "Rhine": 1230},
    "mountains": {"Everest": 8849, "Kilimanjaro": 5895, "Blanc": 4806, "Fuji": 3776, "Etna": 3357},
}


class Phrase(dspy.Signature):
    """Tell what was found."""

    question: str = dspy.InputField()
    fact: str = dspy.InputField()
    answer: str = dspy.OutputField()


def desk(
    client: ChatCompletionClient, model: BaseChatModel, lm: dspy.BaseLM
) -> RoundRobinGroupChat:
    """The desk; each of the frameworks has a model of its own."""
    chain = ChatPromptTemplate.from_template("Think about this: {question}") | model
    program = dspy.Predict(Phrase)
    program.set_lm(lm)

    async def look_up(question: str) -> str:
        """Look up what is asked for."""
        table = (await chain.ainvoke({"question": question})).text.strip()
        name = question.rstrip("?").split()[-1]
        return str(TABLES.get(table, {}).get(name, "unknown"))

    def phrase(question: str, fact: str) -> str:
        """Put a fact as an answer."""
        return program(question=question, fact=fact).answer

    guide = AssistantAgent(
        "guide",
        client,
        tools=[look_up, phrase],
        max_tool_iterations=3,
        system_message="You answer questions.\n\nPlan: Look it up, phrase it, and chat about it.",
    )
    return RoundRobinGroupChat([guide], name="desk", max_turns=1)
