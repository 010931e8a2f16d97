import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_bridge.graph import paths

names = st.text(st.sampled_from("a%/:2F35A é"), min_size=1, max_size=6)


@given(names, names)
def test_escape_is_injective(one, other):
    assert (paths.escape(one) == paths.escape(other)) == (one == other)


@given(names)
def test_an_escaped_name_is_one_step(name):
    escaped = paths.escape(name)
    assert "/" not in escaped
    assert ":" not in escaped


_owners = st.lists(names, min_size=1, max_size=3)


@given(st.tuples(_owners, names), st.tuples(_owners, names))
def test_join_is_injective(one, other):
    assert (paths.join_path(*one) == paths.join_path(*other)) == (one == other)


def test_ordinary_names_stay_as_they_are():
    assert paths.join_path(["qa", "answer"], "instructions") == "qa/answer:instructions"
    assert paths.join_path([], "prompt") == "self:prompt"


def test_a_path_of_an_agent_inside_another():
    assert paths.below(["desk", "a/b"], "self:prompt") == "desk/a%2Fb:prompt"
    assert paths.below(["desk"], "qa/answer:demos") == "desk/qa/answer:demos"


@given(_owners, _owners, names)
def test_below_is_join_with_the_owners_of_both(outer, inner, slot):
    found = paths.below(outer, paths.join_path(inner, slot))
    assert found == paths.join_path([*outer, *inner], slot)


def test_select_keeps_the_order_of_the_paths():
    known = ["b:instructions", "a:demos", "a:instructions"]
    assert paths.select(known, ["a:*", "*:instructions"]) == known
    assert paths.select(known, ["*:instructions"]) == ["b:instructions", "a:instructions"]
    assert paths.select(known, []) == []


def test_a_pattern_that_matches_nothing_is_an_error_that_lists_the_paths():
    with pytest.raises(LookupError, match=r"'x:\*' matches no parameter; there are:\n  a:b"):
        paths.select(["a:b"], ["a:*", "x:*"])
    with pytest.raises(LookupError, match=r"\(none\)"):
        paths.select([], ["*"])


def test_a_path_matches_itself():
    assert paths.select(["texts:[1]", "texts:1"], ["texts:[1]"]) == ["texts:[1]", "texts:1"]
    assert paths.select(["texts:[a]"], ["texts:[a]"]) == ["texts:[a]"]
