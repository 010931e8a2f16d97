import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from trace_bridge.llm import retrying
from trace_bridge.llm.base import CallableLLM, ModelUnavailableError, Reply, complete, gate
from trace_bridge.llm.retrying import (
    DeadlineError,
    asked_to_wait,
    in_vain,
    may_pass,
    pause,
    persistently,
)

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


def broke():
    error = Failed(429)
    error.body = {"code": None, "type": "insufficient_quota"}
    return error


def wrapped():
    try:
        raise broke()
    except Failed:
        try:
            raise Failed(429)
        except Failed as error:
            return error


class BadRequestError(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        *((Failed(status), False) for status in (408, 429, 500, 503)),
        *((Failed(status), True) for status in (400, 401, 403, 404, 422)),
        (broke(), True),
        (wrapped(), True),
        (BadRequestError("too long"), True),
        (DeadlineError("too late"), True),
        (TimeoutError("too late"), False),
        (ConnectionResetError("gone"), False),
        (RuntimeError("a client of one's own: overloaded"), False),
    ],
)
def test_what_is_in_vain(error, expected):
    assert in_vain(error) is expected


def test_the_status_of_the_response_counts_too():
    error = Exception("401 Unauthorized")
    error.response = SimpleNamespace(status_code=401, headers={})
    assert in_vain(error)
    error.response.status_code = 503
    assert not in_vain(error)


def asking(*failures):
    """Ask a function that fails so, one after the other, and then answers: (calls, told, reply)."""
    left, told, calls = list(failures), [], []

    def function(messages):
        calls.append(messages)
        if left:
            raise left.pop(0)
        return "here"

    async def ask():
        return (await complete(CallableLLM(function, "mine"), [])).text

    try:
        reply = asyncio.run(persistently(ask, 2, told.append))
    except ModelUnavailableError as error:
        reply = error
    return len(calls), told, reply


@pytest.fixture
def _no_pauses(monkeypatch):
    monkeypatch.setattr(retrying, "_FIRST", 0.0)


@pytest.mark.usefixtures("_no_pauses")
def test_any_failure_is_followed_by_another_try():
    calls, told, reply = asking(ConnectionError("down"), RuntimeError("busy"))
    assert (calls, reply) == (3, "here")
    assert told == [
        "the model 'mine' did not answer: ConnectionError: down",
        "the model 'mine' did not answer: RuntimeError: busy",
    ]


@pytest.mark.usefixtures("_no_pauses")
def test_the_last_failure_says_how_many_there_were():
    calls, _, error = asking(*(ConnectionError(f"down {number}") for number in range(9)))
    assert calls == 3
    assert str(error).endswith("ConnectionError: down 2 (failure 3 in a row)")
    assert isinstance(error.__cause__, ConnectionError)


class Sampling:
    """A model that never answers twice the same, behind a line that breaks at some of its calls."""

    model = "sampling"

    def __init__(self, *breaks):
        self.breaks = breaks
        self.calls = 0

    async def complete(self, messages):
        self.calls += 1
        if self.calls in self.breaks:
            raise ConnectionError("down")
        return Reply(f"{messages[-1]['content']} {self.calls}")


class Counting:
    def __init__(self):
        self.calls = 0

    def admit(self, call):
        self.calls += 1

    def settle(self, call, admitted):
        pass


@pytest.fixture
def counting():
    counting = Counting()
    token = gate.set(counting)
    yield counting
    gate.reset(token)


def said(text):
    return [{"role": "user", "content": text}]


@pytest.mark.usefixtures("_no_pauses")
def test_another_try_asks_only_for_what_was_not_answered(counting):
    async def ask():
        replies = [await complete(model, said(text)) for text in ("a", "a", "b", "a")]
        return [reply.text for reply in replies]

    model = Sampling(3, 5)
    assert asyncio.run(persistently(ask, 2)) == ["a 1", "a 2", "b 4", "a 6"]
    assert model.calls == counting.calls == 4 + 2
    assert asyncio.run(persistently(ask, 2)) == ["a 7", "a 8", "b 9", "a 10"], "another step"
    assert asyncio.run(ask())[0] == "a 11", "no step"


@pytest.mark.usefixtures("_no_pauses")
def test_calls_beside_each_other_are_not_repeated_either():
    async def ask():
        jobs = [complete(model, said("a")) for _ in range(4)]
        done = await asyncio.gather(*jobs, return_exceptions=True)
        for reply in done:
            if isinstance(reply, Exception):
                raise reply
        return sorted(reply.text for reply in done)

    model = Sampling(2)
    assert asyncio.run(persistently(ask, 1)) == ["a 1", "a 3", "a 4", "a 5"]


@pytest.mark.usefixtures("_no_pauses")
def test_a_conversation_goes_on_where_it_broke_off():
    async def ask():
        talk = said("a")
        for _ in range(3):
            talk.append({"role": "assistant", "content": (await complete(model, talk)).text})
            talk += said("more")
        return [turn["content"] for turn in talk if turn["role"] == "assistant"]

    model = Sampling(3)
    assert asyncio.run(persistently(ask, 1)) == ["a 1", "more 2", "more 4"]


def test_who_asks_to_wait_for_hours_is_not_waited_for():
    calls, told, error = asking(Failed(429, retry_after="3600"))
    assert (calls, told) == (1, [])
    assert str(error) == "the model 'mine' did not answer: Failed: it went wrong"


def test_what_would_be_in_vain_is_not_tried_again():
    calls, told, error = asking(broke())
    assert (calls, told) == (1, [])
    assert "add credit" in str(error)


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
