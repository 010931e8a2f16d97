import difflib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trace_bridge.graph import Parameter, kind_named
from trace_bridge.report.diff import diff

P, D, N = (
    Parameter("x", "a/b:p"),
    Parameter([], "d", kind="demos"),
    Parameter(1, "n", kind="number"),
)


def test_one_section_for_each_changed_parameter():
    before = {"a/b:p": "one\ntwo\nthree", "d": [], "n": 1}
    after = {"a/b:p": "one\n2\nthree", "d": [{"q": "é"}], "n": 1}
    shown = kind_named("demos").show(after["d"]).splitlines()
    assert diff(before, after, [P, D, N]).splitlines() == [
        "--- a/b:p (original)",
        "+++ a/b:p (tuned)",
        "@@ -1,3 +1,3 @@",
        " one",
        "-two",
        "+2",
        " three",
        "--- d (original)",
        "+++ d (tuned)",
        f"@@ -1 +1,{len(shown)} @@",
        "-[]",
        *(f"+{line}" for line in shown),
    ]
    assert "é" in "".join(shown)


def test_nothing_changed():
    assert diff({"n": 1}, {"n": 1}, [N]) == ""
    assert diff({}, {}, []) == ""


def test_values_that_only_one_side_has_are_left_out():
    assert diff({"n": 1}, {"a/b:p": "x"}, [P, N]) == ""


@pytest.mark.parametrize(
    ("before", "after"), [("a", "a\n"), ("a\nb", "a\r\nb"), ("a\n", "a\n\n"), ("a", "a ")]
)
def test_a_change_of_white_space_is_not_passed_over(before, after):
    shown = diff({"a/b:p": before}, {"a/b:p": after}, [P])
    assert shown.startswith("--- a/b:p (original)\n+++ a/b:p (tuned)\n")
    assert len(shown.splitlines()) > 2


_texts = st.text(st.sampled_from("ab \n\r"))


@given(_texts, _texts)
@example("a", "a\n")
def test_empty_exactly_if_equal(before, after):
    assert (diff({"a/b:p": before}, {"a/b:p": after}, [P]) == "") == (before == after)


@given(st.lists(st.text("ab", min_size=1)), st.lists(st.text("ab", min_size=1)))
def test_the_lines_are_those_of_a_unified_diff(before, after):
    shown = diff({"a/b:p": "\n".join(before)}, {"a/b:p": "\n".join(after)}, [P])
    expected = difflib.unified_diff(
        before, after, "a/b:p (original)", "a/b:p (tuned)", lineterm=""
    )  # fmt: skip
    assert shown.splitlines() == list(expected)
