"""What the benchmark makes of the times that it measured."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.core.arithmetic import (
    amount,
    exponent,
    last,
    paired,
    quantile,
    seconds,
    short,
    size,
    tenfold,
)

times = st.floats(1e-6, 1e3)


@given(st.lists(st.tuples(times, times), min_size=1))
def test_a_ratio_lies_between_its_ends_and_turns_over_with_the_sides(pairs):
    ours, theirs = zip(*pairs, strict=True)
    ratio, inverse = paired(ours, theirs), paired(theirs, ours)
    assert ratio.low <= ratio.median <= ratio.high
    assert ratio.pairs == len(pairs)
    if len(pairs) % 2:
        assert ratio.median * inverse.median == pytest.approx(1)


@given(st.lists(times, min_size=1), st.floats(0.1, 100))
def test_the_ratio_of_pairs_ignores_what_slows_both_rounds_of_a_pair(ours, factor):
    assert paired(ours, [factor * our for our in ours]).median == pytest.approx(factor)


def test_pairs_need_two_sides_and_one_round():
    with pytest.raises(ValueError, match="no pair"):
        paired([], [])
    with pytest.raises(ValueError, match="shorter"):
        paired([1, 2], [1])


@given(st.lists(times, min_size=1).map(sorted))
def test_quantiles_are_in_order(values):
    found = [quantile(values, share) for share in (0, 0.1, 0.5, 0.9, 1)]
    assert found == pytest.approx(sorted(found))
    assert (found[0], found[-1]) == (values[0], values[-1])


@given(st.floats(-1, 3), times)
def test_the_exponent_of_a_power_is_its_own(power, scale):
    values = {n: scale * n**power for n in (10, 300, 1000, 30_000)}
    assert exponent(values) == pytest.approx(power, abs=1e-6)


@pytest.mark.parametrize("values", [{}, {10: 1.0}, {10: 0.0, 100: 1.0}])
def test_no_exponent_without_two_positive_values(values):
    assert exponent(values) is None


@given(st.floats(0.5, 2), st.lists(times, min_size=1))
def test_ten_pieces_beside_one_of_ten_times_the_size_give_the_exponent(power, small):
    """However much slower the machine is in one pair than in another."""
    slope, low, high = tenfold(paired(small, [each / 10 * 10**power for each in small]))
    assert (slope, low, high) == pytest.approx((power, power, power), abs=1e-6)


def test_growth_is_judged_by_the_largest_sizes():
    assert last(dict.fromkeys((100, 300, 1000, 3000, 10_000), 1.0)) == {1000: 1, 3000: 1, 10_000: 1}
    assert last({}) == {}


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (short(0.834), "0.83"),
        (short(2.46), "2.5"),
        (short(48.2), "48"),
        (short(1234.5), "1,234"),
        (seconds(1.5e-6), "1.50 us"),
        (seconds(0.031), "31 ms"),
        (seconds(14.4), "14.4 s"),
        (seconds(3e-8), "30 ns"),
        (amount(1809), "1,809 B"),
        (amount(-0.2), "-0 B"),
        (amount(181_000), "181.0 kB"),
        (amount(36_300_000), "36.3 MB"),
        (size(300), "300"),
        (size(3000), "3k"),
        (size(1_000_000), "1M"),
        (str(paired([1, 1], [2, 3])), "2.5x (2.1-2.9)"),
        (str(paired([1], [300])), "300x (1 pair)"),
    ],
)
def test_figures_are_shown_with_the_digits_that_can_be_trusted(shown, text):
    assert shown == text
