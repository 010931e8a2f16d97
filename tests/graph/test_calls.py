"""Calls that end later or bit by bit, and what the forward of a Module reads."""

import asyncio
import contextvars
import itertools
import threading

import pytest

from trace_bridge.graph import (
    Evidence,
    ExecutionError,
    Module,
    Node,
    Parameter,
    bundle,
    no_trace,
    node,
)


def reached(made):
    return set(made.backward("x").parameters)


# ------------------------------------------------------------------ streams


@bundle
def counted(text, upto):
    """Text by text."""
    for number in range(upto):
        yield f"{text}{number}"
    return "the end"


def test_the_items_of_a_generator_are_nodes_that_come_one_by_one():
    p = node("chunk", trainable=True)
    seen = []

    @bundle
    def chunks(text):
        for number in range(3):
            seen.append(number)
            yield f"{text}{number}"

    stream = chunks(p)
    assert seen == []  # nothing runs before it is asked for
    first = next(stream)
    assert (first.data, first.op, first.labels) == ("chunk0", "chunks", ("text",))
    assert seen == [0]
    assert [item.data for item in stream] == ["chunk1", "chunk2"]
    assert reached(first) == {p}


def test_what_a_generator_returns_is_a_node_too():
    p = node("x", trainable=True)

    def outer():
        return (yield from counted(p, 2))

    stream = outer()
    assert [next(stream).data, next(stream).data] == ["x0", "x1"]
    with pytest.raises(StopIteration) as stopped:
        next(stream)
    assert stopped.value.value.data == "the end"
    assert reached(stopped.value.value) == {p}


def test_reads_of_a_generator_belong_to_the_items_that_come_after_them():
    p, q, r = (node(name, trainable=True) for name in "pqr")

    @bundle
    def items():
        yield p.data
        yield q.data

    stream = items()
    first = next(stream)
    assert r.data == "r"  # the consumer's own read, in between
    second = next(stream)
    assert reached(first) == {p}
    assert reached(second) == {p, q}


def test_what_is_sent_into_a_generator_is_a_parent_of_what_comes_out():
    p = node(5, trainable=True)

    @bundle
    def echo():
        got = yield 0
        while True:
            got = yield got + 1

    stream = echo()
    assert next(stream).data == 0
    answer = stream.send(p)
    assert answer.data == 6
    assert reached(answer) == {p}


def test_errors_go_into_a_generator_and_come_out_of_it():
    p = node("key", trainable=True)
    closed = []

    @bundle
    def careful(key):
        try:
            yield key
        except KeyError:
            yield "handled"
        finally:
            closed.append(key)
        yield {}[key]

    stream = careful(p)
    assert next(stream).data == "key"
    assert stream.throw(KeyError("thrown in")).data == "handled"
    with pytest.raises(KeyError) as caught:
        next(stream)
    assert isinstance(caught.value, ExecutionError)
    assert "yield {}[key]  # <-- KeyError" in caught.value.node.data
    assert reached(caught.value.node) == {p}
    assert closed == ["key"]


def test_what_a_generator_does_when_it_is_closed_is_part_of_the_call():
    p, seen = node("p", trainable=True), []

    @bundle
    def items():
        try:
            yield 1
        finally:
            seen.append(f"{p}")  # would warn outside
            raise KeyError(seen[0])

    stream = items()
    next(stream)
    with pytest.raises(KeyError) as caught:
        stream.close()
    assert reached(caught.value.node) == {p}


async def test_also_if_it_is_asynchronous():
    p, seen = node("p", trainable=True), []

    @bundle
    async def items():
        try:
            yield 1
        finally:
            seen.append(f"{p}")
            raise KeyError(seen[0])

    @bundle
    async def waiting():
        try:
            await asyncio.sleep(0)
        finally:
            seen.append(f"{p}")

    stream, call = items(), waiting()
    await anext(stream)
    with pytest.raises(KeyError) as caught:
        await stream.aclose()
    assert reached(caught.value.node) == {p}
    call.send(None)
    call.close()
    assert seen == ["p", "p"]


async def test_a_stream_may_be_closed_after_what_it_streams():
    async def items():
        yield 1

    source = items()
    stream = bundle(lambda: source)()
    assert (await anext(stream)).data == 1
    await source.aclose()
    await stream.aclose()


