import asyncio
import contextlib
import re
import sqlite3
import threading
import time

import pytest

import trace_bridge as tb
from trace_bridge.llm import retrying
from trace_bridge.optimizers.opro import OPRO
from trace_bridge.optimizers.textgrad import TextGrad


def test_a_better_prompt_is_found_and_the_agent_is_not_written(run, agent, teacher):
    found = run()
    assert found.verdict == "better"
    assert (found.verdict.before, found.verdict.after) == (0.0, 1.0)
    assert found.best.state == {"self:prompt": "double the number"}
    assert agent.prompt.data == "repeat the number"
    assert len(teacher.calls) == 1
    assert found.record.usage.calls == len(agent.asked) + 1
    assert "+double the number" in found.diff()
    assert "better: 0.000 -> 1.000" in str(found)


def test_without_propagation_the_score_stays_where_it_was(run, teacher, monkeypatch):
    """The teacher is honest: it helps only if subgraphs reach its prompt."""
    monkeypatch.setattr("trace_bridge.optimizers.prompt.Program.trace", lambda *_: "")
    found = run()
    assert found.verdict == "no reliable gain"
    assert found.verdict.before == found.verdict.after == 0.0
    assert found.best.state == found.original == {"self:prompt": "repeat the number"}
    assert found.diff() == ""
    assert len(teacher.calls) > 1


def test_what_training_examples_say_is_withheld_from_proposals(run, agent, data):
    """A prompt that has learnt an example by heart is refused, and the model is told."""
    asked = []

    def cheat(messages):
        asked.append(messages[-1]["content"])
        shown = re.search(r"the answer to number \w+ is written here", asked[0])
        value = f"double the number; {shown[0]}" if shown else "double the number"
        return f'<variable name="self_prompt">{value}</variable>'

    rows = [
        {**e, "note": f"the answer to number {e['x']} is written here", "task": "one for all rows"}
        for e in data
    ]

    def right(example, output):
        return (float(output == example["y"]), f"should be doubled: {example['note']}")

    found = run(trainset=rows, metric=right, llm=cheat, engine=tb.Engine(journal=None, patience=1))
    assert found.best.state == {"self:prompt": "repeat the number"}
    [_, told] = asked
    assert re.search(r"copies a training example \('the answer to number \w+ is written", told)
    [parameter] = agent.parameters()
    assert parameter.withheld.copied("", "one for all rows") == ""


def test_a_saturated_agent_costs_no_search(run, data, teacher):
    found = run(trainset=[{"x": e["x"], "y": e["x"]} for e in data])
    assert found.verdict == "no reliable gain"
    assert "already" in found.record.stopped
    assert teacher.calls == []


def test_it_resumes_and_repeats_nothing(run, agent, teacher):
    first = run()
    asked = len(agent.asked)
    second = run()
    assert len(agent.asked) == asked
    assert len(teacher.calls) == 1
    assert second.record.reused == second.record.evaluations == first.record.evaluations
    assert second.record.session.calls == 0
    assert second.record.usage.calls == first.record.usage.calls
    assert second.best.state == first.best.state
    assert second.verdict.p == first.verdict.p


def test_a_fresh_start_repeats_everything(run, agent):
    first = run()
    asked = len(agent.asked)
    again = run(engine=tb.Engine(concurrency=4, resume=False))
    assert again.record.reused == 0
    assert len(agent.asked) == 2 * asked
    assert again.best.state == first.best.state


@pytest.mark.parametrize("changed", ["metric", "agent", "data", "seed"])
def test_results_of_something_else_are_not_reused(run, agent, data, changed):
    run()
    if changed == "metric":
        again = run(metric=lambda e, o: float(o == e["y"]))
    elif changed == "agent":
        other = type(agent)(prompt="repeat the number!")
        again = run(agent=other)
    elif changed == "data":
        again = run(trainset=[{"x": e["x"] + 100, "y": 2 * e["x"] + 200} for e in data])
    else:
        again = run(engine=tb.Engine(concurrency=4, seed=1))
    assert again.record.reused == 0


def test_a_larger_budget_goes_on_where_the_smaller_one_ended(run, teacher):
    teacher_that_helps = teacher
    small = run(llm=lambda _: "nothing", budget=tb.Budget(evaluations=60))
    assert small.verdict == "no reliable gain"
    large = run(llm=teacher_that_helps, budget=tb.Budget(evaluations=60))
    assert large.record.evaluations <= 60


