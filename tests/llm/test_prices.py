import pytest

from trace_bridge.llm.base import Usage
from trace_bridge.llm.prices import is_priced, priced

SOME = Usage(1, prompt_tokens=2_000_000, completion_tokens=1_000_000)


def test_by_the_list_of_litellm():
    found = priced("gpt-4o", SOME, {})
    assert found.dollars == pytest.approx(2 * 2.5 + 10)
    assert found.unpriced == 0
    assert is_priced("openai/gpt-4o-mini", {})


def test_the_users_own_prices_come_first():
    prices = {"gpt-4o": (1.0, 3.0), "mine": (0.0, 0.0)}
    assert priced("gpt-4o", SOME, prices).dollars == pytest.approx(5)
    free = priced("mine", SOME, prices)
    assert (free.dollars, free.unpriced) == (0.0, 0)


@pytest.mark.parametrize("model", ["", "mine", "openai/mine", "no/such/thing"])
def test_what_nobody_knows_stays_unknown(model, capfd):
    assert priced(model, SOME, {}) == SOME
    assert SOME.unpriced == 1
    assert not is_priced(model, {})
    assert capfd.readouterr().out == ""


def test_a_client_that_tells_no_tokens_has_no_price():
    assert priced("mine", Usage(1), {"mine": (0.0, 1.0)}).unpriced == 1
    assert priced("gpt-4o", Usage(1), {}).unpriced == 1
    assert priced("mine", Usage(1), {"mine": (0.0, 0.0)}).unpriced == 0


def test_nothing_on_the_list_is_free():
    """Models of one's own stand there with 0, and so do some that are expensive."""
    assert not is_priced("ollama/llama2", {})
    assert is_priced("ollama/llama2", {"ollama/llama2": (0.0, 0.0)})


def test_what_was_told_is_kept():
    told = Usage(1, prompt_tokens=5, dollars=0.25, priced=1)
    assert priced("gpt-4o", told, {"gpt-4o": (9.0, 9.0)}) == told
    cached = Usage(1, cached=1)
    assert priced("mine", cached, {}) == cached
