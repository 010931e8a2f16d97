import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_bridge.graph import Kind, Parameter, kind_named, kinds, register_kind

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)
VALUES = {
    "prompt": st.text(min_size=1).filter(str.strip),
    "description": st.text(min_size=1).filter(str.strip),
    "code": st.text(min_size=1).filter(str.strip),
    "demos": st.lists(st.dictionaries(st.text(), json_values), max_size=3),
    "number": st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    "value": json_values,
    "choice": json_values | st.sampled_from(["gpt-4o", " a ", "3", "null", "NaN", '"', "{", ""]),
}


@pytest.mark.parametrize("name", VALUES)
@given(data=st.data())
def test_parse_is_the_inverse_of_show(name, data):
    kind, value = kind_named(name), data.draw(VALUES[name])
    assert kind.check(value) is None
    parsed = kind.parse(kind.show(value))
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("prompt", 1, "must be text, not int"),
        ("prompt", None, "must be text"),
        ("prompt", " \n", "must not be empty"),
        ("code", ["x"], "must be text"),
        ("number", True, "must be a number, not bool"),
        ("number", 10**400, "is too large a number"),
        ("number", "3", "must be a number, not str"),
        ("demos", {}, "must be a list of objects"),
        ("demos", [1], "holds 1"),
        ("value", object(), "must be a JSON value"),
        ("value", {1, 2}, "must be a JSON value"),
        ("choice", object(), "must be a JSON value"),
    ],
)
def test_values_of_the_wrong_type_are_refused(name, value, reason):
    refusal = kind_named(name).check(value)
    assert refusal is not None
    assert reason in refusal


def test_a_choice_in_plain_text_needs_no_quotes():
    kind = kind_named("choice")
    assert kind.show("gpt-4o") == "gpt-4o"
    assert kind.parse("\ngpt-4o\n") == "gpt-4o"
    assert kind.show("3") == '"3"'


def test_every_known_kind_is_tested_here():
    assert set(VALUES) <= set(kinds._kinds)


def test_an_unknown_kind_is_an_error_when_the_parameter_is_made():
    with pytest.raises(LookupError, match=r"unknown kind 'colour'.*known: .*prompt"):
        Parameter("red", kind="colour")


def test_a_kind_is_registered_once(monkeypatch):
    monkeypatch.setattr(kinds, "_kinds", dict(kinds._kinds))
    colour = Kind("colour", lambda value: None, str, str)
    assert register_kind(colour) is colour
    assert Parameter("red", kind="colour").kind == "colour"
    assert kind_named("colour").optimizer == "optoprime"
    with pytest.raises(ValueError, match="registered already"):
        register_kind(colour)
