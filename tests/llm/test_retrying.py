from datetime import UTC, datetime

import pytest

from trace_bridge.llm.retrying import asked_to_wait, may_pass, pause

NOW = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC).timestamp()


class Failed(Exception):
    def __init__(self, status=None, **headers):
        super().__init__("it went wrong")
        self.status_code = status
        self.litellm_response_headers = {n.replace("_", "-"): v for n, v in headers.items()}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        *((Failed(status), True) for status in (408, 409, 429, 500, 502, 503, 529)),
        *((Failed(status), False) for status in (400, 401, 403, 404, 413, 422)),
        (ConnectionRefusedError("nobody there"), True),
        (TimeoutError("too late"), True),
        (ValueError("ours"), False),
    ],
)
def test_what_may_pass(error, expected):
    assert may_pass(error) is expected


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "20"}, 20),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "Mon, 04 May 2026 12:01:30 GMT"}, 90),
        ({"retry-after": "Mon, 04 May 2026 11:00:00 GMT"}, 0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "20", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "20", "retry-after-ms": "?"}, 20),
        ({"retry-after": "2", "x-ratelimit-reset-requests": "6m0s"}, 2),
        ({"x-ratelimit-reset-requests": "6m0s"}, 360),
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "1m2.5s"}, 62.5),
        ({"x-ratelimit-reset-tokens": "20ms"}, 0.02),
        (
            {
                "x-ratelimit-reset-requests": "24h0m0s", "x-ratelimit-remaining-requests": "150",
                "x-ratelimit-reset-tokens": "7s", "x-ratelimit-remaining-tokens": "0",
            },
            7,
        ),
        ({"x-ratelimit-reset": str(int(NOW) + 12)}, 12),
        ({"x-ratelimit-reset": str((int(NOW) + 12) * 1000)}, 12),
        ({"anthropic-ratelimit-tokens-reset": "2026-05-04T12:00:05Z"}, 5),
    ],
)  # fmt: skip
def test_what_providers_ask_for(headers, seconds):
    assert asked_to_wait(headers, NOW) == (None if seconds is None else pytest.approx(seconds))


def test_the_pause_grows_and_leaves_room_for_chance():
    pauses = [{pause(Failed(500), attempt) for _ in range(50)} for attempt in range(10)]
    assert all(len(some) > 1 for some in pauses)
    for attempt, some in enumerate(pauses):
        longest = min(30, 0.5 * 2**attempt)
        assert longest / 2 <= min(some) < max(some) <= longest


def test_the_pause_is_never_less_than_what_was_asked_for():
    pauses = {pause(Failed(429, Retry_After="3"), 0) for _ in range(50)}
    assert len(pauses) > 1
    assert 3 <= min(pauses) < max(pauses) <= 3.5


def test_headers_of_the_response_do_as_well():
    class Response:
        headers = {"Retry-After": "7"}  # noqa: RUF012

    error = ConnectionError("busy")
    error.response = Response()
    assert 7 <= pause(error, 0) <= 7.5
