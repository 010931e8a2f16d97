"""Overlays, scopes and switches belong to one thread or task."""

import asyncio
import contextvars
import inspect
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_bridge.graph import Module, Parameter, bundle, context, no_trace, node


class Agent(Module):
    def __init__(self):
        self.first = node("first", trainable=True)
        self.second = node("second", trainable=True)

    def values(self):
        return self.first.peek(), self.second.peek()


BASE = ("first", "second")


async def _stack(agent, plan, seen):
    """Enter and leave overlays in a nested way, yielding to the other tasks in between."""
    if not plan:
        return
    before = agent.values()
    state = plan[0]
    try:
        with agent.using(state):
            inside = (state.get("self:first", before[0]), state.get("self:second", before[1]))
            await asyncio.sleep(0)
            assert agent.values() == inside
            await _stack(agent, plan[1:], seen)
            await asyncio.sleep(0)
            assert agent.values() == inside
            seen.append(inside)
            if len(plan) % 2:
                raise KeyError(plan)
    except KeyError:
        pass
    assert agent.values() == before


def _held(agent, state):
    with agent.using(state):
        yield


@given(st.lists(st.integers(0, 3), max_size=20))
def test_generators_leave_in_any_order(toggled):
    agent, open_ = Agent(), {}
    for number in (*toggled, 0, 1, 2, 3):
        if number in open_:
            open_.pop(number).close()
        else:
            open_[number] = _held(agent, {"self:first": f"of {number}"})
            next(open_[number])
        assert agent.values() == (f"of {list(open_)[-1]}" if open_ else "first", "second")
    while open_:
        open_.popitem()[1].close()
    assert agent.values() == BASE


async def test_an_overlay_may_end_in_another_context():
    agent = Agent()

    async def held():
        with agent.using({"self:first": "of another"}):
            yield

    generator = held()
    await asyncio.create_task(anext(generator))
    await generator.aclose()
    assert agent.values() == BASE


_states = st.dictionaries(
    st.sampled_from(["self:first", "self:second"]), st.text("abc", min_size=1), max_size=2
)


@given(st.lists(st.lists(_states, max_size=4), min_size=1, max_size=6))
def test_overlays_of_tasks_never_meet(plans):
    agent, seen = Agent(), []

    async def run():
        await asyncio.gather(*(_stack(agent, plan, seen) for plan in plans))

    asyncio.run(run())
    assert agent.values() == BASE
    assert len(seen) == sum(map(len, plans))


def test_overlays_of_threads_never_meet():
    agent = Agent()
    barrier = threading.Barrier(8)

    def work(number):
        generator = random.Random(number)
        barrier.wait()
        for turn in range(200):
            value = f"{number}/{turn}"
            with agent.using({"self:first": value}):
                if generator.random() < 0.5:
                    with agent.using({"self:second": value}):
                        assert agent.values() == (value, value)
                assert agent.values() == (value, "second")
            assert agent.values() == BASE

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work, number) for number in range(8)]:
            done.result()


def test_an_overlay_ends_with_an_exception():
    agent = Agent()
    with pytest.raises(ZeroDivisionError), agent.using({"self:first": "x"}):
        raise ZeroDivisionError
    assert agent.values() == BASE


def test_a_task_inherits_the_overlay_in_which_it_was_made():
    agent = Agent()

    async def run():
        with agent.using({"self:first": "inherited"}):
            task = asyncio.create_task(_later(agent))
        return await task

    assert asyncio.run(run()) == ("inherited", "second")


async def _later(agent):
    await asyncio.sleep(0)
    return agent.values()


def test_the_overlay_is_keyed_by_the_parameter_and_not_by_its_path():
    ours, theirs = Agent(), Agent()
    with ours.using({"self:first": "x"}):
        assert ours.first.peek() == "x"
        assert theirs.first.peek() == "first"
        with theirs.using({"self:first": "y"}):
            assert (ours.first.peek(), theirs.first.peek()) == ("x", "y")


