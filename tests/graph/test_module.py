import collections
import copy
import dataclasses
import enum
import functools
import gc
import importlib.util
import itertools
import json
import pickle
import sys
import tempfile
import threading
import typing
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_bridge.graph import Module, Parameter, bundle, model, node


class Inner(Module):
    def __init__(self, text="inner"):
        self.prompt = node(text, trainable=True)

    def forward(self, question):
        return self.prompt + question


class Outer(Module):
    limit = 3  # a constant of the class

    def __init__(self):
        self.first = node("first", trainable=True)
        self.number = node(1, trainable=True)
        self.plain = node("not trained")
        self.steps = [Inner("a"), (Inner("b"),)]
        self.by_name = {"x/y": node("c", trainable=True), 2: Inner("d")}
        self.same = self.first
        self.child = self.steps[0]

    @property
    def costly(self):
        raise AssertionError("properties are not evaluated")

    @bundle(trainable=True)
    def act(self, value):
        return value

    @bundle
    def look(self, value):
        return value


PATHS = [
    "self:first",
    "self:number",
    "steps/0:prompt",
    "steps/1/0:prompt",
    "by_name:x%2Fy",
    "by_name/2:prompt",
    "act:code",
]


def test_parameters_are_found_everywhere_and_once():
    module = Outer()
    named = list(module.named_parameters())
    assert [path for path, _ in named] == PATHS
    assert len({id(parameter) for _, parameter in named}) == len(named)
    assert [id(p) for p in module.parameters()] == [id(p) for _, p in named]


def test_names_are_stable():
    module = Outer()
    assert module.act("x").peek() == "x"  # whatever was used before
    assert module.look("x").peek() == "x"
    first = [(path, id(parameter)) for path, parameter in module.named_parameters()]
    assert [path for path, _ in first] == PATHS
    assert [(path, id(parameter)) for path, parameter in module.named_parameters()] == first


def test_a_parameter_goes_by_its_path():
    module = Outer()
    assert [parameter.name for parameter in module.parameters()] == PATHS


def test_a_name_that_the_user_gave_stays():
    class Named(Module):
        def __init__(self):
            self.prompt = node("x", trainable=True, name="mine")

    module = Named()
    [(path, parameter)] = module.named_parameters()
    assert (path, parameter.name) == ("self:prompt", "mine")


def test_the_outer_module_names_what_inner_ones_have_named():
    module = Outer()
    for inner in (module.steps[0], module.steps[1][0], module.by_name[2]):
        assert [parameter.name for parameter in inner.parameters()] == ["self:prompt"]
    assert [parameter.name for parameter in module.parameters()] == PATHS
    assert module.steps[0].state_dict() == {"self:prompt": "a"}
    assert [parameter.name for parameter in module.parameters()] == PATHS  # and it stays so


def test_asking_an_inner_module_later_does_not_rename():
    module = Outer()
    names = [parameter.name for parameter in module.parameters()]
    module.steps[0].parameters()
    assert [parameter.name for _, parameter in module.named_parameters()] == names
    assert module.steps[0].prompt.name == "steps/0:prompt"


def test_two_parameters_never_share_a_path():
    class Twice(Module):
        def __init__(self):
            self.texts = {1: node("a", trainable=True), "1": node("b", trainable=True)}

    with pytest.raises(ValueError, match="texts:1"):
        Twice().state_dict()


def test_modules_may_contain_each_other():
    module, other = Inner(), Inner("other")
    module.other, other.back = other, module
    assert [path for path, _ in module.named_parameters()] == ["self:prompt", "other:prompt"]


def test_a_module_without_parameters():
    assert Module().parameters() == []
    with pytest.raises(NotImplementedError, match="Module does not define forward"):
        Module()()


def test_calling_runs_forward():
    assert Inner()("?").peek() == "inner?"


def test_operators_come_in_order_of_definition_and_nothing_else_of_the_class_is_asked_for():
    class Cursed:
        def __get__(self, *_):
            raise RuntimeError("asked for")

    class Ordered(Inner):
        cursed = Cursed()

        @bundle(trainable=True)
        def second(self):
            return 1

        @staticmethod
        @bundle(trainable=True)
        def first():
            return 2

    assert list(Ordered().state_dict()) == ["self:prompt", "second:code", "first:code"]
    assert Ordered.first().data == 2


