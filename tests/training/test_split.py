import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_bridge.training.split import split


@given(st.integers(3, 300), st.integers(0, 99), st.integers(10, 2000))
def test_split_is_a_partition(size, seed, evaluations):
    data = list(range(size))
    train, validation, test = split(data, None, None, seed=seed, evaluations=evaluations)
    assert sorted(train + validation + test) == data
    assert train
    assert validation
    assert test


def test_split_is_determined_by_the_seed():
    data = list(range(50))
    again = split(data, None, None, seed=1, evaluations=200)
    assert again == split(data, None, None, seed=1, evaluations=200)
    assert again != split(data, None, None, seed=2, evaluations=200)


def test_sizes_leave_most_of_the_budget_to_the_search():
    found = split(list(range(1000)), None, None, seed=0, evaluations=200)
    assert len(found.test) == 40
    assert len(found.validation) == 33


def test_given_sets_are_taken_as_they_are():
    found = split([1, 2, 3], [4], [5, 6], seed=0, evaluations=200)
    assert found == ([1, 2, 3], [4], [5, 6])
    half = split(list(range(20)), None, ["t"], seed=0, evaluations=200)
    assert half.test == ["t"]
    assert len(half.validation) == 6
    assert len(half.train) == 14


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        (([], None, None), "trainset is empty"),
        (([1, 2, 3], [], None), "valset is empty"),
        (([1, 2, 3], None, []), "testset is empty"),
        (([1, 2], None, None), "pass at least 3"),
    ],
)
def test_too_little_data_is_refused_with_the_remedy(sets, words):
    with pytest.raises(ValueError, match=words):
        split(*sets, seed=0, evaluations=200)