def test_a_generator_can_be_closed():
    closed = []

    @bundle
    def items():
        try:
            yield 1
        finally:
            closed.append(True)

    stream = items()
    next(stream)
    stream.close()
    assert closed == [True]


async def test_the_items_of_an_asynchronous_generator_are_nodes():
    p, q = node("chunk", trainable=True), node("q", trainable=True)

    @bundle
    async def chunks(text):
        got = None
        for number in range(2):
            await asyncio.sleep(0)
            got = yield f"{text}{number}{got or ''}"
        try:
            yield q.data
        except KeyError:
            yield "handled"
        raise ValueError("no more")

    stream = chunks(p)
    first = await anext(stream)
    assert first.data == "chunk0"
    second = await stream.asend(q)
    assert second.data == "chunk1q"
    assert (reached(first), reached(second)) == ({p}, {p, q})
    assert (await anext(stream)).data == "q"
    assert (await stream.athrow(KeyError("in"))).data == "handled"
    with pytest.raises(ValueError, match="no more") as caught:
        await anext(stream)
    assert reached(caught.value.node) == {p, q}


async def test_an_asynchronous_generator_ends_and_can_be_closed():
    closed = []

    @bundle
    async def items():
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    assert [item.data async for item in items()] == [1, 2]
    stream = items()
    await anext(stream)
    await stream.aclose()
    assert closed == [True, True]


async def test_concurrent_streams_do_not_see_each_others_reads():
    parameters = [node(number, trainable=True) for number in range(8)]

    @bundle
    async def numbers(which):
        for _ in range(5):
            await asyncio.sleep(0)
            yield parameters[which].data

    async def consumed(which):
        return [item async for item in numbers(which)]

    for which, items in enumerate(await asyncio.gather(*map(consumed, range(8)))):
        assert all(reached(item) == {parameters[which]} for item in items)


async def test_an_awaitable_that_a_plain_function_returns_is_awaited_in_its_scope():
    p = node("p", trainable=True)

    async def later():
        await asyncio.sleep(0)
        return p.data

    made = await bundle(lambda: later())()  # noqa: PLW0108 (a plain function, on purpose)
    assert isinstance(made, Node)
    assert reached(made) == {p}


# ------------------------------------------------------------------ forward


@bundle
def ask(prompt, temperature=0):
    """A model."""
    return f"answer to {prompt}"


class Agent(Module):
    def __init__(self, prompt="Be brief.", strict=True):
        self.prompt = node(prompt, trainable=True)
        self.strict = node(strict, trainable=True)


def test_a_prompt_in_an_fstring_is_a_parent_of_the_call_that_it_went_into():
    class Asking(Agent):
        def forward(self, question):
            return ask(f"{self.prompt} {question}")

    agent = Asking()
    made = agent("Why?")
    assert made.op == "ask"
    assert [(edge.node, edge.evidence) for edge in made.edges][1:] == [
        (agent.prompt, Evidence.TEXT)
    ]
    assert reached(made) == {agent.prompt}


def test_also_inside_messages():
    class Asking(Agent):
        def forward(self, question):
            messages = [{"role": "system", "content": (f"{self.prompt}!", question)}]
            messages.append(messages)  # holds itself
            return ask(messages)

    agent = Asking()
    assert agent.prompt in agent("Why?").parents


def test_a_text_that_went_through_other_code_is_a_parent_of_the_result():
    class Asking(Agent):
        def forward(self, question):
            return ask(f"{self.prompt} {question}".upper())

    agent = Asking()
    made = agent("Why?")
    assert made.op == "Asking"
    assert made.data == "answer to BE BRIEF. WHY?"
    assert [(e.node.op, e.label, e.evidence) for e in made.edges] == [
        ("ask", "output", Evidence.ARGUMENT),
        ("parameter", "", Evidence.ARGUMENT),
    ]
    assert reached(made) == {agent.prompt}


def test_a_branch_is_a_parent_of_the_result():
    class Branching(Agent):
        def forward(self, question):
            return ask(question) if self.strict else ask("nothing")

    agent = Branching()
    made = agent("Why?")
    assert made.data == "answer to Why?"
    assert reached(made) == {agent.strict}


