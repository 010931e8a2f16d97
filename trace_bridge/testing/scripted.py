"""A model for tests that has to read its prompt."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trace_bridge.llm.base import Message, Reply, Usage

USELESS = "I have nothing to suggest."
_CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Exchange:
    """One call: the whole prompt, with roles, and the reply."""

    prompt: str
    reply: str


@dataclass(frozen=True, slots=True)
class _Rule:
    needles: tuple[str | re.Pattern[str], ...]
    reply: str | Exception
    finish_reason: str

    def fits(self, prompt: str) -> bool:
        return all(
            needle in prompt if isinstance(needle, str) else needle.search(prompt)
            for needle in self.needles
        )


class ScriptedLLM:
    """Answers by rules about what stands in the prompt, and uselessly if no rule fits.

    A test that uses it proves that the right things reach the prompt: a rule fires only when all
    its needles are there.

    Args:
        script: from the whole prompt (``role: text``, a blank line between turns) to a reply, or
            None for no opinion; asked before the rules.
        model: the name; it says what the model is.

    Attributes:
        calls: every exchange so far.
    """

    def __init__(
        self, script: Callable[[str], str | None] | None = None, model: str = "scripted"
    ) -> None:
        self.model = model
        self.calls: list[Exchange] = []
        self._script = script
        self._rules: list[_Rule] = []
        self._lock = threading.Lock()

    def when(
        self,
        *needles: str | re.Pattern[str],
        reply: str | Exception,
        finish_reason: str = "stop",
    ) -> ScriptedLLM:
        """Add a rule (the first that fits wins): with all ``needles`` in the prompt, reply so.

        An exception as the reply is raised, as by a provider that fails.
        """
        self._rules.append(_Rule(needles, reply, finish_reason))
        return self

    async def complete(self, messages: Sequence[Message]) -> Reply:
        """Answer; raises what the rule that fits says."""
        prompt = "\n\n".join(f"{message['role']}: {message['content']}" for message in messages)
        said = self._script(prompt) if self._script else None
        rule = _Rule((), said, "stop") if said is not None else self._rule(prompt)
        text = str(rule.reply)
        with self._lock:
            self.calls.append(Exchange(prompt, text))
        if isinstance(rule.reply, Exception):
            raise rule.reply
        tokens = (len(prompt) // _CHARACTERS_PER_TOKEN, len(text) // _CHARACTERS_PER_TOKEN)
        usage = Usage(calls=1, prompt_tokens=tokens[0], completion_tokens=tokens[1])
        return Reply(text, usage, rule.finish_reason)

    def _rule(self, prompt: str) -> _Rule:
        fitting = (rule for rule in self._rules if rule.fits(prompt))
        return next(fitting, _Rule((), USELESS, "stop"))
