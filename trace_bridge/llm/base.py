"""Language models as trace_bridge sees them, and the gate that every model call passes."""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace
from types import TracebackType
from typing import Protocol, TypedDict, cast, runtime_checkable

from trace_bridge.llm.refusals import refused, remedy


class Message(TypedDict):
    """One turn of a chat."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What model calls have cost. Adds up with ``+``.

    Attributes:
        calls: model calls made, also those that failed.
        cached: calls among them that a response cache answered, at no cost.
        prompt_tokens, completion_tokens: as the provider counts them; 0 where it does not.
        seconds: time spent waiting for models, summed over concurrent calls.
        dollars: the price of the calls whose price is known.
        priced: how many these are; a call that failed is one, at no price.
    """

    calls: int = 0
    cached: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    dollars: float = 0.0
    priced: int = 0

    @property
    def unpriced(self) -> int:
        """Calls whose price is not known: ``dollars`` says nothing of them."""
        return max(0, self.calls - self.cached - self.priced)

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model answered.

    ``finish_reason`` is the provider's: ``"length"`` means that the text was cut off.
    """

    text: str
    usage: Usage = Usage(calls=1)
    finish_reason: str = "stop"


@runtime_checkable
class LLM(Protocol):
    """A language model: messages in; text, usage and finish reason out."""

    @property
    def model(self) -> str:
        """The model's name, which is part of what results are keyed by."""
        ...

    async def complete(self, messages: Sequence[Message]) -> Reply:
        """Answer; a provider's failure propagates as an exception."""
        ...


class BudgetExhaustedError(RuntimeError):
    """The budget does not allow another model call."""


class ModelUnavailableError(RuntimeError):
    """A model could not be reached or failed to answer: nobody's score, and worth a retry."""


@dataclass(slots=True)
class ModelCall:
    """A model call in progress; whoever makes it fills in what it cost.

    ``refused`` says that the provider did answer, and would not take this prompt (too long,
    filtered): that is the agent's own failure and not the provider's. ``broken_off`` says that
    nobody waited for its end (a time limit, a stream that was not read): what it took is unknown.
    """

    model: str
    usage: Usage = Usage(calls=1)
    refused: bool = False
    error: Exception | None = None
    broken_off: bool = False


class Gate(Protocol):
    """Sees every model call before it is paid, and what it cost afterwards."""

    def admit(self, call: ModelCall) -> object:
        """Let the call happen, or raise BudgetExhaustedError; the result goes to ``settle``."""
        ...

    def settle(self, call: ModelCall, admitted: object) -> None:
        """Take note of a finished call."""
        ...


gate: ContextVar[Gate | None] = ContextVar("gate", default=None)


class model_call(AbstractContextManager[ModelCall]):  # noqa: N801 (a function to its users)
    """Announce a model call to the gate of this context; outside a run of ours it does nothing.

    It is no generator, which costs thrice as much: seams enter it for each call of a model.

    Args:
        model: its name.
        calls: how many are made together.

    Raises:
        BudgetExhaustedError: before anything was paid.
    """

    __slots__ = ("_admitted", "_call", "_guard", "_started")

    def __init__(self, model: str, calls: int = 1) -> None:
        self._call = ModelCall(model, Usage(calls))

    def __enter__(self) -> ModelCall:
        self._guard = gate.get()
        if self._guard is not None:
            self._admitted = self._guard.admit(self._call)
            self._started = time.monotonic()
        return self._call

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if self._guard is None:
            return
        call = self._call
        if isinstance(error, Exception):
            call.error = error
            if not call.usage.tokens:  # providers charge for answers
                call.usage = replace(call.usage, priced=call.usage.calls)
        elif error is not None:
            call.broken_off = True
        call.usage += Usage(seconds=time.monotonic() - self._started)
        self._guard.settle(call, self._admitted)


class Answers:
    """What models have answered in the tries of one step; another try asks only for what is left.

    Equal requests get their answers in the order in which these came: several samples of one prompt
    stay several.
    """

    def __init__(self) -> None:
        self._given: list[tuple[str, list[Message], Reply]] = []
        self._left: list[tuple[str, list[Message], Reply]] = []  # in this try

    def again(self) -> None:
        """Another try begins."""
        self._left = list(self._given)

    def take(self, model: str, messages: Sequence[Message]) -> Reply | None:
        """The next answer to a request that this try has not had yet."""
        for index, (of, asked, reply) in enumerate(self._left):
            if of == model and asked == list(messages):
                del self._left[index]
                return reply
        return None

    def keep(self, model: str, messages: Sequence[Message], reply: Reply) -> None:
        """Note an answer."""
        self._given.append((model, list(messages), reply))


# Of the step that is being tried here; see ``persistently``.
answers: ContextVar[Answers | None] = ContextVar("answers", default=None)


async def complete(llm: LLM, messages: Sequence[Message]) -> Reply:
    """``llm.complete`` behind the gate; what was answered in an earlier try is not asked again.

    Raises:
        BudgetExhaustedError: the budget does not allow it.
        ModelUnavailableError: the provider failed; the cause is chained.
    """
    known = answers.get()
    if known is not None and (answered := known.take(llm.model, messages)) is not None:
        return answered
    with model_call(llm.model) as call:
        try:
            reply = await llm.complete(messages)
        except Exception as error:
            call.refused = refused(error)
            said = f"{type(error).__name__}: {error}{remedy(error)}"
            msg = f"the model {llm.model!r} did not answer: {said}"
            raise ModelUnavailableError(msg) from error
        call.usage = reply.usage
    if known is not None:
        known.keep(llm.model, messages, reply)
    return reply


class CallableLLM:
    """Any function from messages to text (or a Reply), sync or async, as an LLM."""

    def __init__(self, function: Callable[[Sequence[Message]], object], model: str = "") -> None:
        self.function = function
        self.model = model or getattr(function, "__qualname__", type(function).__qualname__)

    async def complete(self, messages: Sequence[Message]) -> Reply:
        """Call the function."""
        result = self.function(messages)
        if inspect.isawaitable(result):
            result = await cast("Awaitable[object]", result)
        return result if isinstance(result, Reply) else Reply(str(result))