def test_a_plain_output_that_depends_on_parameters_is_a_node():
    class Plain(Agent):
        def forward(self, question):
            return f"{self.prompt} {question}"

    agent = Plain()
    made = agent("Why?")
    assert isinstance(made, Node)
    assert made.data == "Be brief. Why?"
    assert reached(made) == {agent.prompt}


def test_an_output_without_reads_is_given_as_it_is():
    class Direct(Agent):
        def forward(self, question):
            return question

    assert Direct()("Why?") == "Why?"
    question = node("Why?")
    assert Direct()(question) is question


def test_an_edge_that_is_there_already_is_not_added():
    class Both(Agent):
        def forward(self, question):
            assert self.prompt.data
            made = ask(self.prompt)
            assert made
            return made

    agent = Both()
    made = agent("Why?")
    assert made.op == "ask"


def test_containers_of_outputs_keep_the_edges_of_their_nodes():
    class Several(Agent):
        def forward(self, question):
            return {"first": ask(self.prompt), "strict": bool(self.strict)}

    agent = Several()
    made = agent("Why?")
    assert made.data == {"first": "answer to Be brief.", "strict": True}
    assert reached(made) == {agent.prompt, agent.strict}


def test_short_texts_are_not_looked_for():
    class Short(Agent):
        def forward(self, question):
            return ask(f"{self.prompt}{question}")

    agent = Short(prompt="a")
    made = agent("banana")
    assert made.op == "Short"  # an "a" may stand anywhere
    assert reached(made) == {agent.prompt}


def test_nested_modules_have_results_of_their_own():
    class Inner(Agent):
        def forward(self, question):
            return f"{self.prompt} {question}".upper()

    class Outer(Module):
        def __init__(self):
            self.inner = Inner()

        def forward(self, question):
            return ask(self.inner(question))

    agent = Outer()
    made = agent("Why?")
    assert made.op == "ask"
    assert made.parents[0].op == "Inner"
    assert reached(made) == {agent.inner.prompt}


def test_inside_an_operator_the_reads_are_the_operators():
    class Inner(Agent):
        def forward(self, question):
            return f"{self.prompt} {question}"

    inner = Inner()

    @bundle
    def around(question):
        found = inner(question)
        assert isinstance(found, str)
        return found.upper()

    assert reached(around("Why?")) == {inner.prompt}


def test_an_error_in_forward_has_a_node():
    class Failing(Agent):
        def forward(self, question):
            return {}[self.prompt.data]

    agent = Failing()
    with pytest.raises(KeyError) as caught:
        agent("Why?")
    assert isinstance(caught.value, ExecutionError)
    assert "return {}[self.prompt.data]  # <-- KeyError" in caught.value.node.data
    assert reached(caught.value.node) == {agent.prompt}


def test_an_error_that_has_a_node_passes():
    @bundle
    def fail(text):
        raise KeyError(text)

    class Failing(Agent):
        def forward(self, question):
            return fail(self.prompt)

    with pytest.raises(KeyError) as caught:
        Failing()("Why?")
    assert caught.value.node.op == "fail"


def test_a_failure_that_forward_handled_is_a_parent_of_the_result():
    @bundle
    def fail(text):
        raise KeyError(text)

    class Careful(Agent):
        def forward(self, question):
            try:
                return fail(self.prompt)
            except KeyError:
                return "fallback"

    agent = Careful()
    made = agent("Why?")
    assert made.data == "fallback"
    assert reached(made) == {agent.prompt}


async def test_asynchronous_forwards_do_not_meet():
    class Waiting(Agent):
        async def forward(self, question):
            text = f"{self.prompt} {question}".upper()
            await asyncio.sleep(0)
            return text + ("!" if self.strict else "")

    agents = [Waiting(prompt=f"prompt {number}") for number in range(20)]
    results = await asyncio.gather(*(agent("x") for agent in agents))
    for agent, made in zip(agents, results, strict=True):
        assert reached(made) == {agent.prompt, agent.strict}


async def test_an_asynchronous_forward_fails_with_a_node():
    class Failing(Agent):
        async def forward(self, question):
            await asyncio.sleep(0)
            return {}[self.prompt.data]

    agent = Failing()
    with pytest.raises(KeyError) as caught:
        await agent("x")
    assert reached(caught.value.node) == {agent.prompt}


