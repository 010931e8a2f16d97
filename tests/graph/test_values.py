import dataclasses
import enum
import json
import subprocess
import sys
from collections import OrderedDict, UserDict
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_bridge.graph import canonical, digest, jsonable, node

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@dataclasses.dataclass
class Pair:
    left: object
    right: object


class Colour(enum.StrEnum):
    RED = "red"


class Plain:
    pass


class Shown:
    def __repr__(self):
        return f"Shown at {hex(id(self))}"


class Array:
    """Like numpy's: its text leaves out the middle of what it holds."""

    def __init__(self, *items):
        self.items = items

    def __repr__(self):
        return f"[{self.items[0]} ... {self.items[-1]}]"

    def tolist(self):
        return list(self.items)


@given(json_values)
def test_json_values_stay_as_they_are(value):
    assert jsonable(value) == value
    assert json.loads(canonical(value)) == value
    assert canonical(json.loads(canonical(value))) == canonical(value)


@given(json_values, json_values)
def test_equal_text_only_for_equal_values(one, other):
    if canonical(one) == canonical(other):
        assert one == other


@given(st.dictionaries(st.text(), st.integers()), st.randoms())
def test_the_order_of_keys_does_not_matter(value, generator):
    pairs = list(value.items())
    generator.shuffle(pairs)
    assert canonical(OrderedDict(pairs)) == canonical(value)
    assert digest(dict(pairs)) == digest(value)


@given(st.sets(st.integers() | st.text()))
def test_sets_have_one_form(value):
    assert canonical(value) == canonical(frozenset(sorted(value, key=repr)))


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_digests_do_not_run_values_together(one, other):
    assert (digest(*one) == digest(*other)) == (one == other)


def test_text_that_is_no_unicode_has_a_digest():
    broken = json.loads('"\\ud83d"')  # half of an emoji, as a cut-off reply has it
    assert digest(broken) == digest(broken)
    assert digest(broken) != digest("?")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((1, "a"), [1, "a"]),
        (UserDict(a=(1,)), {"a": [1]}),
        (MappingProxyType({1: None}), {"1": None}),
        (Pair(1, {2}), {"left": 1, "right": [2]}),
        (Colour.RED, "red"),
        (Plain(), "<Plain>"),
        (node("inside"), "inside"),
        (b"raw", "b'raw'"),
        (Array(1, 2, 3), [1, 2, 3]),
    ],
)
def test_other_values(value, expected):
    assert json.loads(json.dumps(jsonable(value))) == expected


def test_arrays_differ_by_what_their_text_leaves_out():
    assert digest(Array(1, 2, 3)) != digest(Array(1, 9, 3))


def test_numpy_values():
    numpy = pytest.importorskip("numpy")
    assert jsonable(numpy.arange(3)) == [0, 1, 2]
    assert jsonable(numpy.float32(0.5)) == 0.5
    assert digest(numpy.arange(5000)) != digest(numpy.arange(5000) * (numpy.arange(5000) != 2500))


def test_pydantic_models():
    pydantic = pytest.importorskip("pydantic")
    model = pydantic.create_model("Answer", text=(str, ...), score=(float, 1.0))
    assert jsonable([model(text="x")]) == [{"text": "x", "score": 1.0}]


def test_pydantic_models_of_what_pydantic_does_not_know():
    pydantic = pytest.importorskip("pydantic")
    allowed = pydantic.ConfigDict(arbitrary_types_allowed=True)
    model = pydantic.create_model("Answer", __config__=allowed, text=(str, ...), raw=(Plain, ...))
    assert jsonable([model(text="x", raw=Plain())]) == [{"text": "x", "raw": "<Plain>"}]


def test_an_object_whose_text_fails_goes_by_its_type():
    class Closed:
        def __repr__(self):
            raise ValueError("I/O operation on closed file")

    assert jsonable([Pair(Closed(), 1)]) == [{"left": f"<{Closed.__qualname__}>", "right": 1}]


@pytest.mark.parametrize(
    "make", [Plain, Shown, lambda: lambda: 1, lambda: Plain().__init__, lambda: [Shown()]]
)
def test_no_memory_addresses(make):
    assert "0x" not in canonical(make())


def test_digests_are_the_same_in_another_process():
    expression = "digest({'b': {1, 2, 3}, 'a': {'x', 'y'}}, 'é', 1.5)"
    program = f"from trace_bridge.graph import digest; print({expression})"
    said = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert said == {digest({"b": {1, 2, 3}, "a": {"x", "y"}}, "é", 1.5)}


def test_a_value_that_holds_itself_comes_to_an_end():
    endless = {"name": "loop"}
    endless["self"] = [endless]
    assert '"..."' in canonical(endless)
    assert digest(endless) == digest(endless)
