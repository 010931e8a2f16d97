"""Model calls of an agent: announced to the gate before they happen, counted after.

DSPy reports what a call has used to ``settings.usage_tracker`` (``dspy.LM`` in 3.0 to 3.4) or in
the entry for its history (any ``BaseLM`` in 3.0). Both are listened to; both still arrive where
the user wants them, since our tracker passes on to the one that was there.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

import dspy
from dspy.utils.usage_tracker import UsageTracker

from trace_bridge import Usage, current_call, model_call, refused


class Tracker(UsageTracker):
    """Takes note of one call's usage and passes it on to the user's tracker."""

    def __init__(self, outer: UsageTracker | None) -> None:
        super().__init__()
        self.outer = outer
        self.told = False
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.dollars = 0.0

    def add_usage(self, lm: str, usage_entry: dict[str, Any]) -> None:
        """Called by DSPy when a provider has answered; before 3.1 also for a cache hit, with {}."""
        self.told = bool(usage_entry)
        self.note(usage_entry)
        if self.outer is not None:
            self.outer.add_usage(lm, usage_entry)

    def note(self, usage: Mapping[str, Any]) -> None:
        """Add tokens; the responses API calls them input and output tokens."""
        self.prompt_tokens += count(usage, "prompt_tokens", "input_tokens")
        self.completion_tokens += count(usage, "completion_tokens", "output_tokens")

    def usage(self, *, cached: bool) -> Usage:
        """What the call has cost; a price of 0 is one that LiteLLM does not know."""
        tokens = (self.prompt_tokens, self.completion_tokens)
        if cached:
            return Usage(1, 1, *tokens)
        return Usage(1, 0, *tokens, dollars=self.dollars, priced=int(self.dollars > 0))


def count(usage: Mapping[str, Any], *names: str) -> int:
    """The first of ``names`` that there is."""
    return int(next((usage[name] for name in names if usage.get(name)), 0))


_calling: ContextVar[tuple[Any, Tracker] | None] = ContextVar("calling", default=None)


def calling(lm: Any) -> bool:
    """Whether this context is inside a call of ``lm`` already (``acall`` may use ``__call__``)."""
    inner = _calling.get()
    return inner is not None and inner[0] is lm


@contextmanager
def unmetered(lm: Any) -> Generator[None]:
    """Let calls of ``lm`` pass: whoever makes them is behind the gate already."""
    token = _calling.set((lm, Tracker(None)))
    try:
        yield
    finally:
        _calling.reset(token)


@contextmanager
def metered(lm: Any) -> Generator[Tracker]:
    """One call of ``lm``, behind the gate.

    Raises:
        BudgetExhaustedError: the gate does not let it happen.
    """
    with model_call(str(getattr(lm, "model", type(lm).__qualname__))) as call:
        tracker = Tracker(dspy.settings.usage_tracker)
        token = _calling.set((lm, tracker))
        try:
            with dspy.context(usage_tracker=tracker):
                yield tracker
        except Exception as error:
            call.refused = refused(error)
            call.usage = tracker.usage(cached=False)
            raise
        finally:
            _calling.reset(token)
        call.usage = tracker.usage(cached=not tracker.told and caches(lm))


def note_history(lm: Any, entry: Mapping[str, Any]) -> None:
    """Take the price from an entry for ``lm.history``, and tokens if the tracker was told none."""
    inner = _calling.get()
    if inner is None or inner[0] is not lm:
        return
    response, usage = entry.get("response"), entry.get("usage")
    if getattr(response, "cache_hit", False):
        return
    inner[1].dollars += entry.get("cost") or 0.0
    if isinstance(usage, Mapping) and not inner[1].told:
        inner[1].note(cast("Mapping[str, Any]", usage))


def caches(lm: Any) -> bool:
    """Whether calls of ``lm`` go through DSPy's response cache: ``dspy.LM``'s own do."""
    if not isinstance(lm, dspy.LM) or not lm.cache:
        return False
    methods = (type(lm).__call__, type(lm).forward)  # a subclass may go its own way
    return all(method.__module__.startswith("dspy.clients.") for method in methods)


def fresh(lm: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call; in a repeated run, such that no cached reply comes back."""
    call = current_call()
    if call is not None and call.recorder.repeat > 0 and caches(lm):
        return {**arguments, "cache": False}
    return arguments
