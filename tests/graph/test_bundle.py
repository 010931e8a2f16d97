import asyncio
import contextvars
import copy
import dataclasses
import functools
import gc
import inspect
import pickle
import sys
import threading
import types
import typing
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from trace_bridge.graph import (
    Evidence,
    ExecutionError,
    Node,
    Parameter,
    bundle,
    no_trace,
    node,
)


def reached(output):
    return output.backward("x").parameters


# ------------------------------------------------------------------ what a call records


@bundle
def joined(left, right="r", *rest, sep="-", **more):
    """Join them."""
    return sep.join(map(str, [left, right, *rest, *more.values()]))


def test_a_call_becomes_a_node_with_labelled_arguments():
    p = node("l", trainable=True)
    made = joined(p, "R", "x", node("y"), sep="+", extra=1)
    assert made.peek() == "l+R+x+y+1"
    assert made.op == "joined"
    assert made.description == "Join them."
    assert [(edge.label, edge.node.peek(), edge.evidence) for edge in made.edges] == [
        ("left", "l", Evidence.ARGUMENT),
        ("right", "R", Evidence.ARGUMENT),
        ("rest_0", "x", Evidence.ARGUMENT),
        ("rest_1", "y", Evidence.ARGUMENT),
        ("sep", "+", Evidence.ARGUMENT),
        ("extra", 1, Evidence.ARGUMENT),
    ]


def test_with_and_without_parentheses():
    assert bundle(len)([1, 2]).peek() == 2
    assert bundle()(len)([1, 2]).peek() == 2
    assert bundle(description="its length")(len)([]).description == "its length"


def test_the_function_sees_plain_data_at_any_depth():
    seen = []

    @bundle
    def look(value):
        seen.append(value)

    look([node(1), {"a": (node(2), {node(3)})}, node([node(4)])])
    assert seen == [[1, {"a": (2, {3})}, [4]]]


def test_containers_without_nodes_arrive_as_they_are():
    @bundle
    def fill(log, deep):
        log.append(1)
        return deep

    log, deep = [], {"a": [1]}
    assert fill(log, deep).peek() is deep
    assert log == [1]


def test_a_call_without_parameters_keeps_no_parents():
    assert joined(node("a"), "b").parents == ()


def test_a_returned_node_keeps_its_graph():
    p = node(1, trainable=True)

    @bundle
    def outer():
        return p + 1

    assert outer().peek() == 2
    assert reached(outer()) == (p,)


@pytest.mark.parametrize(
    "function",
    [functools.partial(max, 1), lambda value: max(1, value), type("Call", (), {"__call__": max})()],
    ids=["partial", "lambda", "object"],
)
def test_whatever_can_be_called_can_be_bundled(function):
    if not isinstance(function, functools.partial) and not inspect.isfunction(function):
        function = type("Larger", (), {"__call__": lambda self, value: max(1, value)})()
    p = node(2, trainable=True)
    made = bundle(function)(p)
    assert made.peek() == 2
    assert made.op in ("max", "<lambda>", "Larger")
    assert reached(made) == (p,)


# ------------------------------------------------------------------ looks like the function


@bundle(trainable=True)
def shown(a: int, b: str = "x") -> str:
    """What it does."""
    return b * a


@bundle
async def waiting(value):
    await asyncio.sleep(0)
    return value


def test_name_doc_and_signature():
    assert shown.__name__ == "shown"
    assert shown.__doc__ == "What it does."
    assert str(inspect.signature(shown)) in (
        "(a: int, b: str = 'x') -> str",
        "(a: 'int', b: 'str' = 'x') -> 'str'",
    )
    assert inspect.unwrap(shown) is shown.function


def test_a_bound_method_shows_no_self():
    agent = Agent("a")
    assert list(inspect.signature(agent.say).parameters) == ["text"]
    assert list(inspect.signature(agent.later).parameters) == ["text"]