@pytest.mark.parametrize("evaluations", [45, 60, 90, 200])
@pytest.mark.parametrize("calls", [None, 30, 55, 100])
def test_the_budget_is_never_exceeded(run, agent, evaluations, calls):
    try:
        found = run(budget=tb.Budget(evaluations=evaluations, calls=calls))
    except tb.BudgetExhaustedError:
        assert calls == 30 or len(agent.asked) <= calls
    else:
        assert found.record.evaluations <= evaluations
    assert calls is None or len(agent.asked) <= calls


def test_too_small_a_budget_is_refused_before_it_is_spent(run, agent):
    with pytest.raises(ValueError, match=r"leaves nothing for a search.*Allow more than"):
        run(budget=tb.Budget(evaluations=3), valset=[{"x": 1, "y": 2}], testset=[{"x": 2, "y": 4}])
    assert agent.asked == []


def test_an_agent_that_raises_is_scored_and_its_message_is_feedback(run, teacher):
    class Fragile(tb.Module):
        def __init__(self):
            self.prompt = tb.node("repeat the number", trainable=True)

        def forward(self, x):
            return attempt(self.prompt, x)

    @tb.bundle
    def attempt(prompt, x):
        if "double" not in prompt:
            raise LookupError(f"{x} should be doubled")
        return 2 * x

    found = run(agent=Fragile())
    assert found.verdict == "better"
    assert "LookupError" in teacher.calls[0]


def test_a_metric_that_always_raises_stops_the_run_with_its_name(run):
    def broken(example, output):
        return example["answer"]

    with pytest.raises(tb.MetricError, match="broken raised KeyError: 'answer'"):
        run(metric=broken)


def test_a_metric_that_sometimes_raises_is_a_warning(run):
    def touchy(example, output):
        if example["x"] % 7 == 0:
            raise ZeroDivisionError("seven")
        return (float(output == example["y"]), "should be doubled")

    found = run(metric=touchy)
    assert 0 < found.verdict.after < 1
    assert any("touchy raised ZeroDivisionError: seven" in w for w in found.record.warnings)


def test_a_provider_failure_is_retried_and_nobodys_score(run, data, monkeypatch):
    monkeypatch.setattr("trace_bridge.training.evaluate._BACKOFF", 0.0)
    failures = iter([True] * 5)

    class Shaky(tb.Module):
        def __init__(self):
            self.prompt = tb.node("repeat the number", trainable=True)

        def forward(self, x):
            return ask(self.prompt, x)

    @tb.bundle
    def ask(prompt, x):
        try:
            with tb.model_call("shaky"):
                if next(failures, False):
                    raise ConnectionError("provider down")
        except ConnectionError:
            return "an agent may swallow it"
        return 2 * x

    found = run(agent=Shaky(), engine=tb.Engine(concurrency=1, retries=5))
    assert found.verdict.before == 1.0


def test_an_unreachable_model_is_named_and_what_was_paid_is_kept(run, agent, monkeypatch):
    monkeypatch.setattr("trace_bridge.training.evaluate._BACKOFF", 0.0)
    down = threading.Event()

    class Half(type(agent)):
        def forward(self, x):
            with tb.model_call("half"):
                if down.is_set() or len(self.asked) >= 10:
                    down.set()
                    raise ConnectionError("refused")
                self.asked.append(x)
            return x

    half = Half()
    with pytest.raises(tb.ModelUnavailableError, match="ConnectionError: refused.*run again"):
        run(agent=half, engine=tb.Engine(concurrency=1))
    paid = list(half.asked)
    half.asked.clear()
    half.forward = lambda x: half.asked.append(x) or x
    down.clear()
    run(agent=half, engine=tb.Engine(concurrency=1))
    assert not set(half.asked[: len(paid)]) & set(paid)


def test_after_a_model_has_failed_for_good_nobody_else_asks_it(run, agent):
    class Down(type(agent)):
        def forward(self, x):
            with tb.model_call("down"):
                self.asked.append(x)
                raise ConnectionError("refused")

    down = Down()
    with pytest.raises(tb.ModelUnavailableError, match="ConnectionError: refused"):
        run(agent=down, engine=tb.Engine(concurrency=2, retries=0))
    assert len(down.asked) <= 2


