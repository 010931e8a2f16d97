import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_bridge.training.accept import (
    LEVEL,
    detectable,
    improves,
    interval,
    p_value,
    paired,
    verdict,
)


def scores(values):
    return dict(enumerate(values))


def test_p_value_is_exact_for_few_differences():
    assert p_value([1, 1, 1, 0, 0]) == 1 / 8
    assert p_value([1, -1]) == 3 / 4
    assert p_value([0, 0]) == 1.0
    assert p_value([]) == 1.0


def test_sampled_p_value_agrees_with_the_binomial():
    gains, losses = 14, 4
    exact = sum(math.comb(18, k) for k in range(gains, 19)) / 2**18
    assert p_value([1.0] * gains + [-1.0] * losses) == pytest.approx(exact, abs=0.01)


def test_p_value_is_never_zero_and_does_not_depend_on_scale():
    many = [1.0] * 60
    assert 0 < p_value(many) < 0.001
    assert p_value(many) == p_value([100.0] * 60)


@given(st.lists(st.floats(-1, 1, allow_nan=False), max_size=10))
def test_a_gain_and_its_opposite_are_not_both_significant(differences):
    forth, back = p_value(differences), p_value([-d for d in differences])
    assert 0 < forth <= 1
    assert forth + back >= 1 - 1e-9


def test_interval_holds_the_mean_and_is_the_same_for_a_seed():
    differences = [1.0] * 30 + [0.0] * 30
    low, high = interval(differences, seed=3)
    assert low < 0.5 < high
    assert interval(differences, seed=3) == (low, high)
    assert interval([]) == (0.0, 0.0)


def test_paired_takes_common_examples_in_order():
    assert paired({2: 0.0, 0: 1.0, 5: 1.0}, {0: 0.0, 2: 1.0}) == [-1.0, 1.0]


def test_detectable_shrinks_with_data_and_says_what_was_never_seen():
    small, large = [1.0, 0.0] * 5, [1.0, 0.0] * 50
    assert detectable(large) < detectable(small)
    assert detectable([0.0] * 30) == pytest.approx(0.1)
    assert detectable([1.0]) == math.inf


def test_verdict_needs_more_than_luck():
    before = scores([0.0] * 40)
    assert verdict(before, scores([1.0] * 20 + [0.0] * 20)) == "better"
    found = verdict(before, scores([1.0] * 2 + [0.0] * 38))
    assert found == "no reliable gain"
    assert not found.better
    assert "could not have been seen" in str(found)
    assert verdict(before, before) == "no reliable gain"
    assert verdict(scores([1.0] * 40), before) == "no reliable gain"
    assert verdict({}, {}) == "no reliable gain"


def test_validation_level_is_looser_than_the_verdict():
    before, after = scores([0.0] * 20), scores([1.0, 1.0] + [0.0] * 18)
    assert improves(before, after)
    assert not verdict(before, after).better
    assert not improves(before, before)
    assert not improves(after, before)


def test_a_null_task_is_called_better_no_more_often_than_the_level():
    generator = random.Random(0)
    runs, size, called = 300, 24, 0
    for _ in range(runs):
        # half of the examples differ: about 12 signs, which are counted exactly
        before, after = (
            scores([float(generator.random() < 0.5) for _ in range(size)]) for _ in range(2)
        )
        called += p_value(paired(before, after)) <= LEVEL
    # four standard errors of a binomial around the level
    assert called / runs <= LEVEL + 4 * math.sqrt(LEVEL * (1 - LEVEL) / runs)
