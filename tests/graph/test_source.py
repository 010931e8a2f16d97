"""Trainable bundles: the user's own code in the host, changed code only where it was allowed."""

import ast
import functools
import gc
import importlib.util
import inspect
import linecache
import sys
import traceback

import pytest

from trace_bridge.graph import (
    ExecutionError,
    UnsafeCodeError,
    bundle,
    code_runner,
    context,
    node,
)
from trace_bridge.graph.source import rebuild, revised, signature_refusal, source_of

FACTOR = 2


def scaled(value, by=1):
    """Scale."""
    return value * by * FACTOR


CHANGED = "def scaled(value, by=1):\n    return value * by * FACTOR + 100\n"


def trained(function=scaled, **options):
    return bundle(trainable=True, **options)(function)


def test_unchanged_source_runs_the_users_own_function():
    operator = trained()
    assert operator.implementation() is scaled
    operator.parameter.set(str(operator.parameter.base))
    assert operator.implementation() is scaled
    assert operator(3).peek() == 6


def test_the_source_is_the_def_without_decorators_and_indentation():
    @bundle(
        trainable=True,
    )
    def inner(
        a,
        b=1,
    ):
        # a comment
        return a + b

    assert inner.parameter.base == (
        "def inner(\n    a,\n    b=1,\n):\n    # a comment\n    return a + b\n"
    )
    assert inner.parameter.constraint == "Must define inner(a, b=1)"


