"""Teams of every shape, each as ``(agent, client)``; every text in them has a token.

Where a shape is that of a page of AutoGen's documentation (0.7, "AgentChat user guide"), the page
is named.
"""

import json
import warnings

from autogen_agentchat.agents import (
    AssistantAgent,
    BaseChatAgent,
    CodeExecutorAgent,
    MessageFilterAgent,
    MessageFilterConfig,
    PerSourceFilter,
    SocietyOfMindAgent,
)
from autogen_agentchat.base import Response
from autogen_agentchat.conditions import MaxMessageTermination, TextMentionTermination
from autogen_agentchat.messages import TextMessage
from autogen_agentchat.teams import (
    DiGraphBuilder,
    GraphFlow,
    MagenticOneGroupChat,
    RoundRobinGroupChat,
    SelectorGroupChat,
    Swarm,
)
from autogen_agentchat.tools import AgentTool, TeamTool
from autogen_core.code_executor import CodeExecutor, CodeResult
from autogen_core.memory import ListMemory, MemoryContent
from autogen_core.model_context import BufferedChatCompletionContext
from autogen_core.models import SystemMessage, UserMessage
from autogen_core.tools import FunctionTool
from autogen_ext.models.cache import ChatCompletionCache
from autogen_oracle import Asking, TaintClient, tainted

ROLES = tainted("Choose from {roles} {participants} after {history} for")


def assistant(name, client, **more):
    given = {"system_message": tainted(f"You are {name.upper()}."), "description": tainted(name)}
    return AssistantAgent(name, client, **{**given, **more})


def tool(name, *, fails=False):
    def look(place: str) -> str:
        if fails:
            raise ValueError(tainted(f"{name} failed in"))
        return tainted(f"{name} saw {place} with")

    return FunctionTool(look, name=name, description=tainted(f"{name} looks."))


def ask(*names):
    return Asking([(name, {"place": tainted("the yard")}) for name in names])


def single_agent():
    """agents.html, "Getting Result"."""
    client = TaintClient({"ALICE": ["done"]})
    return assistant("alice", client), client


def tool_loop():
    """agents.html, "Max Tool Iterations"."""
    client = TaintClient({"ALICE": [ask("look"), ask("look"), "seen"]})
    return assistant("alice", client, tools=[tool("look")], max_tool_iterations=5), client


def summary():
    """agents.html, "Tool Use" without reflection; the summary goes on to bob."""
    client = TaintClient({"ALICE": [ask("look")], "BOB": ["well"]})
    agents = [assistant("alice", client, tools=[tool("look")]), assistant("bob", client)]
    return RoundRobinGroupChat(agents, max_turns=2), client


def reflection():
    """agents.html, "Parallel Tool Calls", with reflection; one tool fails."""
    client = TaintClient({"ALICE": [ask("look", "hear", "bad"), "all in all"], "BOB": ["well"]})
    tools = [tool("look"), tool("hear"), tool("bad", fails=True)]
    alice = assistant("alice", client, tools=tools, reflect_on_tool_use=True)
    return RoundRobinGroupChat([alice, assistant("bob", client)], max_turns=3), client


def round_robin():
    """teams.html, "Creating a Team": a writer and a critic until APPROVE."""
    client = TaintClient({"WRITER": ["draft", "better"], "CRITIC": ["no", "APPROVE"]})
    agents = [assistant("writer", client), assistant("critic", client)]
    stop = TextMentionTermination("APPROVE", sources=["critic"])
    return RoundRobinGroupChat(agents, termination_condition=stop), client


def selector():
    """selector-group-chat.html, "Web Search Example"; the model chooses, once not clearly."""
    names = ["planner", "neither", "searcher", "planner"]
    client = TaintClient(
        {"Choose": names, "PLANNER": ["a plan", "the end"], "SEARCHER": [ask("look"), "found"]}
    )
    searcher = assistant("searcher", client, tools=[tool("look")], reflect_on_tool_use=True)
    stop = TextMentionTermination("the end") | MaxMessageTermination(12)
    return SelectorGroupChat(
        [assistant("planner", client), searcher], client, termination_condition=stop,
        selector_prompt=ROLES, allow_repeated_speaker=True,
    ), client  # fmt: skip


def selector_function():
    """selector-group-chat.html, "Custom Selector Function"."""
    client = TaintClient({"Choose": ["bob"], "ALICE": ["one"], "BOB": ["two"]})

    def choose(messages):
        return "alice" if messages[-1].source != "alice" else None

    return SelectorGroupChat(
        [assistant("alice", client), assistant("bob", client), assistant("carl", client)], client,
        selector_func=choose, selector_prompt=ROLES, max_turns=3,
    ), client  # fmt: skip


