import asyncio
import contextvars
from typing import ClassVar

import pytest

from trace_bridge.graph import Feedback, Module, Parameter, bundle, node, subgraph
from trace_bridge.optimizers.base import (
    Change,
    Optimizer,
    Proposal,
    Trial,
    judge_change,
    reached,
    run_sync,
)


class Appending(Optimizer):
    """Proposes the old text with a mark, and notes what it was given."""

    name: ClassVar[str] = "appending"

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.seen = []

    async def propose(self, subgraphs, parameters, history, n=1):
        await asyncio.sleep(0)
        self.seen.append((list(subgraphs), list(parameters), list(history), n))
        blamed = reached(subgraphs, parameters)
        changes = tuple(judge_change(p, f"{p.peek()}!") for p in blamed)
        return [Proposal(changes, "louder", self.name)]


class Silent(Appending):
    async def propose(self, subgraphs, parameters, history, n=1):
        return []


def agent(p, *rest):
    return sum(rest, p + "?")


def test_a_step_sets_what_the_feedback_reached():
    p, q = Parameter("a", "p"), Parameter("b", "q")
    optimizer = Appending([p, q])
    optimizer.zero_feedback()
    graph = optimizer.backward(agent(p), "too quiet")
    proposal = optimizer.step()
    assert (p.base, q.base) == ("a!", "b")
    assert proposal.state == {"p": "a!"}
    assert proposal.changes == (Change("p", "a", "a!"),)
    [(graphs, parameters, history, n)] = optimizer.seen
    assert [id(found) for found in graphs] == [id(graph)]
    assert [id(found) for found in parameters] == [id(p), id(q)]
    assert n == 1
    assert [trial.number for trial in history] == [0]


def test_one_output_that_reached_two_parameters_is_one_subgraph():
    p, q = Parameter("a", "p"), Parameter("b", "q")
    optimizer = Appending([p, q])
    optimizer.backward(agent(p, q), "one")
    optimizer.backward(agent(q, p), "two")
    optimizer.step()
    [(graphs, *_)] = optimizer.seen
    assert [given.text for graph in graphs for _, given in graph.feedback] == ["one", "two"]
    assert (p.base, q.base) == ("a!", "b!")


def test_zero_feedback_forgets():
    p = Parameter("a", "p")
    optimizer = Appending([p])
    optimizer.backward(agent(p), "x")
    optimizer.zero_feedback()
    with pytest.raises(ValueError, match="no feedback has reached any parameter"):
        optimizer.step()
    assert p.base == "a"


def test_steps_build_a_history_of_what_was_tried():
    p = Parameter("a", "p")
    optimizer = Appending([p])
    for score in (0.0, 0.25, 1.0):
        optimizer.zero_feedback()
        optimizer.backward(agent(p), (score, "so"))
        optimizer.step()
    *_, (_, _, history, _) = optimizer.seen
    assert [trial.number for trial in history] == [0, 1, 2]
    assert [trial.state for trial in history] == [{"p": "a"}, {"p": "a!"}, {"p": "a!!"}]
    assert [trial.score for trial in history] == [0.0, 0.25, 1.0]
    # each with the proposal that it came from, as in the training loop
    assert [trial.proposal.optimizer for trial in history] == ["", "appending", "appending"]
    assert history[0].fate == "original"


def test_a_refused_change_is_not_set():
    p = Parameter("a", "p", check=lambda value: "no !" if "!" in value else None)
    optimizer = Appending([p])
    optimizer.backward(agent(p), "x")
    proposal = optimizer.step()
    assert p.base == "a"
    assert proposal.changes == (Change("p", "a", "a!", accepted=False, reason="no !"),)
    assert proposal.state == {}


def test_no_proposal_changes_nothing():
    p = Parameter("a", "p")
    optimizer = Silent([p])
    optimizer.backward(agent(p), "x")
    assert optimizer.step() == Proposal((), optimizer="appending")
    assert p.base == "a"


async def test_a_step_inside_a_running_event_loop():
    p = Parameter("a", "p")
    optimizer = Appending([p])
    optimizer.backward(agent(p), "x")
    optimizer.step()
    assert p.base == "a!"


async def test_run_sync_inherits_the_context():
    variable = contextvars.ContextVar("variable", default=0)

    async def look():
        return variable.get()

    variable.set(7)
    assert run_sync(look()) == 7


@pytest.mark.parametrize("inside", [False, True])
def test_run_sync_passes_exceptions_on(inside):
    async def fail():
        raise KeyError("k")

    async def outer():
        run_sync(fail())

    with pytest.raises(KeyError):
        run_sync(outer() if inside else fail())


def test_a_step_without_parameters():
    with pytest.raises(ValueError, match="Appending has no parameters to step"):
        Appending().step()


def test_two_parameters_of_one_name_are_an_error_at_once():
    with pytest.raises(ValueError, match=r"several parameters are called same: .*name="):
        Appending([Parameter("a", "same"), Parameter("b", "same"), Parameter("c", "other")])


def test_trainable_bundles_go_by_the_name_of_their_function():
    @bundle(trainable=True)
    def one(x):
        return x

    @bundle(trainable=True)
    def two(x):
        return x

    optimizer = Appending([one, two, node("x", trainable=True, name="p")])
    assert [p.name for p in optimizer.parameters] == ["one:code", "two:code", "p"]


