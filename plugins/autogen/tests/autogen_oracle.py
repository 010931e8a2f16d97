"""A taint oracle: every text has a token of its own, so what a model received says who made it."""

import asyncio
import itertools
import json
import re
from dataclasses import dataclass, field

from autogen_core import FunctionCall
from autogen_core.models import CreateResult
from autogen_test_tools import ScriptClient, result

from trace_bridge.recording.linker import _Linker
from trace_bridge.recording.recorder import Recorder

TOKEN = re.compile(r"T\d{4,}X")
_numbers = itertools.count(1000)


def token():
    return f"T{next(_numbers)}X"


def tainted(text):
    """A text with a token of its own."""
    return f"{text} {token()}"


def tokens(value):
    return set(TOKEN.findall(str(value)))


@dataclass
class Asking:
    """A scripted reply that asks for tools, by name and arguments."""

    calls: list = field(default_factory=list)

    def made(self):
        made = [
            FunctionCall(id=f"id{next(_numbers)}", name=name, arguments=json.dumps(arguments))
            for name, arguments in self.calls
        ]
        return result(made, reason="function_calls")


class TaintClient(ScriptClient):
    """Replies by whoever is spoken to: the first key that stands in the first messages.

    Each reply gets a token, unless it is JSON (which has its own).

    Attributes:
        received: per reply object, the tokens that were sent to get it.
    """

    def __init__(self, replies):
        super().__init__()
        self.replies = {key: list(lines) for key, lines in replies.items()}
        self.counts = dict.fromkeys(replies, 0)
        self.received = {}
        self.kept = []

    async def create(self, messages, *, tools=(), **kwargs):
        await asyncio.sleep(0)
        shown = [message.content for message in messages]
        text = "\n".join(map(str, shown))
        key = next((key for key in self.replies if key in text), None)
        assert key is not None, f"nothing is scripted for {text}"
        lines = self.replies[key]
        chosen = getattr(lines, "chosen", None)
        reply = chosen(text) if chosen else lines[min(self.counts[key], len(lines) - 1)]
        self.counts[key] += 1
        if isinstance(reply, Asking):
            made = reply.made()
        else:
            made = result(reply if reply.startswith("{") else tainted(reply))
        sent = [
            tool["description"] if isinstance(tool, dict) else tool.description for tool in tools
        ]
        self.received[id(made)] = tokens(shown) | tokens(sent)
        self.kept.append(made)
        return made


class Traced:
    """A recorded run whose nodes can be found by their calls."""

    def __init__(self, recorder):
        self.calls = [call for call in recorder.calls if call.ended >= 0]
        linker = _Linker(recorder)
        self.output = linker.output()
        self._linker = linker

    def node(self, call):
        return self._linker.nodes[self._linker.position[id(call)], ""]

    def model_calls(self):
        return [call for call in self.calls if isinstance(call.output, CreateResult)]

    def made_by(self, op):
        return [call for call in self.calls if call.op == op]


def fed(node):
    """The tokens of what went straight into a node, through the values that it was put in."""
    found = set()
    for parent in node.parents:
        if parent.op in ("compose", "field"):
            found |= fed(parent) or tokens(parent.peek())
        else:
            found |= tokens(parent.peek())
    return found


def mismatches(traced, client, known=()):
    """Model calls whose parents are not what the model received; ``known`` has no parent."""
    wrong = []
    for call in traced.model_calls():
        received = client.received[id(call.output)]
        got = fed(traced.node(call))
        received = received - set(known)
        if got - set(known) != received:
            text = call.fields[""]
            wrong.append(f"{call.op} -> {text}: missed {received - got}, extra {got - received}")
    return wrong


async def recorded(module, task, state=None):
    """Run a module as the engine does: its result and what was recorded."""
    recorder = Recorder({"task": task})
    with module.using(state or {}), recorder.recording() as root:
        output = await module.run({"task": task})
        root.returns(output)
    return output, Traced(recorder)