def candidate_function():
    """selector-group-chat.html, "Custom Candidate Function"."""
    client = TaintClient({"Choose": ["alice", "bob"], "ALICE": ["one"], "BOB": ["two"]})

    def candidates(messages):
        return ["alice", "bob"] if len(messages) < 4 else ["bob"]

    return SelectorGroupChat(
        [assistant("alice", client), assistant("bob", client)], client,
        candidate_func=candidates, selector_prompt=ROLES, max_turns=4,
    ), client  # fmt: skip


def swarm():
    """swarm.html, "Customer Support Example": there and back, with what tools gave."""
    client = TaintClient(
        {
            "TRAVEL": [Asking([("transfer_to_refunder", {})]), "the end"],
            "REFUNDER": [ask("refund"), Asking([("transfer_to_travel", {})])],
        }
    )
    travel = assistant("travel", client, handoffs=["refunder"])
    refunder = assistant("refunder", client, handoffs=["travel"], tools=[tool("refund")])
    stop = TextMentionTermination("the end") | MaxMessageTermination(14)
    return Swarm([travel, refunder], termination_condition=stop), client


def graph_fan():
    """graph-flow.html, "Parallel Flow with Join"."""
    names = ("writer", "left", "right", "joiner")
    client = TaintClient({name.upper(): [f"{name} says"] for name in names})
    writer, left, right, joiner = (assistant(name, client) for name in names)
    build = DiGraphBuilder()
    for node in (writer, left, right, joiner):
        build.add_node(node)
    build.add_edge(writer, left).add_edge(writer, right)
    build.add_edge(left, joiner).add_edge(right, joiner)
    return GraphFlow([writer, left, right, joiner], build.build()), client


def graph_loop():
    """graph-flow.html, "Looping Example": back until the reviewer approves."""
    client = TaintClient({"WRITER": ["draft", "next"], "REVIEWER": ["REDO", "APPROVE"]})
    writer, reviewer = assistant("writer", client), assistant("reviewer", client)
    end = assistant("closer", TaintClient({"CLOSER": ["closed"]}))
    end._model_client = client
    client.replies["CLOSER"], client.counts["CLOSER"] = ["closed"], 0
    build = DiGraphBuilder()
    for node in (writer, reviewer, end):
        build.add_node(node)
    build.add_edge(writer, reviewer)
    build.add_edge(reviewer, writer, condition=lambda m: "REDO" in m.to_model_text())
    build.add_edge(reviewer, end, condition=lambda m: "APPROVE" in m.to_model_text())
    build.set_entry_point(writer)
    return GraphFlow([writer, reviewer, end], build.build(), max_turns=9), client


def filtered():
    """graph-flow.html, "Filtering Agent Messages"."""
    client = TaintClient({"ALICE": ["one"], "BOB": ["two"], "CARL": ["three"]})
    alice, bob, carl = (assistant(name, client) for name in ("alice", "bob", "carl"))
    only = MessageFilterAgent(
        name="carl", wrapped_agent=carl,
        filter=MessageFilterConfig(
            per_source=[PerSourceFilter(source="bob", position="last", count=1)]
        ),
    )  # fmt: skip
    return RoundRobinGroupChat([alice, bob, only], max_turns=3), client


def ledger(speaker, *, done=False, progress=True):
    def entry(answer):
        return {"reason": tainted("because"), "answer": answer}

    return json.dumps(
        {
            "is_request_satisfied": entry(done),
            "is_in_loop": entry(False),
            "is_progress_being_made": entry(progress),
            "next_speaker": entry(speaker),
            "instruction_or_question": entry(tainted("now do")),
        }
    )


def magentic():
    """magentic-one.html, with a new plan after a stall."""
    ledgers = [
        ledger("alice"), ledger("bob", progress=False), ledger("alice"), ledger("bob", done=True)
    ]  # fmt: skip
    client = TaintClient(
        {
            "To make progress on the request": ledgers,
            "provide the final answer": ["final"],
            "update this plan": ["new plan"],
            "Please briefly explain what went wrong": ["new plan"],
            "rewrite the following fact sheet": ["new facts"],
            "short bullet-point plan": ["first plan"],
            "GIVEN OR VERIFIED FACTS": ["first facts"],
            "ALICE": ["alice did"], "BOB": ["bob did"],
        }
    )  # fmt: skip
    agents = [assistant("alice", client), assistant("bob", client)]
    return MagenticOneGroupChat(agents, client, max_stalls=1, max_turns=6), client


def society():
    """custom agents: SocietyOfMindAgent's own docstring, two teams deep."""
    client = TaintClient(
        {"SOCIETY": ["in short"], "ALICE": ["one"], "BOB": ["two"], "JUDGE": ["fine"]}
    )
    inner = RoundRobinGroupChat([assistant("alice", client), assistant("bob", client)], max_turns=2)
    mind = SocietyOfMindAgent(
        "mind", inner, client, instruction=tainted("SOCIETY heard this:"),
        response_prompt=tainted("Now answer."), description=tainted("mind"),
    )  # fmt: skip
    return RoundRobinGroupChat([mind, assistant("judge", client)], max_turns=4), client