class Named:
    pass


def test_a_key_without_a_name_has_no_address_in_its_path():
    class Keyed(Module):
        def __init__(self, *keys):
            self.texts = {key: node("x", trainable=True) for key in keys}

    assert list(Keyed(Named(), ("a", 1)).state_dict()) == ["texts:<Named>", "texts:('a', 1)"]
    with pytest.raises(ValueError, match="two parameters would go by the path texts:<Named>"):
        Keyed(Named(), Named()).state_dict()


# ------------------------------------------------------------------ states


def test_a_state_round_trips():
    module = Outer()
    state = module.state_dict()
    assert list(state) == PATHS
    module.load_state_dict({**state, "self:first": "new", "self:number": 2.5})
    assert module.first.base == "new"
    module.load_state_dict(state)
    assert module.state_dict() == state


def test_the_state_shows_the_overlay():
    module = Inner()
    with module.using({"self:prompt": "there"}):
        assert module.state_dict() == {"self:prompt": "there"}
        assert module("?").peek() == "there?"
    assert module.state_dict() == {"self:prompt": "inner"}


@pytest.mark.parametrize(
    ("state", "error", "reason"),
    [
        ({"self:first": "new", "self:nothing": "x"}, LookupError, r"no parameter self:nothing; "),
        ({"self:first": "new", "self:number": "x"}, ValueError, "self:number: must be a number"),
        ({"self:first": "new", "act:code": "x ="}, ValueError, "act:code: does not parse"),
        ({"self:number": 2, "self:first": ""}, ValueError, "self:first: must not be empty"),
    ],
)
def test_a_state_is_taken_as_a_whole_or_not_at_all(state, error, reason):
    module = Outer()
    before = module.state_dict()
    for take in (module.load_state_dict, module.using):
        with pytest.raises(error, match=reason):
            take(state)
    assert module.state_dict() == before


def test_an_unknown_path_lists_what_there_is():
    with pytest.raises(LookupError, match="there are: self:prompt"):
        Inner().using({"x": "y"})
    with pytest.raises(LookupError, match="there are: none"):
        Module().using({"x": "y"})


def test_values_that_the_user_began_with_can_be_restored():
    class Empty(Module):
        def __init__(self):
            self.prompt = Parameter("")
            self.other = Parameter("x")

    module = Empty()
    state = module.state_dict()
    module.load_state_dict({"self:prompt": "better", "self:other": "y"})
    module.load_state_dict(state)
    assert module.state_dict() == state
    with module.using({"self:prompt": "better"}), module.using(state):
        assert module.state_dict() == state


def test_a_deep_copy_is_another_agent():
    module = Outer()
    assert module.act("x").peek() == "x"
    other = copy.deepcopy(module)
    other.load_state_dict({"self:first": "theirs"})
    assert module.first.base == "first"
    assert {id(p) for p in module.parameters()}.isdisjoint(id(p) for p in other.parameters())
    with module.using({"self:first": "ours"}):
        assert other.first.peek() == "theirs"


class Kind(enum.StrEnum):
    PLAIN = "plain"