@pytest.fixture
def failing(monkeypatch, teacher):
    """The teacher behind a line that breaks: its first calls raise these errors."""
    monkeypatch.setattr(retrying, "_FIRST", 0.0)

    def made(*errors):
        left = list(errors)

        def failing(messages):
            failing.calls += 1
            if left:
                raise left.pop(0)
            return teacher(messages)

        failing.calls = 0
        return failing

    return made


def test_an_optimizer_whose_model_fails_returns_the_best_so_far(run, failing):
    model = failing(*[ConnectionError("no network")] * 9)
    found = run(llm=model)
    assert model.calls == 3
    assert found.verdict == "no reliable gain"
    assert "no network (failure 3 in a row)" in found.record.stopped
    assert found.verdict.examples > 0, "the held-out comparison is made nevertheless"
    went_on = run(llm=failing())
    assert went_on.verdict == "better", "what was finished is in the journal"
    assert went_on.record.reused >= len(found.trials[0].scores)


def test_an_optimizer_is_asked_again_after_its_model_has_failed(run, failing, agent):
    told = []
    model = failing(ConnectionError("reset by peer"), RuntimeError("overloaded"))
    found = run(llm=model, progress=lambda progress: told.append(progress.note))
    assert found.verdict == "better"
    assert model.calls == 3
    assert found.record.usage.calls == len(agent.asked) + 3, "calls that failed are calls"
    assert [note for note in told if note.startswith("asking again")] == [
        f"asking again: the model {model.__qualname__!r} did not answer: {failure}"
        for failure in ("ConnectionError: reset by peer", "RuntimeError: overloaded")
    ]


@pytest.mark.parametrize(
    ("optimizer", "calls"), [(OPRO(proposals=4), 4), (TextGrad(minibatch=3), 4)]
)
def test_what_a_failing_step_was_answered_is_not_paid_again(
    run, agent, monkeypatch, optimizer, calls
):
    """``calls`` are those of a step in which nothing fails."""
    monkeypatch.setattr(retrying, "_FIRST", 0.0)

    def model(messages):
        nonlocal made
        made += 1
        if made == 3:
            raise ConnectionError("reset by peer")
        return f'<variable name="self_prompt">double {made}</variable>'

    made = 0
    found = run(optimizer=optimizer, llm=model, engine=tb.Engine(concurrency=1)).record
    assert found.verdict.better
    first = [trial.proposal for trial in found.trials[1:]]
    assert made == calls + 1
    assert found.usage.calls == len(agent.asked) + made
    again = run(optimizer=optimizer, llm=model, engine=tb.Engine(concurrency=1)).record
    assert made == calls + 1, "a resumed run asks nothing"
    assert [trial.proposal for trial in again.trials[1:]] == first
    values = [proposal.state["self:prompt"] for proposal in first]
    assert len(set(values)) == len(values), "each call gave a sample of its own"


def test_asking_again_stays_within_the_budget(run, failing, agent):
    free = run(llm=failing(), engine=tb.Engine(journal=None, concurrency=1)).record
    model = failing(*[ConnectionError("no network")] * 9)
    # the validation rows, a minibatch, a call, and what is kept for the comparison
    limit = len(free.trials[0].scores) + 6 + 1 + 2 * len(free.held_out["original"])
    agent.asked.clear()
    engine = tb.Engine(journal=None, concurrency=1, retries=5)
    found = run(llm=model, engine=engine, budget=tb.Budget(calls=limit)).record
    assert model.calls == 1
    assert found.usage.calls == len(agent.asked) + 1 <= limit
    assert "model calls is spent" in found.stopped


def test_a_refusal_of_the_optimizers_model_is_final(run, failing):
    error = RuntimeError("wrong key")
    error.status_code = 401
    model = failing(error)
    assert "wrong key" in run(llm=model).record.stopped
    assert model.calls == 1


def test_an_agent_whose_account_is_empty_is_not_run_again(run, agent):
    class Empty(type(agent)):
        def forward(self, x):
            with tb.model_call("empty"):
                self.asked.append(x)
                error = RuntimeError("429")
                error.status_code, error.body = 429, {"code": "insufficient_quota"}
                raise error

    empty = Empty()
    with pytest.raises(tb.ModelUnavailableError, match="failed once on.*add credit.*run again"):
        run(agent=empty, engine=tb.Engine(concurrency=1))
    assert len(empty.asked) == 1