def test_a_line_ends_where_python_says(tmp_path):
    file = tmp_path / "separators.py"
    texts = 'if True:\n    def act(x):\n        y = "\x0c \u2028 \x85"\n        return x + y\n'
    file.write_text(texts, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("separators", file)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    operator = bundle(trainable=True, unsafe=True)(made.act)
    assert ast.parse(operator.parameter.base)
    operator.parameter.set(operator.parameter.base.replace("x + y", "y + x"))
    assert (made.act("-"), operator("-").data) == ("-\x0c \u2028 \x85", "\x0c \u2028 \x85-")


def test_the_source_is_a_parent_of_the_result():
    operator = trained()
    assert operator(1).backward("x").parameters == (operator.parameter,)


def test_a_live_closure():
    step = 1

    @bundle(trainable=True, unsafe=True)
    def add(value):
        return value + step

    assert add(1).peek() == 2
    step = 10
    assert add(1).peek() == 11
    add.parameter.set("def add(value):\n    return value + step + 0.5\n")
    assert add(1).peek() == 11.5
    step = 20
    assert add(1).peek() == 21.5


def test_a_changed_source_is_not_run_without_leave():
    operator = trained()
    operator.parameter.set(CHANGED)
    with pytest.raises(UnsafeCodeError, match="unsafe=True") as caught:
        operator(3)
    assert isinstance(caught.value, ExecutionError)
    assert caught.value.node.backward("x").parameters == (operator.parameter,)


def test_a_changed_source_in_an_overlay_is_not_run_without_leave():
    operator = trained()
    with context.overlaid({operator.parameter: CHANGED}), pytest.raises(UnsafeCodeError):
        operator(3)
    assert operator(3).peek() == 6


def test_unsafe_runs_it_here():
    operator = trained(unsafe=True)
    operator.parameter.set(CHANGED)
    assert operator(3).peek() == 106
    assert operator(3, by=2).peek() == 112


def test_globals_are_live(monkeypatch):
    operator = trained(unsafe=True)
    operator.parameter.set(CHANGED)
    monkeypatch.setitem(globals(), "FACTOR", 10)
    assert operator(3).peek() == 130


def test_helpers_and_imports_beside_the_function():
    operator = trained(unsafe=True)
    operator.parameter.set(
        "import math\n\nEXTRA = 1\n\ndef helper(x):\n    return math.floor(x) + EXTRA\n\n"
        "def scaled(value, by=1):\n    return helper(value * FACTOR)\n"
    )
    assert operator(1.75).peek() == 4


def test_defaults_are_those_of_the_original():
    marker = object()

    @bundle(trainable=True, unsafe=True)
    def default(value=marker):
        return value is marker

    default.parameter.set("def default(value=marker):\n    return [value is marker]\n")
    assert default().peek() == [True]


def test_recursion_of_changed_code_runs_the_changed_code():
    @bundle(trainable=True, unsafe=True)
    def count(n):
        return 0

    count.parameter.set("def count(n):\n    return 0 if n == 0 else 1 + count(n - 1)\n")
    assert count(5).peek() == 5


def test_a_changed_method_keeps_its_self():
    class Agent:
        name = "a"

        @bundle(trainable=True, unsafe=True)
        def act(self, text):
            return text

    agent, other = Agent(), Agent()
    agent.act.parameter.set("def act(self, text):\n    return self.name + text\n")
    assert agent.act("x").peek() == "ax"
    assert other.act("x").peek() == "x"


async def test_a_changed_coroutine_function():
    @bundle(trainable=True, unsafe=True)
    async def later(value):
        return value

    later.parameter.set("async def later(value):\n    return value + 1\n")
    assert (await later(1)).peek() == 2


def test_a_traceback_shows_the_generated_line():
    operator = trained(unsafe=True)
    operator.parameter.set("def scaled(value, by=1):\n    return value / 0  # generated\n")
    with pytest.raises(ZeroDivisionError) as caught:
        operator(1)
    text = "".join(traceback.format_exception(caught.value))
    assert "return value / 0  # generated" in text
    assert "<trained scaled" in text


class Runner:
    def __init__(self):
        self.seen = []

    def run(self, source, name, args, kwargs):
        self.seen.append((source, name, tuple(args), dict(kwargs)))
        return "from the sandbox"


def test_a_runner_gets_the_changed_source_and_plain_values():
    operator, runner = trained(), Runner()
    token = code_runner.set(runner)
    try:
        assert operator(3).peek() == 6
        assert runner.seen == []
        operator.parameter.set(CHANGED)
        assert operator(node(3), by=2).peek() == "from the sandbox"
    finally:
        code_runner.reset(token)
    assert runner.seen == [(CHANGED, "scaled", (3,), {"by": 2})]


async def test_a_runner_may_answer_for_a_coroutine_function():
    @bundle(trainable=True)
    async def later(value):
        return value

    later.parameter.set("async def later(value):\n    return value + 1\n")
    token = code_runner.set(Runner())
    try:
        assert (await later(1)).peek() == "from the sandbox"
    finally:
        code_runner.reset(token)


class Listing(Runner):
    def run(self, source, name, args, kwargs):
        return [*args, "from the sandbox"]


async def test_a_runner_may_answer_for_a_generator():
    @bundle(trainable=True)
    def items(value):
        yield value

    @bundle(trainable=True)
    async def later(value):
        yield value

    for operator in (items, later):
        operator.parameter.set(operator.parameter.base.replace("value\n", "value + 1\n"))
    token = code_runner.set(Listing())
    try:
        made = items(3), later(3)
        found = [list(made[0]), [item async for item in made[1]]]
    finally:
        code_runner.reset(token)
    assert inspect.isgenerator(made[0])
    assert [[item.data for item in stream] for stream in found] == [[3, "from the sandbox"]] * 2


def test_a_revised_function_is_the_very_one_until_its_source_changes():
    assert revised(scaled, source_of(scaled)) is scaled
    assert revised(scaled, CHANGED, unsafe=True)(1) == FACTOR + 100
    with pytest.raises(UnsafeCodeError, match="pass it=True to run"):
        revised(scaled, CHANGED, remedy="it=True")(1)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ("def scaled(value, by=1:", "does not parse"),
        ("scaled = 1", r"must define scaled\(value, by=1\)"),
        ("", "must not be empty"),
        ("def other(value, by=1):\n    return 1", "must define scaled"),
        ("def scaled(value):\n    return 1", r"must keep the signature scaled\(value, by=1\)"),
        ("def scaled(value, by=2):\n    return 1", "must keep the signature"),
        ("def scaled(value, by=1, *more):\n    return 1", "must keep the signature"),
        ("async def scaled(value, by=1):\n    return 1", "must define scaled"),
        ("lambda value, by=1: 1", "must define scaled"),
        ("def scaled(value, by=1):\n    return 1\nreturn 2", "does not parse"),
        ("def scaled(value, by=1):\n    nonlocal FACTOR\n    return 1", "does not parse"),
        ("def scaled(value, by=1):\n    return 1\0", "does not parse"),
        ("def scaled(value, by=1):\n    return " + "(" * 5000, "does not parse"),
    ],
)
def test_what_cannot_stand_for_the_function_is_refused_with_a_reason(changed, reason):
    operator = trained(unsafe=True)
    with pytest.raises(ValueError, match=reason):
        operator.parameter.set(changed)
    assert operator(3).peek() == 6