@pytest.mark.parametrize(
    "value",
    [
        (1, (2,)), [(1,)], {1: {2: "x"}}, {1, 2}, b"ab", 1j, None, np.ones(2), np.float64(0.5),
        np.int64(1), Kind.PLAIN, float("nan"), 10**400, "\ud800 \u2028 \0",
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_whatever_the_user_began_with_goes_through_json_and_through_an_export(value):
    class Held(Module):
        def __init__(self):
            self.held = node(value, trainable=True)

    def same(module):
        return type(module.held.data) is type(value) and repr(module.held.data) == repr(value)

    module = Held()
    state = json.loads(json.dumps(module.state_dict()))
    module.load_state_dict(state)
    assert same(module)
    with module.using(state):
        assert same(module)
    assert same(installed(module.export(), Held()))


def test_a_tuple_that_was_set_stays_one_and_a_bool_is_no_number():
    class Held(Module):
        def __init__(self):
            self.held = node((1, 2), trainable=True)
            self.number = node(1, trainable=True)
            self.array = node(np.ones(2), trainable=True)

    module = Held()
    module.held.set((3, 4))
    module.load_state_dict(module.state_dict())
    assert module.held.data == (3, 4)
    for state in ({"self:number": True}, {"self:array": np.zeros(2)}, {"self:number": 10**400}):
        with pytest.raises(ValueError, match=r"must be a (number|JSON value)|too large a number"):
            module.load_state_dict(state)
    with pytest.raises(LookupError, match="no parameter 1; there are: self:held"):
        module.using({1: "x"})


def test_a_state_is_not_the_value_itself():
    class Held(Module):
        def __init__(self):
            self.held = node([1], trainable=True)

    module = Held()
    module.state_dict()["self:held"].append(2)
    assert module.held.data == [1]


# ------------------------------------------------------------------ where parameters may live


@dataclasses.dataclass
class Settings:
    prompt: object
    limit: int = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    tone: object


class Slotted(Module):
    __slots__ = ("first", "missing", "second")

    def __init__(self):
        self.first = node("first", trainable=True)
        self.second = Inner("second")


class Alone(Module):
    __slots__ = "only"  # noqa: PLC0205 (which Python allows)

    def __init__(self):
        self.only = node("x", trainable=True)


@dataclasses.dataclass
class Configured(Module):
    settings: object
    frozen: object
    fixed: object = dataclasses.field(default_factory=lambda: functools.partial(helper, by=2))


@bundle(trainable=True)
def helper(value, by=1):
    return value * by


def test_parameters_in_dataclasses_slots_and_partials():
    tone = node("warm", trainable=True)
    module = Configured(Settings(node("p", trainable=True)), Frozen(tone))
    assert list(module.state_dict()) == ["settings:prompt", "frozen:tone", "fixed:code"]
    assert list(Slotted().state_dict()) == ["self:first", "second:prompt"]
    assert list(Alone().state_dict()) == ["self:only"]


class Bound(Module):
    __slots__ = ()

    @bundle(trainable=True)
    def first(self):
        return 1

    @bundle(trainable=True)
    def second(self):
        return 2

    @bundle(trainable=True)
    def third(self):
        return 3

    @bundle(trainable=True)
    def fourth(self):
        return 4


def test_operators_that_are_bound_for_the_walk_alone_are_not_taken_for_each_other():
    found = []
    for path, _ in Bound().named_parameters():
        found.append(path)
        gc.collect()  # what one of them was could be another one now
    assert found == ["first:code", "second:code", "third:code", "fourth:code"]


def test_a_copy_has_parameters_of_its_own_and_shares_what_cannot_be_copied():
    class Client(Module):
        def __init__(self):
            self.lock = threading.Lock()
            self.shared = node("x", trainable=True)
            self.steps = [Inner("a"), (Inner("b"), self.shared)]
            self.settings = Settings(node("p", trainable=True))
            self.frozen = Frozen(node("t", trainable=True))
            self.myself = {"me": self}

        @bundle(trainable=True)
        def act(self, value):
            return self.shared.data + value

    module = Client()
    assert module.act("!").data == "x!"
    other = module.copy()
    assert other.state_dict() == module.state_dict()
    ours, theirs = module.parameters(), other.parameters()
    assert len(ours) == len(theirs) == 6
    assert {id(p) for p in ours}.isdisjoint(map(id, theirs))
    assert other.lock is module.lock
    assert other.myself["me"] is other
    assert other.steps[1][1] is other.shared
    with other.using({"self:shared": "y"}):
        assert (other.act("!").data, module.act("!").data) == ("y!", "x!")


class Private(Module):
    __slots__ = ("__secret",)

    def __init__(self):
        self.__secret = node("x", trainable=True)


def test_private_slots_hold_parameters_too():
    module = Private()
    assert list(module.state_dict()) == ["self:_Private__secret"]
    module.copy().load_state_dict({"self:_Private__secret": "y"})
    assert module.state_dict() == {"self:_Private__secret": "x"}


@dataclasses.dataclass
class Scale:
    by: int

    @bundle(trainable=True)
    def scaled(self, x):
        return x * self.by


class Steps(list, Module):
    def __init__(self, *steps):
        super().__init__(steps)
        self.prompt = node("p", trainable=True)


class Both(typing.NamedTuple):
    first: object
    second: object


Both = model(Both)


class Shared(Module):
    @bundle(trainable=True)
    @classmethod
    def act(cls, x):
        return x


def test_methods_of_dataclasses_and_items_of_modules_that_are_containers():
    class Holder(Module):
        def __init__(self):
            self.scale = Scale(2)
            self.steps = Steps(Inner("a"))
            self.both = Both(node("b", trainable=True), 1)
            self.call = functools.partial(helper, node(2, trainable=True), by=Inner("c"))
            self.shared = [Shared(), Shared()]

    module = Holder()
    assert list(module.state_dict()) == [
        "scale/scaled:code", "steps:prompt", "steps/0:prompt", "both:0", "call:code",
        "call:0", "call/by:prompt", "shared/0/act:code",
    ]  # fmt: skip
    other = module.copy()
    ours, theirs = module.parameters(), other.parameters()
    assert {id(p) for p in ours}.intersection(map(id, theirs)) == {id(Shared.act.parameter)}
    assert [p.base for p in ours] == [p.base for p in theirs]
    assert type(other.steps) is Steps
    assert (other.both.second, other.call.func(3, by=2).data) == (1, 6)


def test_methods_that_are_kept_belong_to_the_copy():
    class Kept(Module):
        def __init__(self):
            self.inner = {"act": Inner("x").forward}
            self.prompt = node("x", trainable=True)
            worker = Worker()
            self.tools = [self.look, worker.act, len, [].append]
            self.worker = worker

        def look(self, text):
            return self.prompt + text

    class Worker(Module):
        def __init__(self):
            self.prompt = node("x", trainable=True)

        @bundle(trainable=True)
        def act(self, text):
            return self.prompt.data + text

    module = Kept()
    other = module.copy()
    with other.using({"self:prompt": "y", "worker:prompt": "z"}):
        assert [tool("!").data for tool in other.tools[:2]] == ["y!", "z!"]
        assert [tool("!").data for tool in module.tools[:2]] == ["x!", "x!"]
        assert other.worker.act("!").data == "z!"
    assert other.tools[1].owner is other.worker
    assert other.tools[2:] == module.tools[2:]


class Pair(typing.NamedTuple):
    one: object
    other: object


def test_a_copy_has_the_parameters_of_every_container_for_its_own():
    class Holder(Module):
        def __init__(self):
            self.ordered = collections.OrderedDict(a=node(1, trainable=True))
            self.default = collections.defaultdict(list, a=node(2, trainable=True))
            self.pair = Pair(node(3, trainable=True), "plain")
            self.plain = Pair(1, 2)

    module = Holder()
    other = module.copy()
    other.load_state_dict({"ordered:a": 10, "default:a": 20, "pair:0": 30})
    assert module.state_dict() == {"ordered:a": 1, "default:a": 2, "pair:0": 3}
    assert type(other.ordered) is collections.OrderedDict
    assert other.default["missing"] == []
    assert (other.pair.other, other.plain is module.plain) == ("plain", True)


def test_a_slotted_module_can_be_copied():
    module = Slotted()
    other = module.copy()
    assert other.first is not module.first
    assert other.state_dict() == module.state_dict()


# ------------------------------------------------------------------ model


@model
class Greeter:
    """Says hello."""

    kinds: ClassVar = {"plain": 1}

    def __init__(self, greeting):
        self.greeting = node(greeting, trainable=True)

    @property
    def costly(self):
        raise AssertionError("properties are not evaluated")

    def __call__(self, name):
        return self.greet(f"{self.greeting}, {name}")

    @bundle(trainable=True)
    def greet(self, text):
        return text + "!"


@model
class Silent(dict):
    pass


def test_model_makes_a_module_of_any_class():
    greeter = Greeter("Hello")
    assert isinstance(greeter, Module)
    assert (Greeter.__name__, Greeter.__module__, Greeter.__doc__) == (
        "Greeter", __name__, "Says hello."
    )  # fmt: skip
    made = greeter("you")
    assert made.data == "Hello, you!"
    assert set(made.backward("x").parameters) == set(greeter.parameters())
    assert list(greeter.state_dict()) == ["self:greeting", "greet:code"]
    assert isinstance(pickle.loads(pickle.dumps(greeter)), Greeter)  # noqa: S301
    assert Silent(a=1) == {"a": 1}
    assert Silent().parameters() == []


@model
class Louder(Greeter):
    def __call__(self, name):
        return super().__call__(name) + "!"


class Loudest(Louder):
    def __call__(self, name):
        return super().__call__(name) + "!"


class Quiet(Louder):
    def forward(self, name):
        return self.greeting + name


def test_a_model_may_be_derived_from_another():
    greeter = Louder("Hello")
    made = greeter("you")
    assert made.data == "Hello, you!!"
    assert set(made.backward("x").parameters) == set(greeter.parameters())
    assert Loudest("Hello")("you").data == "Hello, you!!!"
    assert Quiet("Hello")("you").data == "Helloyou"


class Calling:
    def __call__(self, name):
        return f"{self.greeting}, {name}"


def test_model_takes_a_call_from_the_base_and_keeps_a_forward():
    @model
    class Derived(Calling):
        greeting = node("Hello", trainable=True)

    @model
    class Twofold(Calling):
        greeting = node("Hello", trainable=True)

        def forward(self, name):
            return self.greeting + name

        def __call__(self, name):
            return self.forward(name) + "!"

    @model
    class Silent(Module):
        prompt = node("x", trainable=True)

        def forward(self):
            return self.prompt

    made = Derived()("you")
    assert (made.data, made.backward("x").parameters) == ("Hello, you", (Derived.greeting,))
    assert (Twofold()("you").data, Twofold().forward("you").data) == ("Helloyou!", "Helloyou")
    assert Silent()().data == "x"


def test_a_generic_class_stays_one():
    @model
    class Typed(typing.Generic[typing.TypeVar("T")]):
        def __call__(self, value):
            return value

    assert Typed[int]()(1) == 1


# ------------------------------------------------------------------ export


class Exported(Module):
    def __init__(self):
        self.prompt = Parameter("p")
        self.value = Parameter([1], kind="value")
        self.inner = [Inner("x")]

    def forward(self, text):
        return self.act(text) + self.count(2)

    @bundle(trainable=True)
    def act(self, text):
        return text

    @bundle(trainable=True)
    def count(self, n):
        return str(n)


LEARNED = '''\
def act(self, text):
    """Several
lines,
    unevenly indented."""
    # a comment stays
    extra = f"""{text}
and more"""
    return extra + str(LIMIT) + json.dumps(self.prompt.data)
'''
OTHER = """\
import math
from json import dumps as dump

PLUS = 40

def helper(n):
    return math.floor(n) + PLUS

def count(self, n):

    return str(helper(n))
"""
LIMIT = 7
NUMBERS = itertools.count()


def installed(text, module):
    name = f"exported_{next(NUMBERS)}"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, f"{name}.py")
        file.write_text(text, encoding="utf-8")
        spec = importlib.util.spec_from_file_location(name, file)
        made = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(made)
        made.install(module)
    return module


def test_what_is_exported_runs_as_the_users_own():
    module = Exported()
    learned = {"self:prompt": 'it\'s "odd"', "inner/0:prompt": "{y}", "act:code": LEARNED}
    module.load_state_dict({**learned, "count:code": OTHER})
    text = module.export()
    assert "\n    # a comment stays" in text
    other = installed(text, Exported())
    state, said = other.state_dict(), 'a\nand more7"it\'s \\"odd\\""42'
    assert other("a").data == said  # without unsafe=True
    assert {path: state[path] for path in learned} == learned
    assert installed(other.export(), Exported())("a").data == said


def test_two_functions_of_one_name_do_not_meet():
    class Twice(Module):
        def __init__(self):
            self.first, self.second = Exported(), Exported()

    module = Twice()
    module.load_state_dict(
        {"first/count:code": OTHER, "second/count:code": OTHER.replace("40", "50")}
    )
    text = module.export()
    assert "def _enclosed():" in text
    other = installed(text, Twice())
    assert (other.first.count(2).data, other.second.count(2).data) == ("42", "52")
    with pytest.raises(ValueError, match="second/count:code uses helper of the function around it"):
        other.export()


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.text(min_size=1).filter(str.strip), JSON_VALUES)
def test_an_export_is_valid_whatever_the_values_are(prompt, value):
    module = Exported()
    module.load_state_dict({"self:prompt": prompt, "self:value": value})
    assert installed(module.export(), Exported()).state_dict() == module.state_dict()


