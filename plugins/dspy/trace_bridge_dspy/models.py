"""A DSPy language model as one that proposes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import dspy

from trace_bridge import Message, Reply, Usage
from trace_bridge_dspy.metering import count, unmetered


class DSPyLLM:
    """A ``dspy.LM`` (or another ``BaseLM``) that answers messages.

    ``forward`` is called, which gives the provider's whole response (finish reason, usage) with
    DSPy 3.0 to 3.4; calls with ``messages=`` are deprecated in 3.4. So they do not show in
    ``lm.history``, and pass no seam of ours: whoever completes is behind the gate already.
    """

    def __init__(self, lm: dspy.BaseLM) -> None:
        self.lm = lm

    @property
    def model(self) -> str:
        """The model's name."""
        return str(self.lm.model)

    async def complete(self, messages: Sequence[Message]) -> Reply:
        """Answer; the provider's failure propagates."""
        return await asyncio.to_thread(self._complete, [dict(message) for message in messages])

    def _complete(self, messages: list[dict[str, Any]]) -> Reply:
        kind = type(self.lm)
        with unmetered(self.lm):
            if _own_call(kind):  # its __call__ is what makes it answer, as with 3.0's DummyLM
                return Reply(_text(self.lm(messages=messages)[0]))
            return _reply(self.lm.forward(messages=messages))


def _own_call(kind: type[dspy.BaseLM]) -> bool:
    return getattr(kind.__call__, "__module__", "") != dspy.BaseLM.__module__


def _text(output: Any) -> str:
    return str(output.get("text") or "") if isinstance(output, dict) else str(output)


def _reply(response: Any) -> Reply:
    """A provider's response, of the chat, the text or the responses API, as a reply."""
    usage = _dict(getattr(response, "usage", None))
    # before 3.1, DSPy marks a reply from its cache by the empty usage alone
    cached = getattr(response, "cache_hit", False) or getattr(response, "usage", None) == {}
    dollars = getattr(response, "_hidden_params", {}).get("response_cost") or 0.0
    counted = Usage(calls=1, cached=1)
    if not cached:
        counted = Usage(
            calls=1,
            prompt_tokens=count(usage, "prompt_tokens", "input_tokens"),
            completion_tokens=count(usage, "completion_tokens", "output_tokens"),
            dollars=dollars,
            priced=int(dollars > 0),
        )
    choices = getattr(response, "choices", None)
    if choices:
        choice = choices[0]
        message = getattr(choice, "message", None)
        text = getattr(choice, "text", "") if message is None else message.content
        return Reply(text or "", counted, str(getattr(choice, "finish_reason", "") or "stop"))
    cut_off = getattr(response, "status", "") == "incomplete"
    return Reply(_output_text(response), counted, "length" if cut_off else "stop")


def _output_text(response: Any) -> str:
    parts = [
        getattr(part, "text", "") or ""
        for item in getattr(response, "output", None) or ()
        for part in getattr(item, "content", None) or ()
    ]
    return "".join(parts)


def _dict(usage: Any) -> dict[str, Any]:
    return {} if usage is None else dict(usage)
