"""A model whose answers are a function of the prompt, and what else tests of the plugin share."""

from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import PrivateAttr

from trace_bridge import BudgetExhaustedError, Usage, link


def echo(messages):
    """The whole prompt."""
    return " / ".join(str(message.content) for message in messages)


class ScriptModel(BaseChatModel):
    """Answers with ``function(messages)``: text, or an AIMessage (with tool calls, say)."""

    function: Any = echo
    _prompts: list = PrivateAttr(default_factory=list)
    _tools: list = PrivateAttr(default_factory=list)

    @property
    def prompts(self):
        return self._prompts

    @property
    def tools_seen(self):
        return self._tools

    @property
    def _llm_type(self):
        return "script"

    def bind_tools(self, tools, **kwargs):
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def _answer(self, messages, kwargs):
        self._prompts.append(messages)
        self._tools.append(kwargs.get("tools"))
        answer = self.function(messages)
        given = AIMessage(answer) if isinstance(answer, str) else answer
        counts = {"input_tokens": len(echo(messages).split()), "output_tokens": 1}
        given.usage_metadata = {**counts, "total_tokens": sum(counts.values())}
        return given

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        return ChatResult(generations=[ChatGeneration(message=self._answer(messages, kwargs))])


class StreamModel(ScriptModel):
    """The same, word by word."""

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        for word in str(self._answer(messages, kwargs).content).split(" "):
            yield ChatGenerationChunk(message=AIMessageChunk(content=f"{word} "))


class Meter:
    """A gate that lets everything pass, or only so many calls."""

    def __init__(self, limit=None):
        self.limit = limit
        self.calls = []

    def admit(self, call):
        if self.limit is not None and len(self.calls) >= self.limit:
            raise BudgetExhaustedError("no more")
        self.calls.append(call)

    def settle(self, call, admitted):
        pass

    @property
    def usage(self):
        return sum((call.usage for call in self.calls), Usage())


def edges(recorder):
    """Component-to-component edges of a recording, as (op, op)."""
    node = link(recorder)
    ops = {call.op for call in recorder.calls if not call.is_frame}
    found, seen, pending = set(), set(), [node]
    while pending:
        current = pending.pop()
        if current in seen:
            continue
        seen.add(current)
        pending += current.parents
        if current.op in ops:
            found |= {(made.op, current.op) for made in _makers(current, ops)}
    return found


def _makers(node, ops):
    """The nearest components above a node, through fields, frames and composed values."""
    pending, seen = list(node.parents), set()
    while pending:
        current = pending.pop()
        if current in seen:
            continue
        seen.add(current)
        if current.op in ops:
            yield current
        else:
            pending += current.parents