def test_coroutine_functions_stay_coroutine_functions():
    assert inspect.iscoroutinefunction(waiting)
    assert inspect.iscoroutinefunction(Agent("a").later)
    assert not inspect.iscoroutinefunction(shown)
    assert not inspect.iscoroutinefunction(Agent("a").say)


# ------------------------------------------------------------------ reads inside a call


def read_by_operator(p):
    return "x" + p


def read_by_fstring(p):
    return f"x{p}"


def read_by_data(p):
    return p.data


def read_in_branch(p):
    return "yes" if p else "no"


def read_by_length(p):
    return len(p)


def read_by_iteration(p):
    return [str(item) for item in p]


def read_by_method(p):
    return p.upper()


def read_in_list(p):
    return [{"content": p}]


def read_by_inner_bundle(p):
    return joined(p, "r").data


def read_by_unused_result_of_inner_bundle(p):
    return "yes" if joined("l", p) == "l-x" else "no"


READERS = [value for name, value in list(globals().items()) if name.startswith("read_")]


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
def test_reads_of_a_closure_make_the_parameter_a_parent(reader):
    p = node("secret", trainable=True)

    @bundle
    def outer():
        return reader(p)

    assert p in set(reached(outer()))


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
def test_reads_in_a_thread_with_the_context_count(reader):
    p = node("secret", trainable=True)

    @bundle
    def outer():
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(contextvars.copy_context().run, reader, p).result()

    assert p in set(reached(outer()))


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
async def test_reads_in_subtasks_count(reader):
    p = node("secret", trainable=True)

    async def sub():
        await asyncio.sleep(0)
        return reader(p)

    @bundle
    async def outer():
        return await asyncio.gather(sub(), asyncio.to_thread(reader, p))

    assert p in set(reached(await outer()))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda p: [p],
        lambda p: (1, [p]),
        lambda p: {"role": {"content": p}},
        lambda p: [{"role": "system", "content": p}],
        lambda p: {p},
        lambda p: type("Box", (), {"inner": p})(),
    ],
)
def test_nodes_inside_arguments_are_parents(wrap):
    p = node("x", trainable=True)

    @bundle
    def use(value):
        if hasattr(value, "inner"):
            return str(value.inner)
        return repr(value)

    assert reached(use(wrap(p))) == (p,)


def test_reads_of_plain_nodes_are_weak_and_reads_of_parameters_are_not():
    p, x = node(1, trainable=True), node(1, trainable=True) + 1

    @bundle
    def outer():
        return p.data + x.data

    assert {edge.evidence for edge in outer().edges if edge.node is p} == {Evidence.ARGUMENT}
    assert {edge.evidence for edge in outer().edges if edge.node is x} == {Evidence.READ}


def test_a_read_outside_belongs_to_nobody():
    p = node("x", trainable=True)
    text = p.data
    assert joined(text, "y").parents == ()


def test_concurrent_calls_do_not_see_each_others_reads():
    parameters = [node(str(number), trainable=True, name=str(number)) for number in range(64)]

    @bundle
    def use(number):
        return parameters[number].data

    with ThreadPoolExecutor(8) as pool:
        for p, made in zip(parameters, pool.map(use, range(64)), strict=True):
            assert reached(made) == (p,)


async def test_concurrent_tasks_do_not_see_each_others_reads():
    parameters = [node(str(number), trainable=True, name=str(number)) for number in range(32)]

    @bundle
    async def use(number):
        await asyncio.sleep(0)
        text = parameters[number].data
        await asyncio.sleep(0)
        return text

    made = await asyncio.gather(*map(use, range(32)))
    assert [reached(item) for item in made] == [(p,) for p in parameters]
    assert [[edge.label for edge in item.edges] for item in made] == [["number", ""]] * 32
    assert [item.edges[0].node.peek() for item in made] == list(range(32))


def test_no_trace_inside_and_outside():
    p = node("x", trainable=True)
    with no_trace():
        assert joined(p).parents == ()

    @bundle
    def outer(value):
        with no_trace():
            return value + "y"

    assert reached(outer(p)) == (p,)