def nested():
    """A team that takes part in a team."""
    client = TaintClient({"ALICE": ["one"], "BOB": ["two"], "JUDGE": ["fine"]})
    inner = RoundRobinGroupChat(
        [assistant("alice", client), assistant("bob", client)], name="pair", max_turns=2
    )
    return RoundRobinGroupChat([inner, assistant("judge", client)], max_turns=3), client


def agent_tool():
    """agents.html / AgentTool's docstring: an agent as a tool."""
    request = Asking([("helper", {"task": tainted("please help")})])
    client = TaintClient({"ALICE": [request, "with help"], "HELPER": ["help"]})
    helper = AgentTool(assistant("helper", client), return_value_as_last_message=True)
    return assistant("alice", client, tools=[helper], reflect_on_tool_use=True), client


def team_tool():
    """TeamTool's docstring: a team as a tool."""
    request = Asking([("pair", {"task": tainted("please help")})])
    client = TaintClient({"ALICE": [request, "with help"], "ONE": ["first"], "TWO": ["second"]})
    pair = RoundRobinGroupChat([assistant("one", client), assistant("two", client)], max_turns=2)
    helpers = TeamTool(
        pair, name="pair", description=tainted("a pair"), return_value_as_last_message=True
    )
    return assistant("alice", client, tools=[helpers], reflect_on_tool_use=True), client


class FakeExecutor(CodeExecutor):
    """Runs nothing."""

    async def execute_code_blocks(self, code_blocks, cancellation_token):
        return CodeResult(exit_code=0, output=tainted("ran well"))

    async def start(self):
        pass

    async def stop(self):
        pass

    async def restart(self):
        pass


def code():
    """command-line-code-executors.html, with a model that writes and sums up."""
    client = TaintClient({"CODER": ["```python\nprint(1)\n```", "it printed 1"], "BOB": ["well"]})
    with warnings.catch_warnings():  # it warns that nobody is asked before code runs
        warnings.simplefilter("ignore", UserWarning)
        coder = CodeExecutorAgent(
            "coder", FakeExecutor(), model_client=client,
            system_message=tainted("You are CODER."),
            description=tainted("coder"),
        )  # fmt: skip
    return RoundRobinGroupChat([coder, assistant("bob", client)], max_turns=2), client


def memory():
    """memory.html, "ListMemory Example"."""
    client = TaintClient({"ALICE": ["in metres"]})
    known = ListMemory("likes", [MemoryContent(content=tainted("metric"), mime_type="text/plain")])
    return assistant("alice", client, memory=[known]), client


def streaming():
    """agents.html, "Streaming Tokens", in a team."""
    client = TaintClient({"ALICE": [ask("look"), "one"], "BOB": ["two"]})
    alice = assistant(
        "alice", client, model_client_stream=True, tools=[tool("look")], reflect_on_tool_use=True
    )
    bob = assistant("bob", client, model_client_stream=True)
    return RoundRobinGroupChat([alice, bob], max_turns=3), client


def buffered():
    """model-context.html: only the last messages are sent."""
    client = TaintClient({"ALICE": ["one", "three", "five"], "BOB": ["two", "four"]})
    alice = assistant("alice", client, model_context=BufferedChatCompletionContext(buffer_size=2))
    return RoundRobinGroupChat([alice, assistant("bob", client)], max_turns=5), client


class Parrot(BaseChatAgent):
    """Somebody's own agent, which writes its own prompt."""

    def __init__(self, client):
        super().__init__("parrot", tainted("parrot"))
        self.client = client
        self.prompt = tainted("You are PARROT.")

    @property
    def produced_message_types(self):
        return (TextMessage,)

    async def on_messages(self, messages, cancellation_token):
        heard = " / ".join(message.content for message in messages)
        answer = await self.client.create(
            [SystemMessage(content=self.prompt), UserMessage(content=f"Heard: {heard}", source="u")]
        )
        text = f"Polly says: {answer.content}"
        return Response(chat_message=TextMessage(content=text, source=self.name))

    async def on_reset(self, cancellation_token):
        pass


def custom():
    """custom-agents.html: an agent of one's own between two assistants."""
    client = TaintClient({"ALICE": ["one"], "PARROT": ["two"], "BOB": ["three"]})
    agents = [assistant("alice", client), Parrot(client), assistant("bob", client)]
    return RoundRobinGroupChat(agents, max_turns=5), client


def cached():
    """model caching: a client within a client."""
    client = TaintClient({"ALICE": ["one"], "BOB": ["two"]})
    outer = ChatCompletionCache(client)
    return RoundRobinGroupChat(
        [assistant("alice", outer), assistant("bob", outer)], max_turns=3
    ), client


SHAPES = [
    single_agent, tool_loop, summary, reflection, round_robin, selector, selector_function,
    candidate_function, swarm, graph_fan, graph_loop, filtered, magentic, society, nested,
    agent_tool, team_tool, code, memory, streaming, buffered, custom, cached,
]  # fmt: skip