def test_a_streaming_forward():
    class Streaming(Agent):
        def forward(self, question):
            yield f"{self.prompt}"
            yield question

    agent = Streaming()
    first, second = agent("Why?")
    assert (first.data, second.data) == ("Be brief.", "Why?")
    assert reached(first) == {agent.prompt}


def test_no_trace_around_a_forward():
    class Plain(Agent):
        def forward(self, question):
            return f"{self.prompt} {question}"

    with no_trace():
        assert Plain()("Why?") == "Be brief. Why?"


def test_reads_in_threads_with_the_context_count():
    class Threaded(Agent):
        def forward(self, question):
            found = []
            context = contextvars.copy_context()
            thread = threading.Thread(target=lambda: context.run(found.append, None))
            thread.start()
            thread.join()
            other = threading.Thread(
                target=contextvars.copy_context().run,
                args=(lambda: found.append(f"{self.prompt}"),),
            )
            other.start()
            other.join()
            return found[-1].upper()

    agent = Threaded()
    assert reached(agent("Why?")) == {agent.prompt}


def test_parameters_of_a_loop_in_forward_are_read_through_operators_only():
    class Chained(Agent):
        def forward(self, start):
            total = start
            for _ in range(3):
                total = self.number * total
            return total

    agent = Chained()
    agent.number = Parameter(2, kind="number")
    made = agent(1)
    assert made.op == "multiply"
    assert made.data == 8


def test_an_argument_may_be_called_self():
    assert bundle(lambda self: self)(self=1).data == 1

    class Selfish(Module):
        def forward(self, /, **named):
            return named["self"]

    assert Selfish()(self=2) == 2


def test_a_call_that_is_closed_from_another_context_ends_quietly():
    @bundle
    async def waiting():
        await asyncio.sleep(0)  # suspends without a loop

    call = waiting()
    call.send(None)
    contextvars.copy_context().run(call.close)


def test_an_object_that_got_out_of_a_call_does_not_keep_its_scope():
    p, kept = node("p", trainable=True), []

    class Answer:
        pass

    @bundle
    def run():
        kept.append(p + "!")
        return Answer()

    run()
    assert not kept[0].home


async def test_a_switch_inside_a_call_stays_while_it_waits():
    p, q = node("p", trainable=True), node("q", trainable=True)

    @bundle
    async def quiet():
        with no_trace():
            await asyncio.sleep(0)
            assert p.data == "p"
        return q.data

    @bundle
    def stream():
        with no_trace():
            yield 1
            assert p.data == "p"
        yield q.data

    assert reached(await quiet()) == {q}
    assert [reached(item) for item in stream()] == [set(), {q}]


def test_what_runs_while_a_call_waits_is_not_its_own():
    p, q = node("p", trainable=True), node("q", trainable=True)

    @bundle
    async def waiting():
        await asyncio.sleep(0)
        return p.data

    call = waiting()
    call.send(None)
    assert q.data == "q"
    with pytest.raises(StopIteration) as ended:
        call.send(None)
    assert reached(ended.value.value) == {p}


def test_a_loop_may_send_results_into_a_call():
    p = node("p", trainable=True)

    class Trap:
        def __await__(self):
            return (yield "wants something")

    @bundle
    async def waiting():
        return p.data + await Trap()

    call = waiting()
    assert call.send(None) == "wants something"
    with pytest.raises(StopIteration) as ended:
        call.send("!")
    assert (ended.value.value.data, reached(ended.value.value)) == ("p!", {p})


@pytest.mark.parametrize(
    "made",
    [
        lambda p: map(lambda number: number + p.data, [1, 2]),  # noqa: C417 (it is the point)
        lambda p: filter(lambda number: number > p.data, [10, 11, 12]),
        lambda p: zip([1, 2], (p.data for _ in range(2)), strict=True),
        lambda p: enumerate(p.data for _ in range(2)),
        lambda p: itertools.starmap(lambda one, other: one + other + p.data, [(1, 2)]),
    ],
)
def test_iterators_that_read_when_they_are_iterated(made):
    class Agent(Module):
        def forward(self):
            return made(p)

    p = node(10, trainable=True)
    expected = list(made(p))
    for run in (bundle(lambda: made(p)), Agent()):
        items = list(run())
        assert [item.data for item in items] == expected
        assert items[-1].backward("x").parameters == (p,)
