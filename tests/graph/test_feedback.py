from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_bridge.graph import Feedback, as_feedback, node


class Scalar:
    """A number like numpy's ``float32``, which is no ``float``."""

    def __init__(self, value):
        self.value = value

    def __float__(self):
        return float(self.value)


@given(st.text())
def test_text(text):
    assert as_feedback(text) == Feedback(text=text)


@given(st.floats(allow_nan=False), st.text())
def test_number_and_pair(score, text):
    assert as_feedback(score) == Feedback(score=score)
    assert as_feedback((score, text)) == Feedback(text=text, score=score)


@pytest.mark.parametrize(
    ("value", "score"),
    [(True, 1.0), (False, 0.0), (3, 3.0), (Decimal("0.5"), 0.5), (Fraction(1, 4), 0.25)],
)
def test_whatever_is_a_number_is_a_score(value, score):
    assert as_feedback(value).score == score
    assert as_feedback((value, "why")) == Feedback("why", score)
    assert isinstance(as_feedback(value).score, float)


def test_numbers_of_other_libraries_are_scores_alone_and_in_a_pair():
    assert as_feedback(Scalar(0.5)).score == 0.5
    assert as_feedback((Scalar(0.5), "half")) == Feedback("half", 0.5)


def test_a_judge_may_be_part_of_the_graph():
    assert as_feedback(node("too short")) == Feedback("too short")
    assert as_feedback(node(0.5)) == Feedback(score=0.5)
    assert as_feedback((node(0.5), node("half"))) == Feedback("half", 0.5)
    assert as_feedback(node((0.5, "half"))) == Feedback("half", 0.5)


def test_feedback_is_passed_on():
    given_ = Feedback("x", 1.0, about=node(1))
    assert as_feedback(given_) is given_


@pytest.mark.parametrize("value", [None, [], {}, (1,), ("a", 1), (1, "a", 2), (None, "a"), b"x"])
def test_anything_else_is_refused_with_the_accepted_forms(value):
    with pytest.raises(TypeError, match=r"must be a str, a number, a \(number, str\) pair"):
        as_feedback(value)


@pytest.mark.parametrize(
    ("feedback", "text"),
    [
        (Feedback("short"), "short"),
        (Feedback(score=0.5), "score 0.5"),
        (Feedback("short", 0.0), "score 0: short"),
        (Feedback(), ""),
    ],
)
def test_as_text(feedback, text):
    assert str(feedback) == text
