"""Scripted AutoGen clients for tests: they read what they are sent."""

import hashlib

from autogen_core import FunctionCall
from autogen_core.models import ChatCompletionClient, CreateResult, RequestUsage

INFO = {
    "family": "unknown",
    "function_calling": True,
    "json_output": False,
    "structured_output": False,
    "vision": False,
}


def result(content, *, reason="stop"):
    return CreateResult(
        content=content, finish_reason=reason, cached=False,
        usage=RequestUsage(prompt_tokens=7, completion_tokens=3),
    )  # fmt: skip


def wish(name, arguments="{}"):
    """A request for a tool."""
    calls = [FunctionCall(id=f"call {name} {arguments}", name=name, arguments=arguments)]
    return result(calls, reason="function_calls")


class ScriptClient(ChatCompletionClient):
    """Answers by a function of the prompt; by default, with a digest of all that it was sent."""

    def __init__(self, script=None):
        self.script = script or digest_of
        self.prompts = []
        self._used = RequestUsage(prompt_tokens=0, completion_tokens=0)

    async def create(self, messages, *, tools=(), **kwargs):
        self.prompts.append([str(message.content) for message in messages])
        answer = self.script(messages, tools)
        return answer if isinstance(answer, CreateResult) else result(answer)

    async def create_stream(self, messages, *, tools=(), **kwargs):
        answer = await self.create(messages, tools=tools)
        if isinstance(answer.content, str):
            for word in answer.content.split():
                yield word + " "
        yield answer

    async def close(self):
        pass

    def actual_usage(self):
        return self._used

    def total_usage(self):
        return self._used

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


def digest_of(messages, tools):
    shown = [str(message.content) for message in messages]
    shown += [str(tool["description"] if isinstance(tool, dict) else tool.schema) for tool in tools]
    return "said " + hashlib.sha256("|".join(shown).encode()).hexdigest()[:12]