# ------------------------------------------------------------------ errors


@bundle
def lookup(table, key):
    return table[key]


def test_the_users_own_except_still_works_and_the_cause_is_chained():
    p = node("missing", trainable=True)
    with pytest.raises(KeyError) as caught:
        lookup({}, p)
    error = caught.value
    assert isinstance(error, ExecutionError)
    assert error.args == ("missing",)
    assert type(error.__cause__) is KeyError
    assert error.node.peek() == (
        "(KeyError) 'missing'\ndef lookup(table, key):\n    return table[key]  # <-- KeyError"
    )
    assert error.node.op == "lookup"
    assert reached(error.node) == (p,)


class Odd(Exception):
    def __init__(self, *, code, detail):
        super().__init__()
        self.code, self.detail = code, detail

    def __str__(self):
        return f"{self.code}: {self.detail}"


class OddNew(Exception):
    def __new__(cls, *, code):
        made = super().__new__(cls)
        made.code = code
        return made

    def __init__(self, *, code):
        super().__init__(f"code {code}")


class Slotted(Exception):
    __slots__ = ("inner",)

    def __init__(self, inner):
        super().__init__("slotted")
        self.inner = inner


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    code: int


class Final(Exception):
    def __init_subclass__(cls):
        raise RuntimeError("is final")


class WithNode(Exception):
    @property
    def node(self):
        return 5


def provoke(expression):
    try:
        eval(expression)  # noqa: S307 (the errors that Python itself raises)
    except Exception as error:  # noqa: BLE001
        return error
    raise AssertionError(expression)


