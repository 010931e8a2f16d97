"""Whether a provider did answer, and would not take a prompt or an account."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

# Names, since each provider's SDK and each framework has classes of its own.
_REFUSALS = {
    "BadRequestError",
    "ContentPolicyViolationError",
    "ContextOverflowError",
    "ContextWindowExceededError",
    "LMInvalidRequestError",
    "UnprocessableEntityError",
}
_CODES = (400, 413, 422)
# litellm's BadRequestError for a model name that it cannot place: nobody was asked
_UNPLACED = "LLM Provider NOT provided"
# OpenAI's, with the status of a rate limit
_NO_CREDIT = {"insufficient_quota", "billing_hard_limit_reached"}


def refused(error: BaseException) -> bool:
    """Whether ``error`` says that the prompt was not taken (too long, filtered, malformed).

    That is the agent's own failure.
    """
    if _UNPLACED in str(error):
        return False
    if any(kind.__name__ in _REFUSALS for kind in type(error).__mro__):
        return True
    status = getattr(error, "status_code", None) or getattr(error, "status", None)
    return status in _CODES


def out_of_credit(error: BaseException) -> bool:
    """Whether the account has nothing left to pay with, as OpenAI says it beside the status 429.

    Not by the sentence "You exceeded your current quota": Gemini says the same of limits by the
    minute.
    """
    return any(not _NO_CREDIT.isdisjoint(_codes(each)) for each in _chain(error))


def remedy(error: BaseException) -> str:
    """What is to be done about a failure, in brackets behind it; empty if nothing is known."""
    if not out_of_credit(error):
        return ""
    return (
        " (the account has no credit left, and another try would not help: add credit or raise its"
        " limit at the provider, or use another key or model)"
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and those behind it: not every client keeps the body of the response."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__


def _codes(error: BaseException) -> set[str]:
    """What the body of a response calls the failure."""
    body = getattr(error, "body", None)
    if not isinstance(body, dict):
        return set()
    told = cast("Mapping[str, object]", body)
    return {str(told.get("code")), str(told.get("type"))}
