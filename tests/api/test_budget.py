"""Runs whose budget is in tokens, dollars or seconds."""

import asyncio

import pytest

import trace_bridge as tb

PRICES = {"pretended": (10_000.0, 0.0), "teacher": (10_000.0, 0.0)}  # a cent for each token


@pytest.fixture
def counting(teacher):
    """The teacher as a model that tells its tokens."""

    def answered(messages):
        return tb.Reply(teacher(messages), tb.Usage(1, prompt_tokens=20))

    return tb.CallableLLM(answered, "teacher")


@pytest.fixture
def limited(run, counting):
    """``run`` within limits; a search that ends by them is no error."""

    def optimize(evaluations=200, concurrency=4, **limits):
        budget = tb.Budget(evaluations, **limits)
        return run(llm=counting, budget=budget, engine=tb.Engine(concurrency=concurrency))

    return optimize


@pytest.mark.parametrize("tokens", [100, 150, 200, 300, 400])
def test_tokens_are_never_exceeded(limited, agent, tokens):
    found = limited(tokens=tokens)
    assert 3 * len(agent.asked) <= found.record.usage.tokens <= tokens


def test_too_few_for_the_original(limited, agent):
    with pytest.raises(tb.BudgetExhaustedError, match="the budget of 20 tokens is spent"):
        limited(tokens=20)
    assert 3 * len(agent.asked) <= 20


def test_what_stops_the_run_is_named_and_the_comparison_is_made(limited):
    found = limited(tokens=200)
    assert "the budget of 200 tokens is spent" in found.record.stopped
    assert "are kept for the held-out comparison" in found.record.stopped
    assert "no candidate was better" in str(found.verdict)
    assert found.verdict.examples > 0
    assert "ended because the budget of 200 tokens is spent" in str(found)


def test_enough_is_enough(limited):
    free = limited()
    enough = limited(tokens=2 * free.record.usage.tokens)
    assert enough.verdict == "better"
    assert enough.record.usage.tokens == free.record.usage.tokens


@pytest.mark.parametrize("dollars", [1.5, 2.5, 4.0])
def test_dollars_are_never_exceeded(limited, dollars):
    found = limited(dollars=dollars, prices=PRICES)
    usage = found.record.usage
    assert usage.dollars == pytest.approx(usage.tokens / 100)
    assert usage.dollars <= dollars
    assert usage.unpriced == 0
    assert f", ${usage.dollars:.4f}, " in str(found)


def test_a_resumed_run_counts_what_was_spent_before(limited, agent):
    first = limited(tokens=200)
    asked = len(agent.asked)
    again = limited(tokens=200)
    assert len(agent.asked) == asked
    assert again.record.usage.tokens == first.record.usage.tokens
    assert again.record.session.calls == 0
    more = limited(tokens=800)
    assert more.verdict == "better"
    assert first.record.usage.tokens < more.record.usage.tokens <= 800
    assert 3 * len(agent.asked) <= 800


def test_the_price_of_the_proposer_has_to_be_known(limited, agent):
    with pytest.raises(ValueError, match=r"nobody knows what the model 'teacher' costs.*prices="):
        limited(dollars=1.0)
    assert agent.asked == []


def test_the_price_of_every_model_has_to_be_known(limited, agent):
    with pytest.raises(tb.BudgetExhaustedError, match="nobody knows what the model 'pretended'"):
        limited(dollars=1.0, prices={"teacher": (1.0, 1.0)})
    assert agent.asked == []


def test_a_model_that_tells_no_tokens_is_refused_after_one_call(run, agent, teacher):
    found = run(llm=teacher, budget=tb.Budget(tokens=10_000))  # a function that tells nothing
    assert "does not tell how many tokens it uses" in found.record.stopped
    assert len(teacher.calls) == 1


class Stuck(tb.Module):
    """Some of its model calls never end."""

    def __init__(self):
        self.prompt = tb.node("original", trainable=True)

    async def forward(self, x):
        return await waited(self.prompt, x)


@tb.bundle
async def waited(prompt, x):
    with tb.model_call("pretended") as call:
        if x % 10 == 0:
            await asyncio.sleep(3600)
        call.usage = tb.Usage(1, prompt_tokens=3)
    return x


def test_calls_that_a_time_limit_breaks_off_are_counted(run, counting):
    found = run(
        agent=Stuck(), llm=counting, budget=tb.Budget(tokens=400),
        engine=tb.Engine(concurrency=8, timeout=0.05),
    )  # fmt: skip
    assert "does not tell" not in str(found)
    assert found.verdict.examples > 0
    assert found.record.usage.tokens < 400


class Clock:
    """A second goes by with each evaluation, and no other time."""

    def __init__(self):
        self.seconds = 0.0

    def time(self):
        return self.seconds

    monotonic = time


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("trace_bridge.training.journal.time", clock)
    monkeypatch.setattr("trace_bridge.training.evaluate.time", clock)
    return clock


@tb.bundle
def told(prompt, x, clock):
    clock.seconds += 1
    return prompt


class Slow(tb.Module):
    """Takes a second for each example."""

    def __init__(self, clock):
        self.prompt = tb.node("original", trainable=True)
        self.clock = clock

    def forward(self, x):
        return told(self.prompt, x, self.clock)


def test_nothing_begins_when_the_time_is_over(run, clock):
    proposed = iter(range(1000))

    def endless(messages):
        return f'<variable name="self:prompt">proposal {next(proposed)}</variable>'

    def timed():
        return run(
            agent=Slow(clock), metric=lambda example, output: 0.5, llm=endless,
            budget=tb.Budget(5000, seconds=100), engine=tb.Engine(concurrency=1, patience=1000),
        )  # fmt: skip

    found = timed()
    size = found.verdict.examples
    assert 80 < clock.seconds <= 100
    assert found.record.evaluations >= clock.seconds  # one was counted and not begun
    assert size > 0
    assert found.record.stopped == (
        f"the budget of 100 seconds is spent ({2 * size} are kept for the held-out comparison)"
    )
    clock.seconds = 0.0
    again = timed()
    assert clock.seconds == 0, "a resumed run has no time of its own"
    assert again.verdict.examples == size