def test_set_changes_the_base_below_an_overlay():
    agent = Agent()
    with agent.using({"self:first": "overlaid"}):
        agent.first.set("new base")
        assert agent.first.peek() == "overlaid"
        assert agent.first.base == "new base"
    assert agent.first.peek() == "new base"


def test_no_trace_may_be_nested():
    p = node(1, trainable=True)
    with no_trace():
        with no_trace():
            assert (p + 1).parents == ()
        assert (p + 1).parents == ()
    assert (p + 1).parents != ()


def test_no_trace_ends_with_an_exception():
    p = node(1, trainable=True)
    with pytest.raises(KeyError), no_trace():
        raise KeyError
    assert (p + 1).requires_grad


def test_one_no_trace_may_be_entered_again():
    p, silent = node(1, trainable=True), no_trace()
    for _ in range(2):
        with silent, silent:
            assert (p + 1).parents == ()
        assert (p + 1).parents != ()


def test_no_trace_as_a_decorator():
    p = node(1, trainable=True)

    @no_trace()
    def counted(turns):
        """Count."""
        return counted(turns - 1) + p if turns else p + 1

    made = counted(3)
    assert (made.data, made.parents) == (5, ())
    assert (counted.__name__, counted.__doc__) == ("counted", "Count.")
    assert (p + 1).parents != ()


async def test_no_trace_as_a_decorator_of_a_coroutine_function():
    p = node(1, trainable=True)

    @no_trace()
    async def silent(by):
        await asyncio.sleep(0)
        return p + by

    assert inspect.iscoroutinefunction(silent)
    made = await asyncio.gather(*map(silent, range(3)))
    assert [(item.data, item.parents) for item in made] == [(1, ()), (2, ()), (3, ())]
    assert (await asyncio.create_task(silent(1))).parents == (await silent(1)).parents == ()
    assert (p + 1).parents != ()


def test_no_trace_is_no_decorator_of_generators():
    def items():
        yield 1

    async def later():
        yield 1

    for function in (items, later):
        with pytest.raises(TypeError, match=rf"enter it in .*{function.__name__}, between yields"):
            no_trace()(function)


def test_no_trace_holds_in_one_thread_only():
    p = node(1, trainable=True)
    inside, done = threading.Event(), threading.Event()

    def silent():
        with no_trace():
            inside.set()
            assert done.wait(10)

    thread = threading.Thread(target=silent)
    thread.start()
    assert inside.wait(10)
    assert (p + 1).requires_grad
    done.set()
    thread.join()


async def test_no_trace_holds_in_one_task_only():
    p = node(1, trainable=True)

    async def silent():
        with no_trace():
            await asyncio.sleep(0)
            return p + 1

    async def traced():
        await asyncio.sleep(0)
        return p + 1

    made = await asyncio.gather(silent(), traced(), silent(), traced())
    assert [item.requires_grad for item in made] == [False, True, False, True]


def test_scopes_keep_the_order_of_first_reads_and_leave_out_what_was_made_inside():
    a, b = node(1, trainable=True), node(2, trainable=True)
    scope = context.Scope()
    token = context.scope.set(scope)
    try:
        total = b + a
        assert total.data == 3
        assert b.data == 2
    finally:
        context.scope.reset(token)
    assert [id(item) for item in scope] == [id(b), id(a)]


def test_a_scope_survives_threads_that_go_on_reading():
    parameters = [Parameter(f"{number}") for number in range(2000)]
    stop = threading.Event()

    @bundle
    def leaky():
        inherited = contextvars.copy_context()

        def go_on():
            for parameter in parameters:
                assert parameter.data
                if stop.is_set():
                    return

        thread = threading.Thread(target=inherited.run, args=(go_on,))
        thread.start()
        threads.append(thread)
        return "done"

    threads = []
    try:
        for _ in range(20):
            assert leaky().data == "done"
    finally:
        stop.set()
        for thread in threads:
            thread.join()