ERRORS = [
    ValueError(),
    KeyError("k"),
    Odd(code=7, detail="odd"),
    OddNew(code=7),
    Slotted([1]),
    Frozen(7),
    Final("f"),
    FileNotFoundError(2, "No such file", "/nowhere"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    StopIteration(5),
    ImportError("no", name="nothing", path="/nowhere"),
    ExceptionGroup("several", [ValueError("one"), KeyError("two")]),
    provoke("1/0"),
    provoke("(1).nothing"),
    provoke("b'\\xff'.decode()"),
    provoke("compile('a b', 'file', 'exec')"),
    provoke("open('/nowhere/at/all')"),
    provoke("nothing_of_that_name"),
]


def state(error):
    public = [name for name in dir(error) if not name.startswith("_")]
    return {
        name: getattr(error, name)
        for name in public
        if hasattr(error, name) and (name == "original" or not callable(getattr(error, name)))
    }


@pytest.mark.parametrize("original", ERRORS, ids=lambda error: type(error).__name__)
def test_the_raised_error_is_like_the_original(original):
    @bundle
    def fail():
        raise original

    with pytest.raises(type(original)) as caught:
        fail()
    raised = caught.value
    assert isinstance(raised, ExecutionError)
    assert raised.__cause__ is original
    assert str(raised) == str(original)
    assert raised.args == original.args
    assert state(raised) == state(original) | {"original": type(original)}
    assert raised.node.peek() == (
        f"({type(original).__name__}) {original}\ndef fail():\n"
        f"    raise original  # <-- {type(original).__name__}"
    )


def test_an_error_of_a_class_with_a_node_of_its_own_has_ours():
    @bundle
    def fail():
        raise WithNode

    with pytest.raises(WithNode) as caught:
        fail()
    assert caught.value.node.op == "fail"


def test_an_error_of_a_frozen_attrs_class():
    attrs = pytest.importorskip("attrs")
    error = attrs.make_class("Error", ["code"], bases=(Exception,), frozen=True)

    @bundle
    def fail():
        raise error(7)

    with pytest.raises(error) as caught:
        fail()
    assert (caught.value.code, caught.value.node.op) == (7, "fail")


def test_an_error_that_fails_to_give_its_text_is_still_caught():
    class Speechless(Exception):
        def __str__(self):
            return self.args[0]  # no text

    @bundle
    def fail():
        raise Speechless(7)

    with pytest.raises(Speechless) as caught:
        fail()
    assert caught.value.node.peek().startswith("(Speechless) <no message: TypeError in its __str__")


def test_groups_can_still_be_split():
    @bundle
    def fail():
        raise ExceptionGroup("several", [ValueError("one"), KeyError("two")])

    caught = []
    try:
        fail()
    except* ValueError as group:
        caught += group.exceptions
    except* KeyError as group:
        caught += group.exceptions
    assert [type(error) for error in caught] == [ValueError, KeyError]


def test_an_error_of_a_final_class_keeps_its_message():
    pydantic = pytest.importorskip("pydantic")
    model = pydantic.create_model("Answer", number=(int, ...))

    @bundle
    def validate():
        return model(number="x")

    with pytest.raises(ValueError, match="Input should be a valid integer") as caught:
        validate()
    assert isinstance(caught.value, ExecutionError)
    assert isinstance(caught.value.__cause__, pydantic.ValidationError)
    assert caught.value.node.peek().startswith("(ValidationError) 1 validation error")


def test_what_is_no_exception_passes_untouched():
    @bundle
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        interrupt()
    assert not isinstance(caught.value, ExecutionError)


async def test_cancellation_passes_untouched():
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await bundle(asyncio.sleep)(10)


async def test_errors_of_coroutines():
    p = node("k", trainable=True)

    @bundle
    async def fail(key):
        await asyncio.sleep(0)
        return {}[key]

    with pytest.raises(KeyError) as caught:
        await fail(p)
    assert reached(caught.value.node) == (p,)


def test_a_failure_of_an_inner_call_reaches_the_parameters_of_both():
    p, q = node("k", trainable=True), node("q", trainable=True)

    @bundle
    def outer():
        assert q.data
        return lookup({}, p)

    with pytest.raises(KeyError) as caught:
        outer()
    assert set(reached(caught.value.node)) == {p, q}
    assert caught.value.node.peek().startswith("(KeyError) 'k'\ndef outer():\n")
    assert "    return lookup({}, p)  # <-- KeyError" in caught.value.node.peek()


def test_a_failure_that_was_handled_inside_is_a_dependency_too():
    p = node("k", trainable=True)

    @bundle
    def outer():
        try:
            return lookup({}, p)
        except KeyError:
            return "fallback"

    made = outer()
    assert made.peek() == "fallback"
    assert reached(made) == (p,)


async def test_a_handled_failure_of_a_coroutine_is_a_dependency_too():
    p = node("k", trainable=True)

    @bundle
    async def fail(key):
        return {}[key]

    @bundle
    async def outer():
        try:
            return await fail(p)
        except KeyError:
            return "fallback"

    assert reached(await outer()) == (p,)


def test_wrong_arguments_are_an_error_of_the_call():
    with pytest.raises(TypeError, match="missing 1 required positional argument") as caught:
        lookup({})
    assert isinstance(caught.value, ExecutionError)


# ------------------------------------------------------------------ methods


class Agent:
    def __init__(self, name):
        self.name = name

    @bundle
    def say(self, text):
        return f"{self.name} says {text}"

    @bundle(trainable=True)
    def act(self, text):
        return f"{self.name} does {text}"

    @bundle
    async def later(self, text):
        return f"{self.name} said {text}"

    @bundle(description="same")
    def one(self):
        return 1

    @bundle(description="same")
    def two(self):
        return 2

    @classmethod
    @bundle
    def make(cls, name):
        return cls(name).name

    @staticmethod
    @bundle
    def plain(name):
        return name


class Child(Agent):
    @bundle
    def say(self, text):
        return super().say(text).data.upper()

    @bundle(trainable=True)
    def act(self, text):
        return super().act(text).data.upper()


def test_methods_are_bound_to_their_instance():
    a, b = Agent("a"), Agent("b")
    assert a.say("x").peek() == "a says x"
    assert b.say("x").peek() == "b says x"
    assert a.say("x").peek() == "a says x"
    assert Agent.say(b, "y").peek() == "b says y"
    assert (a.one().peek(), a.two().peek()) == (1, 2)


async def test_asynchronous_methods():
    assert (await Agent("a").later("x")).peek() == "a said x"


def test_class_and_static_methods():
    assert Agent.make("n").peek() == "n"
    assert Agent("a").make("n").peek() == "n"
    assert Agent.plain("n").peek() == "n"
    assert Agent("a").plain("n").peek() == "n"


def test_each_instance_has_its_own_trainable_source():
    a, b = Agent("a"), Agent("b")
    assert a.act is a.act
    assert a.act.parameter is not b.act.parameter
    assert reached(a.act("x")) == (a.act.parameter,)


def test_super_calls_the_method_of_the_parent_and_leaves_ours_in_place():
    child = Child("c")
    for _ in range(2):
        assert child.say("x").peek() == "C SAYS X"
        assert child.act("x").peek() == "C DOES X"
    assert len(reached(child.act("x"))) == 2


def test_a_shallow_copy_is_bound_to_itself():
    a = Agent("a")
    assert a.act("x").peek() == "a does x"
    b = copy.copy(a)
    b.name = "b"
    assert b.act("x").peek() == "b does x"
    assert a.act("x").peek() == "a does x"
    assert b.act.parameter is a.act.parameter  # as any attribute of a shallow copy


def test_a_deep_copy_is_bound_to_itself_with_a_source_of_its_own():
    a = Agent("a")
    assert a.act("x").peek() == "a does x"
    b = copy.deepcopy(a)
    b.name = "b"
    assert b.act("x").peek() == "b does x"
    assert b.act.parameter is not a.act.parameter


def test_instances_without_a_dictionary():
    class Tight:
        __slots__ = ("name",)

        def __init__(self, name):
            self.name = name

        @bundle
        def say(self, text):
            return f"{self.name}: {text}"

    assert Tight("t").say("x").peek() == "t: x"


def test_a_method_added_to_a_class_later():
    class Late:
        name = "late"

    Late.say = bundle(lambda self, text: f"{self.name}: {text}")
    assert Late().say("x").peek() == "late: x"


def test_methods_added_later_do_not_meet():
    class Late:
        pass

    Late.one, Late.two = bundle(lambda self: 1), bundle(lambda self: 2)
    late = Late()
    assert (late.one().data, late.two().data) == (1, 2)
    assert late.one is late.one


def test_a_class_may_be_called_like_the_class_that_it_derives_from():
    def derived(base, text):
        class Agent(base):
            @bundle(trainable=True)
            def say(self):
                return text + super().say().data

        return Agent

    class Last:
        def say(self):
            return node(".")

    agent = derived(derived(derived(Last, "a"), "b"), "c")()
    for _ in range(2):
        assert agent.say().data == "cba."
    assert len(reached(agent.say())) == 3


def test_an_instance_is_freed():
    a = Agent("a")
    assert a.act("x").peek()
    gone = weakref.ref(a)
    del a
    gc.collect()
    assert gone() is None


def test_nothing_is_kept_of_a_call():
    class Big:
        pass

    p, big = node("x", trainable=True), Big()
    gone = weakref.ref(big)
    made = joined(p, big)
    del big
    assert gone() is not None  # the graph shows the argument
    del made
    gc.collect()
    assert gone() is None


def test_results_are_nodes_in_every_case():
    for made in (joined("a"), shown(1), lookup([1], 0)):
        assert isinstance(made, Node)


def test_calls_in_many_threads_bind_one_method_per_instance():
    a = Agent("a")
    barrier = threading.Barrier(8)

    def bind(_):
        barrier.wait()
        return a.act.parameter

    with ThreadPoolExecutor(8) as pool:
        assert len({id(parameter) for parameter in pool.map(bind, range(8))}) == 1


def test_parameters_of_a_function():
    assert joined.parameters() == []
    [parameter] = shown.parameters()
    assert isinstance(parameter, Parameter)
    assert parameter.kind == "code"


# ------------------------------------------------------------------ more of what can be bundled


class Kinds:
    factor = 2

    @bundle
    @staticmethod
    def inner_static(x):
        return x * 2

    @staticmethod
    @bundle
    def outer_static(x):
        return x * 2

    @bundle
    @classmethod
    def inner_class(cls, x):
        return x * cls.factor

    @classmethod
    @bundle
    def outer_class(cls, x):
        return x * cls.factor

    @bundle
    def method(self, x, *more, by=1, **named):
        return x * 2


@pytest.mark.parametrize("name", ["inner_static", "outer_static", "inner_class", "outer_class"])
@pytest.mark.parametrize("owner", [Kinds, Kinds()], ids=["class", "instance"])
def test_static_and_class_methods_whichever_decorator_is_the_outer_one(owner, name):
    p = node(3, trainable=True)
    made = getattr(owner, name)(p)
    assert (made.data, made.labels, made.parents) == (6, ("x",), (p,))


def test_labels_are_the_names_of_the_arguments():
    p = node(3, trainable=True)
    made = Kinds().method(p, 1, 2, by=5, other=6)
    assert made.labels == ("x", "more_0", "more_1", "by", "other")
    assert [parent.data for parent in made.parents] == [3, 1, 2, 5, 6]
    assert bundle(max)(p, 5).labels == ("args_0", "args_1")


@pytest.mark.parametrize("operator", [shown, waiting, lookup, Kinds.method])
def test_pickled_by_reference(operator):
    assert pickle.loads(pickle.dumps(operator)) is operator  # noqa: S301


def test_a_bound_method_is_pickled_with_its_instance():
    kinds = Kinds()
    kinds.factor = 7
    again = pickle.loads(pickle.dumps(kinds.method))  # noqa: S301
    assert again.owner.factor == 7
    assert again(2).data == 4
    assert pickle.loads(pickle.dumps(kinds)).method(2).data == 4  # noqa: S301


class Trained:
    @bundle(trainable=True, unsafe=True)
    def act(self, x):
        return x


def test_a_trained_instance_is_pickled_with_its_source():
    trained, other = Trained(), Trained()
    trained.act.parameter.set("def act(self, x):\n    return x + 1\n")
    for again in pickle.loads(pickle.dumps([trained, trained.act])):  # noqa: S301
        assert getattr(again, "act", again)(1).data == 2
    assert pickle.loads(pickle.dumps(other)).act(1).data == 1  # noqa: S301
    assert other.act(1).data == 1


def test_a_deep_copy_of_a_trainable_function_has_a_source_of_its_own():
    other = copy.deepcopy(shown)
    other.parameter.set("def shown(a: int, b: str = 'x') -> str:\n    return ''\n")
    assert shown.parameter.base != other.parameter.base
    assert copy.copy(shown).parameter is shown.parameter


def test_the_graph_shows_an_argument_as_it_was_when_it_was_passed():
    p = node(3, trainable=True)

    @bundle
    def grow(items, more, by):
        items.append(by)
        more["by"] = by
        return len(items)

    items, more = [1], {}
    made = grow(items, more, by=p)
    assert (items, more) == ([1, 3], {"by": 3})  # the function got the user's own
    assert [parent.data for parent in made.parents] == [[1], {}, 3]


def test_recursion():
    @bundle
    def factorial(n):
        return 1 if n <= 1 else n * factorial(n - 1)

    p = node(5, trainable=True)
    made = factorial(p)
    assert made.data == 120
    assert reached(made) == (p,)


def test_a_partial_looks_like_the_function_that_it_calls():
    async def scaled(by: int, x: int) -> int:
        """Scale."""
        return by * x

    double = functools.partial(scaled, 2)
    operator = bundle(double)
    assert (operator.__name__, operator.__doc__) == ("scaled", "Scale.")
    assert inspect.iscoroutinefunction(operator)
    assert inspect.signature(operator) == inspect.signature(double)
    assert operator.__wrapped__ is double
    assert operator.description == "Scale."


def test_objects_and_classes_have_names():
    class Larger:
        """Take the larger one."""

        def __init__(self, than=1):
            self.than = than

        def __call__(self, value):
            return max(self.than, value)

        def parameters(self):
            return "its own"

    operator = bundle(Larger())
    assert (operator.__name__, operator.__doc__) == ("Larger", "Take the larger one.")
    assert bundle(Larger).parameters() == []
    with pytest.raises(pickle.PicklingError):
        pickle.dumps(operator)


def test_what_an_object_holds_is_what_it_depends_on():
    p = node("x", trainable=True)

    class Answer:
        def __init__(self):
            self.parts = [joined(p, "r")]

    for kind in (Answer, lambda: types.SimpleNamespace(text=p)):
        assert reached(bundle(lambda kind=kind: kind())()) == (p,)


def test_nodes_for_defaults_are_passed_as_if_they_were_given():
    p, q = node("p", trainable=True), node("q", trainable=True)

    @bundle
    def ask(question, prompt=p, *more, tools=[q], last=None):  # noqa: B006 (it is not written to)
        return question, prompt, more, tools, last

    for made, expected, parents, labels in [
        (ask(1), (1, "p", (), ["q"], None), [1, "p", "q"], ("question", "prompt", "tools")),
        (ask(1, p, q), (1, "p", ("q",), ["q"], None), [1, "p", "q", "q"], None),
        (ask(1, tools=[p]), (1, "p", (), ["p"], None), [1, "p", "p"], None),
        (ask(prompt=q, question=1), (1, "q", (), ["q"], None), ["q", 1, "q"], None),
    ]:
        assert made.data == expected
        assert [parent.data for parent in made.parents] == parents
        assert labels in (None, made.labels)
    assert reached(bundle(lambda prompt=p, /: str(prompt))()) == (p,)  # a read

    class Asking:
        @bundle
        def ask(self, prompt=p):
            return prompt

    assert Asking().ask().labels == ("prompt",)


def test_types_stay_visible_to_who_builds_tools():
    assert typing.get_type_hints(shown) == {"a": int, "b": str, "return": str}
    assert inspect.getdoc(shown) == "What it does."
    assert shown.__wrapped__ is shown.function
    assert typing.get_type_hints(shown.__call__) == {"a": int, "b": str, "return": str}
    assert inspect.signature(shown.__call__) == inspect.signature(shown)
    assert shown.__call__(2, b="z").data == "zz"
    with pytest.raises(ValueError, match="signature"):
        inspect.signature(bundle(max))
    kinds = Kinds()
    assert str(inspect.signature(kinds.method.__call__)) == "(x, *more, by=1, **named)"
    assert kinds.method.__call__(2).data == 4
    assert callable(shown)


def test_many_programs_on_many_threads_have_their_own_parents():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(32) as pool:
            wrong = sum(pool.map(_program, range(1000)))
    finally:
        sys.setswitchinterval(interval)
    assert wrong == 0


def _program(number):
    p, q = node(number, trainable=True), node(-number, trainable=True)

    @bundle
    def mixed(x):
        return x + p.data + int(q)

    @bundle
    def other(x):
        return f"{x} of {p}"

    first = mixed(number)
    second = other(first)
    return not (
        set(reached(first)) == {p, q}
        and second.parents == (first, p)
        and second.data == f"{number} of {number}"
        and [parent.data for parent in first.parents] == [number, number, -number]
    )


def test_an_error_gets_to_another_process():
    @bundle
    def looked_up(key):
        if not key:
            raise OSError(2, "is missing", "here")
        return {}[key]

    for key, kind in (("a", KeyError), ("", OSError)):
        with pytest.raises(kind) as caught:
            looked_up(node(key, trainable=True))
        again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301
        assert isinstance(again, kind)
        assert isinstance(again, ExecutionError)
        assert (again.args, str(again)) == (caught.value.args, str(caught.value))
        assert again.node.data == caught.value.node.data
        assert again.original is caught.value.original
