import re
import tracemalloc
import types
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_bridge.graph import node
from trace_bridge.graph.shown import level, shortened, shown


@given(st.text(max_size=300), st.integers(-3, 200))
def test_shortened_cuts_the_middle_and_marks_it(text, limit):
    short = shortened(text, limit)
    assert len(short) <= max(limit, 0)
    if len(text) <= limit:
        assert short == text
    elif found := re.search(r" …\[(\d+) characters left out\]… ", short):
        head, tail = short[: found.start()], short[found.end() :]
        assert text.startswith(head)
        assert text.endswith(tail)
        assert len(head) + len(tail) + int(found[1]) == len(text)
        assert len(short) >= limit - 1
    elif limit > 0:
        assert "…" in short


@given(st.lists(st.integers(0, 50), max_size=9), st.integers(-5, 200))
def test_level_is_the_highest_that_fits(lengths, room):
    found = level(lengths, room)
    if room >= 0:
        assert sum(min(length, found) for length in lengths) <= room
    if sum(lengths) > max(room, 0):
        assert sum(min(length, found + 1) for length in lengths) > room


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(), inner)
        | st.tuples(inner, inner)
        | st.frozensets(st.integers())
    ),
    max_leaves=60,
)


@given(_json, st.integers(0, 120))
def test_any_value_keeps_its_limit(value, limit):
    whole = shown(value, 10**9)
    short = shown(value, limit)
    assert len(short) <= limit
    assert short == whole if len(whole) <= limit else short != whole
    assert shown(value, limit) == short


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("text", "text"),
        ("two\nlines", "two\nlines"),
        (True, "true"),
        (None, "null"),
        (2.5, "2.5"),
        (float("inf"), "inf"),
        (object(), "<object>"),
        (len, "<built-in function len>"),
        (types.SimpleNamespace(x=1), "namespace(x=1)"),
        ({2: "b", "1": ["a", ()]}, '{"1":["a",[]],"2":"b"}'),
        ({"b", "a"}, '["a","b"]'),
        ([node(1), node("x")], '["1","x"]'),
        (node([1]), "[1]"),
    ],
)
def test_values(value, text):
    assert shown(value, 2000) == text


def test_integers_that_python_refuses_to_write_out():
    assert shown(10**5000, 99) == "<integer of 16610 bits>"
    assert shown([10**5000], 99) == '["<integer of 16610 bits>"]'


def test_long_containers_leave_out_what_is_in_the_middle():
    assert (
        shown(list(range(1000)), 60) == "[0,1,2,3,4,5,6,7,8,…[987 items left out]…,996,997,998,999]"
    )
    messages = [{"role": "user", "content": "x" * 5000}, {"role": "assistant", "content": "yes"}]
    text = shown(messages, 200)
    assert '"role":"user"' in text
    assert '{"content":"yes","role":"assistant"}]' in text
    assert "characters left out" in text
    assert shown({"a": [list(range(99))]}, 40) == '{"a":[[0,1,…[96 items left out]…,98]]}'


def test_a_container_that_holds_itself():
    value = [1]
    value.append(value)
    assert len(shown(value, 100)) <= 100


def test_numpy_without_importing_it():
    numpy = pytest.importorskip("numpy")
    assert shown(numpy.arange(4).reshape(2, 2), 99) == "[[0,1],[2,3]]"
    assert shown(numpy.float32(0.5), 99) == "0.5"
    assert len(shown(numpy.zeros((300, 300)), 99)) <= 99
    with pytest.warns(PendingDeprecationWarning):
        assert shown(numpy.asmatrix([[1, 2], [3, 4]]), 99) == "[[1,2],[3,4]]"
    assert shown(numpy.zeros((0, 3)), 99) == "[]"


def test_few_rows_of_a_large_array_are_read():
    numpy = pytest.importorskip("numpy")
    image = numpy.zeros((1000, 1000, 3))
    shown(image, 200)
    tracemalloc.start()
    assert "items left out" in shown(image, 200)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000  # as a list, it would be a hundred times that


class Broken(Mapping):
    """A mapping that cannot be read any more."""

    def __len__(self):
        return 1

    def __iter__(self):
        return iter("a")

    def __getitem__(self, key):
        raise RuntimeError(key)


class Unreadable(list):
    """A list that is lying about its length."""

    def __len__(self):
        return 1000


@pytest.mark.parametrize("value", [Broken(), Unreadable([1]), {10**5000}])
def test_what_cannot_be_shown_is_named(value):
    assert shown(value, 100) == f"<{type(value).__qualname__}>"


def test_a_value_that_cannot_be_shown_spoils_no_view():
    graph = (node("x", trainable=True, name="p") == Broken()).backward("wrong")
    assert "constant = <Broken>\n" in graph.to_program()
    assert "<Broken>" in graph.dot()