def test_the_original_is_never_refused():
    count = 0

    def counted():
        nonlocal count
        count += 1
        return count

    operator = trained(counted)
    operator.parameter.set(str(operator.parameter.base))
    assert operator().peek() == 1


MADE = {}
exec("def made(): return 1", MADE)  # noqa: S102 (a function without a file)


@pytest.mark.parametrize(
    "function", [lambda value: value, len, MADE["made"], type("C", (), {"__call__": len})()]
)
def test_what_has_no_source_cannot_be_trained(function):
    with pytest.raises(ValueError, match="source"):
        bundle(trainable=True)(function)


def test_source_of_a_wrapped_line():
    def described(
        value: dict[str, int] | None = None,
    ) -> str: return str(value)  # fmt: skip

    assert source_of(described).startswith("def described(\n    value")


def test_a_text_without_indentation_inside_a_method():
    class Holder:
        @bundle(trainable=True)
        def text(self):
            return """
at the margin
"""

    assert Holder().text.parameter.base == ('def text(self):\n    return """\nat the margin\n"""\n')


def test_a_changed_body_alone_is_accepted():
    assert signature_refusal("def f(a): return 1", (), "def f(a):\n    return 2") is None


# ------------------------------------------------------------------ how changed code is built


def test_a_changed_source_is_compiled_once(monkeypatch):
    operator, built = trained(unsafe=True), []
    module = sys.modules["trace_bridge.graph.bundle"]
    monkeypatch.setattr(module, "rebuild", lambda *args: built.append(args) or rebuild(*args))
    for number in (1, 2, 1, 2, 1):
        operator.parameter.set(CHANGED + f"# {number}\n")
        assert operator(3).peek() == 106
    assert len(built) == 2


def test_the_compiled_sources_that_are_kept_are_bounded():
    operator = trained(unsafe=True)
    for number in range(70):
        operator.parameter.set(CHANGED + f"# {number}\n")
        operator(3)
    assert len(operator._rebuilt) == 64


def test_what_is_no_longer_used_leaves_no_source_behind():
    operator = trained(unsafe=True)
    operator.parameter.set(CHANGED)
    operator(3)
    shown = [file for file in linecache.cache if file.startswith("<trained scaled")]
    assert shown
    operator._rebuilt.clear()
    gc.collect()
    assert not set(shown) & set(linecache.cache)


def test_changed_code_may_write_to_the_closure_and_to_globals():
    count = 0

    @bundle(trainable=True, unsafe=True)
    def counted():
        nonlocal count
        count += 1
        return count

    counted.parameter.set(
        "def counted():\n    nonlocal count\n    global FACTOR\n    count += 10\n"
        "    FACTOR = FACTOR\n    return count\n"
    )
    assert counted().peek() == 10
    assert count == 10
    count = 5
    assert counted().peek() == 15


class Base:
    def act(self):
        return "base"


class Private(Base):
    __hidden = "secret"

    @bundle(trainable=True, unsafe=True)
    def act(self):
        return super().act() + self.__hidden


def test_private_names_and_super_mean_the_class_of_the_original():
    private = Private()
    assert private.act().peek() == "basesecret"
    private.act.parameter.set(
        "def act(self):\n    return self.__hidden + super().act() + __class__.__name__\n"
    )
    assert private.act().peek() == "secretbasePrivate"


class Plain(Base):
    @bundle(trainable=True, unsafe=True)
    def act(self):
        return "plain"