@given(JSON_VALUES)
def test_a_state_goes_through_json(value):
    module, other = Exported(), Exported()
    module.load_state_dict({"self:value": value})
    other.load_state_dict(json.loads(json.dumps(module.state_dict())))
    assert other.state_dict() == module.state_dict()


def test_numbers_without_a_literal_and_tuples_of_them():
    module = Exported()
    module.load_state_dict({"self:value": {"a": (float("inf"), [-float("inf")])}})
    other = installed(module.export(), Exported())
    assert other.value.data == {"a": [float("inf"), [-float("inf")]]}


def test_a_module_without_parameters_is_exported_too():
    assert installed(Module().export(), Module()).state_dict() == {}


def test_a_function_with_a_closure_cannot_be_exported():
    around = 1

    class Closed(Module):
        @bundle(trainable=True)
        def act(self):
            return around

    with pytest.raises(ValueError, match="act:code uses around of the function around it"):
        Closed().export()


def twice(function):
    @functools.wraps(function)
    def doubled(*args):
        return function(*args) * 2

    return doubled


class Tied(Exported):
    def __init__(self):
        super().__init__()
        self.__secret = "s"

    @bundle(trainable=True)
    def act(self, text: "Unknown"):  # noqa: F821 (as under TYPE_CHECKING)
        return super().act(text).data + self.__secret

    @bundle(trainable=True)
    @twice
    def decorated(self, text):
        return text

    @bundle(trainable=True)
    @classmethod
    def of_class(cls, text):
        return text + cls.__name__


