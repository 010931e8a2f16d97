import asyncio

import pytest

from trace_bridge.llm.base import (
    LLM,
    BudgetExhaustedError,
    CallableLLM,
    ModelUnavailableError,
    Reply,
    Usage,
    complete,
    gate,
)

HELLO = [{"role": "user", "content": "hello"}]


def ask(llm):
    return asyncio.run(complete(llm, HELLO))


def test_usage_adds_up():
    total = Usage(1, 0, 10, 5, 0.5) + Usage(1, 1, 1, 1, 0.5)
    assert total == Usage(2, 1, 11, 6, 1.0)
    assert total.tokens == 17


def test_functions_are_models():
    async def later(messages):
        return Reply(messages[0]["content"] + "!", finish_reason="length")

    assert ask(CallableLLM(lambda messages: messages[0]["content"])).text == "hello"
    assert ask(CallableLLM(later)) == Reply("hello!", finish_reason="length")
    assert isinstance(CallableLLM(later), LLM)
    assert CallableLLM(later).model.endswith("later")


def test_a_failing_model_is_named_and_the_cause_is_chained():
    def down(messages):
        raise ConnectionError("refused")

    with pytest.raises(ModelUnavailableError, match="'m' did not answer: ConnectionError: refused"):
        ask(CallableLLM(down, "m"))


def test_every_call_passes_the_gate_before_it_is_made():
    asked = []

    class Closed:
        def admit(self, call):
            raise BudgetExhaustedError(call.model)

    token = gate.set(Closed())
    try:
        with pytest.raises(BudgetExhaustedError, match="m"):
            ask(CallableLLM(asked.append, "m"))
    finally:
        gate.reset(token)
    assert asked == []


def test_the_gate_hears_what_a_call_has_cost():
    class Open:
        def admit(self, call):
            return "ticket"

        def settle(self, call, admitted):
            self.settled = (call.usage.prompt_tokens, admitted, call.error)

    own = Open()
    token = gate.set(own)
    try:
        ask(CallableLLM(lambda _: Reply("x", Usage(calls=1, prompt_tokens=9))))
    finally:
        gate.reset(token)
    assert own.settled == (9, "ticket", None)
