"""JSON as models write it."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trace_bridge.graph.lenient import read_json

leaves = st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=12)
objects = st.dictionaries(st.text(max_size=6), leaves | st.lists(leaves, max_size=3), max_size=4)


@given(objects)
@example({"\U00018d09": "\x7f"})
def test_json_and_python_literals_give_the_same(value):
    assert read_json(json.dumps(value)) == value
    try:
        found = read_json(repr(value))
    except ValueError:
        return  # what cannot be mended for certain is refused
    assert found == value


@given(st.dictionaries(st.text(min_size=1, max_size=6), st.text(max_size=20), min_size=1))
@example({"0": "0", "}": ""})
@example({"0": "\x1f0", "}": ""})
def test_what_is_cut_off_is_refused_or_whole(value):
    for text in (
        json.dumps(value, ensure_ascii=False),
        repr(value),
        f"{json.dumps(value)[:-1]},}}",
    ):
        for end in range(1, len(text)):
            try:
                found = read_json(text[:end])
            except ValueError:
                continue
            assert found == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{'a': 'x', 'b': [1, True, None,],}", {"a": "x", "b": [1, True, None]}),
        ('{"a": "one\ntwo"}', {"a": "one\ntwo"}),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ("False", False),
        ("{'a': 'He said \"hi\"'}", {"a": 'He said "hi"'}),
        ('{"a": "Say "yes" or "no"."}', {"a": 'Say "yes" or "no".'}),
    ],
)
def test_what_is_mended(text, value):
    assert read_json(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "{a: 'x'}", "{'a': 'don't'}", "{'a': 'x', 'a': 'y'}", '{"a": 1, "a": 2}', "{'a': x}",
        '{"a": "Use {x}', "{'a': 'x', 'b': 'Use {x}", "{'a': 'x'", "[" * 9000, "{'a':" * 300 + "}",
        "{'a': 1} and {'b': 2}", "yes", "", "{'a': 1 // one\n}",
        "{'a': '\\x41'}", '{"a": [1}', '{"a": "x"}]', '{"a": [1, 2}, "b": 3}',
    ],
)  # fmt: skip
def test_what_would_be_a_guess_is_refused(text):
    with pytest.raises(ValueError):
        read_json(text)
