"""Whether a provider did answer, and would not take a prompt: that is the agent's own failure."""

from __future__ import annotations

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


def refused(error: BaseException) -> bool:
    """Whether ``error`` says that the prompt was not taken (too long, filtered, malformed)."""
    if _UNPLACED in str(error):
        return False
    if any(kind.__name__ in _REFUSALS for kind in type(error).__mro__):
        return True
    status = getattr(error, "status_code", None) or getattr(error, "status", None)
    return status in _CODES
