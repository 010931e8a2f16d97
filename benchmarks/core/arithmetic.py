"""The harness's own arithmetic: medians of pairs, quantiles, growth exponents, units."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ratio:
    """A median of paired ratios, with the range of the middle four fifths of the pairs."""

    median: float
    low: float
    high: float
    pairs: int

    def __str__(self) -> str:
        if self.pairs == 1:
            return f"{short(self.median)}x (1 pair)"
        return f"{short(self.median)}x ({short(self.low)}-{short(self.high)})"


def paired(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    """How many times longer each of ``theirs`` took than the one of ``ours`` beside it.

    Raises:
        ValueError: for sequences of different lengths, or without any pair.
    """
    found = sorted(their / our for our, their in zip(ours, theirs, strict=True))
    if not found:
        msg = "no pair was measured"
        raise ValueError(msg)
    low, high = quantile(found, 0.1), quantile(found, 0.9)
    return Ratio(statistics.median(found), low, high, len(found))


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which ``share`` of the ``ordered`` ones lie, interpolated."""
    place = share * (len(ordered) - 1)
    index = math.floor(place)
    after = ordered[min(index + 1, len(ordered) - 1)]
    return ordered[index] + (place - index) * (after - ordered[index])


def exponent(by_size: Mapping[int, float]) -> float | None:
    """The k for which values grow as size ** k: the slope of the logarithms, by least squares.

    None below two sizes, and where a value is not positive.
    """
    if len(by_size) < 2 or min(by_size.values()) <= 0:
        return None
    across = [math.log(size) for size in by_size]
    upward = [math.log(value) for value in by_size.values()]
    return statistics.linear_regression(across, upward).slope


def tenfold(pairs: Ratio) -> tuple[float, float, float]:
    """The exponent, and the ends of its range, by pairs of equal work.

    Ten pieces of work are ours in such a pair, and one piece that is ten times as large is theirs:
    a ratio of 1 means growth in proportion.
    """
    median, low, high = (1 + math.log10(each) for each in (pairs.median, pairs.low, pairs.high))
    return median, low, high


def last(by_size: Mapping[int, float], decades: float = 1.0) -> dict[int, float]:
    """The values of the sizes within ``decades`` (of ten) of the largest: where growth shows."""
    if not by_size:
        return {}
    least = max(by_size) / 10**decades * 0.999
    return {size: value for size, value in by_size.items() if size >= least}


def short(value: float) -> str:
    """A figure with as many digits as can be trusted: 0.83, 2.5, 48, 1,230."""
    if value >= 100:
        return f"{value:,.0f}"
    if value >= 20:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 2 else f"{value:.2f}"


def seconds(value: float) -> str:
    """A time, in the unit that suits it."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if value >= scale:
            return f"{short(value / scale)} {unit}"
    return f"{value * 1e9:.0f} ns"


def amount(value: float) -> str:
    """Bytes, in the unit that suits them (of 1,000)."""
    for unit, scale in (("MB", 1e6), ("kB", 1e4)):
        if abs(value) >= scale:
            return f"{value / (1e6 if unit == 'MB' else 1e3):,.1f} {unit}"
    return f"{value:,.0f} B"


def size(value: int) -> str:
    """A number of operations: 300, 3k, 1M."""
    for unit, scale in (("M", 10**6), ("k", 10**3)):
        if value >= scale and value % scale == 0:
            return f"{value // scale}{unit}"
    return f"{value:,}"
