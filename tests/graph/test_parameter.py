"""What limits a parameter's values: bounds and choices."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_bridge.graph import Parameter
from trace_bridge.graph.program import Program

numbers = st.integers(-5, 5) | st.floats(-5, 5)


@given(numbers, numbers)
def test_a_number_keeps_its_bounds(present, value):
    p = Parameter(present, "p", kind="number", bounds=(-1, 2))
    refused = p.refusal(value) is not None
    began = type(value) is type(present) and repr(value) == repr(present)
    assert refused is not (-1 <= value <= 2 or began)


def test_why_a_number_is_refused():
    p = Parameter(0.5, "p", kind="number", bounds=(0, 1))
    assert p.refusal(1.5) == "must be between 0 and 1"
    assert p.refusal(float("nan")) == "must be finite"
    assert p.refusal("x") == "must be a number, not str"
    with pytest.raises(ValueError, match="p: must be between 0 and 1"):
        p.set(-1)


@pytest.mark.parametrize(
    ("kind", "bounds"), [("prompt", (0, 1)), ("number", (1, 1)), ("number", (1, 0))]
)
def test_bounds_that_mean_nothing_are_refused(kind, bounds):
    with pytest.raises(ValueError, match=r"p: bounds=\(1?0?, [01]\).*of kind '\w+': a number may"):
        Parameter("x" if kind == "prompt" else 1, "p", kind=kind, bounds=bounds)


def test_a_choice_is_one_of_its_choices():
    p = Parameter("small", "p", kind="choice", choices=["small", "large", 3, None])
    assert [p.refusal(value) for value in ("large", 3, None)] == [None] * 3
    assert p.refusal("medium") == "must be one of: small, large, 3, null"
    assert p.refusal("3") is not None
    assert p.refusal(3.0) is not None


def test_choices_of_other_kinds_are_offers():
    assert Parameter("a", "p", choices=["b"]).refusal("c") is None
    assert Parameter("a", "p", kind="choice").refusal("c") is None


def test_limits_are_told_unless_something_else_is():
    p = Parameter(1, "p", kind="number", bounds=(0, 2.5))
    q = Parameter("a", "q", kind="choice", choices=["a", "b"])
    text = Program([p, q]).variables()
    assert "<constraint>between 0 and 2.5</constraint>" in text
    assert "<constraint>one of: a, b</constraint>" in text
    told = Parameter(1, "p", kind="number", constraint="in degrees", bounds=(0, 2))
    assert told.constraint == "in degrees"


def test_limits_survive_pickling():
    p = Parameter(1, "p", kind="number", bounds=(0, 2))
    again = pickle.loads(pickle.dumps(p))  # noqa: S301 (our own)
    assert (again.bounds, again.constraint) == (p.bounds, p.constraint)
    assert again.refusal(3) == "must be between 0 and 2"
