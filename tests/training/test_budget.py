import contextlib
import threading

import pytest

from trace_bridge.llm.base import BudgetExhaustedError, ModelCall, Usage, gate, model_call
from trace_bridge.training.budget import Budget, Kept, Ledger, Meter
from trace_bridge.training.journal import Journal

FREE = {"m": (0.0, 0.0)}


def ledger(path=None, **limits):
    return Ledger(Budget(**limits), Journal(path, "run", {}, resume=True))


@contextlib.contextmanager
def gated(meter):
    token = gate.set(meter)
    try:
        yield meter
    finally:
        gate.reset(token)


def spend(own, tokens, model="m", **told):
    """One call that is answered; gives what the ledger made of it."""
    meter = Meter(own)
    with gated(meter), model_call(model) as call:
        call.usage = Usage(1, prompt_tokens=tokens, **told)
    return meter.usage


def refusal(own, model="m"):
    """Why a call is refused; empty if it is let in."""
    meter, free = Meter(own), ModelCall(model, Usage(1, cached=1))
    with contextlib.suppress(BudgetExhaustedError):
        meter.settle(free, meter.admit(free))
    return str(meter.refused or "")


@pytest.mark.parametrize(
    "limits",
    [
        {"evaluations": 0}, {"calls": 0}, {"calls": -3}, {"tokens": 0}, {"dollars": 0},
        {"dollars": float("nan")}, {"seconds": -1}, {"prices": {"m": (1,)}},
        {"prices": {"m": (1.0, -1.0)}},
    ],
)  # fmt: skip
def test_nonsense_is_refused(limits):
    [name] = limits
    with pytest.raises(ValueError, match=rf"Budget\({name}=.*(must be|give two numbers)"):
        Budget(**limits)


def test_evaluations_are_counted_once_each():
    own = ledger(evaluations=3)
    for key in ("a", "b", "a"):
        own.count(key)
    assert (own.evaluations, own.remaining) == (2, 1)
    assert own.uncounted({"a", "c"}) == 1


def test_a_call_beyond_the_budget_is_refused_before_it_is_made():
    made = []
    with gated(Meter(ledger(calls=2))) as meter:
        for _ in range(2):
            with model_call("m") as call:
                made.append(call)
                call.usage = Usage(calls=1, prompt_tokens=7)
        with pytest.raises(BudgetExhaustedError, match="2 model calls is spent"), model_call("m"):
            made.append("never")
    assert len(made) == 2
    assert meter.refused is not None
    assert meter.usage.prompt_tokens == 14
    assert meter.ledger.session.calls == 2


def test_calls_that_are_made_together_are_admitted_together():
    own, made = ledger(calls=5), []
    for _ in range(2):
        with contextlib.suppress(BudgetExhaustedError), gated(Meter(own)), model_call("m", 3):
            made.append(3)
    assert made == [3]
    assert own.session.calls == 3


def test_calls_can_be_kept_back():
    own = ledger(calls=5)
    own.kept = Kept(calls=3)
    assert [refusal(own), refusal(own)] == ["", ""]
    assert refusal(own) == (
        "the budget of 5 model calls is spent (3 are kept for the held-out comparison)"
    )
    own.kept = Kept()
    assert refusal(own) == ""


def test_what_the_held_out_comparison_may_take():
    took = [(Usage(1, prompt_tokens=10, dollars=0.5), 2.0), (Usage(3, completion_tokens=4), 5.0)]
    assert Kept.of(took, 20, 8) == Kept(60, 200, 10.0, 15.0)
    assert Kept(1, 2, 3.0, 4.0) + Kept(1, 1, 1.0, 1.0) == Kept(2, 3, 4.0, 5.0)


# tokens


def test_tokens_are_never_exceeded_by_calls_that_are_alike():
    own = ledger(tokens=100)
    used = 0
    with pytest.raises(BudgetExhaustedError, match=r"100 tokens.*98 are used.*may take 14\)"):
        while True:
            used += spend(own, 14).tokens
    assert used == 98


def test_calls_in_flight_count_as_the_dearest_of_their_model():
    own = ledger(tokens=100)
    spend(own, 20, "small")
    spend(own, 30, "large")
    assert own.reserve("small")  # 50 + 20
    assert own.reserve("large")  # 50 + 20 + 30
    assert "50 are used and those to come may take 70" in refusal(own, "small")
    assert "may take 80" in refusal(own, "another"), "unknown: as the dearest of all"


def test_what_a_dearer_call_takes_too_much_ends_it():
    own = ledger(tokens=100)
    spend(own, 10)
    assert spend(own, 200).tokens == 200
    assert "210 are used" in refusal(own)


def test_tokens_are_kept_back():
    own = ledger(tokens=100)
    spend(own, 10)
    own.kept = Kept(tokens=85)
    assert "(10 are used and those to come may take 10; 85 are kept" in refusal(own)
    own.kept = Kept(tokens=80)
    assert refusal(own) == ""


def test_many_threads_spend_no_more_than_there_is():
    own = ledger(tokens=1000)
    spend(own, 10)
    paid, start = [10], threading.Barrier(8)

    def work():
        start.wait()
        with contextlib.suppress(BudgetExhaustedError):
            while True:
                paid.append(spend(own, 10).tokens)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1000 - 8 * 10 <= sum(paid) <= 1000


