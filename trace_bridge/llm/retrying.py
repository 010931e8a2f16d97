"""When a call that failed is worth another try, and how long to wait before it."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import TypeVar

from trace_bridge.llm.base import Answers, ModelUnavailableError, answers
from trace_bridge.llm.refusals import out_of_credit, refused

_T = TypeVar("_T")
_FIRST, _LONGEST = 0.5, 30.0  # seconds of waiting where the provider names none; doubles
_PATIENCE = 120.0  # seconds that a provider may ask for, where no deadline says it

_NUMBER = re.compile(r"\d+(\.\d+)?")
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhd]))+")  # as Go prints one: 6m0s
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DATES = 1e9  # more seconds than anybody waits: such a number is a date, in (milli)seconds of Unix


class DeadlineError(TimeoutError):
    """There is no time left for another try."""


def may_pass(error: BaseException) -> bool:
    """Whether a failure may be gone at the next try.

    It may with the statuses 408, 409, 429 and 500 on, with connections that fail and with
    time-outs; not with a wrong key, an unknown model, a prompt that was refused, or an account
    without credit.
    """
    if out_of_credit(error):
        return False
    status = _status(error)
    if status is not None:
        return status in (408, 409, 429) or status >= 500
    return isinstance(error, (ConnectionError, TimeoutError))


async def persistently(
    ask: Callable[[], Awaitable[_T]], retries: int, failed: Callable[[str], object] | None = None
) -> _T:
    """What ``ask`` gives, after as many tries as it takes.

    A client that we do not know may raise anything when its provider is down. So whatever it raises
    is followed by another try, if it does not say that this would be in vain. What models answered
    to ``complete`` in one try is not asked, counted or paid again in the next.

    Args:
        ask: anew at each try.
        retries: how often it is asked again at most.
        failed: is told of each failure after which it is asked again.

    Raises:
        ModelUnavailableError: of the last try; or its provider asks to wait too long for another.
    """
    import asyncio  # the imports of graph and optimizers are kept light

    attempt, known = 0, Answers()
    while True:
        known.again()
        token = answers.set(known)
        try:
            return await ask()
        except ModelUnavailableError as error:
            cause = error.__cause__ or error
            seconds = pause(cause, attempt)
            if attempt >= retries or seconds > _PATIENCE or in_vain(cause):
                if attempt == 0:
                    raise
                msg = f"{error} (failure {attempt + 1} in a row)"
                raise ModelUnavailableError(msg) from cause
            if failed is not None:
                failed(str(error))
        finally:
            answers.reset(token)
        await asyncio.sleep(seconds)
        attempt += 1


def in_vain(error: BaseException) -> bool:
    """Whether a failure of any client says that another try would not help."""
    if isinstance(error, DeadlineError) or refused(error) or out_of_credit(error):
        return True
    return _status(error) is not None and not may_pass(error)


def _status(error: BaseException) -> int | None:
    """HTTP's status, where the client tells it; httpx and requests keep it in the response."""
    held = (error, getattr(error, "response", None))
    found = [getattr(holder, name, None) for holder in held for name in ("status_code", "status")]
    return next((status for status in found if isinstance(status, int)), None)


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
    from email.utils import parsedate_to_datetime

    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            return max(0.0, read(text).timestamp() - now)
        except ValueError:
            continue
    return None