def test_modules_of_one_class_inside_another_have_names_of_their_own():
    class Inner(Module):
        def __init__(self):
            self.prompt = node("x", trainable=True)

    class Outer(Module):
        def __init__(self):
            self.a, self.b = Inner(), Inner()
            assert self.a.parameters()
            assert self.b.parameters()

    assert [p.name for p in Appending(Outer().parameters()).parameters] == ["a:prompt", "b:prompt"]


def test_judge_change():
    p = Parameter("a", "p")
    assert judge_change(p, "b") == Change("p", "a", "b")
    assert judge_change(p, "a") == Change("p", "a", "a", False, "is the value that it has")
    assert judge_change(p, 3) == Change("p", "a", 3, False, "must be text, not int")


@pytest.mark.parametrize(("old", "new"), [(1, True), (True, 1), (0, False), (1, 1.0)])
def test_equal_values_of_another_type_are_another_value(old, new):
    change = judge_change(Parameter(old, "p", kind="value"), new)
    assert change.reason != "is the value that it has"


def test_judge_change_compares_with_the_current_value():
    class Agent(Module):
        def __init__(self):
            self.p = Parameter("a")

    module = Agent()
    with module.using({"self:p": "b"}):
        assert not judge_change(module.p, "b").accepted
        assert judge_change(module.p, "a") == Change("self:p", "b", "a")


def test_reached_keeps_the_order_of_the_parameters():
    p, q, r = Parameter("a", "p"), Parameter("b", "q"), Parameter("c", "r")
    graph = subgraph({agent(r, p): Feedback("x")})
    assert [item.name for item in reached([graph], [p, q, r])] == ["p", "r"]


def test_randomness_depends_on_seed_and_history_alone():
    history = [Trial(0, {}, {}, "original")]
    draws = [
        Appending(seed=seed).random(so_far).random() for seed in (0, 1) for so_far in ([], history)
    ]
    assert len(set(draws)) == 4
    assert Appending(seed=1).random(history).random() == draws[3]


def test_the_score_of_a_trial():
    assert Trial(0, {}, {}, "original").score is None
    assert Trial(0, {}, {3: 0.0, 5: 1.0}, "original").score == 0.5


def test_the_plan_of_an_optimizer_that_says_nothing():
    plan = Appending().plan([])
    assert (plan.optimizer, plan.minibatch, plan.proposals, plan.gated) == ("appending", 6, 1, True)
    assert Appending().settings() == {"optimizer": "appending", "seed": 0, "model": None}


class Fixed(Optimizer):
    """Proposes one number after the other."""

    name = "fixed"

    def __init__(self, parameters, interrupt=()):
        super().__init__(parameters)
        self.seen, self.interrupt, self.ended = [], interrupt, False

    async def propose(self, subgraphs, parameters, history, n=1):
        self.seen.append([trial.number for trial in history])
        if len(self.seen) in self.interrupt:
            try:
                asyncio.get_running_loop().call_soon(_interrupt)
                await asyncio.sleep(60)
            finally:
                self.ended = True
        [parameter] = parameters
        return [Proposal((Change(parameter.name, parameter.base, parameter.base + 1),))]


def _interrupt():
    raise KeyboardInterrupt


def _step(optimizer, score):
    [parameter] = optimizer.parameters
    optimizer.zero_feedback()
    optimizer.backward(parameter + 1, score)
    return optimizer.step()


def test_a_loop_of_steps_remembers_the_best_and_the_latest_trials():
    optimizer = Fixed([node(0, trainable=True, name="p")])
    for number in range(60):
        _step(optimizer, 1.0 if number == 3 else 0.1)
    assert len(optimizer.seen[-1]) == 21  # with the trial of the step itself
    assert 3 in optimizer.seen[-1]
    assert optimizer.seen[-1][-5:] == [55, 56, 57, 58, 59]


def test_an_interrupted_step_ends_its_work_and_can_be_repeated():
    optimizer = Fixed([node(0, trainable=True, name="p")], interrupt=[2])
    _step(optimizer, 0.0)
    with pytest.raises(KeyboardInterrupt):
        _step(optimizer, 0.0)
    assert optimizer.ended
    assert optimizer.parameters[0].base == 1
    _step(optimizer, 0.0)
    assert optimizer.parameters[0].base == 2


class Leaving(Fixed):
    """Starts what nobody awaits, as LiteLLM does for its logging."""

    async def propose(self, subgraphs, parameters, history, n=1):
        self.left = asyncio.create_task(asyncio.sleep(60))
        await asyncio.sleep(0)
        return await super().propose(subgraphs, parameters, history, n)


def test_no_step_leaves_a_task_behind():
    optimizer = Leaving([node(0, trainable=True, name="p")])
    for _ in range(2):
        _step(optimizer, 0.0)
        assert optimizer.left.cancelled()
    assert optimizer.parameters[0].base == 2


def test_each_step_of_a_long_loop_draws_anew():
    drawn = []

    class Drawing(Appending):
        async def propose(self, subgraphs, parameters, history, n=1):
            drawn.append(self.random(history).random())
            return []

    p = Parameter("a", "p")
    optimizer = Drawing([p])
    optimizer.backward(agent(p), 0.5)
    for _ in range(30):
        optimizer.step()
    assert len(set(drawn)) == 30