def test_what_depends_on_its_class_is_exported_too():
    module = Tied()
    text = module.export()
    assert "decorated:code" not in text  # it is as the class has it
    module.load_state_dict({"decorated:code": "def decorated(self, text):\n    return text + '.'"})
    other = installed(module.export(), Tied())
    for tied in (installed(text, Tied()), other, installed(other.export(), Tied())):
        assert tied.act("a").data == "as"
        assert tied.of_class("a").data == "aTied"
    assert installed(text, Tied()).decorated("a").data == "aa"
    assert other.decorated("a").data == "a."


def test_a_default_of_the_class_cannot_be_exported():
    class Defaults(Module):
        here = 3

        @bundle(trainable=True)
        def act(self, n=int, *, by=here, key=lambda x: [y + 1 for y in x]):
            return n

    assert Defaults().act().data is int
    with pytest.raises(ValueError, match="act:code uses here of the class or function around it"):
        Defaults().export()


def test_only_fitting_functions_are_adopted():
    module = Exported()
    with pytest.raises(
        LookupError, match="no trainable function nothing:code; there are: act:code"
    ):
        module.adopt({"nothing:code": print})
    with pytest.raises(ValueError, match="act: must define act"):
        module.adopt({"act:code": installed})
    with pytest.raises(ValueError, match="look: is not trainable"):
        Outer().look.adopt(installed)


def test_parameters_of_the_class_are_found_too():
    class Shared(Module):
        prompt = node("shared", trainable=True)

        def forward(self, text):
            return self.prompt + text

    first, second = Shared(), Shared()
    assert first.state_dict() == {"self:prompt": "shared"}
    assert first.prompt is second.prompt
    assert first("!").backward("x").parameters == (first.prompt,)
