import dataclasses
import enum

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_bridge.graph import Evidence
from trace_bridge.recording.evidence import (
    Produced,
    explain_text,
    identifiable,
    leaves,
    normalized,
)

A, B, C = (1, ""), (2, ""), (3, "")


def explained(value, *produced, known=""):
    return dict(explain_text(value, [Produced(*item) for item in produced], normalized(known)))


@dataclasses.dataclass
class Record:
    text: str
    inner: object = None


class Colour(enum.Enum):
    RED = "red"


def test_leaves_of_containers_mappings_and_records():
    inner = ["x"]
    value = {"a": (1, inner), "b": Record("y", {"z"})}
    found = list(leaves(value))
    assert value in found
    assert any(item is inner for item in found)
    assert {item for item in found if isinstance(item, str)} == {"x", "y", "z"}


def test_leaves_of_pydantic_models():
    pydantic = pytest.importorskip("pydantic")
    model = pydantic.create_model("Answer", text=(str, ...))
    assert "x" in list(leaves([model(text="x")]))


def test_leaves_of_a_value_that_holds_itself():
    value = []
    value.append(value)
    assert len(list(leaves(value))) < 20


@pytest.mark.parametrize(
    "value", [None, True, 0, 1.5, 2j, "", "a", b"", (), frozenset(), Colour.RED, str, len]
)
def test_what_python_shares_proves_nothing_by_identity(value):
    assert not identifiable(value)


@pytest.mark.parametrize("value", ["ab", [], {}, (1,), object()])
def test_what_python_makes_anew_does(value):
    assert identifiable(value)


@given(st.text())
def test_normalizing_again_changes_nothing(text):
    assert normalized(normalized(text)) == normalized(text)


def test_text_within_text():
    assert explained("The answer: Paris, France!", (A, "paris")) == {A: Evidence.TEXT}
    assert explained({"q": ["about PARIS"]}, (A, {"answer": "Paris"})) == {A: Evidence.TEXT}


def test_a_part_of_a_word_is_no_match():
    assert explained("a comparison", (A, "paris")) == {}
    assert explained("transport", (A, "port")) == {}


def test_short_texts_prove_nothing():
    assert explained("so it is", (A, "it")) == {}
    assert explained("yes", (A, "yes")) == {}


def test_a_part_of_an_earlier_text():
    whole = "First sentence here. The second sentence is longer."
    assert explained("The second sentence", (A, whole)) == {A: Evidence.TEXT}


def test_three_words_in_a_row_are_weak_evidence():
    found = explained(
        "we know that the quick brown fox was seen", (A, "a quick brown fox jumped over it")
    )
    assert found == {A: Evidence.WORDS}
    assert explained("the quick fox", (A, "a quick brown fox jumped")) == {}


def test_an_older_producer_that_the_newer_one_repeats_is_masked():
    draft, final = "Paris is the capital", "I say: Paris is the capital, certainly"
    assert explained(f"Judge this. {final}", (B, final), (A, draft)) == {B: Evidence.TEXT}


def test_an_older_producer_beside_the_newer_one_is_not_masked():
    found = explained("Paris is it. Rome is not", (B, "Rome is not"), (A, "Paris is it"))
    assert found == {A: Evidence.TEXT, B: Evidence.TEXT}


def test_equal_texts_are_those_of_the_newest():
    assert explained("same answer", (B, "same answer"), (A, "same answer")) == {B: Evidence.TEXT}


def test_the_question_proves_nothing():
    question = "What is the capital of France?"
    echo = "capital of France"
    assert explained(f"{question} {echo}", (A, echo), known=question) == {}
    assert explained(f"{question} Paris", (A, "Paris"), known=question) == {A: Evidence.TEXT}


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4), st.text())
def test_any_text_can_be_judged(texts, produced, known):
    found = explain_text(
        texts, [Produced((at, ""), text) for at, text in enumerate(produced)], normalized(known)
    )
    assert len({source for source, _ in found}) == len(found)


class Titled(pydantic.BaseModel):
    role: str = "system"
    text: str


def test_a_models_defaults_are_nobodys():
    assert list(leaves(Titled(text="x")))[1:] == ["x"]
    assert list(leaves(Titled(role="sys" + "tem?", text="x")))[1:] == ["system?", "x"]


def test_what_was_not_read_counts_only_by_a_long_whole_text():
    short, long = "billing", "an invoice of last week"
    assert not explained(f"on {short}", (A, short, False))
    assert explained(f"on {short}", (A, short)) == {A: Evidence.TEXT}
    assert explained(f"on {long}!", (A, long, False)) == {A: Evidence.TEXT}
    assert not explained("invoice of last month", (A, long, False))


def test_a_number_counts_where_it_was_read():
    rows = [12, "x", True]
    assert explained("There are 12 rows", (A, rows, True)) == {A: Evidence.WORDS}
    assert not explained("There are 12 rows", (A, rows))
    assert not explained("There are 120 rows, and that is True", (A, rows, True))
    assert not explained("There are 12 rows", (A, rows, True), known="say 12")