def test_a_resumed_run_knows_what_was_spent(tmp_path):
    path = tmp_path / "runs.sqlite"
    first = ledger(path, tokens=100)
    spend(first, 30)
    first.reserve("m")  # and killed: it may have been paid
    again = ledger(path, tokens=100)
    assert spend(again, 30).tokens == 30
    assert "60 are used and those to come may take 60" in refusal(again)


@pytest.mark.parametrize("limits", [{"tokens": 10}, {"dollars": 1.0, "prices": {"m": (1.0, 1.0)}}])
def test_a_model_that_tells_no_tokens_is_named(limits):
    own = ledger(**limits)
    spend(own, 0)
    assert "'m' does not tell how many tokens it uses" in refusal(own)
    assert "limit calls= instead" in refusal(own, "another")


def test_failed_and_cached_calls_tell_no_tokens_and_need_not():
    own = ledger(tokens=10, dollars=1.0, prices={"m": (1.0, 1.0)})
    with pytest.raises(ConnectionError), gated(Meter(own)), model_call("m"):
        raise ConnectionError
    spend(own, 0, cached=1)
    assert refusal(own) == ""


def test_a_call_that_was_broken_off_counts_as_the_dearest():
    own = ledger(tokens=99)
    spend(own, 30)
    with pytest.raises(KeyboardInterrupt), gated(Meter(own)) as meter, model_call("m"):
        raise KeyboardInterrupt  # as a time limit's CancelledError, or GeneratorExit
    assert meter.failure is None
    assert own.session.calls == 2
    assert spend(own, 10).tokens == 10  # 30 + 30 + 30 were within the limit
    assert "40 are used and those to come may take 60" in refusal(own)


def test_a_call_that_failed_after_its_answer_has_a_price():
    own = ledger(dollars=1.0, prices={"m": (100_000.0, 0.0)})
    with pytest.raises(ValueError, match="no JSON"), gated(Meter(own)), model_call("m") as call:
        call.usage = Usage(1, prompt_tokens=4)
        raise ValueError("no JSON")
    assert own.session.dollars == pytest.approx(0.4)


# dollars


def test_dollars_are_never_exceeded_by_calls_that_are_alike():
    own = ledger(dollars=1.0, prices={"m": (100_000.0, 0.0)})
    assert spend(own, 3) == Usage(
        1, prompt_tokens=3, dollars=0.3, priced=1, seconds=pytest.approx(0, abs=1)
    )
    spend(own, 3)
    spend(own, 3)
    assert refusal(own) == (
        "the budget of 1 dollars is spent (0.9 are used and those to come may take 0.3)"
    )


def test_what_the_client_tells_comes_first():
    own = ledger(dollars=1.0, prices=FREE)
    assert spend(own, 3, dollars=0.75, priced=1).dollars == 0.75
    assert "0.75 are used" in refusal(own)


def test_prices_of_the_list():
    own = ledger(dollars=1.0)
    assert spend(own, 1000, "openai/gpt-4o").dollars == pytest.approx(0.0025)


def test_a_model_with_an_unknown_price_is_not_called():
    own = ledger(dollars=1.0, prices=FREE)
    spend(own, 3)
    assert "nobody knows what the model 'mine' costs" in refusal(own, "mine")
    assert "pass prices={'mine': (prompt, completion)}" in refusal(own)
    assert own.session.calls == 1


def test_calls_of_sessions_without_the_limit_get_their_price_later(tmp_path):
    path = tmp_path / "runs.sqlite"
    spend(ledger(path), 4)
    spend(ledger(path), 5)
    own = ledger(path, dollars=1.0, prices={"m": (100_000.0, 0.0)})
    assert "0.9 are used and those to come may take 0.5" in refusal(own)
    spend(ledger(path), 4, "mine")
    again = ledger(path, dollars=1.0, prices={"m": (100_000.0, 0.0)})
    assert "nobody knows what the model 'mine' costs" in refusal(again)


def test_a_free_model_is_never_refused():
    own = ledger(dollars=0.001, prices=FREE)
    for _ in range(20):
        assert spend(own, 10**6).unpriced == 0
    assert refusal(own) == ""


# seconds


def test_nothing_begins_after_the_time(tmp_path):
    path = tmp_path / "runs.sqlite"
    own = ledger(path, seconds=1000)
    assert refusal(own) == ""
    own.kept = Kept(seconds=1000)
    said = "the budget of 1000 seconds is spent (1000 are kept for the held-out comparison)"
    assert refusal(own) == said
    with pytest.raises(BudgetExhaustedError, match="1000 seconds"):
        own.check_time()
    own.journal.close()
    assert "the budget of 1e-09 seconds is spent" in refusal(ledger(path, seconds=1e-9))


def test_a_provider_failure_is_remembered_but_a_refused_prompt_is_not():
    with gated(Meter(ledger())) as meter:
        with pytest.raises(ValueError, match="too long"), model_call("m") as call:
            call.refused = True
            raise ValueError("too long")
        assert meter.failure is None
        with pytest.raises(ConnectionError), model_call("m"):
            raise ConnectionError
        assert isinstance(meter.failure, ConnectionError)


def test_outside_a_run_calls_are_free():
    with model_call("m") as call:
        assert isinstance(call, ModelCall)
