"""LiteLLM against a real HTTP server on loopback that speaks OpenAI's protocol."""

import asyncio
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from trace_bridge.llm import retrying
from trace_bridge.llm.base import ModelUnavailableError, complete
from trace_bridge.llm.lite import LiteLLM
from trace_bridge.llm.prices import litellm

HELLO = [{"role": "user", "content": "hello"}]
NOBODY = "http://127.0.0.1:9/v1"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    """What providers ask for is waited for nevertheless; importing litellm counts for no time."""
    litellm()
    monkeypatch.setattr(retrying, "_FIRST", 0.0)


def model(provider, name="openai/some-model", **options):
    return LiteLLM(name, api_base=provider.url, api_key="secret", **options)


def ask(llm):
    return asyncio.run(complete(llm, HELLO))


def test_text_usage_and_finish_reason(provider):
    provider.script = [{"finish_reason": "length"}]
    reply = ask(model(provider, temperature=0.25))
    assert (reply.text, reply.finish_reason) == ("HELLO", "length")
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (7, 2)
    [(key, body)] = provider.requests
    assert key == "Bearer secret"
    assert body["temperature"] == 0.25
    assert body["messages"] == HELLO


def test_the_price_is_known_or_said_to_be_unknown(provider):
    known = ask(model(provider, "openai/gpt-4o")).usage
    assert (known.priced, known.unpriced) == (1, 0)
    assert known.dollars == pytest.approx(7 * 2.5e-6 + 2 * 10e-6)
    unknown = ask(model(provider)).usage
    assert (unknown.dollars, unknown.priced, unknown.unpriced) == (0.0, 0, 1)
    told = {"input_cost_per_token": 0.5, "output_cost_per_token": 1.0}
    own = ask(model(provider, **told)).usage
    assert (own.dollars, own.unpriced) == (5.5, 0)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503])
def test_what_may_pass_is_tried_again(provider, status):
    provider.fail(status)
    provider.fail(status)
    reply = ask(model(provider))
    assert reply.text == "HELLO"
    assert reply.usage.calls == 1, "providers charge for answers"
    assert len(provider.requests) == 3


@pytest.mark.parametrize(
    "refusal",
    [
        (400, "bad request", None),
        (401, "wrong key", "invalid_api_key"),
        (403, "not for you", None),
        (404, "no such model", "model_not_found"),
        (400, "This model's maximum context length is 8192 tokens.", "context_length_exceeded"),
        (400, "Your request was rejected by our safety system.", "content_policy_violation"),
        (400, "The prompt triggered our content management policy.", "content_filter"),
    ],
)
def test_what_cannot_pass_is_not_tried_again(provider, refusal):
    provider.fail(*refusal)
    with pytest.raises(ModelUnavailableError, match="'openai/some-model' did not answer") as caught:
        ask(model(provider))
    assert refusal[1] in str(caught.value)
    assert caught.value.__cause__.status_code == refusal[0]
    assert len(provider.requests) == 1


@pytest.mark.parametrize("code", ["insufficient_quota", "billing_hard_limit_reached"])
def test_an_account_without_credit_fails_at_once_with_the_remedy(provider, code):
    provider.fail(429, "You exceeded your current quota, please check your plan.", code)
    with pytest.raises(ModelUnavailableError, match="RateLimitError.*add credit") as caught:
        ask(model(provider))
    assert caught.value.__cause__.status_code == 429
    assert len(provider.requests) == 1


def test_a_limit_by_the_minute_may_pass_whatever_it_calls_itself(provider):
    provider.fail(429, "You exceeded your current quota, please check your plan.")
    assert ask(model(provider)).text == "HELLO"


def test_the_last_failure_is_raised_when_the_retries_are_used_up(provider):
    for number in range(5):
        provider.fail(500, f"failure {number}")
    with pytest.raises(ModelUnavailableError, match="InternalServerError.*failure 2"):
        ask(model(provider, retries=2))
    assert len(provider.requests) == 3
    with pytest.raises(ModelUnavailableError, match="failure 3"):
        ask(model(provider, retries=0))


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "0.3"},
        {"Retry-After": "60", "retry-after-ms": "300"},
        {"x-ratelimit-reset-requests": "300ms", "x-ratelimit-remaining-requests": "0"},
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_the_provider_says_when_to_come_back(provider, headers, status):
    provider.fail(status, headers=headers)
    started = time.monotonic()
    assert ask(model(provider)).text == "HELLO"
    assert 0.3 <= time.monotonic() - started < 30


def test_a_pause_beyond_the_deadline_is_not_begun(provider):
    provider.fail(429, headers={"Retry-After": "3600"})
    started = time.monotonic()
    with pytest.raises(ModelUnavailableError, match="no answer within 20 seconds") as caught:
        ask(model(provider, deadline=20))
    assert time.monotonic() - started < 15
    assert "RateLimitError" in str(caught.value)
    assert "3.6e+03 seconds later" in str(caught.value)
    late = caught.value.__cause__
    assert isinstance(late, TimeoutError)
    assert type(late.__cause__).__name__ == "RateLimitError"


def test_the_deadline_is_for_all_tries_together(provider):
    provider.fail(500)
    provider.script.append({"seconds": 60})
    started = time.monotonic()
    with pytest.raises(ModelUnavailableError, match="within 2 seconds.*InternalServerError"):
        ask(model(provider, deadline=2))
    assert 2 <= time.monotonic() - started < 30
    assert len(provider.requests) == 2


def test_a_try_that_takes_too_long_is_followed_by_another(provider):
    provider.script = [{"seconds": 60}]
    assert ask(model(provider, timeout=0.5)).text == "HELLO"
    assert len(provider.requests) >= 2


def test_a_server_that_is_not_there():
    gone = LiteLLM("openai/some-model", api_base=NOBODY, api_key="x", retries=1)
    with pytest.raises(ModelUnavailableError, match="did not answer.*Connection error"):
        ask(gone)


def test_a_filtered_answer_says_so(provider):
    provider.script = [{"finish_reason": "content_filter"}]
    assert ask(model(provider)).finish_reason == "content_filter"


@pytest.mark.parametrize("body", ["<html>busy</html>", "{}", '{"choices": []}', '{"choices": 3}'])
def test_garbage_is_no_answer(provider, body):
    provider.script = [{"raw": body}]
    assert ask(model(provider)).text == "HELLO"
    provider.script = [{"raw": body}] * 2
    with pytest.raises(ModelUnavailableError):
        ask(model(provider, retries=1))


@pytest.mark.parametrize("settings", [{"retries": -1}, {"deadline": 0}])
def test_nonsense_is_refused(settings):
    with pytest.raises(ValueError, match="must be"):
        LiteLLM("openai/some-model", **settings)


def test_the_backdoored_releases_are_excluded():
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    [line] = [d for d in tomllib.loads(text)["project"]["dependencies"] if "litellm" in d]
    allowed = Requirement(line).specifier
    assert not {"1.82.7", "1.82.8"}.intersection(
        allowed.filter(["1.82.6", "1.82.7", "1.82.8", "1.82.9"])
    )


def test_nothing_is_fetched_when_litellm_is_imported(monkeypatch):
    """By itself it downloads its price list, which pytest-socket would not see in a new process."""
    monkeypatch.delenv("LITELLM_LOCAL_MODEL_COST_MAP")
    code = (
        "import socket, sys\n"
        "def refuse(*_, **__): raise AssertionError('the network was asked')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from trace_bridge.llm.prices import is_priced\n"
        "assert is_priced('openai/gpt-4o', {})\n"
        "assert 'litellm' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "price" not in done.stderr.lower(), "no failed attempt either"
