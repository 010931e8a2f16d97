"""Agents with agents of other frameworks in them, as users write them, on scripted models.

Each model echoes what it was told, so that a run's output shows which values it read.
"""

import asyncio

import dspy
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core import FunctionCall
from autogen_core.models import ChatCompletionClient, CreateResult, RequestUsage
from dspy.utils.dummies import DummyLM
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.prompts import ChatPromptTemplate
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

NO_USE = RequestUsage(prompt_tokens=1, completion_tokens=1)
INFO = {
    "family": "unknown", "function_calling": True, "json_output": False,
    "structured_output": False, "vision": False,
}  # fmt: skip


class EchoModel(BaseChatModel):
    """Says its prompt again."""

    @property
    def _llm_type(self):
        return "scripted"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        text = " ".join(str(message.content) for message in messages)
        return ChatResult(generations=[ChatGeneration(message=AIMessage(f"chain({text})"))])


class EchoLM(DummyLM):
    """Says its instructions and its input again."""

    def __init__(self):
        super().__init__([], follow_examples=True)

    def _use_example(self, messages):
        told = messages[0]["content"].rpartition("your objective is:")[2].strip()
        asked = messages[-1]["content"].partition("## ]]\n")[2].partition("\n\n")[0].strip()
        return f"[[ ## answer ## ]]\nprogram({told} {asked})\n\n[[ ## completed ## ]]"


class EchoClient(ChatCompletionClient):
    """Asks for its tool first, if it has one, and says again what it knows then."""

    async def create(self, messages, *, tools=(), **kwargs):
        await asyncio.sleep(0)
        content = f"team({' | '.join(str(m.content) for m in messages)})"
        if tools and len(messages) == 2:
            asked = str(messages[-1].content)
            content = [FunctionCall(id="1", name="lookup", arguments=f'{{"place": "{asked}"}}')]
        reason = "stop" if isinstance(content, str) else "function_calls"
        return CreateResult(content=content, finish_reason=reason, cached=False, usage=NO_USE)

    async def create_stream(self, messages, **kwargs):
        yield await self.create(messages, **kwargs)

    async def close(self):
        pass

    def actual_usage(self):
        return NO_USE

    def total_usage(self):
        return NO_USE

    def count_tokens(self, messages, **kwargs):
        return 1

    def remaining_tokens(self, messages, **kwargs):
        return 1000

    @property
    def capabilities(self):
        return INFO

    @property
    def model_info(self):
        return INFO


def home(tools=()):
    """A team of one, which asks its tool and then speaks."""
    agent = AssistantAgent(
        "researcher", EchoClient(), tools=list(tools), system_message="Plan: none.",
        reflect_on_tool_use=bool(tools),
    )  # fmt: skip
    return RoundRobinGroupChat(
        [agent], name="home", termination_condition=MaxMessageTermination(5), max_turns=1
    )


def chain_in_team():
    """An AutoGen team with a LangChain chain behind a tool."""
    chain = ChatPromptTemplate.from_template("As it is: {place}") | EchoModel()

    async def lookup(place: str) -> str:
        """Look a place up."""
        return (await chain.ainvoke({"place": place})).text

    return home([lookup]), chain


class Asker:
    """Somebody's own object, whose method is a tool."""

    def __init__(self):
        self.chain = ChatPromptTemplate.from_template("As it is: {place}") | EchoModel()

    def lookup(self, place: str) -> str:
        """Look a place up."""
        return self.chain.invoke({"place": place}).text


def chain_in_object():
    """The same behind a method, which AutoGen runs in a thread."""
    asker = Asker()
    return home([asker.lookup]), asker.chain


class State(TypedDict, total=False):
    question: str
    answer: str


class Answer(dspy.Module):
    """A user's own program, which notes what it does on itself."""

    def __init__(self):
        super().__init__()
        self.predict = dspy.Predict(dspy.Signature("question -> answer", "Be as you are."))
        self.predict.lm = EchoLM()
        self.prompt_of_its_own = "nothing that a chain reads"
        self.asked = 0

    def forward(self, question):
        self.asked += 1
        return self.predict(question=f"{question} #{self.asked}")


def program_in_graph():
    """A LangGraph graph whose node calls a DSPy program."""
    program = Answer()
    prompt = ChatPromptTemplate.from_template("Put it well: {answer}")
    model = EchoModel()

    def ask(state: State) -> State:
        return {"answer": program(question=state["question"]).answer}

    def speak(state: State) -> State:
        return {"answer": (prompt | model).invoke({"answer": state["answer"]}).text}

    graph = StateGraph(State)
    graph.add_node("asker", ask)
    graph.add_node("speaker", speak)
    graph.add_edge(START, "asker")
    graph.add_edge("asker", "speaker")
    graph.add_edge("speaker", END)
    return graph.compile(), program


class Desk(dspy.Module):
    """Asks its tool, and tells what it heard."""

    def __init__(self, tool):
        super().__init__()
        self.tool = dspy.Tool(tool)
        self.predict = dspy.Predict(dspy.Signature("question -> answer", "Tell it."))
        self.predict.lm = EchoLM()

    def forward(self, question):
        return self.predict(question=self.tool(question=question))


def team_in_program():
    """A DSPy program with an AutoGen team behind a tool."""
    team = home()

    def ask_team(question: str) -> str:
        """Ask the team."""
        result = asyncio.run(team.run(task=question))
        return result.messages[-1].to_text()

    return Desk(ask_team), team
