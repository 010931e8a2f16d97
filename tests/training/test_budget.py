import pytest

from trace_bridge.llm.base import BudgetExhaustedError, ModelCall, Usage, gate, model_call
from trace_bridge.training.budget import Budget, Ledger, Meter
from trace_bridge.training.journal import Journal


def ledger(**limits):
    return Ledger(Budget(**limits), Journal(None, "run", {}, resume=True))


@pytest.mark.parametrize("limits", [{"evaluations": 0}, {"calls": 0}, {"calls": -3}])
def test_nonsense_is_refused(limits):
    with pytest.raises(ValueError, match="must be at least 1"):
        Budget(**limits)


def test_evaluations_are_counted_once_each():
    own = ledger(evaluations=3)
    for key in ("a", "b", "a"):
        own.count(key)
    assert (own.evaluations, own.remaining) == (2, 1)
    assert own.uncounted({"a", "c"}) == 1


def test_a_call_beyond_the_budget_is_refused_before_it_is_made():
    meter = Meter(ledger(calls=2))
    made = []
    token = gate.set(meter)
    try:
        for _ in range(2):
            with model_call("m") as call:
                made.append(call)
                call.usage = Usage(calls=1, prompt_tokens=7)
        with pytest.raises(BudgetExhaustedError, match="2 model calls is spent"), model_call("m"):
            made.append("never")
    finally:
        gate.reset(token)
    assert len(made) == 2
    assert meter.refused is not None
    assert meter.usage.prompt_tokens == 14
    assert meter.ledger.session.calls == 2


def test_calls_can_be_kept_back():
    own = ledger(calls=5)
    own.reserved_calls = 3
    own.reserve()
    own.reserve()
    with pytest.raises(BudgetExhaustedError):
        own.reserve()
    own.reserved_calls = 0
    own.reserve()


def test_a_provider_failure_is_remembered_but_a_refused_prompt_is_not():
    meter = Meter(ledger())
    token = gate.set(meter)
    try:
        with pytest.raises(ValueError, match="too long"), model_call("m") as call:
            call.refused = True
            raise ValueError("too long")
        assert meter.failure is None
        with pytest.raises(ConnectionError), model_call("m"):
            raise ConnectionError
        assert isinstance(meter.failure, ConnectionError)
    finally:
        gate.reset(token)


def test_outside_a_run_calls_are_free():
    with model_call("m") as call:
        assert isinstance(call, ModelCall)