def test_changed_code_may_be_the_first_to_use_super():
    plain = Plain()
    plain.act.parameter.set("def act(self):\n    return super().act() + __class__.__name__\n")
    assert plain.act().peek() == "basePlain"


def test_annotations_and_defaults_of_changed_code_are_not_evaluated():
    @bundle(trainable=True, unsafe=True)
    def typed(value: int = 3, *, by: int = 1) -> int:
        return value * by

    changed = "def typed(value: int = 3, *, by: int = 1) -> int:\n    return value + by\n"
    typed.parameter.set(changed.replace("-> int", "-> Unknown"))
    assert typed().peek() == 4
    assert typed.implementation().__annotations__ == {
        "value": "int", "by": "int", "return": "Unknown"
    }  # fmt: skip


def test_what_was_built_for_another_original_is_not_used_again():
    adopted = trained(unsafe=True)
    adopted.parameter.set(CHANGED)
    assert adopted(3).peek() == 106
    space = {"FACTOR": 1000}
    exec(compile(inspect.getsource(scaled), __file__, "exec"), space)  # noqa: S102
    lines = scaled.__code__.co_firstlineno - 1
    moved = space["scaled"]
    moved.__code__ = moved.__code__.replace(co_firstlineno=lines + 1)
    adopted.adopt(moved)
    adopted.parameter.set(CHANGED)
    assert adopted(3).peek() == 3100


def test_a_decorator_of_the_changed_code_is_applied():
    @bundle(trainable=True, unsafe=True)
    def slow(n=2):
        return n

    slow.parameter.set("import functools\n\n@functools.cache\ndef slow(n=2):\n    return n * 2\n")
    assert slow().peek() == 4


def test_the_failing_line_of_changed_code_is_marked():
    operator = trained(unsafe=True)
    operator.parameter.set("def scaled(value, by=1):\n    x = 1\n    return x / 0\n")
    with pytest.raises(ZeroDivisionError) as caught:
        operator(1)
    assert caught.value.node.peek() == (
        "(ZeroDivisionError) division by zero\n"
        "def scaled(value, by=1):\n    x = 1\n    return x / 0  # <-- ZeroDivisionError"
    )


def test_the_deepest_failing_line_of_a_recursion_is_marked():
    @bundle
    def down(n):
        if n == 0:
            raise KeyError(n)
        return down.function(n - 1)

    with pytest.raises(KeyError) as caught:
        down(3)
    assert "raise KeyError(n)  # <-- KeyError" in caught.value.node.peek()


class Client:
    def invoke(self, text):
        raise KeyError(text)


class Calling:
    @bundle
    def invoke(self, text):
        return Client().invoke(text)

    def __call__(self, text):
        return text.missing


def test_the_marked_line_is_that_of_the_function_itself():
    with pytest.raises(KeyError) as caught:
        Calling().invoke("x")
    assert caught.value.node.peek().endswith("return Client().invoke(text)  # <-- KeyError")
    with pytest.raises(AttributeError) as caught:
        bundle(Calling())("x")
    assert caught.value.node.peek().endswith("return text.missing  # <-- AttributeError")


@pytest.mark.parametrize(
    "function",
    [len, functools.partial(len), eval("lambda x: x.missing")],  # noqa: S307 (without a source)
    ids=["builtin", "partial", "lambda"],
)
def test_failures_without_source_have_their_message(function):
    with pytest.raises((TypeError, AttributeError)) as caught:
        bundle(function)(3)
    assert caught.value.node.peek().startswith("(")
    assert "\n" not in caught.value.node.peek()


def test_wrong_arguments_mark_no_line():
    @bundle
    def one(x):
        return x

    with pytest.raises(TypeError) as caught:
        one()
    assert "\n" not in caught.value.node.peek()


def test_decorators_are_not_part_of_the_marked_source():
    with pytest.raises(AttributeError) as caught:
        decorated(3)
    assert caught.value.node.peek().splitlines()[1:] == [
        "def decorated(x):", "    return x.missing  # <-- AttributeError"
    ]  # fmt: skip


@bundle
@functools.lru_cache(maxsize=1)
def decorated(x):
    return x.missing