def test_it_runs_inside_an_event_loop_and_as_a_coroutine(run, agent, data, metric, teacher):
    async def main():
        inside = run()
        awaited = await tb.optimize_async(
            agent, data, metric, optimizer="optoprime", llm=teacher, progress=False,
            engine=tb.Engine(concurrency=4),
        )  # fmt: skip
        return inside, awaited

    inside, awaited = asyncio.run(main())
    assert inside.best.state == awaited.best.state
    assert awaited.record.session.calls == 0


def test_cancelling_returns_the_best_so_far(agent, data, metric, teacher):
    async def main():
        task = asyncio.current_task()

        def cancel(progress):
            if progress.stage.startswith("step 1") and progress.evaluations > 30:
                task.cancel()

        return await tb.optimize_async(
            agent, data, metric, optimizer="optoprime", llm=teacher, progress=cancel
        )

    found = asyncio.run(main())
    assert found.verdict == "no reliable gain"
    assert "interrupted" in str(found.verdict)
    assert found.trials[0].fate == "original"


def test_async_agents_and_metrics(data):
    class Later(tb.Module):
        def __init__(self):
            self.prompt = tb.node("repeat the number", trainable=True)

        async def forward(self, x):
            await asyncio.sleep(0)
            return await later(self.prompt, x)

    @tb.bundle
    async def later(prompt, x):
        await asyncio.sleep(0)
        return 2 * x if "double" in prompt else x

    async def metric(example, output):
        await asyncio.sleep(0)
        return (1.0, "") if output == example["y"] else (0.0, "should be doubled")

    def model(messages):
        return '<variable name="self:prompt">double the number</variable>'

    found = tb.optimize(Later(), data, metric, optimizer="optoprime", llm=model, progress=False)
    assert found.verdict == "better"


def test_repeats_are_averaged_and_counted(run, agent):
    found = run(engine=tb.Engine(concurrency=4, repeats=2), budget=tb.Budget(evaluations=300))
    assert found.verdict == "better"
    assert found.record.usage.calls == len(agent.asked) + 1
    assert len(agent.asked) == found.record.evaluations


def test_baselines_are_measured_beside(run):
    found = run(baselines={"shout": {"self:prompt": "REPEAT"}, "double": {"self:prompt": "double"}})
    assert [(b.name, b.score) for b in found.record.baselines] == [("shout", 0.0), ("double", 1.0)]
    with pytest.raises(LookupError, match="'odd' sets self:other"):
        run(baselines={"odd": {"self:other": "x"}})


def test_plugins_of_a_run_see_it_and_may_veto(run):
    class Tracker:
        def __init__(self):
            self.fates = []

        @tb.hookimpl
        def trial_finished(self, trial):
            self.fates.append(trial.fate)

        @tb.hookimpl
        def proposal_made(self, proposal):
            return tb.Proposal((), "vetoed", proposal.optimizer)

    tracker = Tracker()
    found = run(plugins=[tracker])
    assert found.verdict == "no reliable gain"
    assert tracker.fates[:2] == ["original", "nothing to try: vetoed"]


def test_what_cannot_be_optimized_is_named():
    with pytest.raises(TypeError, match=r"no plugin can wrap builtins\.int"):
        tb.optimize(3, [1, 2, 3], lambda e, o: 1.0)
    with pytest.raises(ValueError, match="holds nothing that could be trained"):
        tb.optimize(tb.Module(), [1, 2, 3], lambda e, o: 1.0)


def test_wrong_arguments_are_named(run):
    with pytest.raises(
        LookupError, match=r"'\*:code' matches no parameter; there are:\n  self:prompt"
    ):
        run(trainable=["*:code"])
    with pytest.raises(
        LookupError, match="unknown optimizer 'adam'; known: auto, bootstrap, gepa, opro"
    ):
        run(optimizer="adam")
    with pytest.raises(TypeError, match="cannot be called"):
        run(metric=3)
    with pytest.raises(ValueError, match="empty list"):
        run(metric=[])
    with pytest.raises(TypeError, match="is no model"):
        run(llm=3)
    with pytest.raises(ValueError, match="three ways: pass llm=.*need none: bootstrap"):
        run(llm=None)


def test_held_out_examples_that_were_searched_on_are_named(run, data):
    found = run(trainset=data[:30], testset=data[:20])
    assert any("20 of 20 held-out examples were searched on" in w for w in found.record.warnings)


