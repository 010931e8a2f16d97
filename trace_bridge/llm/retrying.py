"""When a call that failed is worth another try, and how long to wait before it."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime

_FIRST, _LONGEST = 0.5, 30.0  # seconds of waiting where the provider names none; doubles

_NUMBER = re.compile(r"\d+(\.\d+)?")
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhd]))+")  # as Go prints one: 6m0s
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DATES = 1e9  # more seconds than anybody waits: such a number is a date, in (milli)seconds of Unix


def may_pass(error: BaseException) -> bool:
    """Whether a failure may be gone at the next try.

    It may with the statuses 408, 409, 429 and 500 on, with connections that fail and with
    time-outs; not with a wrong key, an unknown model, or a prompt that was refused.
    """
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        return status in (408, 409, 429) or status >= 500
    return isinstance(error, (ConnectionError, TimeoutError))


def pause(error: BaseException, attempt: int) -> float:
    """Seconds to wait after the failure number ``attempt`` (from 0 on), with chance in it.

    It is never less than what the provider asks for. Chance keeps calls that failed together from
    coming back together.
    """
    longest = min(_LONGEST, _FIRST * 2**attempt)
    asked = asked_to_wait(_headers(error), time.time())
    return (
        random.uniform(longest / 2, longest) if asked is None else asked + random.random() * _FIRST
    )


def asked_to_wait(headers: Mapping[str, str], now: float) -> float | None:
    """The seconds that a provider's response asks to wait; None if it says nothing that we know.

    ``Retry-After`` (seconds or a date; ``retry-after-ms`` is more exact) comes before the limits'
    own times (``x-ratelimit-reset-requests: 6m0s``), of which those count whose limit is reached.

    Args:
        headers: names in small letters.
        now: the time, in seconds of Unix.
    """
    exact = headers.get("retry-after-ms", "")
    if _NUMBER.fullmatch(exact):
        return float(exact) / 1000
    asked = _seconds(headers.get("retry-after", ""), now)
    if asked is not None:
        return asked
    resets = [
        _seconds(value, now)
        for name, value in headers.items()
        if "ratelimit" in name
        and "reset" in name
        # a limit that is not reached says when it would be as new
        and headers.get(name.replace("reset", "remaining"), "0").strip() == "0"
    ]
    return max((seconds for seconds in resets if seconds is not None), default=None)


def _headers(error: BaseException) -> dict[str, str]:
    """The headers of the response behind an error; LiteLLM keeps them apart from ``response``."""
    found = getattr(error, "litellm_response_headers", None)
    if found is None:
        found = getattr(getattr(error, "response", None), "headers", None)
    return {str(name).lower(): str(value) for name, value in dict(found or {}).items()}


def _seconds(text: str, now: float) -> float | None:
    """From now on: ``"20"``, ``"6m0s"``, a date as in HTTP or ISO 8601, or a time of Unix."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        number = float(text)
        if number > _DATES:
            number = number / (1000 if number > 1000 * _DATES else 1) - now
        return max(0.0, number)
    if _DURATION.fullmatch(text):
        return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            return max(0.0, read(text).timestamp() - now)
        except ValueError:
            continue
    return None