def test_a_function_is_an_agent_too(data, metric):
    prompt = tb.node("repeat the number", trainable=True)

    @tb.bundle
    def reply(prompt, x):
        return 2 * x if "double" in prompt else x

    def agent(x):
        return reply(prompt, x)

    def model(messages):
        return '<variable name="uses/prompt:self">x</variable>'

    found = tb.optimize(agent, data, metric, optimizer="optoprime", llm=model, progress=False)
    assert list(found.original.values()) == ["repeat the number"]


def test_training_examples_that_equal_validation_examples_are_learnt_from(agent, metric, teacher):
    again = [{"x": i, "y": 2 * i} for i in (1, 2, 3)] * 15
    run = tb.optimize(agent, again, metric, llm=teacher, optimizer="optoprime", progress=False)
    assert run.verdict == "better"


class Eight(tb.Optimizer):
    """Proposes the words 0 to 7 (or ``word`` eight times), which race at once."""

    name = "eight"

    def __init__(self, word=None):
        super().__init__()
        self.word = word

    def plan(self, history):
        return tb.StepPlan(self.name, minibatch=1, proposals=8, gated=False)

    async def propose(self, subgraphs, parameters, history, n=1):
        [prompt] = parameters
        words = [str(i) if self.word is None else self.word for i in range(n)]
        return [tb.Proposal((tb.judge_change(prompt, word),), "", self.name) for word in words]


@tb.bundle
def said(prompt, x, asked):
    with tb.model_call("pretended"):
        asked(prompt, x)
    return prompt


class Sayer(tb.Module):
    """Says its prompt; ``asked`` is told of each model call."""

    def __init__(self, asked):
        self.prompt = tb.node("original", trainable=True)
        self.asked = asked

    def forward(self, x):
        return said(self.prompt, x, self.asked)


def race(asked, optimizer):
    """Eight candidates on twelve validation rows: four of them in the first round."""
    return tb.optimize(
        Sayer(asked), [{"x": 0}], lambda example, output: float(output == "5"),
        valset=[{"x": i} for i in range(1, 13)], testset=[{"x": i} for i in range(20, 30)],
        optimizer=optimizer, progress=False, engine=tb.Engine(concurrency=32, patience=1),
    )  # fmt: skip


def test_candidates_of_a_step_run_beside_each_other():
    barrier = threading.Barrier(32)

    def asked(prompt, x):
        if prompt != "original" and x in range(1, 5):
            barrier.wait(30)  # fails, and the candidate with it, if fewer come

    found = race(asked, Eight())
    assert found.verdict == "better"
    assert found.best.state == {"self:prompt": "5"}
    fates = [trial.fate for trial in found.trials]
    assert fates[6] == "accepted"
    assert fates.count("left behind in the race") == 6


def test_equal_candidates_are_paid_once():
    calls = []
    found = race(lambda prompt, x: calls.append((prompt, x)), Eight("equal"))
    assert len(found.trials) == 9
    assert len(calls) == len(set(calls)) == found.record.usage.calls


class Slow(tb.Module):
    """An agent that never answers some questions."""

    def __init__(self):
        self.prompt = tb.node("p", trainable=True, name="prompt")
        self.started = asyncio.Event()

    async def forward(self, question):
        if question:
            self.started.set()
        await asyncio.sleep(0 if question == 0 else 3600)
        return f"{self.prompt.data} {question}"


async def test_a_cancelled_run_ends_at_once_and_keeps_what_was_finished(tmp_path):
    agent, path = Slow(), tmp_path / "journal.sqlite"
    work = asyncio.ensure_future(
        tb.optimize_async(
            agent, [{"question": n} for n in range(12)], lambda example, output: 1.0,
            valset=[{"question": n} for n in range(3)], testset=[{"question": 5}],
            llm=lambda messages: "", optimizer="opro", progress=False,
            engine=tb.Engine(journal=path, concurrency=2),
        )
    )  # fmt: skip
    await asyncio.wait_for(agent.started.wait(), 30)
    work.cancel()
    started = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert time.monotonic() - started < 10
    with contextlib.closing(sqlite3.connect(path)) as journal:
        (kept,) = journal.execute("select count(*) from evaluations").fetchone()
    assert kept <= 1  # nothing that was given up


def test_a_time_limit_is_positive():
    with pytest.raises(ValueError, match="more than 0 seconds, or None"):
        tb.Engine(timeout=0)


def test_retries_may_be_none_but_not_fewer():
    with pytest.raises(ValueError, match=r"Engine\(retries=-1\): must be at least 0"):
        tb.Engine(retries=-1)
